"""One filter for one kind of record, ready to scan blocks of memory."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

from pfcompile.captures.native import Scanned
from pfcompile.cbpf.check import check_structure
from pfcompile.jit.scan.filter import check_scannable
from pfcompile.jit.scan.gather import FEW, gather
from pfcompile.jit.scan.machine import Code
from pfcompile.jit.scan.walk import SLACK, STATE, scan_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.jit.scan.records import Layout

_POINTER: Final = ctypes.c_void_p
_SCAN: Final = ctypes.CFUNCTYPE(None, _POINTER, _POINTER, _POINTER)


class _State(ctypes.Structure):
    """The words of `walk.STATE`."""

    _fields_ = [(name, ctypes.c_uint64) for name in STATE]


class Scanner:
    """A filter and the loop around it as native code.

    It is for one thread at a time; while it scans, other threads run.

    Attributes:
        slack: Bytes behind the end of a block that must be there, whatever they hold.
        keeps: Whether matching records can be asked for.
    """

    slack: Final = SLACK

    def __init__(
        self, instructions: Sequence[Instruction], layout: Layout, *, keep: bool = True
    ) -> None:
        """Compile a filter.

        Args:
            instructions: A valid program.
            layout: The records of the file.
            keep: Whether matching records are wanted, or only counted.

        Raises:
            ProgramError: The program is not valid, or does what only the interpreter can.
        """
        check_structure(instructions)
        check_scannable(instructions)
        self.keeps = keep
        self._code = Code(scan_text(instructions, layout, keep=keep), "scan")
        self._scan = _SCAN(self._code.address)
        self._prefix = layout.prefix
        self._state = _State()
        self._runs = (ctypes.c_uint32 * 0)()
        self._out = bytearray()

    def scan(self, memory: bytearray, start: int, end: int, limit: int | None) -> Scanned:
        """Walk the records of a block, up to the first that is not whole or damaged.

        Args:
            memory: Holds the block and `slack` bytes behind it.
            start: Where in `memory` the first record starts.
            end: Where the block ends, below 2**31.
            limit: Stop behind this many matches, at least 1; None: do not stop.
        """
        state = self._state
        state.position, state.end = start, end
        state.limit = (1 << 64) - 1 if limit is None else limit
        needed = 2 * ((end - start) // (2 * self._prefix) + 2)
        if self.keeps and len(self._runs) < needed:
            self._runs = (ctypes.c_uint32 * needed)()
        block = ctypes.c_char.from_buffer(memory)
        self._scan(ctypes.addressof(block), ctypes.addressof(state), ctypes.addressof(self._runs))
        del block  # which keeps `memory` from being resized
        captured = state.position - start - state.packets * self._prefix
        runs = state.runs if self.keeps else 0
        return Scanned(
            state.position, state.packets, captured, state.matched, state.matched_bytes, runs
        )

    def extents(self, count: int) -> list[tuple[int, int]]:
        """Return where the first `count` runs of the last scan start and end in its memory."""
        words = self._runs[: 2 * count]
        return list(zip(words[::2], words[1::2], strict=True))

    def gathered(self, memory: bytearray, count: int) -> bytes | memoryview:
        """Return the first `count` runs of the last scan, one behind the other.

        Valid until the next call.
        """
        if not self.keeps:
            raise ValueError("this scanner only counts")
        if count <= FEW:
            return b"".join(memory[start:end] for start, end in self.extents(count))
        if len(self._out) < len(memory):
            self._out = bytearray(len(memory))
        length = gather(memory, self._runs, count, self._out)
        return memoryview(self._out)[:length].toreadonly()
