"""What becomes of what tasks have kept: nothing, one file, or a file for each capture."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pfcompile.distributed.joining import join, publish
from pfcompile.distributed.outputs import check_file, check_not_read, is_folder, names_in_folder
from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.captures.writer import Format
    from pfcompile.distributed.captures import Capture
    from pfcompile.distributed.course import Course
    from pfcompile.distributed.results import FileResult


class Keeper(Protocol):
    """Makes files of what tasks have kept.

    Attributes:
        place: The folder that the run's own folder is to be in; None: there is nothing to keep.
        task_format: The format in which a task writes what it keeps of all of a capture; None for
            the capture's own.
    """

    place: Path | None
    task_format: Format | None

    def take(self, number: int, course: Course, folder: str) -> FileResult:
        """Return what has become of a capture, which is over.

        Args:
            number: Which one it is, from 0.
            course: What tasks have made of it.
            folder: The run's own folder.

        Raises:
            CaptureError: The output cannot be written.
        """

    def finish(self, folder: str) -> None:
        """Do what can be done only when all captures are over; raises as `take`."""


class Counts:
    """Keeps nothing."""

    place: Path | None = None
    task_format: Format | None = None

    def take(self, _number: int, course: Course, _folder: str) -> FileResult:
        """Return what has become of a capture."""
        return course.result(None, course.error)

    def finish(self, folder: str) -> None:
        """Do nothing."""


class OneFile:
    """Puts what is kept of all captures into one file, in their order."""

    task_format: Format | None = None

    def __init__(
        self, output: str, captures: Sequence[Capture], write_format: Format | None
    ) -> None:
        """Raise CaptureError if there cannot be such a file."""
        check_file(output)
        check_not_read([output], [each.source for each in captures])
        self._target = str(Path(output).resolve())  # a link goes on to be one
        self.place: Path | None = Path(self._target).parent
        self._output = output
        self._write_format = write_format
        self._pieces: dict[int, list[str]] = {}

    def take(self, number: int, course: Course, _folder: str) -> FileResult:
        """Return what has become of a capture; raises as `Keeper` says."""
        if course.unwritten is not None:
            raise CaptureError(course.unwritten, self._output)
        if not course.pieces:
            return course.result(None, course.error)
        self._pieces[number] = course.pieces
        return course.result(self._output, course.error)

    def finish(self, folder: str) -> None:
        """Make the file; raises as `Keeper` says."""
        captures = [self._pieces[number] for number in sorted(self._pieces)]
        try:
            join(captures, self._target, self._write_format, folder)
        except CaptureError as error:
            raise CaptureError(error.message, self._output) from error


class Folder:
    """Makes a file for each capture, as soon as that is over."""

    def __init__(
        self, output: str, captures: Sequence[Capture], write_format: Format | None
    ) -> None:
        """Raise CaptureError if there cannot be such files."""
        sources = [each.source for each in captures]
        self._targets = [str(Path(output, name)) for name in names_in_folder(sources, write_format)]
        check_not_read(self._targets, sources)
        self.place: Path | None = Path(output).absolute()
        self.task_format: Format | None = write_format

    def take(self, number: int, course: Course, folder: str) -> FileResult:
        """Return what has become of a capture; what is wrong with its output is its error."""
        target = self._targets[number]
        try:
            is_made = self._make(target, course, folder)
        except CaptureError as error:
            return course.result(None, str(error))
        finally:
            for each in course.pieces:
                with suppress(OSError):
                    Path(each).unlink(missing_ok=True)
        return course.result(target if is_made else None, course.error)

    def _make(self, target: str, course: Course, folder: str) -> bool:
        """Make the file of a capture; tell whether there is any."""
        pieces = course.pieces
        if course.unwritten is not None:
            raise CaptureError(course.unwritten, target)
        if not pieces:
            return False
        try:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CaptureError(f"cannot be written: {error.strerror or error}", target) from error
        if course.capture.parts == (None,):
            publish(pieces[0], target)
            return True
        return join([pieces], target, self.task_format, folder)

    def finish(self, folder: str) -> None:
        """Do nothing."""


def keeper(output: str | None, captures: Sequence[Capture], write_format: Format | None) -> Keeper:
    """Return what makes the output that was asked for.

    Raises:
        CaptureError: There cannot be such an output.
    """
    if output is None:
        return Counts()
    if is_folder(output):
        return Folder(output, captures, write_format)
    return OneFile(output, captures, write_format)
