"""Which accesses to a context are allowed, as a table that native code can look into.

The table is asked of the interpreter's `Context`, access by access, so that the two cannot differ.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ebpf.machine.contexts import Context, Pointer
from pfcompile.ebpf.machine.faults import Fault

if TYPE_CHECKING:
    from pfcompile.ebpf.machine.contexts import Layout

_LOW_BYTE: Final = 0xFF
SIZES: Final = 4
"""How many sizes there are of accesses: 1, 2, 4 and 8 bytes; a table has an entry for each, at
each offset."""


class Access(IntEnum):
    """What an access to a context is."""

    REFUSED = 0
    DATA = 1
    """The address of the packet's first byte, whatever the size."""
    DATA_END = 2
    """The address behind its last one."""
    PLAIN = 3
    """To the bytes that are there; PLAIN + n, to those n bytes before."""


_POINTERS: Final = {Pointer.DATA: 1 << 62 | 1, Pointer.DATA_END: 1 << 62 | 2}
"""Numbers that cannot come out of a context whose bytes tell where they are."""
_READS: Final = {
    _POINTERS[Pointer.DATA]: Access.DATA,
    _POINTERS[Pointer.DATA_END]: Access.DATA_END,
}


class Tables(NamedTuple):
    """The accesses of a kind of context, by 4 * offset + the size's logarithm.

    Attributes:
        reads: An `Access` each, or PLAIN + n.
        writes: An `Access` each.
    """

    reads: ctypes.Array[ctypes.c_uint8]
    writes: ctypes.Array[ctypes.c_uint8]


@cache
def _tables(layout: Layout) -> Tables:
    context = Context(layout, {}, _POINTERS)
    # Before any write is tried.
    context._bytes[:] = bytes(range(layout.size))  # noqa: SLF001 - as NativeMemory's use of it
    count = SIZES * layout.size
    reads, writes = (ctypes.c_uint8 * count)(), (ctypes.c_uint8 * count)()
    for place in range(count):
        offset, size = place // SIZES, 1 << place % SIZES
        reads[place] = _read(context, offset, size)
    for place in range(count):
        offset, size = place // SIZES, 1 << place % SIZES
        writes[place] = _write(context, offset, size)
    return Tables(reads, writes)


def tables_of(context: Context) -> Tables:
    """Return the accesses that a context allows."""
    return _tables(context.layout)


def _read(context: Context, offset: int, size: int) -> int:
    try:
        value = context.load(offset, size)
    except Fault:
        return Access.REFUSED
    return _READS.get(value, Access.PLAIN + offset - (value & _LOW_BYTE))


def _write(context: Context, offset: int, size: int) -> Access:
    try:
        context.store(offset, bytes(size))
    except Fault:
        return Access.REFUSED
    return Access.PLAIN
