"""Packets that scans have taken down as rows, read back in Python."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from pfcompile.captures.blocks.scans import ROW, UNTIMED
from pfcompile.captures.formats.layouts import INTERFACE_WORDS

if TYPE_CHECKING:
    from pfcompile.captures.blocks.scans import Run

_ROW: Final = struct.Struct(f"={len(ROW)}Q")
INTERFACE_BYTES: Final = 8 * len(INTERFACE_WORDS)
"""The distance of two interfaces' words in memory, in which a row gives its interface."""


def packets_of(run: Run) -> list[tuple[int, memoryview]]:
    """Return the time (nanoseconds since 1970; 0 for none) and the bytes of a run's rows.

    The bytes are those that were read from the file; they stay as long as somebody looks at them.
    """
    memory = memoryview(run.scan.memory).toreadonly()
    nanoseconds = [each.nanoseconds for each in run.structure.interfaces]
    packets = []
    # As in `ROW`. Nothing is made that is not asked for: this is what batches cost.
    for _, data, ticks, captured, _, place, _ in _ROW.iter_unpack(run.scan.rows()):
        number, flags = divmod(place, INTERFACE_BYTES)
        time = 0 if flags & UNTIMED else nanoseconds[number](ticks)
        packets.append((time, memory[data : data + captured]))
    return packets
