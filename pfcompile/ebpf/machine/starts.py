"""The ways in which a program can be started: what R1 and R2 hold, and where the packet is.

Packets and metadata that are given as a `bytearray` or a writable `memoryview` are what the program
works on, so that its writes stay there; of `bytes` it gets a copy. A `memoryview` has to be of one
piece; if not, or if a number is out of its range, `enter` raises ProgramError.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pfcompile.ebpf.machine.contexts import SK_BUFF, XDP_MD, Context, Layout, Pointer
from pfcompile.ebpf.machine.memory import (
    CONTEXT_REGION,
    PACKET_ADDRESS,
    PACKET_REGION,
    Buffer,
    Memory,
)
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Mapping

_POINTER: Final = struct.Struct("<Q")
_USER: Final = struct.Struct("<QQI4x")


class Entry(NamedTuple):
    """What a program begins with.

    Attributes:
        r1: Its first argument.
        r2: Its second, or 0.
        packet: The packet as helpers and legacy packet loads see it: all of it.
        has_packet_loads: Whether there are legacy packet loads (LD_ABS, LD_IND).
        context: The context, where there is one of the kernel's.
    """

    r1: int = 0
    r2: int = 0
    packet: Buffer = b""
    has_packet_loads: bool = True
    context: Context | None = None


@dataclass(frozen=True, slots=True)
class NoData:
    """Nothing: R1 and R2 are 0."""

    def enter(self, _memory: Memory) -> Entry:
        """Return what the program begins with."""
        return Entry()


@dataclass(frozen=True, slots=True)
class RawPacket:
    """R1 is the packet's address, R2 its length."""

    packet: Buffer

    def enter(self, memory: Memory) -> Entry:
        """Put the packet into memory and return what the program begins with."""
        packet = _own(self.packet)
        return Entry(memory.add(PACKET_REGION, "packet", packet), len(packet), packet)


@dataclass(frozen=True, slots=True)
class MetadataBuffer:
    """R1 is the address of a buffer of the user's own, R2 its length.

    The pointers in it are the user's, too: the packet begins at PACKET_ADDRESS, and declared
    regions where `declared_address` says.

    Attributes:
        metadata: The buffer.
        packet: A packet, or nothing.
    """

    metadata: Buffer
    packet: Buffer = b""

    def enter(self, memory: Memory) -> Entry:
        """Put both into memory and return what the program begins with."""
        packet = _own(self.packet)
        memory.add(PACKET_REGION, "packet", packet)
        metadata = _own(self.metadata)
        return Entry(memory.add(CONTEXT_REGION, "metadata", metadata), len(metadata), packet)


@dataclass(frozen=True, slots=True)
class FixedMetadata:
    """R1 is the address of a buffer that is made here, with two pointers of 64 bits in it.

    Attributes:
        packet: The packet.
        data_offset: Bytes into the buffer where the pointer to the packet's start is.
        data_end_offset: The same for the pointer to behind its last byte.
    """

    packet: Buffer
    data_offset: int
    data_end_offset: int

    def enter(self, memory: Memory) -> Entry:
        """Make the buffer and return what the program begins with.

        Raises:
            ProgramError: The pointers overlap, or lie before the buffer or past 64 KiB.
        """
        start, end = self.data_offset, self.data_end_offset
        size = _POINTER.size
        if min(start, end) < 0 or max(start, end) > _MAX_OFFSET or abs(start - end) < size:
            raise ProgramError(
                f"two pointers of {size} bytes cannot be at offsets {start} and {end} of metadata"
            )
        packet = _own(self.packet)
        metadata = bytearray(max(start, end) + size)
        address = memory.add(PACKET_REGION, "packet", packet)
        _POINTER.pack_into(metadata, start, address)
        _POINTER.pack_into(metadata, end, address + len(packet))
        return Entry(memory.add(CONTEXT_REGION, "metadata", metadata), len(metadata), packet)


_MAX_OFFSET: Final = 0xFFFF
_MAX_U32: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class User:
    """R1 is the address of what programs translated for "user" find.

    That is the address of the packet's first byte, that behind its last one, both of 64 bits, and
    the length on the wire of 32 bits.

    Attributes:
        packet: The captured bytes.
        wire_length: Bytes on the wire; those captured when None.
    """

    packet: Buffer
    wire_length: int | None = None

    def enter(self, memory: Memory) -> Entry:
        """Make the context and return what the program begins with.

        Raises:
            ProgramError: The packet's bytes are not in one piece; the length does not fit 32 bits.
        """
        packet = _own(self.packet)
        address = memory.add(PACKET_REGION, "packet", packet)
        length = len(packet) if self.wire_length is None else self.wire_length
        if not 0 <= length <= _MAX_U32:
            raise ProgramError(f"the length on the wire is {length}, not 0 to {_MAX_U32}")
        context = bytearray(_USER.pack(address, address + len(packet), length))
        return Entry(memory.add(CONTEXT_REGION, "metadata", context), len(context), packet)


