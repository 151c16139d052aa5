"""The part of a program that writes a matching packet's bytes to a ring buffer, and its reader.

Room in a ring is asked for by a constant, so that there are several sizes, each twice the one
before: a packet gets the first that it fits in. A packet for which there is no room is counted as
lost, and meets the same end as any other.

An event is a header (when, how many bytes, how many the packet has, the interface, and the VLAN tag
that the kernel has taken out of the packet) and the packet's first bytes.

Source: Documentation/bpf/ringbuf.rst of Linux; linux/bpf.h, `struct __sk_buff`; 802.1Q for tags.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pfcompile.ebpf.isa import R0, R1, R2, R3, R4, Arithmetic, Condition
from pfcompile.errors import ProgramError
from pfcompile.facts import link_types
from pfcompile.kernel.attach.counting import LOST, REPORTED
from pfcompile.kernel.attach.rows import Kind
from pfcompile.kernel.attach.writing import CONTEXT, COUNTERS, LENGTH, SPARE
from pfcompile.kernel.bpf.kinds import MapKind
from pfcompile.kernel.bpf.maps import create_map
from pfcompile.kernel.bpf.ring_buffer import RingEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from pfcompile.kernel.attach.writing import Writer
    from pfcompile.kernel.bpf.maps import Map

EVENTS_MAP: Final = "pf_events"
"""The map's name in the kernel."""
MOST_BYTES: Final = 65_535
"""Bytes of a packet that can be reported."""
RING_BYTES: Final = 8 << 20

_HEADER: Final = struct.Struct("=QIIIIII")
"""Nanoseconds of CLOCK_MONOTONIC, bytes, the packet's length, the interface's number; whether there
is a tag, its control information, its protocol in network order. As long as a multiple of 8."""
_SMALLEST: Final = 64
_TAG_FIELDS: Final = ((20, 20), (24, 24), (28, 28))
"""Where a tag is in `struct __sk_buff`, and in the header."""
_ETHERNET: Final = link_types.number("EN10MB")
_BEFORE_TAG: Final = 12
_TAG_BYTES: Final = 4

_NOW: Final = 5
_RESERVE: Final = 131
_SUBMIT: Final = 132
_DISCARD: Final = 133
"""Numbers of helpers, linux/bpf.h."""


@dataclass(frozen=True, slots=True)
class Report:
    """What of matching packets is reported.

    Attributes:
        bytes: How many of each packet's first bytes, 1 to `MOST_BYTES`.
        ring_bytes: How large the ring is in which they wait to be read: a power of two of pages.
    """

    bytes: int = MOST_BYTES
    ring_bytes: int = RING_BYTES

    def __post_init__(self) -> None:
        if not 1 <= self.bytes <= MOST_BYTES:
            raise ProgramError(f"{self.bytes} bytes of a packet: 1 to {MOST_BYTES} can be reported")
        if self.ring_bytes < 2 * (_HEADER.size + self.bytes):
            raise ProgramError(f"a ring of {self.ring_bytes} bytes has no room for two packets")


class ReportedPacket(NamedTuple):
    """A packet that matched.

    Attributes:
        timestamp_ns: When, in nanoseconds since 1970.
        data: Its first bytes; a VLAN tag that the kernel had taken out is where it was.
        wire_length: How many it has.
        interface: The number of the interface; 0 where there is none.
    """

    timestamp_ns: int
    data: bytes
    wire_length: int
    interface: int


def create_ring(report: Report) -> Map:
    """Make the ring; raises KernelError."""
    return create_map(MapKind.RINGBUF, 0, 0, report.ring_bytes, name=EVENTS_MAP)


def write_report(writer: Writer, most: int) -> None:
    """Write the part that reports up to `most` bytes of a packet."""
    b = writer.code
    sizes = [_SMALLEST]
    while sizes[-1] < most:
        sizes.append(min(2 * sizes[-1], most))
    b.mov(SPARE, LENGTH).jump_if(Condition.LE, SPARE, most, "short enough").mov(SPARE, most)
    b.label("short enough")
    for number, size in enumerate(sizes[:-1]):
        b.jump_if(Condition.LE, SPARE, size, f"size {number}")
    # What is longer than all of them falls through into the last.
    for number in reversed(range(len(sizes))):
        _write_event(writer, number, sizes[number])
    b.label("give up").mov(R1, LENGTH).mov(R2, 0).call(_DISCARD)
    b.label("no room")
    writer.add(COUNTERS, LOST, 1)
    b.jump("reported")
    b.label("written").mov(R1, LENGTH).mov(R2, 0).call(_SUBMIT)
    writer.add(COUNTERS, REPORTED, 1)
    b.label("reported")


