"""Open a capture, whatever its format, and give its items one after the other."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from pfcompile.captures import pcap, pcapng
from pfcompile.captures.records import Item, PcapHeader, Record
from pfcompile.captures.window import BLOCK_SIZE, ByteStream, Window
from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STANDARD_INPUT: Final = "-"

Walked = TypeVar("Walked")

Source: TypeAlias = str | PathLike[str] | ByteStream
"""A capture to read: a path, "-" for standard input, or a binary stream."""

_MAGIC_LENGTH: Final = 4
_SECTION_START: Final = pcapng.SECTION_HEADER.to_bytes(_MAGIC_LENGTH)

FOREIGN_MAGICS: Final[dict[bytes, str]] = {
    b"\x1f\x8b": "it is compressed with gzip",
    b"\x28\xb5\x2f\xfd": "it is compressed with zstd",
    b"\xfd7zX": "it is compressed with xz",
    b"BZh": "it is compressed with bzip2",
    b"\x04\x22\x4d\x18": "it is compressed with lz4",
    b"snoo": "it is a snoop capture",
}
"""How files begin that people take for captures that can be read."""


def read_items(
    stream: ByteStream,
    path: str,
    *,
    block_size: int = BLOCK_SIZE,
    before_read: Callable[[int], None] | None = None,
) -> Iterator[Item]:
    """Yield what a capture is made of, headers and other blocks included.

    Args:
        stream: The capture, from its first byte; read in blocks, never sought, not closed.
        path: Its name, for errors.
        block_size: Bytes to ask for at a time, at least 1.
        before_read: Called before every read with the number of bytes read so far.

    Raises:
        CaptureError: It is no capture, damaged, or cannot be read; after everything that is
            whole. Its offset counts from where the stream was.
    """
    window = Window(stream, path, block_size=block_size, before_read=before_read)
    return walk_items(window, pcap.walk)


def walk_items(
    window: Window, walk_pcap: Callable[[Window, PcapHeader], Iterator[Walked]]
) -> Iterator[Item | Walked]:
    """Yield what a capture is made of; as `read_items`.

    Args:
        window: The capture, from its first byte.
        walk_pcap: What walks the records of a pcap file, behind its header.
    """
    if not window.extend(_MAGIC_LENGTH):
        raise window.damaged(f"the file header is cut short: {len(window.data)} bytes in all")
    start = window.data[:_MAGIC_LENGTH]
    if start == _SECTION_START:
        yield from pcapng.walk(window)
        return
    found = pcap.find_magic(start)
    if found is None:
        raise window.damaged(_unknown_format(start))
    header = pcap.read_header(window, *found)
    yield header
    yield from walk_pcap(window, header)


def read_records(
    stream: ByteStream, path: str, *, block_size: int = BLOCK_SIZE
) -> Iterator[Record]:
    """Yield the packets of a capture; as `read_items`, but nothing else."""
    for item in read_items(stream, path, block_size=block_size):
        if isinstance(item, Record):
            yield item


def name_of(source: Source) -> str:
    """Return what errors call a source."""
    if isinstance(source, (str, PathLike)):
        return str(source)
    return str(getattr(source, "name", "stream"))


@contextmanager
def open_source(source: Source) -> Iterator[ByteStream]:
    """Open a file for reading without a buffer of its own, and close it in the end.

    Standard input ("-") and streams are given back as they are, and stay open.

    Raises:
        CaptureError: It cannot be opened.
    """
    if not isinstance(source, (str, PathLike)):
        yield source
        return
    path = str(source)
    if path == STANDARD_INPUT:
        if sys.stdin is None:
            raise CaptureError("standard input is closed", STANDARD_INPUT)
        yield sys.stdin.buffer
        return
    try:
        stream = Path(path).open("rb", buffering=0)  # noqa: SIM115
    except OSError as error:
        raise CaptureError(f"cannot be opened: {error.strerror or error}", path) from error
    except ValueError as error:  # a NUL in the name
        raise CaptureError(f"cannot be opened: {error}", path) from error
    with stream:
        yield stream


def _unknown_format(start: bytes) -> str:
    for magic, meaning in FOREIGN_MAGICS.items():
        if start.startswith(magic):
            return f"unknown file format: {meaning}"
    return f"unknown file format: it begins with {start.hex(' ')}"
