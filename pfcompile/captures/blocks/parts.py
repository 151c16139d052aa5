"""A large capture file in parts, which threads walk at the same time.

A part begins where a record seems to start (`cutting`). Where the part before has really ended is
known when it is read; if that is another place, or if the section has other interfaces there than
was thought, the part is walked again from the right one.
"""

from __future__ import annotations

import os
import stat
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pfcompile.captures.blocks import native
from pfcompile.captures.blocks.cutting import LOOKED_AT, find_start
from pfcompile.captures.blocks.scans import Structure
from pfcompile.captures.formats import pcap, pcapng
from pfcompile.captures.formats.pcapng import SectionState
from pfcompile.captures.sources.inputs import local_path, name_of
from pfcompile.captures.sources.window import FileRange, Window
from pfcompile.errors import CaptureError, InternalError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.captures.blocks.native import Manner
    from pfcompile.captures.blocks.scans import Scans
    from pfcompile.captures.formats.records import Item
    from pfcompile.captures.sources.inputs import Source

PART: Final = 8 << 20
"""Bytes of a file that one thread walks at a time: not more than may wait in memory for being
written."""

_COUNTED: Final = 8
"""So many times larger are parts of which nothing is kept: to begin one takes the time of 1 MB."""


class Begun(NamedTuple):
    """Where a part's first record is taken to start; None where none was found."""

    offset: int | None


class Ended(NamedTuple):
    """Where a part's last record ends, and the section that it belongs to."""

    offset: int
    section: SectionState | None


class LargeFile(NamedTuple):
    """A large file that is open.

    Attributes:
        path: Its name.
        descriptor: Where it is open.
        size: Its bytes.
        head: What it begins with: the header, or the blocks before the first packet.
        start: Where the first packet's record starts.
        structure: What its records need to be read.
        scans: What filters it.
        manner: How it is walked, but for where a part stops.
    """

    path: str
    descriptor: int
    size: int
    head: list[Item]
    start: int
    structure: Structure
    scans: Scans
    manner: Manner

    @property
    def part(self) -> int:
        """How many bytes a part has."""
        return PART if self.scans.wanted.copies else _COUNTED * PART

    def starts(self) -> range:
        """Return where its parts begin, but for the record that is cut there."""
        return range(self.start, self.size, self.part)

    def stop_of(self, start: int) -> int | None:
        """Return where the part behind one begins; None for the last, which ends with the file."""
        stop = start + self.part
        return stop if stop < self.size else None


def walk_part(file: LargeFile, start: int) -> Iterator[Any]:
    """Walk a part of a file from where a record seems to start: yields that place first."""
    offset: int | None = start
    if start != file.start:
        found = _find_start(file, start)
        offset = None if found is None else start + found
    yield Begun(offset)
    if offset is not None:
        place = Ended(offset, file.structure.section)
        yield from walk_exactly(file, place, file.stop_of(start))


def _find_start(file: LargeFile, start: int) -> int | None:
    """Return how far behind `start` a record seems to start, or None."""
    try:
        data = os.pread(file.descriptor, LOOKED_AT, start)
    except OSError:  # whoever gets there says so
        return None
    return find_start(file.structure, data)


def walk_exactly(file: LargeFile, place: Ended, stop: int | None) -> Iterator[Any]:
    """Walk a file from the start of a record on; yields at last where that has ended."""
    window = Window(FileRange(file.descriptor, place.offset), file.path, start=place.offset)
    manner = file.manner._replace(stop=stop)
    section = deepcopy(place.section)
    header = file.structure.header
    if header is not None:
        scan = file.scans.pcap(header)
        if scan is None:
            raise InternalError("a scan was there, and is no more")
        walk: Iterator[Any] = native.walk_pcap(window, header, scan, manner)
    else:
        walk = native.walk_pcapng(window, file.scans, manner, section)
    yield from walk
    yield Ended(window.offset, section)


def open_large(source: Source, scans: Scans, manner: Manner) -> LargeFile | None:
    """Return a file that is worth cutting, opened; None for every other source.

    Args:
        source: The source.
        scans: What filters it.
        manner: How to walk it.

    Raises:
        FilterError: The expression is wrong for its link type.
    """
    path = local_path(source)
    if path is None:
        return None
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a pipe must not be opened
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None  # whoever opens it again says what is wrong
    file = None
    try:
        found = os.fstat(descriptor)
        if found.st_size >= 2 * PART:
            file = _opened(name_of(source), descriptor, found.st_size, scans, manner)
    finally:
        if file is None:
            os.close(descriptor)
    return file


def _opened(
    path: str, descriptor: int, size: int, scans: Scans, manner: Manner
) -> LargeFile | None:
    """Return a file whose beginning has been read; None where it is no good capture."""
    window = Window(FileRange(descriptor, 0), path)
    try:
        window.extend(4)
        magic = pcap.find_magic(window.data[:4])
        if magic is not None:
            header = pcap.read_header(window, *magic)
            structure = Structure(header=header)
            head: list[Item] = [header]
            if scans.pcap(header) is None:
                return None
        elif window.data[:4] == pcapng.SECTION_START:
            state = SectionState()
            head = list(_blocks_before_packets(window, state))
            structure = Structure(section=state)
            if scans.pcapng(state.byte_order) is None:
                return None
        else:
            return None
    except CaptureError:
        return None
    return LargeFile(path, descriptor, size, head, window.offset, structure, scans, manner)


def _blocks_before_packets(window: Window, state: SectionState) -> Iterator[Item]:
    """Yield the blocks that a pcapng file begins with."""
    while window.extend(pcapng.FRAME) and window.offset < PART:
        start = window.data[window.position : window.position + 4]
        if state.byte_order and pcapng.is_packet(state.kind(start)):
            return
        item = state.read(window)
        assert item is not None
        yield item