def _write_event(writer: Writer, number: int, size: int) -> None:
    b = writer.code.label(f"size {number}")
    writer.take_map(R1, EVENTS_MAP)
    b.mov(R2, _HEADER.size + size).mov(R3, 0).call(_RESERVE)
    b.jump_if(Condition.EQ, R0, 0, "no room")
    b.store(32, R0, 8, SPARE).store(32, R0, 12, LENGTH)
    # The packet's length is in the event now; its register holds the event from here on.
    b.mov(LENGTH, R0)
    b.load(32, R1, CONTEXT, writer.row.interface).store(32, LENGTH, 16, R1)
    for source, target in _TAG_FIELDS:
        if writer.row.kind is Kind.XDP:
            b.store(32, LENGTH, target, 0)
        else:
            b.load(32, R1, CONTEXT, source).store(32, LENGTH, target, R1)
    b.call(_NOW).store(64, LENGTH, 0, R0)
    if number == 0:
        b.jump_if(Condition.LT, SPARE, 1, "written")
    b.mov(R2, 0).mov(R3, LENGTH).alu(Arithmetic.ADD, R3, _HEADER.size).mov(R4, SPARE)
    writer.call_loader()
    b.jump_if(Condition.NE, R0, 0, "give up").jump("written")


class Reports:
    """The packets that a filter reports: an iterator that waits for the next one.

    ::

        for packet in session.reports():
            print(packet.timestamp_ns, packet.data.hex())

    Iterating ends when `stop` was called and what was there by then is read. One reader alone may
    read; a context manager.
    """

    def __init__(self, ring: Map, dlt: int, closed: Callable[[], None] = lambda: None) -> None:
        """Begin to read; raises KernelError.

        Args:
            ring: What `create_ring` has made.
            dlt: What packets begin with.
            closed: Is told when this is closed.
        """
        self._events = RingEvents(ring)
        self._dlt = dlt
        self._closed: Callable[[], None] | None = closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[ReportedPacket]:
        for event in self._events:
            yield self._packet(event.data, _since_1970())

    def fileno(self) -> int:
        """Return a descriptor that can be read when there are packets, or after `stop`."""
        return self._events.fileno()

    def read(self, timeout: float | None = None, most: int | None = None) -> list[ReportedPacket]:
        """Return what is there; where nothing is, wait for it.

        Args:
            timeout: Seconds to wait; None for any time. Afterwards there may be nothing, as after
                `stop`.
            most: So many packets at most; None for all.
        """
        events = self._events.read(timeout, most)
        offset = _since_1970()
        return [self._packet(event.data, offset) for event in events]

    def stop(self) -> None:
        """End iterating and waiting for good; a signal handler or another thread may call this."""
        self._events.stop()

    def close(self) -> None:
        """Give the ring back; again does nothing."""
        self._events.close()
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()

    def _packet(self, event: bytes, offset: int) -> ReportedPacket:
        moment, count, length, interface, has_tag, tci, protocol = _HEADER.unpack_from(event)
        data = event[_HEADER.size : _HEADER.size + count]
        if has_tag and self._dlt == _ETHERNET:
            # Whoever reads a capture has no other place to look for it.
            tag = struct.pack("=H", protocol & 0xFFFF) + struct.pack("!H", tci & 0xFFFF)
            data = data[:_BEFORE_TAG] + tag + data[_BEFORE_TAG:]
            length += _TAG_BYTES
        return ReportedPacket(moment + offset, data, length, interface)


def _since_1970() -> int:
    """Return how many nanoseconds are between 1970 and where the kernel's clock began."""
    return time.time_ns() - time.monotonic_ns()
