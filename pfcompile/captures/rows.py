"""Packets that scans have taken down as rows, read back in Python."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.captures.layouts import INTERFACE_WORDS
from pfcompile.captures.scans import ROW, UNTIMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.captures.records import Interface
    from pfcompile.captures.scans import Run

_ROW: Final = struct.Struct(f"={len(ROW)}Q")
INTERFACE_BYTES: Final = 8 * len(INTERFACE_WORDS)
"""The distance of two interfaces' words in memory, in which a row gives its interface."""


class Row(NamedTuple):
    """A packet as a row says it.

    Attributes:
        offset: Where its record starts in the file.
        data: Where its bytes start in the memory of its run.
        ticks: Its time in its interface's unit; None where it has none.
        captured: How many bytes were captured.
        wire: Its length on the wire.
        interface: Its interface.
        matched: A bit for each filter that it matches.
    """

    offset: int
    data: int
    ticks: int | None
    captured: int
    wire: int
    interface: Interface
    matched: int

    @property
    def timestamp_ns(self) -> int:
        """Its time in nanoseconds since 1970; 0 where it has none."""
        return 0 if self.ticks is None else self.interface.nanoseconds(self.ticks)


def rows_of(run: Run) -> Iterator[Row]:
    """Yield the rows of a run, before the next is asked for."""
    interfaces = run.structure.interfaces
    for offset, data, ticks, captured, wire, place, matched in _ROW.iter_unpack(run.scan.rows()):
        number, flags = divmod(place, INTERFACE_BYTES)
        time = None if flags & UNTIMED else ticks
        yield Row(offset, data, time, captured, wire, interfaces[number], matched)


def packets_of(run: Run) -> list[tuple[int, memoryview]]:
    """Return the time (nanoseconds since 1970) and the bytes of a run's rows.

    The bytes are those that were read from the file; they stay as long as somebody looks at them.
    """
    memory = memoryview(run.scan.memory).toreadonly()
    return [(row.timestamp_ns, memory[row.data : row.data + row.captured]) for row in rows_of(run)]
