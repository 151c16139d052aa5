"""What filtering on many machines has come to, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class FileResult:
    """What has become of one capture.

    Attributes:
        path: The capture, as it was named or found in a folder.
        packets: Packets read.
        matched: Those of them that matched.
        bytes: Captured bytes of the packets read, without headers.
        matched_bytes: Captured bytes of those that matched.
        error: What is wrong with it, or None. What was whole before that counts.
        output: The file that has its matches; None where there is none.
    """

    path: str
    packets: int
    matched: int
    bytes: int
    matched_bytes: int
    error: str | None
    output: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """What filtering some captures has come to.

    Attributes:
        files: What has become of each, in the order of the inputs.
        unreadable: What is wrong with inputs that are no captures: folders that cannot be read, or
            have none.
        seconds: How long it took.
    """

    files: tuple[FileResult, ...]
    unreadable: tuple[str, ...]
    seconds: float

    @property
    def packets(self) -> int:
        """Packets read."""
        return sum(each.packets for each in self.files)

    @property
    def matched(self) -> int:
        """Those of them that matched."""
        return sum(each.matched for each in self.files)

    @property
    def bytes(self) -> int:
        """Captured bytes of the packets read, without headers."""
        return sum(each.bytes for each in self.files)

    @property
    def matched_bytes(self) -> int:
        """Captured bytes of those that matched."""
        return sum(each.matched_bytes for each in self.files)

    @property
    def errors(self) -> tuple[str, ...]:
        """Everything that went wrong."""
        of_files = [each.error for each in self.files if each.error is not None]
        return (*self.unreadable, *of_files)


class Progress(NamedTuple):
    """How far it is.

    Attributes:
        tasks_done: Tasks that are over.
        tasks: All tasks, a file or a part each.
        bytes_done: Bytes of files that are over, as they are stored.
        bytes: Bytes of all files; None where the size of one is not known before.
    """

    tasks_done: int
    tasks: int
    bytes_done: int
    bytes: int | None
