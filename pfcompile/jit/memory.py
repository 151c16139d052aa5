"""The interpreter's memory, with a table beside it that tells native code where regions really are.

Whatever adds or takes away a region (a way of being started, a helper) does it here, in Python, and
the table follows. Buffers are held by the buffer protocol for as long as the run lasts: a
`bytearray` that a program works on cannot be resized under it, it raises BufferError instead.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.isa import MAX_CALL_FRAMES, STACK_SIZE
from pfcompile.ebpf.machine.contexts import Pointer
from pfcompile.ebpf.machine.memory import (
    FIRST_DECLARED_REGION,
    FIRST_DYNAMIC_REGION,
    FIRST_FRAME_REGION,
    REGION_BITS,
    Memory,
)
from pfcompile.jit.contexts import tables_of
from pfcompile.jit.state import FIRST_ROW, FIXED_ROWS, ROW_WORDS, Column, Word, make_words

if TYPE_CHECKING:
    from pfcompile.ebpf.machine.contexts import Context
    from pfcompile.ebpf.machine.memory import Buffer
    from pfcompile.jit.state import Words

_FIRST_ROOM: Final = 8
"""Rows of dynamic regions that there is room for at first."""

_NO_BYTES: Final = ctypes.c_char()


class Pins:
    """Buffers whose memory must stay where it is."""

    __slots__ = ("_held", "_of_regions")

    def __init__(self) -> None:
        self._held: list[object] = []
        self._of_regions: dict[int, object] = {}

    def release(self) -> None:
        """Let all go: a caller's `bytearray` can be resized again, even if an error is kept."""
        self._held.clear()
        self._of_regions.clear()

    def release_region(self, region: int) -> None:
        """Let go what was held for a region, if anything was."""
        self._of_regions.pop(region, None)

    def address_of(self, data: Buffer, region: int | None = None) -> int:
        """Return where `data` really is, and hold it there; somewhere where it has no bytes.

        Args:
            data: What has to stay there.
            region: What it is held for, where it may be released before the end.
        """
        view = memoryview(data)
        if not view.nbytes:
            return ctypes.addressof(_NO_BYTES)
        if view.readonly:
            # Nothing can be written there, so a copy does, and `bytes` do not even need one.
            copy = data if isinstance(data, bytes) else bytes(view)
            held = ctypes.c_char_p(copy)
            self._hold(held, region)
            return ctypes.cast(held, ctypes.c_void_p).value or 0
        place = ctypes.c_char.from_buffer(data)
        self._hold(place, region)
        return ctypes.addressof(place)

    def _hold(self, held: object, region: int | None) -> None:
        if region is None:
            self._held.append(held)
        else:
            self._of_regions[region] = held


class NativeMemory(Memory):
    """The memory of one run of native code.

    Args:
        words: The state of the run; all rows in it are taken to be empty.
        frames: Room for all stack frames.
    """

    __slots__ = ("_declared", "_dynamic_rows", "_views", "_words", "pins")

    def __init__(self, words: Words, frames: memoryview) -> None:
        super().__init__()
        self.pins = Pins()
        self._words = words
        self._views = frames
        self._declared = make_words(0)
        self._dynamic_rows = make_words(_FIRST_ROOM * ROW_WORDS)
        words[Word.DYNAMIC] = ctypes.addressof(self._dynamic_rows)
        words[Word.DYNAMIC_ROWS] = 0

    def declare(self, count: int) -> None:
        """Make room for `count` declared regions, before any is added."""
        self._declared = make_words(count * ROW_WORDS)
        self._words[Word.DECLARED] = ctypes.addressof(self._declared)
        self._words[Word.DECLARED_ROWS] = count

    def add(self, region: int, name: str, data: Buffer, *, writable: bool = True) -> int:
        """Put `data` where `region` is, and return its address."""
        rows, first = self._row(region)
        size = len(data)
        rows[first + Column.BASE] = self.pins.address_of(data, region)
        rows[first + Column.READABLE] = size
        rows[first + Column.WRITABLE] = size if writable else 0
        return super().add(region, name, data, writable=writable)

    def remove(self, address: int) -> None:
        """Take away the region at `address`."""
        region = address >> REGION_BITS
        if region in self.readable:
            rows, first = self._row(region)
            rows[first : first + ROW_WORDS] = [0] * ROW_WORDS
            self.pins.release_region(region)
        super().remove(address)

    def add_context(self, context: Context) -> int:
        """Put a context, which is read and written field by field, at CONTEXT_ADDRESS."""
        tables = tables_of(context)
        words = self._words
        # What the program leaves in the context must be there for who started it.
        data, pointers = context._bytes, context._pointers  # noqa: SLF001
        words[Word.CONTEXT] = self.pins.address_of(data)
        words[Word.CONTEXT_BYTES] = len(data)
        words[Word.CONTEXT_READS] = ctypes.addressof(tables.reads)
        words[Word.CONTEXT_WRITES] = ctypes.addressof(tables.writes)
        words[Word.CONTEXT_DATA] = pointers[Pointer.DATA]
        words[Word.CONTEXT_DATA_END] = pointers[Pointer.DATA_END]
        return super().add_context(context)

    def follow_frames(self) -> None:
        """Let Python see the stack frames that native code has entered, and only those."""
        depth = self._words[Word.DEPTH]
        while self._frames > depth:
            self._frames -= 1
            Memory.remove(self, (FIRST_FRAME_REGION + self._frames) << REGION_BITS)
        while self._frames < depth:
            place = STACK_SIZE * self._frames
            frame = self._views[place : place + STACK_SIZE]
            region = FIRST_FRAME_REGION + self._frames
            self._frames += 1
            Memory.add(self, region, f"stack frame {self._frames}", frame)

    def _row(self, region: int) -> tuple[Words, int]:
        """Return the table that has a region's row, and where in it."""
        if region < FIXED_ROWS:
            return self._words, FIRST_ROW + region * ROW_WORDS
        if region < FIRST_DYNAMIC_REGION:
            return self._declared, (region - FIRST_DECLARED_REGION) * ROW_WORDS
        first = (region - FIRST_DYNAMIC_REGION) * ROW_WORDS
        if first >= len(self._dynamic_rows):
            larger = make_words(2 * len(self._dynamic_rows))
            ctypes.memmove(larger, self._dynamic_rows, ctypes.sizeof(self._dynamic_rows))
            self._dynamic_rows = larger
            self._words[Word.DYNAMIC] = ctypes.addressof(larger)
        known = self._words[Word.DYNAMIC_ROWS]
        self._words[Word.DYNAMIC_ROWS] = max(known, first // ROW_WORDS + 1)
        return self._dynamic_rows, first


FRAMES_BYTES: Final = MAX_CALL_FRAMES * STACK_SIZE
"""What `NativeMemory` needs for stack frames."""
