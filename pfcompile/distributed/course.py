"""What has become of a capture so far: its parts are done in any order, and taken in the file's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pfcompile.captures.formats import pcap
from pfcompile.distributed.results import FileResult

if TYPE_CHECKING:
    from pfcompile.distributed.captures import Capture
    from pfcompile.distributed.parts import Part
    from pfcompile.distributed.tasks import Outcome


class Course:
    """The outcomes of a capture's tasks.

    Attributes:
        capture: The capture.
        is_over: Whether there is nothing more to be done.
    """

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.is_over = False
        self._parts = list(capture.parts)
        self._waiting: dict[int, Outcome] = {}
        self._place: int | None = pcap.HEADER_LENGTH
        self._taken: list[Outcome] = []
        self._next = 0

    def part(self, number: int) -> Part | None:
        """Return a part, from where it has to be walked by what is known now."""
        return self._parts[number]

    def add(self, number: int, outcome: Outcome) -> int | None:
        """Take what a task has come to.

        Returns:
            A part that has not begun where the one before has ended, and has to be done again.
        """
        if self.is_over:
            return None  # behind damage nothing counts
        self._waiting[number] = outcome
        while self._next in self._waiting:
            part = self._parts[self._next]
            found = self._waiting.pop(self._next)
            if part is not None and not part.is_exact and found.walked.begun != self._place:
                assert self._place is not None
                self._parts[self._next] = replace(part, start=self._place, is_exact=True)
                return self._next
            self._taken.append(found)
            self._place = found.walked.ended
            self._next += 1
            if found.error is not None or found.unwritten is not None:
                self.is_over = True
                break
        self.is_over = self.is_over or self._next == len(self._parts)
        return None

    @property
    def pieces(self) -> list[str]:
        """The files with what was kept."""
        return [each.piece for each in self._taken if each.piece is not None]

    @property
    def error(self) -> str | None:
        """What is wrong with the capture; it is over then."""
        return self._taken[-1].error if self._taken else None

    @property
    def unwritten(self) -> str | None:
        """Why what was kept of it cannot be written; it is over then."""
        return self._taken[-1].unwritten if self._taken else None

    def result(self, output: str | None, error: str | None) -> FileResult:
        """Return what has become of it.

        Args:
            output: The file with its matches.
            error: What is wrong.
        """
        return FileResult(
            self.capture.name,
            sum(each.packets for each in self._taken),
            sum(each.matched for each in self._taken),
            sum(each.bytes for each in self._taken),
            sum(each.matched_bytes for each in self._taken),
            error,
            output,
        )
