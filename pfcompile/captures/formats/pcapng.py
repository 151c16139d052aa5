"""The newer capture file: blocks, in sections, each packet on one of several interfaces.

Source: draft-ietf-opsawg-pcapng (block types, options); the obsolete packet block is its
appendix A. Block lengths are bounded and interface options checked as libpcap does.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.captures.formats.limits import LARGEST_BLOCK, MAXIMUM_INTERFACES
from pfcompile.captures.formats.records import (
    Interface,
    InterfaceBlock,
    Item,
    OtherBlock,
    Record,
    Section,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.captures.sources.window import Window
    from pfcompile.errors import CaptureError

SECTION_HEADER: Final = 0x0A0D0D0A  # the same in both byte orders
INTERFACE_DESCRIPTION: Final = 1
OBSOLETE_PACKET: Final = 2
SIMPLE_PACKET: Final = 3
ENHANCED_PACKET: Final = 6
CUSTOM_BLOCK_NOT_COPIED: Final = 0x40000BAD
"""Custom blocks that a program which changes a file must leave out (draft, section 4.9)."""

BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D
SECTION_VERSIONS: Final = frozenset({(1, 0), (1, 2)})
"""1.2 was written for a while and is the same format, says the draft."""

OPTION_END: Final = 0
OPTION_TSRESOL: Final = 9
OPTION_TSOFFSET: Final = 14

OPTION_TSRESOL_BINARY: Final = 0x80  # set: a power of two; not set: a power of ten
FINEST_DECIMAL: Final = 19
FINEST_BINARY: Final = 63
"""The finest units whose count of ticks a second fits 64 bits, as in libpcap (sf-pcapng.c)."""

FRAME: Final = 12  # block type, length, and the length again at the end
PACKET_DATA: Final = 28  # from the block's start, in both blocks that carry a time
SIMPLE_DATA: Final = 12
_NOT_STATED: Final = b"\xff" * 8  # a section length of -1, in either byte order

PACKET_FIELDS: Final[dict[int, str]] = {
    ENHANCED_PACKET: "8x5I",
    OBSOLETE_PACKET: "8xH2x4I",  # the two bytes that are skipped count drops
}
"""Blocks that carry a packet and its time, as `struct` spells them: the interface, the two halves
of the timestamp, the captured length and the wire length, in that order."""


_UNPACKERS: Final = {
    (order, kind): struct.Struct(order + fields).unpack_from
    for order in "<>"
    for kind, fields in PACKET_FIELDS.items()
}


def is_packet(kind: int) -> bool:
    """Return whether blocks of a type have a packet."""
    return kind in PACKET_FIELDS or kind == SIMPLE_PACKET


SECTION_START: Final = SECTION_HEADER.to_bytes(4)
"""How a pcapng file begins."""

MINIMUM_LENGTHS: Final[dict[int, int]] = {
    SECTION_HEADER: 28,
    INTERFACE_DESCRIPTION: 20,
    OBSOLETE_PACKET: 32,
    SIMPLE_PACKET: 16,
    ENHANCED_PACKET: 32,
}
"""The fixed parts of the blocks that are read, frame included, in bytes."""


class Block(NamedTuple):
    """A whole block in the window, whose position is its start.

    Attributes:
        byte_order: That of its section, "<" or ">".
        kind: The block type.
        start: Index into the window's data of its first byte.
        stop: Index behind its last byte.
    """

    byte_order: str
    kind: int
    start: int
    stop: int


@dataclass(slots=True)
class SectionState:
    """What is known of the section that a place in the file belongs to.

    Attributes:
        byte_order: "<" or ">"; empty before the first section.
        interfaces: Those described so far; each section has a list of its own.
        number: Which section of the file it is, from 1.
    """

    byte_order: str = ""
    interfaces: list[Interface] = field(default_factory=list)
    number: int = 0

    def kind(self, start: bytes) -> int:
        """Return the type of a block that begins with `start`."""
        return int.from_bytes(start[:4], "big" if self.byte_order == ">" else "little")

    def block_size(self, window: Window, start: bytes) -> int:
        """Return the bytes of the block at the window's offset, as far as it can be known.

        Args:
            window: For errors.
            start: What has been read of the block.

        Returns:
            The whole block's size, or if not even its frame has been read, the frame's.

        Raises:
            CaptureError: There is no such length, or no section yet.
        """
        if len(start) < FRAME:
            return FRAME
        byte_order = self.byte_order or "<"
        kind, length = struct.unpack_from(f"{byte_order}2I", start)
        if kind == SECTION_HEADER:
            byte_order = _byte_order(window, start)
            _, length = struct.unpack_from(f"{byte_order}2I", start)
        elif not self.byte_order:
            raise window.damaged("not a pcapng file: it does not begin with a section header")
        _check_length(window, kind, length)
        return int(length)

    def read(self, window: Window) -> Item | None:
        """Return the block at the window's position, and move behind it; None at the file's end.

        Raises:
            CaptureError: It is cut short, or contradicts itself; the offset is its start.
        """
        item = next(walk(window, self), None)
        if item is not None:
            window.position += self.block_size(
                window, window.data[window.position : window.position + FRAME]
            )
        return item


def walk(window: Window, state: SectionState | None = None) -> Iterator[Item]:
    """Yield the blocks of a file, packets as records.

    Args:
        window: The file, from the start of a block on.
        state: The section that the first block belongs to; it is changed. None: there is none yet.

    Raises:
        CaptureError: After the last whole block, where one is cut short or contradicts itself;
            the offset is that block's start.
    """
    state = SectionState() if state is None else state
    for block in _blocks(window, state):
        interfaces = state.interfaces
        byte_order, kind, start, stop = block
        data = window.data
        unpack = _UNPACKERS.get((byte_order, kind))
        if unpack is not None:
            number, high, low, captured, wire = unpack(data, start)
            if number >= len(interfaces):
                raise _no_interface(window, number)
            body = start + PACKET_DATA
            if body + captured > stop - 4:
                raise window.damaged(
                    f"invalid packet capture length {captured}, too long for its block of "
                    f"{stop - start} bytes"
                )
            yield Record(
                interfaces[number].nanoseconds(high << 32 | low),
                data[body : body + captured],
                wire,
                interfaces[number],
                memoryview(data)[start:stop],
                window.offset,
            )
        elif kind == SIMPLE_PACKET:
            yield _simple_packet(window, block, interfaces)
        elif kind == INTERFACE_DESCRIPTION:
            interface = _interface(window, block, len(interfaces))
            interfaces.append(interface)
            yield InterfaceBlock(data[start:stop], interface)
        elif kind == SECTION_HEADER:
            state.interfaces = []
            state.number += 1
            yield _section(window, block)
        else:
            yield OtherBlock(kind, data[start:stop])


def _blocks(window: Window, state: SectionState) -> Iterator[Block]:
    """Cut the stream into blocks; each is valid until the next is asked for."""
    byte_order = state.byte_order
    words = struct.Struct(f"{byte_order or '<'}2I").unpack_from
    while True:
        start = window.position
        if len(window.data) - start < FRAME:
            if not window.extend(FRAME):
                if not window.data:
                    return
                raise window.damaged(cut_short(len(window.data), FRAME))
            start = 0
        kind, length = words(window.data, start)
        if kind == SECTION_HEADER:
            place = window.position
            byte_order = _byte_order(window, window.data[place : place + FRAME])
            state.byte_order = byte_order
            words = struct.Struct(f"{byte_order}2I").unpack_from
            _, length = words(window.data, start)
        elif not byte_order:
            raise window.damaged("not a pcapng file: it does not begin with a section header")
        _check_length(window, kind, length)
        if len(window.data) - start < length:
            if not window.extend(length):
                raise window.damaged(cut_short(len(window.data), length))
            start = 0
        stop = start + length
        _, again = words(window.data, stop - 8)
        if again != length:
            raise window.damaged(f"the block's two lengths differ: {length} and {again}")
        yield Block(byte_order, kind, start, stop)
        window.position = stop


def _byte_order(window: Window, start: bytes) -> str:
    """Return the byte order of the section whose header begins with `start`."""
    magic = start[8:FRAME]
    for order in "<>":
        if magic == struct.pack(f"{order}I", BYTE_ORDER_MAGIC):
            return order
    raise window.damaged(f"the section header has no byte-order magic, but {magic.hex()}")


def _check_length(window: Window, kind: int, length: int) -> None:
    """Refuse a block length that no block of its type can have."""
    minimum = MINIMUM_LENGTHS.get(kind, FRAME)
    if length < minimum:
        raise window.damaged(
            f"block type {kind:#x} has a length of {length}, less than the minimum of {minimum}"
        )
    if length % 4:
        raise window.damaged(f"the block has a length of {length}, which is no multiple of 4")
    if length > LARGEST_BLOCK:
        raise window.damaged(
            f"the block has a length of {length}, bigger than maximum of {LARGEST_BLOCK}"
        )


def cut_short(rest: int, needed: int) -> str:
    """Return the words for a file that ends within a block."""
    return f"the last block is cut short: {rest} of {needed} bytes"


def _no_interface(window: Window, number: int) -> CaptureError:
    return window.damaged(
        f"a packet arrived on interface {number}, but there is no interface description block for "
        "that interface"
    )


def _section(window: Window, block: Block) -> Section:
    raw = window.data[block.start : block.stop]
    version = struct.unpack_from(f"{block.byte_order}2H", raw, 12)
    if version not in SECTION_VERSIONS:
        raise window.damaged(f"unsupported pcapng version {version[0]}.{version[1]}")
    return Section(raw, block.byte_order)


def _simple_packet(window: Window, block: Block, interfaces: list[Interface]) -> Record:
    """Return a packet of the section's first interface, cut at its snapshot length."""
    if not interfaces:
        raise _no_interface(window, 0)
    interface = interfaces[0]
    data = window.data
    (wire,) = struct.unpack_from(f"{block.byte_order}8xI", data, block.start)
    captured = min(wire, interface.snaplen) if interface.snaplen else wire
    body = block.start + SIMPLE_DATA
    if body + captured > block.stop - 4:
        raise window.damaged(
            f"invalid packet capture length {captured}, too long for its block of "
            f"{block.stop - block.start} bytes"
        )
    raw = memoryview(data)[block.start : block.stop]
    packet = data[body : body + captured]
    return Record(0, packet, wire, interface, raw, window.offset, has_time=False)


