"""An output that never ends in half a record.

Whole records are collected and written in blocks. When a write fails (disk full) or the run is
interrupted, a file is cut back to the end of its last whole record. A pipe cannot be cut, so a
record that has begun to go out is finished: an interrupt is only let in between two writes whose
length is known.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import F_GETFL, fcntl
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import FrameType

STANDARD_OUTPUT: Final = "-"

_BLOCK: Final = 256 * 1024
_NOT_COPIED: Final = 32 * 1024
"""Runs of so many bytes are written at once: collecting them would cost more than the call."""

_PIPE_BLOCK: Final = select.PIPE_BUF  # a pipe that is ready takes this much without blocking


def is_same_file(destination: str | os.PathLike[str], source: str | os.PathLike[str]) -> bool:
    """Tell whether writing `destination` would destroy the capture `source`.

    Args:
        destination: A path, or "-" for standard output.
        source: A path, or "-" for standard input.

    Returns:
        True when both are the same regular file, by whatever names and links.
    """
    try:
        written = os.fstat(1) if str(destination) == "-" else Path(destination).stat()
        read = os.fstat(0) if str(source) == "-" else Path(source).stat()
    except (OSError, ValueError):
        return False  # what is not there cannot be destroyed; opening it will say what is wrong
    return stat.S_ISREG(read.st_mode) and os.path.samestat(written, read)


class Output:
    """Whole records on their way to a file, a pipe or standard output.

    The file is opened, and an older one of its name truncated, only with the first block; so that
    an error found before that, such as a bad expression, leaves the older file as it was.

    Attributes:
        path: Its name as the user gave it; "-" is standard output.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = str(path)
        self._descriptor: int | None = None
        self._is_file = False
        self._may_block = False
        self._failed = False
        self._pending = bytearray()
        # Where in `_pending` runs of records start and end, and what finds each record's end.
        self._runs: list[_Run] = []
        self._piece: _Piece | None = None  # what is being written
        self._whole = 0  # where in the file the piece begins

    def write(self, record: bytes | memoryview) -> None:
        """Take one whole record, header or block.

        Raises:
            CaptureError: The output cannot be opened or written.
            BrokenPipeError: Nobody reads the pipe any more.
        """
        start = len(self._pending)
        self._pending += record
        self._runs.append(_Run(start, len(self._pending), None))
        if len(self._pending) >= _BLOCK:
            self.flush()

    def write_run(self, records: memoryview, ends_of: Callable[[bytes], Iterable[int]]) -> None:
        """Take whole records together; raises as `write`.

        Args:
            records: One behind the other. What is long is written at once, without a copy.
            ends_of: Gives where each of them ends; asked only if a write fails among them.
        """
        if len(records) >= _NOT_COPIED:
            self.flush()
            self._send(_Piece(records, [_Run(0, len(records), ends_of)]))
            return
        start = len(self._pending)
        self._pending += records
        self._runs.append(_Run(start, len(self._pending), ends_of))
        if len(self._pending) >= _BLOCK:
            self.flush()

    def direct(self) -> int | None:
        """Return the file descriptor of a file to which whole records may be written by others.

        They hold interrupts until they have said with `went_out` what they have written. None where
        the output is no file, is not open, or has something to write before.
        """
        is_free = self._piece is None and not self._pending
        return self._descriptor if self._is_file and is_free and not self._failed else None

    def went_out(
        self,
        count: int,
        rest: memoryview,
        sent: int,
        ends_of: Callable[[bytes], Iterable[int]],
    ) -> None:
        """Take note of what was written to `direct()`; raises as `write`.

        Args:
            count: Bytes of whole records.
            rest: Records of which only the beginning was written; the rest of them is now.
            sent: The bytes of that beginning.
            ends_of: As for `write_run`.
        """
        self._whole += count
        if rest:
            self._send(_Piece(rest, [_Run(0, len(rest), ends_of)], sent))

    def flush(self) -> None:
        """Write what has been taken so far; raises as `write`."""
        if self._piece is not None:  # an interrupt has come between
            self._send(self._piece)
        if self._pending:
            piece = _Piece(memoryview(bytes(self._pending)), self._runs)
            self._pending.clear()
            self._runs = []
            self._send(piece)

    def close(self) -> None:
        """Write the rest and close; raises as `write`. A second call does nothing."""
        try:
            self.flush()
        finally:
            self._release()

    def abandon(self) -> None:
        """Close after an error elsewhere.

        What was taken is written if the file has been begun; if not, an older file of its name
        stays as it is. Raises as `write`.
        """
        if self._descriptor is None:
            self._pending.clear()
            self._runs.clear()
        self.close()

    def _open(self) -> int:
        if self.path == STANDARD_OUTPUT:
            if sys.stdout is None:
                raise CaptureError("standard output is closed", self.path)
            descriptor = sys.stdout.fileno()
        else:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        mode = os.fstat(descriptor).st_mode
        self._is_file = stat.S_ISREG(mode)
        self._may_block = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
        if self._is_file:
            self._whole = _place_of_writes(descriptor)
        return descriptor

    def _send(self, piece: _Piece) -> None:
        """Write a piece, or the rest of it."""
        if self._failed:
            return
        self._piece = piece
        try:
            if self._descriptor is None:
                self._descriptor = self._open()
            if self._may_block:
                self._write_pipe(self._descriptor, piece)
            else:
                self._write_file(self._descriptor, piece)
        except BrokenPipeError:
            self._failed = True
            raise
        except KeyboardInterrupt:
            # Who interrupts the wait for somebody to read a named pipe does not want another.
            self._failed = self._descriptor is None
            raise
        except OSError as error:
            self._failed = True
            self._cut(piece)
            raise CaptureError(
                f"cannot be written: {error.strerror or error}", self.path
            ) from error

    def _write_file(self, descriptor: int, piece: _Piece) -> None:
        """Write such that `piece.sent` is right whenever an interrupt gets in; so in a pipe."""
        with interrupts_held():
            while piece.sent < len(piece.data):
                piece.sent += os.write(descriptor, piece.data[piece.sent :])
            self._piece_done(piece)

    def _write_pipe(self, descriptor: int, piece: _Piece) -> None:
        ready = select.poll()  # not `select`, whose descriptors end at 1023
        ready.register(descriptor, select.POLLOUT)
        while piece.sent < len(piece.data):
            ready.poll()
            with interrupts_held():
                stop = piece.sent + _PIPE_BLOCK
                piece.sent += os.write(descriptor, piece.data[piece.sent : stop])
        with interrupts_held():
            self._piece_done(piece)

    def _piece_done(self, piece: _Piece) -> None:
        self._whole += len(piece.data)
        self._piece = None

    def _cut(self, piece: _Piece) -> None:
        """Cut a file behind its last whole record."""
        if self._descriptor is not None and self._is_file:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._whole + piece.whole())

    def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None or self.path == STANDARD_OUTPUT:
            return
        try:
            os.close(descriptor)
        except OSError as error:  # a network file system may say only now that it is full
            raise CaptureError(
                f"cannot be written: {error.strerror or error}", self.path
            ) from error


