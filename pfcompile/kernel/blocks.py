"""Packets in a ring's blocks, as records of a capture file.

`Walk` is a place in a block, and `Copier` what makes records of the packets there. There are two:
`PythonCopier` here, and the native one of `jit.ring`; both write the same bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pfcompile.cbpf import interpreter
from pfcompile.cbpf.isa import Ancillary
from pfcompile.kernel.abi import (
    ETH_P_8021Q,
    SOCKADDR_LL,
    TP_STATUS_VLAN_TPID_VALID,
    TP_STATUS_VLAN_VALID,
    TPACKET3_ADDRESS,
    TPACKET3_HDR,
)
from pfcompile.kernel.cooked import Origin
from pfcompile.kernel.hardware_types import ARPHRD_LOOPBACK
from pfcompile.kernel.opening import TAG_OFFSETS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from mmap import mmap

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.kernel.cooked import Header
    from pfcompile.kernel.ring import Block, Ring

PACKET_OUTGOING: Final = 4
ENHANCED_PACKET: Final = 6

PCAP_RECORD: Final = struct.Struct("<4I")
"""A record's header in a pcap file: seconds, nanoseconds, captured length, wire length."""
PCAPNG_PACKET: Final = struct.Struct("<7I")
"""An enhanced packet block before its packet: type, length, interface, the two halves of the time,
captured length, wire length."""

NO_LIMIT: Final = (1 << 63) - 1


CHUNK: Final = 256 * 1024
"""So many bytes of records are written together: they are in the second-level cache still."""


class RecordFormat(Enum):
    """What records are written; all little-endian, and their times in nanoseconds."""

    PCAP = "pcap"
    PCAPNG = "pcapng"


@dataclass(frozen=True, slots=True)
class Shape:
    """What records are made of packets.

    Attributes:
        format: How they are written.
        header: What is put before each packet; None for those that have their own.
        tag_offset: Where a VLAN tag goes that the kernel took out; None where none is put back.
    """

    format: RecordFormat
    header: Header | None
    tag_offset: int | None

    @classmethod
    def of(cls, ring: Ring, record_format: RecordFormat) -> Shape:
        """Return the shape for what is captured in a ring."""
        return cls(record_format, ring.header, TAG_OFFSETS.get(ring.link_type.dlt))


@dataclass(slots=True)
class Walk:
    """A place in a block that moves on.

    Attributes:
        offset: Where in the ring the next packet is.
        left: How many packets there are still.
    """

    offset: int
    left: int


class Limits(NamedTuple):
    """Where to stop before the end of the block.

    Attributes:
        packets: Behind so many records.
        room: Before the record that would follow more than so many bytes.
        until: Before the packet that came in this second, counted from 1970, or later.
    """

    packets: int = NO_LIMIT
    room: int = NO_LIMIT
    until: int = NO_LIMIT


class Copied(NamedTuple):
    """What was made of some packets.

    Attributes:
        records: One behind the other; valid until the next call.
        packets: How many.
    """

    records: memoryview
    packets: int


class Copier(Protocol):
    """Makes records of a block's packets.

    Those of them are left out that the loopback interface shows twice, and what the filter rejects
    that the kernel could not run.
    """

    def copy(self, walk: Walk, limits: Limits) -> Copied:
        """Go on from a place in a block; stops at the block's end or at a limit."""


class Moved(NamedTuple):
    """What was moved.

    Attributes:
        number: The next block.
        packets: How many records were made.
        written: How many bytes of them have been written.
        records: What could not be written as a whole; valid until the next call. Mostly nothing.
        sent: How many bytes of that are written.
        rest: What is left of a block that was begun, behind `records`, to be moved and released by
            somebody else; None where none was.
    """

    number: int
    packets: int
    written: int
    records: memoryview
    sent: int
    rest: Block | None


class Wait(NamedTuple):
    """How long to go on.

    Attributes:
        wake: A file descriptor; when it can be read, there is something else to do.
        milliseconds: After so long there is, too.
    """

    wake: int
    milliseconds: int


class Mover(Protocol):
    """Moves records of a ring's packets into a file, and waits for more."""

    def move(self, number: int, output: int, wait: Wait) -> Moved:
        """Move blocks as they come, for as long as there is nothing else to do.

        Args:
            number: The next block.
            output: The file's descriptor.
            wait: For how long.
        """


