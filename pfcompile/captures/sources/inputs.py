"""Where captures are read from: files, standard input, streams and URLs, compressed or not."""

from __future__ import annotations

import os
import re
import stat
import sys
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.captures.sources.compression import LONGEST_MAGIC, find_compression
from pfcompile.captures.sources.streams import Detected, detected
from pfcompile.captures.sources.window import ByteStream
from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD_INPUT: Final = "-"

Source: TypeAlias = str | PathLike[str] | ByteStream
"""A capture to read: a path, "-" for standard input, a URL, or a binary stream.

Whether it is compressed is seen by how it begins. A `str` is a URL if it begins as one; `./a://b`
is a file.
"""

_URL: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*::)*([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_LOCAL_SCHEMES: Final = frozenset({"file", "local"})


def name_of(source: Source) -> str:
    """Return what errors call a source."""
    if isinstance(source, (str, PathLike)):
        return str(source)
    return str(getattr(source, "name", "stream"))


def is_url(source: Source) -> bool:
    """Tell whether a source is the URL of what is not a file on this machine."""
    return isinstance(source, str) and local_path(source) is None and source != STANDARD_INPUT


def local_path(source: Source) -> str | None:
    """Return the path of a source that is a file on this machine, or None.

    `file:` URLs are files (RFC 8089).
    """
    if not isinstance(source, (str, PathLike)):
        return None
    path = str(source)
    if path == STANDARD_INPUT:
        return None
    url = _URL.match(path) if isinstance(source, str) else None
    if url is None:
        return path
    if url[0] != f"{url[1]}://" or url[1].lower() not in _LOCAL_SCHEMES:
        return None
    from urllib.parse import unquote  # noqa: PLC0415 - few need it

    path = path[url.end() :]
    return unquote(path.removeprefix("localhost") if path.startswith("localhost/") else path)


@contextmanager
def open_source(source: Source) -> Iterator[ByteStream]:
    """Open a capture for reading without a buffer of its own, and close it in the end.

    Standard input ("-") and streams stay open. What is compressed is read as what it was before.

    Raises:
        CaptureError: It cannot be opened.
        MissingExtraError: A URL, and fsspec is not installed. What decompresses a stream is
            missed with the first read.
    """
    with _opened(source) as raw:
        try:
            stream = detected(raw, name_of(source))
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            raise CaptureError(message, name_of(source), 0) from error
        try:
            yield stream
        except CaptureError as error:
            if error.offset is None or not isinstance(stream, Detected) or not stream.decompressed:
                raise
            message = f"{error.message} (byte of the decompressed data)"
            raise CaptureError(message, error.path, error.offset) from error.__cause__


def size_of(source: Source) -> int | None:
    """Return how many bytes reading a source will give, or None where nobody knows before.

    It is known of files, by path or on standard input, that are not compressed.
    """
    path = local_path(source)
    try:
        if path is not None:
            if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a pipe must not be opened
                return None
            with Path(path).open("rb", buffering=0) as stream:
                return _size_from(stream.fileno(), 0)
        if source == STANDARD_INPUT and sys.stdin is not None:
            descriptor = sys.stdin.buffer.fileno()
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return _size_from(descriptor, sys.stdin.buffer.tell())
    except (OSError, ValueError):  # opening it will say what is wrong
        pass
    return None


def _size_from(descriptor: int, place: int) -> int | None:
    """Return the bytes of a regular file from `place` on, or None if it is compressed."""
    if find_compression(os.pread(descriptor, LONGEST_MAGIC, place)) is not None:
        return None
    return os.fstat(descriptor).st_size - place


@contextmanager
def _opened(source: Source) -> Iterator[ByteStream]:
    """Open a source, and close it in the end if it was this that opened it."""
    if not isinstance(source, (str, PathLike)):
        yield source
        return
    if source == STANDARD_INPUT:
        if sys.stdin is None:
            raise CaptureError("standard input is closed", STANDARD_INPUT)
        yield sys.stdin.buffer
        return
    path = local_path(source)
    if path is None:
        from pfcompile.captures.sources.remote import open_url  # noqa: PLC0415 - few need it

        with open_url(str(source)) as opened:
            yield opened
        return
    try:
        stream = Path(path).open("rb", buffering=0)  # noqa: SIM115
    except OSError as error:
        message = f"cannot be opened: {error.strerror or error}"
        raise CaptureError(message, str(source)) from error
    except ValueError as error:  # a NUL in the name
        raise CaptureError(f"cannot be opened: {error}", str(source)) from error
    with stream:
        yield stream