def _place_of_writes(descriptor: int) -> int:
    """Return where in a file the next write goes.

    Standard output may stand behind what a shell has written there already, or (`>>`) go to the
    end, wherever it stands.
    """
    if fcntl(descriptor, F_GETFL) & os.O_APPEND:
        return os.fstat(descriptor).st_size
    return os.lseek(descriptor, 0, os.SEEK_CUR)


class _Run(NamedTuple):
    """Whole records of a piece that were taken together.

    Attributes:
        start: Index of the first byte.
        stop: Index behind the last.
        ends_of: Gives where each record ends; None where there is one.
    """

    start: int
    stop: int
    ends_of: Callable[[bytes], Iterable[int]] | None


@dataclass(slots=True)
class _Piece:
    """Bytes on their way, whole records all of them.

    Attributes:
        data: The bytes.
        runs: The records.
        sent: How many of the bytes are out.
    """

    data: memoryview
    runs: Sequence[_Run]
    sent: int = 0

    def whole(self) -> int:
        """Return where the last record ends that is out as a whole."""
        found = 0
        for start, stop, ends_of in self.runs:
            if stop <= self.sent:
                found = stop
                continue
            if start < self.sent and ends_of is not None:
                ends = ends_of(bytes(self.data[start:stop]))
                found = max(
                    (start + end for end in ends if start + end <= self.sent), default=found
                )
            break
        return found


_writing = False
_put_off: list[BaseException] = []


def raise_between_writes(error: BaseException) -> None:
    """Raise what ends a command: now, or behind the write that is going on.

    For handlers of signals other than SIGINT, whose handler may be anybody's.
    """
    if not _writing:
        raise error
    _put_off.append(error)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Put an interrupt (SIGINT), and what `raise_between_writes` has, off to the end of the block.

    Signal handlers run in the main thread only, whichever thread the signal went to: holding it
    back there by its handler is enough, while a signal mask would not be.
    """
    global _writing  # noqa: PLW0603 - a handler sees it, wherever in the thread it comes
    # Nothing interrupts other threads, and within such a block they are held already.
    if _writing or threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    held: list[tuple[int, FrameType | None]] = []
    try:
        _writing = True
        if callable(handler):
            signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
        yield
    finally:
        if callable(handler):
            signal.signal(signal.SIGINT, handler)
        errors = _put_off.copy()
        _put_off.clear()
        _writing = False
        if callable(handler):
            for each in held:
                handler(*each)
        if errors:
            raise errors[-1]