@dataclass(frozen=True, slots=True)
class Xdp:
    """R1 is the address of a `struct xdp_md`, as in the kernel's XDP programs.

    Attributes:
        packet: The packet from its Ethernet header on.
        ingress_ifindex: Number of the interface that it came by.
        rx_queue_index: Number of the queue that it came by.
        egress_ifindex: Number of the interface that it leaves by, in a device map's program.
        linear: Bytes of it before `data_end`; the rest only helpers see. All when None.
    """

    packet: Buffer
    ingress_ifindex: int = 0
    rx_queue_index: int = 0
    egress_ifindex: int = 0
    linear: int | None = None

    def enter(self, memory: Memory) -> Entry:
        """Make the context and return what the program begins with."""
        values = {
            "ingress_ifindex": self.ingress_ifindex,
            "rx_queue_index": self.rx_queue_index,
            "egress_ifindex": self.egress_ifindex,
        }
        return _enter(memory, XDP_MD, values, self.packet, self.linear, has_packet_loads=False)


@dataclass(frozen=True, slots=True)
class Skb:
    """R1 is the address of a `struct __sk_buff`, as in the kernel's tc programs and socket filters.

    Attributes:
        packet: The packet, from where the kind of program has its first byte.
        length: The packet's length; that of `packet` when None.
        protocol: EtherType, 0x0800 for IPv4; programs load it in network order, as 0x0008.
        vlan_tci: The tag that was taken out of the packet, or None for none.
        vlan_protocol: The EtherType that said that there was a tag.
        ifindex: Number of the interface.
        ingress_ifindex: Number of the interface that it came by.
        packet_type: PACKET_HOST and the others of linux/if_packet.h.
        mark: Mark.
        queue_mapping: Queue.
        priority: Priority.
        hash: Hash of the flow.
        cb: 20 bytes that programs leave each other.
        tstamp: Time in nanoseconds.
        wire_length: Length on the wire, of all segments; the length when None.
        gso_segments: How many segments it stands for.
        gso_size: Bytes of each.
        linear: Bytes of it before `data_end`; the rest only helpers and legacy packet loads see.
            All when None.
    """

    packet: Buffer
    length: int | None = None
    protocol: int = 0
    vlan_tci: int | None = None
    vlan_protocol: int = 0x8100
    ifindex: int = 0
    ingress_ifindex: int = 0
    packet_type: int = 0
    mark: int = 0
    queue_mapping: int = 0
    priority: int = 0
    hash: int = 0
    cb: bytes = b""
    tstamp: int = 0
    wire_length: int | None = None
    gso_segments: int = 0
    gso_size: int = 0
    linear: int | None = None

    def enter(self, memory: Memory) -> Entry:
        """Make the context and return what the program begins with."""
        length = memoryview(self.packet).nbytes if self.length is None else self.length
        is_tagged = self.vlan_tci is not None
        values = {
            "len": length,
            "pkt_type": self.packet_type,
            "mark": self.mark,
            "queue_mapping": self.queue_mapping,
            "protocol": self.protocol,
            "vlan_present": int(is_tagged),
            "vlan_tci": self.vlan_tci or 0,
            "vlan_proto": self.vlan_protocol if is_tagged else 0,
            "priority": self.priority,
            "ingress_ifindex": self.ingress_ifindex,
            "ifindex": self.ifindex,
            "cb": int.from_bytes(self.cb, "little"),
            "hash": self.hash,
            "tstamp": self.tstamp,
            "wire_len": length if self.wire_length is None else self.wire_length,
            "gso_segs": self.gso_segments,
            "gso_size": self.gso_size,
        }
        return _enter(memory, SK_BUFF, values, self.packet, self.linear, has_packet_loads=True)


Start: TypeAlias = NoData | RawPacket | MetadataBuffer | FixedMetadata | User | Xdp | Skb


def _own(data: Buffer) -> bytearray | memoryview:
    """Return what a program can work on: `data` itself where it can be written, else a copy.

    Raises:
        ProgramError: It is a view of bytes that do not lie side by side.
    """
    if isinstance(data, bytearray):
        return data
    view = memoryview(data)
    if not view.c_contiguous:
        raise ProgramError("what a program works on must be in one piece, not a view with gaps")
    return bytearray(view) if view.readonly else view.cast("B")


def _enter(
    memory: Memory,
    layout: Layout,
    values: Mapping[str, int],
    packet: Buffer,
    linear: int | None,
    *,
    has_packet_loads: bool,
) -> Entry:
    whole = _own(packet)
    if linear is not None and linear < 0:
        raise ProgramError(f"a packet cannot have {linear} bytes in its linear part")
    direct = whole if linear is None else memoryview(whole)[:linear]
    data = memory.add(PACKET_REGION, "packet", direct)
    end = PACKET_ADDRESS + len(direct)
    context = Context(layout, values, {Pointer.DATA: data, Pointer.DATA_END: end})
    return Entry(
        memory.add_context(context),
        0,
        whole,
        has_packet_loads=has_packet_loads,
        context=context,
    )
