"""Where in the middle of a capture a record may start: a guess, which its user has to verify.

A place is taken where a row of records seems to begin, each of which ends where the next starts.
Nothing but walking there from the file's start can show that they are no packet's content; so
whoever goes on from a guess compares it with where the records before it have ended.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from pfcompile.captures.formats import pcapng
from pfcompile.captures.formats.limits import LARGEST_BLOCK, largest_packet
from pfcompile.captures.formats.pcap import CAPTURED_FIRST, prefix_length

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.captures.blocks.scans import Structure
    from pfcompile.captures.formats.records import PcapHeader

LOOKED_AT: Final = 512 * 1024
"""Bytes in which a start is looked for; where the longest packets follow each other, none may be
found, which costs the time of a part and nothing else."""

_WIRE: Final = 1 << 20
"""Bytes that hardly a packet had on the wire: else four bytes behind a header, another begins."""

_ROW: Final = 8
"""So many records in a row are taken for records: more than packets have in them by chance."""


def find_start(structure: Structure, data: bytes) -> int | None:
    """Return the index of what seems to be the first record or block in `data`, or None."""
    if structure.header is not None:
        size_at, step = _pcap_sizes(structure.header, data), 1
    else:
        assert structure.section is not None
        size_at, step = _pcapng_sizes(structure.section.byte_order, data), 4
    return next(
        (start for start in range(0, len(data), step) if _is_row(size_at, start, len(data))), None
    )


def _is_row(size_at: Callable[[int], int], start: int, end: int) -> bool:
    """Return whether records seem to begin at `start`, up to `end` if there are few."""
    for number in range(_ROW):
        size = size_at(start)
        if size == 0:
            return False
        if start + size > end:  # cut off: nothing speaks against it, but for it only what is before
            return number > 0
        start += size
        if start == end:
            break
    return True


def _pcap_sizes(header: PcapHeader, data: bytes) -> Callable[[int], int]:
    """Return what gives the size of a record at a place, or 0 if there can be none.

    Where it cannot be seen, since the data ends before, the size is more than there is.
    """
    dialect = header.dialect
    unpack = struct.Struct(f"{dialect.byte_order}4I").unpack_from
    prefix = prefix_length(header)
    longest = min(largest_packet(header.interface.dlt), header.interface.filter_snaplen)
    ordered = dialect.lengths is CAPTURED_FIRST
    ticks_per_second = dialect.ticks_per_second
    last = len(data) - prefix

    def size_at(start: int) -> int:
        if start > last:
            return len(data) + 1
        _, ticks, captured, wire = unpack(data, start)
        if not ordered and captured > wire:
            captured, wire = wire, captured
        # Packets without bytes are not looked for: padding is a row of them.
        if not 0 < captured <= min(longest, wire) or ticks >= ticks_per_second or wire > _WIRE:
            return 0
        return int(prefix + captured)

    return size_at


def _pcapng_sizes(byte_order: str, data: bytes) -> Callable[[int], int]:
    """Return what gives the size of a block at a place, or 0; as `_pcap_sizes`."""
    words = struct.Struct(f"{byte_order}2I").unpack_from
    word = struct.Struct(f"{byte_order}I").unpack_from
    last = len(data) - pcapng.FRAME

    def size_at(start: int) -> int:
        if start > last:
            return len(data) + 1
        _, length = words(data, start)
        if length < pcapng.FRAME or length % 4 or length > LARGEST_BLOCK:
            return 0
        if start + length <= len(data) and word(data, start + length - 4)[0] != length:
            return 0
        return int(length)

    return size_at
