"""Packets straight from an interface, filtered in the kernel: AF_PACKET.

The socket is made for no protocol, which receives nothing; the filter is attached; only then is
the socket bound. So no packet that the filter rejects is ever in its queue.

Sources: packet(7), socket(7); linux/if_packet.h; Documentation/networking/timestamping.rst.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pfcompile.cbpf import interpreter
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.kernel import cooked, socket_filter
from pfcompile.kernel.abi import (
    ETH_P_8021Q,
    PACKET_AUXDATA,
    PACKET_STATISTICS,
    SO_RCVBUFFORCE,
    SO_TIMESTAMPNS,
    SOL_PACKET,
    TIMESPEC,
    TP_STATUS_VLAN_TPID_VALID,
    TP_STATUS_VLAN_VALID,
    TPACKET_AUXDATA,
    TPACKET_STATS,
)
from pfcompile.kernel.hardware_types import ARPHRD_LOOPBACK, capture_link_type, cooked_header
from pfcompile.kernel.interfaces import ANY, Interface, find_interface, interface_index
from pfcompile.kernel.opening import (
    MAX_SNAPLEN,
    TAG_OFFSETS,
    Statistics,
    bind,
    enter_promiscuous_mode,
    interface_lost,
    open_socket,
)
from pfcompile.kernel.refusals import Operation, refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from pfcompile.facts.link_types import LinkType

DEFAULT_BUFFER_BYTES: Final = 8 << 20
"""The queue that the kernel keeps. It charges a small packet with nearly 1 KB, so that this holds
some 10,000 of them."""

_TAG: Final = struct.Struct("!HH")

_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(TPACKET_AUXDATA.size) + socket.CMSG_SPACE(TIMESPEC.size)
_TIMESTAMPING_SECONDS: Final = 0.001
"""The kernel starts to stamp packets in the background, net_enable_timestamp(); one that comes
before bears the time at which it was read."""


class Packet(NamedTuple):
    """One captured packet.

    Attributes:
        timestamp_ns: When the kernel saw it, nanoseconds since 1970-01-01 00:00 UTC.
        data: Its bytes from the link-layer header on, at most snaplen of them.
        wire_length: How many bytes it had.
    """

    timestamp_ns: int
    data: bytes
    wire_length: int


class PacketSocket:
    """A capture on one interface, or on `any`.

    A context manager, and an iterator over packets that waits for them until stop() is called.

    Attributes:
        interface: What is captured on.
        link_type: What each packet begins with, and so what the filter must be compiled for;
            hardware_types.capture_link_type() tells beforehand.
    """

    def __init__(
        self,
        interface: str,
        instructions: Sequence[Instruction],
        *,
        snaplen: int = MAX_SNAPLEN,
        promiscuous: bool = True,
        buffer_bytes: int = DEFAULT_BUFFER_BYTES,
    ) -> None:
        """Start capturing.

        Args:
            interface: A name, a number from the list of interfaces, or `any`.
            instructions: A filter for the interface's link type.
            snaplen: Bytes to keep of each packet, 1 to 262144.
            promiscuous: Ask for packets to other hosts as well; `any` cannot.
            buffer_bytes: Size of the kernel's queue; cut to net.core.rmem_max where the
                capability CAP_NET_ADMIN is missing.

        Raises:
            KernelError: No such interface; CAP_NET_RAW is missing; the interface is down, or of
                a kind that cannot be captured; the filter was refused.
            ProgramError: The filter cannot be represented.
        """
        self.interface: Interface = find_interface(interface)
        self.link_type: LinkType = capture_link_type(self.interface)
        self._header = cooked_header(self.link_type)
        self._tag_offset = TAG_OFFSETS.get(self.link_type.dlt)
        self._snaplen = snaplen
        self._buffer = bytearray(snaplen)
        self._received = self._dropped = 0
        self._stopped = False
        self._ended: OSError | None = None
        self._indices: dict[str, int] = {}
        self._user_filter: interpreter.Machine | None = None
        self._socket = open_socket(cooked=self._header is not None)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            self._configure(buffer_bytes)
            self._attach(instructions)
            time.sleep(_TIMESTAMPING_SECONDS)
            bind(self._socket, self.interface)
            if promiscuous and self.interface.name != ANY:
                enter_promiscuous_mode(self._socket, self.interface)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Packet]:
        """Yield packets as they come, until stop() is called.

        Raises:
            KernelError: The interface went down or away; the packets before that were yielded.
        """
        while not self._stopped:
            packet = self.receive()
            if packet is None:
                self.wait()
            else:
                yield packet

    @property
    def stopped(self) -> bool:
        """Whether stop() was called."""
        return self._stopped

    @property
    def filters_in_kernel(self) -> bool:
        """Whether the kernel runs the whole filter; some cannot be there on cooked link types."""
        return self._user_filter is None

    def fileno(self) -> int:
        """Return the socket's file descriptor, for select()."""
        return self._socket.fileno()

    def receive(self) -> Packet | None:
        """Return the next packet of the queue, None where it is empty; never waits.

        Raises:
            KernelError: The interface went down or away, and the queue is empty.
        """
        while True:
            try:
                count, ancillary, _, address = self._socket.recvmsg_into(
                    (self._buffer,), _ANCILLARY_BYTES, socket.MSG_DONTWAIT
                )
            except BlockingIOError:
                if self._ended is not None:
                    raise interface_lost(self._socket, self.interface, self._ended) from self._ended
                return None
            except OSError as error:
                if error.errno not in {errno.ENETDOWN, errno.ENODEV}:
                    raise refused(Operation.RECEIVE, error, self.interface.name) from error
                # It is reported before what is still in the queue.
                self._ended = error
                continue
            packet = self._packet(count, ancillary, address)
            if packet is not None:
                return packet

    def wait(self, timeout: float | None = None) -> None:
        """Wait for a packet, for stop(), or for at most `timeout` seconds."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        poll.poll(None if timeout is None else timeout * 1000)

    def stop(self) -> None:
        """End the iteration, and any wait(); may be called by a signal handler or a thread."""
        self._stopped = True
        os.eventfd_write(self._wake, 1)

    def statistics(self) -> Statistics:
        """Return what the kernel counted so far.

        Raises:
            KernelError: The socket is closed.

        Source: packet(7), PACKET_STATISTICS, which counts from zero again whenever it is read.
        """
        try:
            counts = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, TPACKET_STATS.size)
        except OSError as error:
            raise refused(Operation.CONFIGURE, error) from error
        received, dropped = TPACKET_STATS.unpack(counts)
        self._received += received
        self._dropped += dropped
        return Statistics(self._received, self._dropped)

    def close(self) -> None:
        """End the capture; calling it again does nothing."""
        self._socket.close()
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1

    def _attach(self, instructions: Sequence[Instruction]) -> None:
        """Give the kernel the filter, or what of it the kernel can do."""
        program: Sequence[Instruction] | None = instructions
        if self._header is not None:
            program = cooked.for_kernel(instructions, self._header)
        if program is None:
            self._user_filter = interpreter.prepare(instructions)
            program = (Instruction(Op.RET_K, 0, 0, MAX_SNAPLEN),)
        socket_filter.attach(program, self._socket)

    def _configure(self, buffer_bytes: int) -> None:
        """Ask for timestamps, lengths and VLAN tags, and for room."""
        try:
            self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            # The kernel doubles the size, for its bookkeeping.
            size = buffer_bytes // 2
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
            except PermissionError:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        except OSError as error:
            raise refused(Operation.CONFIGURE, error) from error

    def _packet(
        self,
        count: int,
        ancillary: list[tuple[int, int, bytes]],
        address: tuple[str, int, int, int, bytes],
    ) -> Packet | None:
        """Make a packet of what recvmsg() gave; None for one that is not to be seen."""
        name, protocol, packet_type, hardware_type, sender = address
        if packet_type == socket.PACKET_OUTGOING and hardware_type == ARPHRD_LOOPBACK:
            return None  # it comes in a moment later, and would be seen twice
        timestamp_ns, wire_length, tag = _told_beside(ancillary)
        data = bytes(memoryview(self._buffer)[:count])
        origin = None
        if self._header is not None:
            index = self._index_of(name)
            origin = cooked.Origin(protocol, packet_type, index, hardware_type, sender)
            data = self._header.build(origin) + data
            wire_length += self._header.length
        if tag and self._tag_offset is not None and len(data) >= self._tag_offset:
            data = data[: self._tag_offset] + tag + data[self._tag_offset :]
            wire_length += len(tag)
        if self._user_filter is not None and origin is not None:
            verdict = self._user_filter(data, wire_length, origin.metadata())
            if verdict == 0:
                return None
        return Packet(timestamp_ns, data[: self._snaplen], wire_length)

    def _index_of(self, name: str) -> int:
        """Return an interface's number, remembered; 0 where it is gone by now."""
        if name not in self._indices:
            try:
                self._indices[name] = interface_index(self._socket, name)
            except OSError:
                return 0
        return self._indices[name]


def _told_beside(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int, bytes]:
    """Return a packet's timestamp, wire length and VLAN tag (empty without) from beside its bytes.

    The length is not measured with MSG_TRUNC: the filter's result has cut the packet before that.
    """
    timestamp_ns, wire_length, tag = 0, 0, b""
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMESPEC.unpack(value)
            timestamp_ns = seconds * 1_000_000_000 + nanoseconds
        elif (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, wire_length, _, _, _, tci, tpid = TPACKET_AUXDATA.unpack(value)
            if status & TP_STATUS_VLAN_VALID:
                known = status & TP_STATUS_VLAN_TPID_VALID
                tag = _TAG.pack(tpid if known else ETH_P_8021Q, tci)
    return timestamp_ns, wire_length, tag
