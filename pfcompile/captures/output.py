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
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

STANDARD_OUTPUT: Final = "-"

_BLOCK: Final = 256 * 1024
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
        self._failed = False
        self._pending = bytearray()
        self._ends: list[int] = []  # where in `_pending` each record or run of them ends
        # Where in `_pending` each run starts and ends, and what finds its records' ends.
        self._runs: list[tuple[int, int, Callable[[bytes], Iterable[int]]]] = []
        self._sent = 0  # how much of `_pending` is out
        self._whole = 0  # where in the file `_pending` begins

    def write(self, record: bytes | memoryview) -> None:
        """Take one whole record, header or block.

        Raises:
            CaptureError: The output cannot be opened or written.
            BrokenPipeError: Nobody reads the pipe any more.
        """
        self._pending += record
        self._ends.append(len(self._pending))
        if len(self._pending) >= _BLOCK:
            self.flush()

    def write_run(
        self, records: bytes | memoryview, ends_of: Callable[[bytes], Iterable[int]]
    ) -> None:
        """Take whole records together; raises as `write`.

        Args:
            records: One behind the other.
            ends_of: Gives where each of them ends; asked only if a write fails among them.
        """
        start = len(self._pending)
        self._runs.append((start, start + len(records), ends_of))
        self.write(records)

    def flush(self) -> None:
        """Write what has been taken so far; raises as `write`."""
        if self._failed or not self._pending:
            return
        try:
            if self._descriptor is None:
                self._descriptor = self._open()
            self._send(self._descriptor)
        except BrokenPipeError:
            self._failed = True
            raise
        except OSError as error:
            self._failed = True
            self._cut()
            raise CaptureError(
                f"cannot be written: {error.strerror or error}", self.path
            ) from error

    def close(self) -> None:
        """Write the rest and close; raises as `write`. A second call does nothing."""
        if self._descriptor is None and not self._ends:
            return
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
            self._ends.clear()
            self._runs.clear()
        self.close()

    def _open(self) -> int:
        if self.path == STANDARD_OUTPUT:
            if sys.stdout is None:
                raise CaptureError("standard output is closed", self.path)
            descriptor = sys.stdout.fileno()
        else:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        # Standard output may stand behind what a shell has written there already.
        self._whole = os.lseek(descriptor, 0, os.SEEK_CUR) if self._is_file else 0
        return descriptor

    def _send(self, descriptor: int) -> None:
        """Write what is pending, such that `_sent` is right whenever an interrupt gets in."""
        data = memoryview(bytes(self._pending))
        if self._is_file:
            with _interrupts_held():
                while self._sent < len(data):
                    self._sent += os.write(descriptor, data[self._sent :])
                self._begin_block()
            return
        ready = select.poll()  # not `select`, whose descriptors end at 1023
        ready.register(descriptor, select.POLLOUT)
        while self._sent < len(data):
            ready.poll()
            with _interrupts_held():
                stop = self._sent + _PIPE_BLOCK
                self._sent += os.write(descriptor, data[self._sent : stop])
        with _interrupts_held():
            self._begin_block()

    def _begin_block(self) -> None:
        self._whole += self._sent
        self._pending.clear()
        self._ends.clear()
        self._runs.clear()
        self._sent = 0

    def _cut(self) -> None:
        """Cut a file behind its last whole record."""
        if self._descriptor is None or not self._is_file:
            return
        ends = list(self._ends)
        for start, stop, ends_of in self._runs:
            if start < self._sent < stop:
                ends += (start + end for end in ends_of(bytes(self._pending[start:stop])))
        whole = max((end for end in ends if end <= self._sent), default=0)
        with suppress(OSError):
            os.ftruncate(self._descriptor, self._whole + whole)

    def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        self._ends.clear()
        if descriptor is None or self.path == STANDARD_OUTPUT:
            return
        try:
            os.close(descriptor)
        except OSError as error:  # a network file system may say only now that it is full
            raise CaptureError(
                f"cannot be written: {error.strerror or error}", self.path
            ) from error


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Put an interrupt (SIGINT) off to the end of the block.

    Signal handlers run in the main thread only, whichever thread the signal went to: holding it
    back there by its handler is enough, while a signal mask would not be.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    held: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if held:
            handler(*held[-1])
