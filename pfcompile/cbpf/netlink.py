"""Look for netlink attributes in a packet, for the metadata words NLATTR and NLATTR_NEST.

An attribute is a 16-bit length, which counts its four header bytes, and a 16-bit type, both in the
machine's byte order, and a value; the next one starts at a multiple of four bytes from it.

Source: netlink(7); linux/netlink.h, `struct nlattr`.
"""

from __future__ import annotations

import struct
from typing import Final

_HEADER: Final = struct.Struct("=HH")
_TYPE_MASK: Final = 0x3FFF
"""NLA_TYPE_MASK: the top bits of a type are flags."""


def find_attribute(packet: bytes | bytearray | memoryview, start: int, wanted: int) -> int:
    """Return the offset of the first attribute of type `wanted` from byte `start` on, or 0."""
    if start > len(packet) - _HEADER.size:
        return 0
    return _find(packet, start, len(packet), wanted)


def find_nested_attribute(packet: bytes | bytearray | memoryview, start: int, wanted: int) -> int:
    """Return the offset of the first `wanted` inside the attribute at byte `start`, or 0."""
    if start > len(packet) - _HEADER.size:
        return 0
    length, _ = _HEADER.unpack_from(packet, start)
    if length > len(packet) - start:
        return 0
    return _find(packet, start + _HEADER.size, start + length, wanted)


def _find(packet: bytes | bytearray | memoryview, start: int, end: int, wanted: int) -> int:
    while end - start >= _HEADER.size:
        length, attribute_type = _HEADER.unpack_from(packet, start)
        if not _HEADER.size <= length <= end - start:
            return 0
        if attribute_type & _TYPE_MASK == wanted:
            return start
        start += (length + 3) & ~3
    return 0
