"""Parts of large pcap files, each a task.

A part begins where a record seems to start; whoever has the parts compares that with where the one
before has ended. The parts of a pcapng file would each need the interfaces that come before, so
such a file is one task; so is what is compressed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pfcompile.captures.blocks import native
from pfcompile.captures.blocks.cutting import LOOKED_AT, find_start
from pfcompile.captures.blocks.native import manner_for
from pfcompile.captures.blocks.scans import NO_LIMIT, Structure
from pfcompile.captures.formats import pcap
from pfcompile.captures.reader import MAGIC_LENGTH
from pfcompile.captures.sources.window import FileRange, Window
from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from io import FileIO

    from pfcompile.captures.blocks.scans import Scans
    from pfcompile.captures.formats.records import PcapHeader


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a pcap file.

    Attributes:
        start: Where it begins: its first record is the first that seems to begin there or behind.
        stop: Records that begin there or behind are not its own; None: all are.
        is_exact: Whether a record is known to begin at `start`.
    """

    start: int
    stop: int | None
    is_exact: bool


@dataclass(slots=True)
class Walked:
    """Where the records of a part are.

    Attributes:
        begun: Where the first was taken to begin; None where none was found.
        ended: Where the last has ended; None where the part was not read to its end.
    """

    begun: int | None = None
    ended: int | None = None


def cut(path: str, size: int, part_bytes: int) -> list[Part]:
    """Return the parts of a file of `size` bytes; none where it is not to be cut."""
    if size <= part_bytes:
        return []
    try:
        with Path(path).open("rb", buffering=0) as stream:
            header = _header(stream, path)
    except (OSError, CaptureError):
        return []  # whoever reads it says what is wrong
    if header is None:
        return []
    first = pcap.HEADER_LENGTH
    starts = range(first, size, part_bytes)
    stops = [*starts[1:], None]
    return [Part(*ends, ends[0] == first) for ends in zip(starts, stops, strict=True)]


def walk_part(path: str, part: Part, scans: Scans | None, walked: Walked) -> Iterator[Any]:
    """Yield the file's header and what a part is made of, and note in `walked` where that is.

    Raises:
        CaptureError: The file cannot be read, or is damaged; after all that is whole.
    """
    try:
        with Path(path).open("rb", buffering=0) as stream:
            header = _header(stream, path)
            if header is None:
                raise CaptureError("is no pcap file any more", path)
            yield header
            start: int | None = part.start
            if not part.is_exact:
                start = _find_record(stream, header, part.start)
            walked.begun = start
            if start is not None:
                window = Window(FileRange(stream.fileno(), start), path, start=start)
                ended = yield from _records(window, header, scans, part.stop)
                walked.ended = ended
    except OSError as error:
        raise CaptureError(f"cannot be read: {error.strerror or error}", path) from error


def _header(stream: FileIO, path: str) -> PcapHeader | None:
    """Return the header that a file begins with, or None if it is no pcap file.

    Raises:
        CaptureError: It is no good header, or cannot be read.
    """
    window = Window(stream, path)
    if not window.extend(MAGIC_LENGTH):
        return None
    magic = pcap.find_magic(window.data[:MAGIC_LENGTH])
    return None if magic is None else pcap.read_header(window, *magic)


def _find_record(stream: FileIO, header: PcapHeader, start: int) -> int | None:
    """Return where at `start` or behind a record seems to begin, or None."""
    found = find_start(Structure(header=header), os.pread(stream.fileno(), LOOKED_AT, start))
    return None if found is None else start + found


def _records(
    window: Window, header: PcapHeader, scans: Scans | None, stop: int | None
) -> Generator[Any, None, int]:
    """Yield the records up to `stop`, or what a scan finds of them; return where the last ends."""
    scan = None if scans is None else scans.pcap(header)
    if scan is not None:
        manner = manner_for(scans, NO_LIMIT)._replace(stop=stop)
        yield from native.walk_pcap(window, header, scan, manner)
        return window.offset
    ended = window.offset
    if stop is not None and ended >= stop:
        return ended
    for record in pcap.walk(window, header):
        if stop is not None and record.offset >= stop:
            break
        yield record
        ended = record.offset + len(record.raw)
    return ended
