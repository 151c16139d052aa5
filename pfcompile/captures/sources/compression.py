"""Compressions: how what they wrote begins, and what undoes each.

A compressed capture is known by its first bytes, never by its name: names lie, and standard input
has none. What undoes a compression is loaded when one occurs. All of them are driven alike, as the
standard library drives bzip2 and xz: bytes go in, at most so many come out.

zstd is the standard library's from Python 3.14 on, and its backport before. (The package
`zstandard` does not tell when a frame is cut short, or cannot limit what comes out.) For gzip, isal
decompresses 1.6 to 2.8 times faster than zlib, but of damaged data gives less, so zlib serves.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from pfcompile.errors import CaptureError, MissingExtraError

if TYPE_CHECKING:
    import zlib
    from collections.abc import Callable

_XZ_MEMORY: Final = 256 << 20
"""The most bytes that undoing xz may take: `xz -9` asks for 65 MB, a hostile file for 4 GB. zstd
has a limit of its own, 128 MB; the others need a few megabytes at most."""


class Decompressor(Protocol):
    """Undoes one member of a compressed file, as `bz2.BZ2Decompressor` does."""

    @property
    def eof(self) -> bool:
        """Whether the member is over."""

    @property
    def needs_input(self) -> bool:
        """Whether more has to go in, once a call gives less than it might."""

    @property
    def unused_data(self) -> bytes | None:
        """What was behind the end of the member."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Take all of `data`, and return at most so many bytes of what comes out."""


class Codec(NamedTuple):
    """What undoes a compression, loaded.

    Attributes:
        new: Makes what undoes one member.
        errors: What that raises about damaged data.
    """

    new: Callable[[], Decompressor]
    errors: tuple[type[Exception], ...]


class Compression(NamedTuple):
    """One way to compress files.

    Attributes:
        name: As people call it.
        magics: How a member can begin.
        load: Imports what undoes it.
        package: What has to be installed for that; empty where it is the standard library's.
        source: Where the magic numbers are written.
    """

    name: str
    magics: tuple[bytes, ...]
    load: Callable[[], Codec]
    package: str
    source: str

    def codec(self, path: str) -> Codec:
        """Return what undoes it.

        Args:
            path: The name of what is compressed, for errors.

        Raises:
            MissingExtraError: A package is missing.
            CaptureError: This Python was built without the module of its standard library.
        """
        try:
            return self.load()
        except ImportError as error:
            if self.package:
                purpose = f"reading what is compressed with {self.name}"
                raise MissingExtraError(self.package, "compression", purpose) from error
            message = f"it is compressed with {self.name}, which this Python was built without"
            raise CaptureError(message, path) from error


class _Inflater:
    """zlib's decompressor, driven as the others are."""

    def __init__(self, inner: zlib._Decompress) -> None:
        self._inner = inner

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _gzip() -> Codec:
    import zlib  # noqa: PLC0415

    window_bits_of_gzip = 16 + zlib.MAX_WBITS
    return Codec(lambda: _Inflater(zlib.decompressobj(window_bits_of_gzip)), (zlib.error,))


def _zstd() -> Codec:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415
    else:
        from backports import zstd  # noqa: PLC0415

    return Codec(zstd.ZstdDecompressor, (zstd.ZstdError,))


def _xz() -> Codec:
    import lzma  # noqa: PLC0415

    return Codec(
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY), (lzma.LZMAError,)
    )


def _bzip2() -> Codec:
    import bz2  # noqa: PLC0415

    return Codec(bz2.BZ2Decompressor, (OSError,))


def _lz4() -> Codec:
    import lz4.frame  # noqa: PLC0415

    new: Any = lz4.frame.LZ4FrameDecompressor
    return Codec(new, (RuntimeError,))


# Frames to be skipped, which pzstd begins its files with; lz4 allows them, but does not write them.
_SKIPPABLE: Final = tuple(bytes((first, 0x2A, 0x4D, 0x18)) for first in range(0x50, 0x60))

COMPRESSIONS: Final = (
    Compression("gzip", (b"\x1f\x8b",), _gzip, "", "RFC 1952, 2.3.1"),
    Compression(
        "zstd", (b"\x28\xb5\x2f\xfd", *_SKIPPABLE), _zstd, "backports.zstd", "RFC 8878, 3.1"
    ),
    Compression("xz", (b"\xfd7zXZ\0",), _xz, "", "The .xz File Format 1.2.1, 2.1.1.1"),
    Compression("bzip2", (b"BZh",), _bzip2, "", "bzip2 1.0.8, decompress.c"),
    Compression("lz4", (b"\x04\x22\x4d\x18",), _lz4, "lz4", "LZ4 Frame Format 1.6.4"),
)

LONGEST_MAGIC: Final = 6


def find_compression(start: bytes) -> Compression | None:
    """Return what a file was compressed with, or None.

    Args:
        start: How it begins; at least `LONGEST_MAGIC` bytes if there are so many.
    """
    for compression in COMPRESSIONS:
        if start.startswith(compression.magics):
            return compression
    return None