class RingPacket(NamedTuple):
    """A packet as it is in a ring.

    Attributes:
        seconds: When it came.
        nanoseconds: The rest of that.
        wire_length: How many bytes it had, without the tag.
        tag: The VLAN tag that the kernel took out; empty where it had none.
        origin: Where it came from.
        data: What was captured.
        step: How far on in the ring the next packet is.
    """

    seconds: int
    nanoseconds: int
    wire_length: int
    tag: bytes
    origin: Origin
    data: bytes
    step: int

    def metadata(self) -> dict[int, int]:
        """Return the kernel's metadata words, for a filter that runs here."""
        words = self.origin.metadata() | {Ancillary.VLAN_TAG_PRESENT: int(bool(self.tag))}
        tpid, tci = struct.unpack("!HH", self.tag) if self.tag else (0, 0)
        return words | {Ancillary.VLAN_TAG: tci, Ancillary.VLAN_TPID: tpid}


def packet_at(memory: mmap | bytes | bytearray, offset: int) -> RingPacket:
    """Return the packet at a place in a ring."""
    step, seconds, nanoseconds, captured, wire, status, mac, _, _, tci, tpid = (
        TPACKET3_HDR.unpack_from(memory, offset)
    )
    _, protocol, index, hardware_type, packet_type, length, address = SOCKADDR_LL.unpack_from(
        memory, offset + TPACKET3_ADDRESS
    )
    tag = b""
    if status & TP_STATUS_VLAN_VALID:
        known = status & TP_STATUS_VLAN_TPID_VALID
        tag = struct.pack("!HH", tpid if known else ETH_P_8021Q, tci)
    swapped = int.from_bytes(protocol.to_bytes(2, "little"), "big")
    sender = address[:length].ljust(length, b"\0")  # of a long one only the beginning is there
    origin = Origin(swapped, packet_type, index, hardware_type, sender)
    data = memory[offset + mac : offset + mac + captured]
    return RingPacket(seconds, nanoseconds, wire, tag, origin, bytes(data), step)


class PythonCopier:
    """Makes records without native code."""

    def __init__(
        self,
        memory: mmap | bytes | bytearray,
        shape: Shape,
        *,
        snaplen: int,
        interface: int = 0,
        instructions: Sequence[Instruction] | None = None,
    ) -> None:
        """Prepare.

        Args:
            memory: The ring.
            shape: What records are made.
            snaplen: Bytes to keep of each packet.
            interface: The interface's number in a pcapng file.
            instructions: The filter that the kernel could not run.
        """
        self._memory = memory
        self._shape = shape
        self._snaplen = snaplen
        self._interface = interface
        self._matches = None if instructions is None else interpreter.prepare(instructions)

    def copy(self, walk: Walk, limits: Limits) -> Copied:
        """Go on from a place in a block; see `Copier`."""
        records = bytearray()
        packets = 0
        while walk.left and packets < limits.packets and len(records) <= limits.room:
            packet = packet_at(self._memory, walk.offset)
            if packet.seconds >= limits.until:
                break
            record = self._record(packet)
            walk.offset += packet.step
            walk.left -= 1
            if record is not None:
                records += record
                packets += 1
        return Copied(memoryview(records), packets)

    def _record(self, packet: RingPacket) -> bytes | None:
        """Return a packet's record; None where it is left out."""
        origin = packet.origin
        if origin.packet_type == PACKET_OUTGOING and origin.hardware_type == ARPHRD_LOOPBACK:
            return None
        data, wire = packet.data, packet.wire_length
        header, offset = self._shape.header, self._shape.tag_offset
        if header is not None:
            data = header.build(origin) + data
            wire += header.length
        if self._matches is not None and not self._matches(data, wire, packet.metadata()):
            return None
        if packet.tag and offset is not None and len(data) >= offset:
            data = data[:offset] + packet.tag + data[offset:]
            wire += len(packet.tag)
        data = data[: self._snaplen]
        if self._shape.format is RecordFormat.PCAP:
            return PCAP_RECORD.pack(packet.seconds, packet.nanoseconds, len(data), wire) + data
        ticks = packet.seconds * 1_000_000_000 + packet.nanoseconds
        padded = data + bytes(-len(data) % 4)
        length = PCAPNG_PACKET.size + len(padded) + 4
        fixed = PCAPNG_PACKET.pack(
            *(ENHANCED_PACKET, length, self._interface, ticks >> 32, ticks & 0xFFFFFFFF),
            *(len(data), wire),
        )
        return fixed + padded + struct.pack("<I", length)
