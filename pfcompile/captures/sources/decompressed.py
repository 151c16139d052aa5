"""A compressed stream, read as what was compressed.

Memory is bounded, whatever the data claim: a block of the stream and a step of what comes out of
it are there at a time. All that comes out is given before damage is told, and damage is told with
the place where the decompressed bytes end.
"""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pfcompile.captures.sources.compression import find_compression
from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from _typeshed import WriteableBuffer

    from pfcompile.captures.sources.compression import Compression
    from pfcompile.captures.sources.window import ByteStream

_BLOCK: Final = 64 * 1024
"""Bytes of the stream to ask for at a time."""

_STEP: Final = 32 * 1024
"""The most bytes that come out at a time. A decompressor that finds damage keeps what it had done
in that step to itself; with smaller steps, a tenth of gzip's speed goes to calls."""

_KEPT: Final = 1 << 20
"""Up to so many bytes of a member are kept, to go through its last step again after damage."""

_MAY_BLOCK: Final = b""
"""Instead of a piece: the next one needs a read, which may block."""


class Decompressed(io.RawIOBase):
    """What was compressed, of any number of members one after the other.

    A read gives what can be had without blocking, but at least one byte before the end.
    """

    def __init__(self, stream: ByteStream, compression: Compression, path: str) -> None:
        """Start at the beginning of a member.

        Args:
            stream: The compressed bytes; not closed.
            compression: What they were compressed with.
            path: The stream's name, for errors.

        Raises:
            MissingExtraError: What undoes this compression is not installed.
        """
        self._stream = stream
        self._compression = compression
        self._codec = compression.codec(path)
        self._path = path
        self._position = 0
        self._pieces = self._all_pieces()
        self._left = memoryview(b"")
        self._failure: CaptureError | None = None

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a part of `buffer` and return how many bytes; 0 at the end.

        Raises:
            CaptureError: The data are damaged or cut short, or the stream cannot be read; all
                that came before has been given.
        """
        memory = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(memory):
            if not self._left and not self._find_piece(wait=not filled):
                break
            count = min(len(self._left), len(memory) - filled)
            memory[filled : filled + count] = self._left[:count]
            self._left = self._left[count:]
            filled += count
        if self._failure is not None and not filled and memory:
            raise self._failure
        return filled

    def _find_piece(self, *, wait: bool) -> bool:
        """Put the next piece into `_left`, if there is one and it can be had."""
        try:
            for piece in self._pieces:
                if piece:
                    self._left = memoryview(piece)
                    self._position += len(piece)
                    return True
                if not wait:
                    break
        except CaptureError as error:
            self._failure = error
        return False

    def _all_pieces(self) -> Iterator[bytes]:
        """Yield what comes out, in pieces, and `_MAY_BLOCK` before every read."""
        magics = self._compression.magics
        data = b""
        while True:
            # Zeros behind a member are padding: to whole blocks of a tape, or words in xz.
            while len(data := data.lstrip(b"\0")) < max(map(len, magics)):
                yield _MAY_BLOCK
                block = self._read()
                if not block:
                    break
                data += block
            if not data:
                return
            if not any(data.startswith(magic[: len(data)]) for magic in magics):
                raise self._error(f"the {self._compression.name} data are followed by others")
            data = yield from self._member(data)

    def _member(self, data: bytes) -> Generator[bytes, None, bytes]:
        """Yield what comes out of the member that `data` begins; return what is behind it."""
        name = self._compression.name
        decompressor = self._codec.new()
        kept: bytes | None = data
        given = 0
        piece = b""
        while not decompressor.eof:
            if not data and decompressor.needs_input and len(piece) < _STEP:
                yield _MAY_BLOCK
                data = self._read()
                if not data:
                    raise self._error(f"the {name} data are cut short")
                kept = kept + data if kept is not None and len(kept) < _KEPT else None
            try:
                piece = decompressor.decompress(data, _STEP)
            except self._codec.errors as error:
                if kept is not None:
                    yield from self._up_to_damage(kept, given)
                raise self._error(f"the {name} data are damaged: {error}") from error
            data = b""
            given += len(piece)
            if piece:
                self._check_first(piece)
                yield piece
        return decompressor.unused_data or b""

    def _up_to_damage(self, data: bytes, given: int) -> Iterator[bytes]:
        """Yield what comes out of a damaged member before the damage.

        Bytes go in and come out one by one: a checksum's are then not there yet when the last
        byte that it is about comes out.

        Args:
            data: The member as far as it has been read.
            given: How many bytes have been yielded already.
        """
        decompressor = self._codec.new()
        with suppress(*self._codec.errors):
            for place in range(len(data)):
                entering = data[place : place + 1]
                while not decompressor.eof:
                    wanted = min(given, _STEP) or 1
                    piece = decompressor.decompress(entering, wanted)
                    entering = b""
                    if given:
                        given -= len(piece)
                    elif piece:
                        yield piece
                    if decompressor.needs_input and len(piece) < wanted:
                        break

    def _check_first(self, piece: bytes) -> None:
        """Refuse what was compressed more than once, as nobody does on purpose."""
        inner = find_compression(piece) if self._position == 0 else None
        if inner is not None:
            raise self._error(
                f"it is compressed twice, with {inner.name} and then {self._compression.name}: "
                "decompress it once"
            )

    def _read(self) -> bytes:
        try:
            return self._stream.read(_BLOCK) or b""
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror or error}") from error

    def _error(self, message: str) -> CaptureError:
        return CaptureError(message, self._path, self._position)
