"""The part of a capture that is in memory while whole blocks of it are scanned."""

from __future__ import annotations

import os
import time
from mmap import ACCESS_COPY, mmap
from typing import TYPE_CHECKING, Final

from pfcompile.captures.blocks.scans import Memory, Reads

if TYPE_CHECKING:
    from pfcompile.captures.blocks.scans import BlockScan
    from pfcompile.captures.sources.window import Window

BLOCK_SIZE: Final = 512 * 1024
"""Bytes asked for at a time: they are still in the second-level cache when they are scanned. Less
costs more calls than it saves; from 1 MB on, large packets take a sixth longer."""

MAPPED_AT_ONCE: Final = 16 << 20
"""Bytes of a mapped file that are scanned at a time."""

_AT_ONCE: Final = 4 << 20
"""Bytes that are asked of a file with the first call; as long as calls are short, each next asks
twice as much."""

_PATIENCE: Final = 0.05
"""Seconds that a call may take: interrupts wait for it, and so does who looks at the progress."""

_PAGE: Final = 4096
"""Bytes of a page of memory: copying to the start of one is fastest."""

ROOM: Final = 64 * 1024
"""Bytes in front of a block for what is left of the one before: more than most records have."""


class Block:
    """A piece of memory that is used again and again, unless somebody keeps a view of it.

    Reads go to the start of a page; what is left of the block before is moved to in front of it.

    Attributes:
        memory: The block, between room for what is carried over and the slack.
        start: Index of the first byte that is not done with.
        end: Index behind the last byte that has been read.
    """

    __slots__ = (
        "_at_once",
        "_mapped_to",
        "_reads_at",
        "_size",
        "_slack",
        "_window",
        "end",
        "memory",
        "start",
    )

    def __init__(self, window: Window, size: int, slack: int) -> None:
        """Take over what a window has in memory.

        Args:
            window: The file; it goes on counting the offset.
            size: Bytes to ask for at a time, at least 1.
            slack: Bytes behind the end that must be there, whatever they hold.
        """
        taken = window.take()
        self._window = window
        self._size = size
        self._slack = slack
        self._reads_at = ROOM
        self._mapped_to: int | None = None
        self._at_once = _AT_ONCE
        self.memory: bytearray | mmap = bytearray()
        self._take(taken)

    def map(self, stop: int | None = None) -> None:
        """Look at the file itself from now on, instead of reading it, but for its end.

        Of what is no file nothing changes. A process that looks at a place that the file no longer
        has, since somebody has cut it meanwhile, is ended by the system (SIGBUS, mmap(2)).

        Args:
            stop: As in `extend`.
        """
        descriptor = self._window.descriptor
        if descriptor is None:
            return
        size = os.fstat(descriptor).st_size
        if size - self._slack > self.offset:
            try:
                memory = mmap(descriptor, size, access=ACCESS_COPY)
            except (OSError, ValueError, OverflowError):  # what cannot be mapped can be read
                return
            self._mapped_to = size - self._slack
            self.memory = memory
            self.start = self.end = self.offset
            self._map_on(1, stop)

    def _map_on(self, needed: int, stop: int | None) -> None:
        assert self._mapped_to is not None
        self._window.announce(len(self))
        size = self._size_of_next(MAPPED_AT_ONCE, needed, stop)
        self.end = min(self.end + size, self._mapped_to)
        # Whoever goes on without this block reads from where it ends.
        self._window.pass_over(0, read_to=self.offset + len(self))

    def _size_of_next(self, size: int, needed: int, stop: int | None) -> int:
        """Return how many bytes to go on by: `size`, but no more than needed behind `stop`."""
        if stop is None:
            return size
        return min(size, max(stop - self.offset, needed) - len(self))

    def _take(self, taken: bytes) -> None:
        """Have memory of our own, with some bytes in it."""
        size, slack = self._size, self._slack
        self.memory = bytearray(ROOM + max(size, len(taken)) + slack)
        self.start = ROOM
        self.end = ROOM + len(taken)
        self.memory[self.start : self.end] = taken

    def __len__(self) -> int:
        """Return how many bytes there are that are not done with."""
        return self.end - self.start

    @property
    def offset(self) -> int:
        """The place in the file of the first byte that is not done with."""
        return self._window.offset

    @property
    def base(self) -> int:
        """The place in the file of the memory's first byte; may be negative."""
        return self._window.offset - self.start

    def rest(self, most: int) -> bytes:
        """Return what is there, but at most so many bytes."""
        return bytes(self.memory[self.start : min(self.end, self.start + most)])

    def scan(self, scan: BlockScan, limit: int, ahead: int = 0, stop: int | None = None) -> bool:
        """Let the records in memory be scanned, and those that follow in the file.

        Args:
            scan: What scans.
            limit: How many matches are wanted.
            ahead: How many bytes may be read beside what is in memory, where it is a file that can
                be read at any place.
            stop: The place in the file behind which nothing is read.

        Returns:
            Whether any record was scanned.
        """
        descriptor = self._window.descriptor
        wanted = 0
        if descriptor is not None and ahead and self._mapped_to is None:
            place = self.offset + len(self)
            wanted = min(ahead, self._at_once)
            if stop is not None:
                wanted = max(0, min(wanted, stop - place))
            self._make_room(self._reads_at + self._size)
            self._window.announce(len(self))
        memory = Memory(self.memory, self.start, self.end, self.base, self._reads_at, self._size)
        reads = Reads(-1 if descriptor is None else descriptor, wanted)
        before, began = self.offset, time.monotonic()
        self.start, self.end, base = scan.scan(memory, reads, limit)
        if time.monotonic() - began < _PATIENCE:
            self._at_once *= 2
        else:
            self._at_once = max(self._at_once // 2, self._size)
        self._window.pass_over(base + self.start - before, read_to=base + self.end)
        return self.offset > before

    def skip(self, position: int) -> None:
        """Be done with what is before `position`."""
        self._window.pass_over(position - self.start)
        self.start = position

    def extend(self, needed: int, stop: int | None = None) -> bool:
        """Read until there are `needed` bytes, or the file ends; see `Window.extend`.

        Args:
            needed: More than there are.
            stop: The place in the file where somebody else goes on: behind it no more is read than
                needed.
        """
        if self._mapped_to is not None:
            while len(self) < needed and self.end < self._mapped_to:
                self._map_on(needed, stop)
            if len(self) >= needed:
                return True
            self._mapped_to = None
            self._take(self.rest(len(self)))
        self._let_go()
        self._carry()
        while self.end - self.start < needed:
            size = self._size_of_next(self._size, needed, stop)
            self._make_room(self.end + size)
            with memoryview(self.memory) as view:
                count = self._window.read_into(view[self.end : self.end + size], len(self))
            if count == 0:
                return False
            self.end += count
        return True

    def _let_go(self) -> None:
        """Take other memory where somebody still looks at this, as Python can tell."""
        assert isinstance(self.memory, bytearray)
        try:
            self.memory.append(self.memory.pop())
        except BufferError:
            self.memory = bytearray(self.memory)

    def _carry(self) -> None:
        """Move what is left to in front of the place that is read to."""
        left = len(self)
        if left > self._reads_at:
            self._reads_at = -(-left // _PAGE) * _PAGE
            carried = self.memory[self.start : self.end]
            self.memory = bytearray(self._reads_at - left) + carried
        else:
            end = self._reads_at
            self.memory[end - left : end] = self.memory[self.start : self.end]
        self.start, self.end = self._reads_at - left, self._reads_at

    def _make_room(self, end: int) -> None:
        """Let the memory grow with the bytes that are really there, for a block up to `end`."""
        room = max(end, self.end) + self._slack
        if len(self.memory) < room:
            grown = bytearray(2 * room)
            grown[: self.end] = self.memory[: self.end]
            self.memory = grown
