"""A stream that is decompressed where its first bytes ask for it."""

from __future__ import annotations

import io
import os
import select
from typing import TYPE_CHECKING

from pfcompile.captures.sources.compression import LONGEST_MAGIC, find_compression
from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.captures.sources.window import ByteStream


def _poll_of(stream: ByteStream) -> select.poll | None:
    """Return what waits for a stream that gives nothing instead of waiting; None for others."""
    try:
        descriptor = stream.fileno()  # type: ignore[attr-defined]  # many have none
        if os.get_blocking(descriptor):
            return None
    except (AttributeError, OSError, ValueError):
        return None
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    return ready


class Peekable:
    """A stream whose start can be looked at without seeking.

    A stream may come from any library and raise what it likes; errors that are no `OSError` are
    told as a `CaptureError`.
    """

    def __init__(self, stream: ByteStream, path: str) -> None:
        """Start at the current place of `stream`.

        Args:
            stream: Its `read1` is used where it has one, so that a slow pipe's packets are seen as
                they come.
            path: Its name, for errors.
        """
        self._path = path
        self._start = b""
        self._given = 0
        self._ready = _poll_of(stream)
        self._read: Callable[[int], bytes | None] = getattr(stream, "read1", stream.read)
        self._readinto: Callable[[memoryview], int | None] | None = getattr(
            stream, "readinto1", getattr(stream, "readinto", None)
        )

    def peek(self, size: int) -> bytes:
        """Return the next bytes without moving on: `size`, or what is there before the end."""
        while len(self._start) < size:
            block = self._read_on(size - len(self._start))
            if not block:
                break
            self._start += block
        return self._start[:size]

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        if self._start:
            block, self._start = self._start[:size], self._start[size:]
        else:
            block = self._read_on(size)
        self._given += len(block)
        return block

    def readinto(self, memory: memoryview, /) -> int:
        """Fill a part of `memory` and return how many bytes; 0 at the end."""
        if self._start or self._readinto is None:
            block = self.read(len(memory))
            memory[: len(block)] = block
            return len(block)
        try:
            self._wait()
            count = self._readinto(memory) or 0
        except Exception as error:
            self._tell(error)
            raise
        self._given += count
        return count

    def _read_on(self, size: int) -> bytes:
        try:
            self._wait()
            return self._read(size) or b""
        except Exception as error:
            self._tell(error)
            raise

    def _wait(self) -> None:
        """Wait for bytes, or the end, of a stream that would not."""
        if self._ready is not None:
            self._ready.poll()

    def _tell(self, error: Exception) -> None:
        """Raise a CaptureError for what is no `OSError`, or one without words."""
        if not isinstance(error, OSError) or not str(error):
            reason = f"{type(error).__name__}: {error}".removesuffix(": ")
            message = f"cannot be read: {reason}"
            raise CaptureError(message, self._path, self._given) from error


class Detected:
    """A stream, decompressed if that is what it takes.

    Whether it is, is found with the first read: looking earlier might block before what was read
    from other captures has been handed on.

    Attributes:
        decompressed: Whether what is read was compressed; known with the first read.
    """

    def __init__(self, stream: ByteStream, path: str) -> None:
        """Start at the current place of `stream`; `path` is its name, for errors."""
        self.decompressed = False
        self._path = path
        self._stream = Peekable(stream, path)
        self._inner: Peekable | io.RawIOBase | None = None

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end.

        Raises:
            CaptureError: It cannot be read, or what was compressed is damaged.
            MissingExtraError: What decompresses it is not installed.
        """
        return self._found().read(size) or b""

    def readinto(self, memory: memoryview, /) -> int:
        """Fill a part of `memory` and return how many bytes, 0 at the end; raises as `read`."""
        return self._found().readinto(memory) or 0

    def _found(self) -> Peekable | io.RawIOBase:
        if self._inner is None:
            compression = find_compression(self._stream.peek(LONGEST_MAGIC))
            if compression is None:
                self._inner = self._stream
            else:
                from pfcompile.captures.sources.decompressed import Decompressed  # noqa: PLC0415

                self._inner = Decompressed(self._stream, compression, self._path)
                self.decompressed = True
        return self._inner


def detected(stream: ByteStream, path: str) -> ByteStream:
    """Return the stream, decompressed where its first bytes ask for it.

    Plain files and bytes in memory that are not compressed are returned as they are.

    Raises:
        OSError: The stream cannot be read.
    """
    if isinstance(stream, io.FileIO | io.BytesIO) and stream.seekable():
        place = stream.tell()
        start = stream.read(LONGEST_MAGIC)
        stream.seek(place)
        if find_compression(start) is None:
            return stream
    return Detected(stream, path)