def _interface(window: Window, block: Block, index: int) -> Interface:
    """Read an interface description block."""
    if index >= MAXIMUM_INTERFACES:
        raise window.damaged(f"more than {MAXIMUM_INTERFACES} interfaces in a section")
    order = block.byte_order
    linktype, snaplen = struct.unpack_from(f"{order}8xH2xI", window.data, block.start)
    ticks_per_second = 1_000_000
    offset_seconds = 0
    seen: set[int] = set()
    for code, value in _options(window, order, block.start + 16, block.stop - 4):
        if code not in _INTERFACE_OPTIONS:
            continue
        name, size = _INTERFACE_OPTIONS[code]
        if len(value) != size:
            raise window.damaged(f"option {name} has a length of {len(value)}, not {size}")
        if code in seen:
            raise window.damaged(f"option {name} is given more than once")
        seen.add(code)
        if code == OPTION_TSRESOL:
            ticks_per_second = _ticks_per_second(window, value[0])
        else:
            (offset_seconds,) = struct.unpack(f"{order}q", value)
    return Interface(index, linktype, snaplen, ticks_per_second, offset_seconds)


def _ticks_per_second(window: Window, value: int) -> int:
    """Return what an if_tsresol byte says, at most 2**63."""
    exponent = value & ~OPTION_TSRESOL_BINARY
    base, finest = (2, FINEST_BINARY) if value & OPTION_TSRESOL_BINARY else (10, FINEST_DECIMAL)
    if exponent > finest:
        raise window.damaged(f"option if_tsresol has a resolution of {base}^-{exponent}, too fine")
    return int(base**exponent)


