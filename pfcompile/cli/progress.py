"""How far a command has come, shown to a person who waits."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Self

from pfcompile.captures.sources.inputs import size_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from pfcompile.captures.sources.inputs import Source

PROGRESS_AFTER: Final = 1.0
"""Seconds before a progress bar appears: what is over sooner needs none."""


class ProgressBar:
    """A progress bar on standard error, for long inputs, where a person looks at it."""

    def __init__(self, inputs: Sequence[Source], *, wanted: bool) -> None:
        """Prepare; nothing is shown, and rich not loaded, before `PROGRESS_AFTER` seconds.

        Args:
            inputs: The captures, whose sizes give the total where all are known.
            wanted: False where lines go to standard output, which the bar would disturb.
        """
        self._shown = wanted and sys.stderr is not None and sys.stderr.isatty()
        self._inputs = inputs
        self._due = time.monotonic() + PROGRESS_AFTER
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def update(self, done: int) -> None:
        """Show how many bytes have been read."""
        if not self._shown or time.monotonic() < self._due:
            return
        progress, task = self._progress, self._task  # another thread may take the bar away
        if progress is None or task is None:
            progress, task = self._progress, self._task = self._start()
        progress.update(task, completed=done, refresh=True)
        self._due = time.monotonic() + 0.1

    def close(self) -> None:
        """Take the bar away; it comes back with the next update that is due."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self.close()

    def _start(self) -> tuple[Progress, TaskID]:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        # Without a thread of its own: it is drawn between two reads.
        progress = Progress(
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,
        )
        progress.start()
        return progress, progress.add_task("", total=self._total())

    def _total(self) -> int | None:
        """Return the bytes in all inputs, or None where that cannot be known."""
        sizes = [size_of(each) for each in self._inputs]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None
