"""Open a capture, whatever its format, and give its items one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from pfcompile.captures.formats import pcap, pcapng
from pfcompile.captures.formats.records import Item, PcapHeader, Record
from pfcompile.captures.sources.compression import find_compression
from pfcompile.captures.sources.inputs import STANDARD_INPUT, Source, name_of, open_source
from pfcompile.captures.sources.window import BLOCK_SIZE, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pfcompile.captures.sources.window import ByteStream

__all__ = [
    "FOREIGN_MAGICS",
    "MAGIC_LENGTH",
    "STANDARD_INPUT",
    "Source",
    "is_capture",
    "name_of",
    "open_source",
    "read_items",
    "read_records",
    "walk_items",
]

Walked = TypeVar("Walked")

MAGIC_LENGTH: Final = 4

FOREIGN_MAGICS: Final[dict[bytes, str]] = {
    b"snoop": "it is a snoop capture",
    b"PK\x03\x04": "it is a zip archive",
    b"7z\xbc\xaf": "it is a 7z archive",
    b"\x1f\x9d": "it is compressed with compress",
    b"\x02\x21\x4c\x18": "it is compressed with lz4, in its old format",
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
    window: Window,
    walk_pcap: Callable[[Window, PcapHeader], Iterator[Walked]],
    walk_pcapng: Callable[[Window], Iterator[Item | Walked]] = pcapng.walk,
) -> Iterator[Item | Walked]:
    """Yield what a capture is made of; as `read_items`.

    Args:
        window: The capture, from its first byte.
        walk_pcap: What walks the records of a pcap file, behind its header.
        walk_pcapng: What walks the blocks of a pcapng file.
    """
    if not window.extend(MAGIC_LENGTH):
        raise window.damaged(f"the file header is cut short: {len(window.data)} bytes in all")
    start = window.data[:MAGIC_LENGTH]
    if start == pcapng.SECTION_START:
        yield from walk_pcapng(window)
        return
    found = pcap.find_magic(start)
    if found is None:
        raise window.damaged(_unknown_format(window.data))
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


def is_capture(start: bytes) -> bool:
    """Tell whether what begins with `start`, of `MAGIC_LENGTH` bytes, is a capture."""
    return start == pcapng.SECTION_START or pcap.find_magic(start) is not None


def _unknown_format(start: bytes) -> str:
    """Return what is said of a stream that begins so, or if it is longer, as at least so."""
    compression = find_compression(start)
    if compression is not None:
        return f"unknown file format: it is compressed with {compression.name}"
    for magic, meaning in FOREIGN_MAGICS.items():
        if start.startswith(magic):
            return f"unknown file format: {meaning}"
    return f"unknown file format: it begins with {start[:MAGIC_LENGTH].hex(' ')}"
