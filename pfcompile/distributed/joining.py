"""Pieces, which tasks have written, made the file that was asked for.

It gets its name when it is whole. Several pieces go through the writers that write any output, so
that it is what one process would have written: a filter that takes every packet takes them over.
"""

from __future__ import annotations

import shutil
import uuid
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pfcompile.captures.blocks.native import manner_for
from pfcompile.captures.blocks.scans import NO_LIMIT, Wanted
from pfcompile.captures.blocks.walking import walk_source
from pfcompile.captures.filtering import Matchers, Tally, scan
from pfcompile.captures.formats import pcap
from pfcompile.captures.writer import named_format, open_writer
from pfcompile.errors import CaptureError
from pfcompile.files import WORTH_COMPILING, Engine, Programs, program_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO

    from pfcompile.captures.sources.inputs import Source
    from pfcompile.captures.writer import Format

_EVERY_PACKET: Final = ""
"""The expression that every packet matches."""


def join(
    captures: Sequence[Sequence[str]], target: str, write_format: Format | None, folder: str
) -> bool:
    """Make one file of pieces.

    Args:
        captures: For each capture its pieces; several where it was cut.
        target: The file; an older one is replaced.
        write_format: Its format; None takes it from its name, or from the first capture.
        folder: Where it is made, in the same file system.

    Returns:
        Whether there is a file: there is none of no pieces.

    Raises:
        CaptureError: It cannot be written, or cannot hold what there is. An older file stays.
    """
    made = str(Path(folder, uuid.uuid4().hex))
    try:
        _join(captures, made, write_format or named_format(target))
    except CaptureError as error:
        raise CaptureError(error.message, target) from error
    except OSError as error:
        raise CaptureError(f"cannot be written: {error}", target) from error
    if not Path(made).exists():
        return False
    publish(made, target)
    return True


def _join(captures: Sequence[Sequence[str]], made: str, write_format: Format | None) -> None:
    size = sum(Path(piece).stat().st_size for pieces in captures for piece in pieces)
    programs = Programs(
        [program_for(_EVERY_PACKET)],
        Engine.NATIVE if size >= WORTH_COMPILING else Engine.INTERP,
        wanted=Wanted(copies=True),
        complain=lambda _: None,  # where it matters, the tasks have complained
    )
    matchers = Matchers(programs)
    with open_writer(made, write_format) as writer:
        for pieces in captures:
            with _source(pieces) as source:
                scans = programs.scans(source)
                items = walk_source(source, scans, manner_for(scans, NO_LIMIT))
                scan(items, matchers, [writer], Tally())


def publish(piece: str, target: str) -> None:
    """Give a whole file the name that was asked for, and the rights of the file that had it.

    Raises:
        CaptureError: That is not possible.
    """
    try:
        with suppress(FileNotFoundError, PermissionError):
            shutil.copymode(target, piece)
        Path(piece).replace(target)
    except OSError as error:
        raise CaptureError(f"cannot be written: {error.strerror or error}", target) from error


@contextmanager
def _source(pieces: Sequence[str]) -> Iterator[Source]:
    """Open the pieces of a capture as one."""
    if len(pieces) == 1:
        yield pieces[0]
        return
    with closing(_Pieces(pieces)) as source:
        yield source


class _Pieces:
    """The parts of a pcap file one after the other: a header, then the records of all."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self._left = iter(pieces)
        self._stream = _opened(next(self._left))

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`."""
        while not (data := self._stream.read(size)) and self._next():
            pass
        return data

    def readinto(self, memory: memoryview, /) -> int:
        """Read the next bytes into `memory`; return how many."""
        while not (count := self._stream.readinto(memory)) and self._next():
            pass
        return count

    def close(self) -> None:
        """Close what is open."""
        self._stream.close()

    def _next(self) -> bool:
        """Go on with the next piece; tell whether there is one."""
        piece = next(self._left, None)
        if piece is None:
            return False
        self._stream.close()
        self._stream = _opened(piece)
        self._stream.seek(pcap.HEADER_LENGTH)
        return True


def _opened(piece: str) -> FileIO:
    return Path(piece).open("rb", buffering=0)
