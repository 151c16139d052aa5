"""Cooked headers: what stands before a packet whose own link-layer header cannot be used.

The kernel tells where each packet came from beside its bytes (struct sockaddr_ll); the header is
made from that. A filter compiled for a cooked link type reads a header that the kernel does not
have, so it is rewritten for the kernel: fields of the header become loads of the packet's metadata,
everything behind it moves forward.

Sources: LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2 at tcpdump.org; packet(7); linux/filter.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.cbpf.isa import Ancillary, Instruction, Op, Place, ancillary_word
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAX_SKIP: Final = 255
"""How far jt and jf reach."""


class Origin(NamedTuple):
    """Where a packet came from, struct sockaddr_ll.

    Attributes:
        protocol: EtherType, in the host's order.
        packet_type: PACKET_HOST, PACKET_OUTGOING and so on, 0 to 7.
        interface_index: From 1.
        hardware_type: ARPHRD_ number.
        address: Sender's link-layer address, as long as that kind's addresses are.
    """

    protocol: int
    packet_type: int
    interface_index: int
    hardware_type: int
    address: bytes

    def metadata(self) -> dict[int, int]:
        """Return the kernel's metadata words for this packet, for a filter that runs here."""
        return {
            Ancillary.PROTOCOL: self.protocol,
            Ancillary.PKTTYPE: self.packet_type,
            Ancillary.IFINDEX: self.interface_index,
            Ancillary.HATYPE: self.hardware_type,
        }


@dataclass(frozen=True, slots=True)
class Header:
    """One kind of cooked header.

    Attributes:
        layout: Its bytes.
        fields: The order of Origin's fields in `layout`; `address_length` is one more.
        ancillary: The load that reads a field here, and the metadata word that is the same in
            the kernel.
    """

    layout: struct.Struct
    fields: tuple[str, ...]
    ancillary: dict[tuple[Op, int], Ancillary]

    @property
    def length(self) -> int:
        """Bytes of the header."""
        return self.layout.size

    def places(self) -> Iterator[tuple[str, int, int]]:
        """Yield each field's name, where it is and its bits; bytes that are 0 have no name."""
        names = iter(self.fields)
        offset = 0
        for code in self.layout.format.lstrip("!").replace("8s", "s"):
            size = struct.calcsize("8s" if code == "s" else f"={code}")
            yield ("" if code == "x" else next(names)), offset, 8 * size
            offset += size

    def build(self, origin: Origin) -> bytes:
        """Return the header of one packet."""
        # Eight bytes hold the address: what is longer is cut, what is shorter has zeros behind.
        values = {**origin._asdict(), "address_length": len(origin.address)}
        return self.layout.pack(*(values[name] for name in self.fields))


_SLL: Final = Header(
    struct.Struct("!HHH8sH"),
    ("packet_type", "hardware_type", "address_length", "address", "protocol"),
    {
        (Op.LD_H_ABS, 0): Ancillary.PKTTYPE,
        (Op.LD_H_ABS, 2): Ancillary.HATYPE,
        (Op.LD_H_ABS, 14): Ancillary.PROTOCOL,
    },
)
_SLL2: Final = Header(
    struct.Struct("!HxxIHBB8s"),
    (
        "protocol",
        "interface_index",
        "hardware_type",
        "packet_type",
        "address_length",
        "address",
    ),
    {
        (Op.LD_H_ABS, 0): Ancillary.PROTOCOL,
        (Op.LD_W_ABS, 4): Ancillary.IFINDEX,
        (Op.LD_H_ABS, 8): Ancillary.HATYPE,
        (Op.LD_B_ABS, 10): Ancillary.PKTTYPE,
    },
)

HEADERS: Final[dict[int, Header]] = {
    113: _SLL,  # LINUX_SLL
    144: _SLL,  # LINUX_IRDA, for the direction of each frame
    177: _SLL,  # LINUX_LAPD, the same
    253: _SLL,  # NETLINK, whose protocol field holds the netlink family
    276: _SLL2,  # LINUX_SLL2
}
"""The header by DLT."""


def for_kernel(
    instructions: Sequence[Instruction], header: Header
) -> tuple[Instruction, ...] | None:
    """Return the program that does in the kernel what `instructions` do behind `header`.

    None where the program reads what the kernel does not show: part of a field, the address, a
    computed offset inside the header. Such a program has to run on the packet after its header
    was made.

    Example, for LINUX_SLL::

        ldh [14]          ldh [proto]
        jeq #0x800, 0, 2  jeq #0x800, 0, 2
        ldb [25]          ldb [9]
    """
    pieces = []
    for instruction in instructions:
        piece = _for_kernel(instruction, header)
        if piece is None:
            return None
        pieces.append(piece)
    return join(instructions, pieces)


def _for_kernel(instruction: Instruction, header: Header) -> tuple[Instruction, ...] | None:
    """Return what one instruction becomes."""
    code, k = instruction.code, instruction.k
    match code:
        case Op.LD_W_ABS | Op.LD_H_ABS | Op.LD_B_ABS:
            field = header.ancillary.get((Op(code), k))
            if field is not None:
                return (instruction._replace(k=ANCILLARY_BASE + field),)
            word = ancillary_word(instruction)
            if word is not None and word.reads is Place.METADATA:
                return (instruction,)
            return _moved(instruction, header)
        case Op.LD_W_IND | Op.LD_H_IND | Op.LD_B_IND | Op.LDX_MSH:
            return _moved(instruction, header)
        case Op.LD_LEN:
            # The kernel's length is that of the packet without the header.
            return (instruction, Instruction(Op.ADD_K, 0, 0, header.length))
        case Op.LDX_LEN:
            return None
        case _:
            return (instruction,)


def _moved(instruction: Instruction, header: Header) -> tuple[Instruction, ...] | None:
    """Return a load behind the header as one from the packet's start; None for one inside it."""
    # A K with the top bit set is a negative offset, of which X makes anything.
    if not header.length <= instruction.k < 1 << 31:
        return None
    return (instruction._replace(k=instruction.k - header.length),)


def join(
    instructions: Sequence[Instruction], pieces: Sequence[Sequence[Instruction]]
) -> tuple[Instruction, ...] | None:
    """Put what single instructions became together, jumps going where they went.

    None where a jump cannot reach that far.
    """
    starts = [0]
    for piece in pieces:
        starts.append(starts[-1] + len(piece))

    def skip(position: int, old: int) -> int:
        return starts[position + 1 + old] - starts[position + 1]

    def relocated() -> Iterator[Instruction]:
        for position, (old, piece) in enumerate(zip(instructions, pieces, strict=True)):
            if old.code == Op.JA:
                yield old._replace(k=skip(position, old.k))
            elif old.jt or old.jf:
                yield old._replace(jt=skip(position, old.jt), jf=skip(position, old.jf))
            else:
                yield from piece

    joined = tuple(relocated())
    reachable = all(instruction.jt <= _MAX_SKIP >= instruction.jf for instruction in joined)
    return joined if reachable else None
