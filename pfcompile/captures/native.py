"""A pcap file walked by something faster than `pcap.walk`, block by block.

What scans a block is given from above: this layer knows only what it promises (`BlockScanner`).
Where the scan stops, the rest is done as `pcap.walk` does it, so that the end of the file and its
damage are found in one way and told in one voice.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pfcompile.captures import pcap
from pfcompile.captures.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pfcompile.captures.records import PcapHeader, Record

_PAGE: Final = 4096
"""Bytes of a page of memory: copying to the start of one is fastest."""

BLOCK_SIZE: Final = 1 << 20
"""Bytes asked for at a time. Smaller ones stay in a nearer cache, but each costs 20 microseconds in
Python; of 128 KB to 4 MB this was the fastest, and 256 KB a quarter slower."""


class Scanned(NamedTuple):
    """What a scan of a block has found.

    Attributes:
        position: Where it stopped: before a record that is not whole, or damaged, or behind the
            last match that was allowed.
        packets: Packets up to there.
        bytes: Their captured bytes.
        matched: Those of the packets that matched.
        matched_bytes: Their captured bytes.
        runs: Stretches of neighbouring records that match.
    """

    position: int
    packets: int
    bytes: int
    matched: int
    matched_bytes: int
    runs: int


class BlockScanner(Protocol):
    """Filters the records of one kind in a block of memory."""

    @property
    def slack(self) -> int:
        """Bytes behind the end of a block that must be there, whatever they hold."""

    def scan(self, memory: bytearray, start: int, end: int, limit: int | None) -> Scanned:
        """Walk the records from `start` on, none of them past `end`, to at most `limit` matches."""

    def extents(self, count: int) -> list[tuple[int, int]]:
        """Return where the first `count` runs of the last scan start and end."""

    def gathered(self, memory: bytearray, count: int) -> bytes | memoryview:
        """Return the first `count` runs of the last scan in one piece, until the next scan."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a scan of one block kept; valid until the next item is asked for.

    Attributes:
        header: That of the file.
        scanned: The counts.
        scanner: What has scanned.
        memory: Where.
        base: The place in the file of the memory's first byte; may be negative.
        path: The file's name, for errors.
    """

    header: PcapHeader
    scanned: Scanned
    scanner: BlockScanner
    memory: bytearray
    base: int
    path: str

    def gathered(self) -> bytes | memoryview:
        """Return the matching records, unchanged, one behind the other."""
        return self.scanner.gathered(self.memory, self.scanned.runs)

    def records(self) -> Iterator[Record]:
        """Yield the matching records one by one."""
        for start, end in self.scanner.extents(self.scanned.runs):
            stream = io.BytesIO(self.memory[start:end])
            yield from pcap.walk(Window(stream, self.path, start=self.base + start), self.header)


def walk(
    window: Window,
    header: PcapHeader,
    scanner: BlockScanner,
    remaining: Callable[[], int] | None = None,
    block_size: int = BLOCK_SIZE,
) -> Iterator[Run]:
    """Yield what is kept of the records behind the file header, and the counts.

    Args:
        window: The file; what it has in memory is taken over.
        header: The file's header.
        scanner: Filters the blocks.
        remaining: Returns how many more matches are wanted, at least 1; None: all are.
        block_size: Bytes to ask for at a time.

    Raises:
        CaptureError: As `pcap.walk`.
    """
    block = _Block(window, block_size, scanner.slack)
    while True:
        limit = None if remaining is None else remaining()
        scanned = scanner.scan(block.memory, block.start, block.end, limit)
        if scanned.packets:
            # In a frame of its own, so that nothing keeps the memory from moving afterwards.
            yield Run(
                header, scanned, scanner, block.memory, window.offset - block.start, window.path
            )
            block.skip(scanned.position)
        needed = pcap.record_size(window, header, block.rest(pcap.prefix_length(header)))
        if needed <= block.end - block.start:
            continue  # the limit has stopped the scan
        if not block.extend(needed):
            rest = block.end - block.start
            if rest == 0:
                return
            raise window.damaged(pcap.cut_short(rest, needed))


class _Block:
    """The part of a file that is in memory, in one piece that is used again and again.

    Reads go to the start of a page; what is left of the block before is moved to in front of it.

    Attributes:
        memory: The block, between room for what is carried over and the slack.
        start: Index of the first byte that is not done with.
        end: Index behind the last byte that has been read.
    """

    def __init__(self, window: Window, size: int, slack: int) -> None:
        taken = window.take()
        self._window = window
        self._size = size
        self._slack = slack
        self.memory = bytearray(_PAGE + max(size, len(taken)) + slack)
        self.start = _PAGE
        self.end = _PAGE + len(taken)
        self.memory[self.start : self.end] = taken

    def rest(self, most: int) -> bytes:
        """Return what is there, but at most so many bytes."""
        return bytes(self.memory[self.start : min(self.end, self.start + most)])

    def skip(self, position: int) -> None:
        """Be done with what is before `position`."""
        self._window.pass_over(position - self.start)
        self.start = position

    def extend(self, needed: int) -> bool:
        """Read until there are `needed` bytes, or the file ends; see `Window.extend`.

        The memory grows with the bytes that are really there.
        """
        self._carry()
        while self.end - self.start < needed:
            room = self.end + self._size + self._slack
            if len(self.memory) < room:
                self.memory += bytes(2 * room - len(self.memory))
            with memoryview(self.memory) as view:
                count = self._window.read_into(
                    view[self.end : self.end + self._size], self.end - self.start
                )
            if count == 0:
                return False
            self.end += count
        return True

    def _carry(self) -> None:
        """Move what is left to in front of a page."""
        left = self.end - self.start
        end = max(_PAGE, -(-left // _PAGE) * _PAGE)
        if len(self.memory) < end:
            self.memory += bytes(end - len(self.memory))
        self.memory[end - left : end] = self.memory[self.start : self.end]
        self.start, self.end = end - left, end