def _options(window: Window, byte_order: str, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Yield the code and value of each option between two places of the window's data."""
    data = window.data
    while stop - start >= 4:
        code, length = struct.unpack_from(f"{byte_order}2H", data, start)
        if code == OPTION_END:
            return
        start += 4
        if start + length > stop:
            raise window.damaged(f"option {code} has a length of {length}, too long for its block")
        yield code, data[start : start + length]
        start += length + -length % 4
    if start < stop:
        raise window.damaged("the last option is cut short")


def encode_section(byte_order: str = "<") -> bytes:
    """Return a section header without options, of no stated length."""
    fixed = struct.pack(f"{byte_order}I2H", BYTE_ORDER_MAGIC, 1, 0) + _NOT_STATED
    return _framed(SECTION_HEADER, fixed, byte_order)


def without_length(section: bytes) -> bytes:
    """Return a section header that states no section length.

    The stated length is true of the file that was read, and no longer when packets are left out.
    """
    return section[:16] + _NOT_STATED + section[24:]


def encode_interface(linktype: int, snaplen: int, *, decimals: int, byte_order: str = "<") -> bytes:
    """Return an interface description block whose unit of time is 10**-`decimals` seconds."""
    fixed = struct.pack(f"{byte_order}2HI", linktype, 0, snaplen)
    resolution = struct.pack(f"{byte_order}2HB3x", OPTION_TSRESOL, 1, decimals)
    return _framed(INTERFACE_DESCRIPTION, fixed + resolution + bytes(4), byte_order)


def encode_packet(
    interface: int, ticks: int, data: bytes, wire_length: int, byte_order: str = "<"
) -> bytes:
    """Return an enhanced packet block without options.

    Args:
        interface: Its number within the section.
        ticks: The time in the interface's unit, 0 to 2**64 - 1.
        data: The captured bytes.
        wire_length: The packet's length on the wire.
        byte_order: That of the section.
    """
    fixed = struct.pack(
        f"{byte_order}5I", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(data), wire_length
    )
    return _framed(ENHANCED_PACKET, fixed + data + bytes(-len(data) % 4), byte_order)


def _framed(kind: int, body: bytes, byte_order: str) -> bytes:
    length = struct.pack(f"{byte_order}I", len(body) + FRAME)
    return b"".join((struct.pack(f"{byte_order}I", kind), length, body, length))


_INTERFACE_OPTIONS: Final[dict[int, tuple[str, int]]] = {
    OPTION_TSRESOL: ("if_tsresol", 1),
    OPTION_TSOFFSET: ("if_tsoffset", 8),
}
"""The options that are read, by code: name and length in bytes."""
