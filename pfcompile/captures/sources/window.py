"""A moving window over a stream of bytes, read in big blocks and never sought."""

from __future__ import annotations

import os
import stat
from io import FileIO
from typing import TYPE_CHECKING, Protocol, TypeGuard

from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK_SIZE = 256 * 1024
"""Bytes asked for at a time: in the flat part of the curve of read speed over block size, and
small enough for the second-level cache."""


class ByteStream(Protocol):
    """Anything with a binary `read`."""

    def read(self, size: int, /) -> bytes | None:
        """Return at most `size` bytes, none at the end."""


class FileRange:
    """A file from some place on, which others may read at other places at the same time."""

    def __init__(self, descriptor: int, place: int) -> None:
        """Read from `place` on; the descriptor stays its owner's."""
        self._descriptor = descriptor
        self._place = place

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`."""
        data = os.pread(self._descriptor, size, self._place)
        self._place += len(data)
        return data

    def readinto(self, memory: memoryview, /) -> int:
        """Read the next bytes into `memory`; return how many."""
        count = os.preadv(self._descriptor, [memory], self._place)
        self._place += count
        return count

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place

    def seek(self, place: int, /) -> int:
        """Go on at `place`."""
        self._place = place
        return place


def _reads_anywhere(stream: ByteStream, start: int) -> TypeGuard[FileIO | FileRange]:
    """Return whether a stream is a file that can be read at any place, and is at `start`."""
    if not isinstance(stream, FileIO | FileRange):
        return False
    try:
        is_file = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
        return is_file and stream.tell() == start
    except (OSError, ValueError):  # reading it will say what is wrong
        return False


class Window:
    """The part of a stream that is in memory.

    A walker reads `data` from `position` on, moves `position` over what it is done with, and
    calls `extend` when it needs more. The blocks are immutable: views of them stay valid.

    Attributes:
        path: The stream's name, for errors.
        data: The bytes in memory.
        position: Index into `data` of the first byte that is not done with.
    """

    __slots__ = (
        "_base",
        "_before_read",
        "_block_size",
        "_file",
        "_read",
        "_readinto",
        "data",
        "path",
        "position",
    )

    def __init__(
        self,
        stream: ByteStream,
        path: str,
        *,
        block_size: int = BLOCK_SIZE,
        before_read: Callable[[int], None] | None = None,
        start: int = 0,
    ) -> None:
        """Start at the current place of `stream`.

        Args:
            stream: Where the bytes come from; its `read1` is used where it has one, so that a
                slow pipe's packets are seen as they come.
            path: The stream's name, for errors.
            block_size: Bytes to ask for at a time, at least 1.
            before_read: Called before every read with the number of bytes read so far; for
                progress, and to hand on finished output before a read that may block.
            start: The offset that the current place of `stream` gets.
        """
        self.path = path
        self.data = b""
        self.position = 0
        self._base = start
        self._file = stream if _reads_anywhere(stream, start) else None
        self._block_size = block_size
        self._before_read = before_read
        self._read: Callable[[int], bytes | None] = getattr(stream, "read1", stream.read)
        readinto = getattr(stream, "readinto", None)
        self._readinto: Callable[[memoryview], int | None] | None = getattr(
            stream, "readinto1", readinto
        )

    @property
    def offset(self) -> int:
        """The place in the stream of `position`."""
        return self._base + self.position

    def extend(self, needed: int) -> bool:
        """Read until at least `needed` bytes from `position` on are in `data`.

        Memory grows with the bytes that are really there, not with `needed`.

        Returns:
            Whether there are that many; if not, the stream has ended and `data` holds its rest.

        Raises:
            CaptureError: The stream could not be read.
        """
        tail = self.data[self.position :]
        parts = [tail]
        have = len(tail)
        while have < needed:
            self.announce(have)
            try:
                block = self._read(max(self._block_size, min(needed - have, 16 * self._block_size)))
            except OSError as error:
                raise self._unreadable(error, have) from error
            if not block:
                break
            parts.append(block)
            have += len(block)
        self._base += self.position
        self.position = 0
        self.data = b"".join(parts)
        return have >= needed

    def take(self) -> bytes:
        """Give away what is in memory from `position` on; then `read_into` and `pass_over` serve.

        The offset stays where it is.
        """
        taken = self.data[self.position :]
        self._base += self.position
        self.data, self.position = b"", 0
        return taken

    def put_back(self, data: bytes) -> None:
        """Have bytes in memory again that were taken or read into elsewhere, at the offset."""
        self._base += self.position
        self.data, self.position = data, 0

    def pass_over(self, count: int, read_to: int | None = None) -> None:
        """Move the offset over bytes that have been taken or read into elsewhere.

        Args:
            count: How many.
            read_to: The place that a file has been read up to by its descriptor; None: it has not.
        """
        self._base += count
        if read_to is not None and self._file is not None:
            self._file.seek(read_to)

    @property
    def descriptor(self) -> int | None:
        """The descriptor of a file whose places are those of the window, or None."""
        return None if self._file is None else self._file.fileno()

    def read_into(self, memory: memoryview, have: int) -> int:
        """Read once, into memory of the caller's, and return the number of bytes; 0 at the end.

        Args:
            memory: Where to; its length is the most that is read.
            have: So many bytes from the offset on have been read before.

        Raises:
            CaptureError: The stream could not be read.
        """
        self.announce(have)
        try:
            if self._readinto is not None:
                return self._readinto(memory) or 0
            block = self._read(len(memory)) or b""
        except OSError as error:
            raise self._unreadable(error, have) from error
        memory[: len(block)] = block
        return len(block)

    def damaged(self, message: str, position: int | None = None) -> CaptureError:
        """Return the error for damage in the record that starts at `position` of `data`."""
        place = self.position if position is None else position
        return CaptureError(message, self.path, self._base + place)

    def announce(self, have: int) -> None:
        """Tell that a read follows, behind `have` bytes from the offset on."""
        if self._before_read is not None:
            self._before_read(self.offset + have)

    def _unreadable(self, error: OSError, have: int) -> CaptureError:
        return CaptureError(
            f"cannot be read: {error.strerror or error}", self.path, self.offset + have
        )
