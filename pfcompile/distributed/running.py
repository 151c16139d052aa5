"""Tasks given to the workers of a scheduler, and what they come to collected."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pfcompile import __version__
from pfcompile.distributed.course import Course
from pfcompile.distributed.results import Progress
from pfcompile.distributed.tasks import Expression, Outcome, Task, do_task, installed
from pfcompile.errors import PfcompileError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from pfcompile.captures.writer import Format
    from pfcompile.distributed.captures import Capture

_AHEAD: Final = 4096
"""Tasks that the scheduler is given at a time: more than there are workers, and not all of many
thousands, which would take its memory and our time before anything is done."""


def check_workers(client: Any, complain: Callable[[str], None]) -> None:
    """See to it that the workers which are there have what tasks need.

    Tasks that are given to one that does not would end it, and the next one.

    Raises:
        PfcompileError: One has not.
    """
    if not client.nthreads():
        complain("the scheduler has no workers yet, and waits for one")
    for address, found in client.run(installed, on_error="return").items():
        if isinstance(found, OSError):
            continue  # it has gone
        if isinstance(found, Exception):
            raise PfcompileError(f"the worker at {address} lacks what it needs: {found}")
        if found != __version__:
            raise PfcompileError(
                f"the worker at {address} has pfcompile {found}, and not {__version__} as here"
            )


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done with the captures.

    Attributes:
        expression: What they are filtered with.
        folder: Where pieces go; None where packets are only counted.
        write_format: The format of a piece that is all of a capture; None for the capture's own.
        token: Makes the keys of this run's tasks different from all others.
        progress: Told how far it is.
        complain: Told, once each, what the user should know.
    """

    expression: Expression
    folder: str | None
    write_format: Format | None
    token: str
    progress: Callable[[Progress], None]
    complain: Callable[[str], None]


class Run:
    """The tasks of a run, on their way."""

    def __init__(self, client: Any, order: Order, captures: Sequence[Capture]) -> None:
        """Prepare.

        Args:
            client: A `distributed.Client`.
            order: What is to be done.
            captures: With them.
        """
        self._client = client
        self._order = order
        self._courses = [Course(each) for each in captures]
        self._waiting = deque(
            (capture, part)
            for capture, each in enumerate(captures)
            for part in range(len(each.parts))
        )
        self._given: dict[Any, tuple[int, int]] = {}
        self._attempts = 0
        self._complaints: set[str] = set()
        stored = [each.stored for each in captures]
        known = [each for each in stored if each is not None]
        self._progress = Progress(
            0, len(self._waiting), 0, sum(known) if len(known) == len(stored) else None
        )

    def courses(self) -> Generator[tuple[int, Course], None, None]:
        """Yield each capture's number and course when it is over.

        Raises:
            FilterError: The expression is wrong for a link type.
            PfcompileError: The scheduler has gone.
        """
        from distributed import as_completed  # noqa: PLC0415 - loads much

        completed = as_completed(loop=self._client.loop)
        self._order.progress(self._progress)
        try:
            self._give_more(completed)
            for future in completed:
                capture, part = self._given.pop(future)
                course = self._courses[capture]
                was_over = course.is_over
                again = course.add(part, self._outcome(future, course))
                if again is None:
                    self._count(course, part)
                else:
                    completed.add(self._give(capture, again, priority=1))
                self._give_more(completed)
                self._order.progress(self._progress)
                if course.is_over and not was_over:
                    yield capture, course
        finally:
            self._client.cancel(list(self._given))

    def _give_more(self, completed: Any) -> None:
        while self._waiting and len(self._given) < _AHEAD:
            capture, part = self._waiting.popleft()
            if self._courses[capture].is_over:
                self._count(self._courses[capture], part)
            else:
                completed.add(self._give(capture, part))

    def _give(self, capture: int, number: int, priority: int = 0) -> Any:
        """Give a task to the scheduler."""
        course, order = self._courses[capture], self._order
        part = course.part(number)
        task = Task(
            course.capture.source,
            course.capture.name,
            part,
            order.folder,
            order.write_format if part is None else None,
        )
        self._attempts += 1
        future = self._client.submit(
            do_task,
            order.expression,
            task,
            key=f"pfcompile-{order.token}-{self._attempts}",
            priority=priority,
            pure=False,
        )
        self._given[future] = capture, number
        return future

    def _count(self, course: Course, part: int) -> None:
        done = self._progress
        self._progress = done._replace(
            tasks_done=done.tasks_done + 1,
            bytes_done=done.bytes_done + course.capture.bytes_of(part),
        )

    def _outcome(self, future: Any, course: Course) -> Outcome:
        """Return what a task has come to.

        Raises:
            FilterError: The expression is wrong for its link type.
            PfcompileError: The scheduler has gone, or the workers cannot do our tasks.
        """
        from distributed import CancelledError, KilledWorker  # noqa: PLC0415 - loads much

        name = course.capture.name
        try:
            outcome: Outcome = future.result()
        except KilledWorker:
            return Outcome(error=f"{name}: cannot be filtered: each worker that tried has died")
        except CancelledError as error:
            raise PfcompileError("the scheduler has gone, or has been told to stop") from error
        except Exception as error:
            reason = " ".join(str(error).split())
            raise PfcompileError(
                "scheduler and workers need what is installed here, in the same versions: "
                f"{type(error).__name__}: {reason}"
            ) from error
        finally:
            future.release()
        for each in outcome.complaints:
            if each not in self._complaints:
                self._complaints.add(each)
                self._order.complain(each)
        if outcome.refused is not None:
            raise outcome.refused
        return outcome
