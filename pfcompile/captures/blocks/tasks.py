"""Work that threads do ahead, and that comes out in order."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from queue import Full, Queue
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

AHEAD: Final = 1
"""Tasks, beside one for each thread, that may be begun before they are asked for."""

_PATIENCE: Final = 0.2
"""Seconds after which a thread that waits for room asks whether it is wanted still."""


class _Error(NamedTuple):
    error: BaseException


_FINISHED: Final = object()


class Task:
    """Something to walk; its row has what was found, then `_FINISHED`."""

    def __init__(
        self, items: Callable[[], Iterable[Any]], length: int, *, is_short: bool = False
    ) -> None:
        """Prepare.

        Args:
            items: Walks it, on a thread of the crew.
            length: How many items may wait, at least 1.
            is_short: Whether what it finds may all be in memory, so that whoever asks can do it.
        """
        self.is_short = is_short
        self._items = items
        self._row: Queue[Any] = Queue(length)
        self._cancelled = False
        self._over = False

    def run(self) -> None:
        """Walk it."""
        try:
            if not self._cancelled:
                for item in self._items():
                    if not self._put(item):
                        break
        except BaseException as error:  # noqa: BLE001 - it is raised where the item is asked for
            self._put(_Error(error))
        self._put(_FINISHED, always=True)

    def run_here(self) -> None:
        """Walk it on the thread that will ask for what it finds."""
        self._row.maxsize = 0
        self.run()

    def items(self, before_waiting: Callable[[], object]) -> Iterator[Any]:
        """Yield what the row has, as it comes.

        Args:
            before_waiting: Is called where it has nothing; where it returns what is true, the row
                is looked at again before it is waited for.
        """
        while True:
            if self._row.empty() and before_waiting():
                continue
            item = self._row.get()
            if item is _FINISHED:
                self._over = True
                return
            if isinstance(item, _Error):
                error = item.error
                try:
                    raise error
                finally:
                    # Else the error would keep this frame, which keeps it, and what is open in
                    # others that it has come through.
                    del item, error
            yield item

    def cancel(self) -> None:
        """Let it stop soon; what its row has is not wanted."""
        self._cancelled = True

    def wait(self) -> None:
        """Wait until it has stopped."""
        while not self._over:
            self._over = self._row.get() is _FINISHED

    def _put(self, item: Any, *, always: bool = False) -> bool:
        """Put an item into the row as soon as there is room; return whether that was wanted."""
        while not self._cancelled:
            with suppress(Full):
                self._row.put(item, timeout=_PATIENCE)
                return True
        if always:
            with self._row.mutex:
                self._row.queue.clear()
            self._row.put(item)
        return False


class Crew:
    """Threads that do tasks in the order in which they are given.

    The thread that asks for what they find is one of them: instead of waiting it does the next
    short task. With as many threads as processors and one more to ask, that one would often have to
    wait for a processor, and the others for it.
    """

    def __init__(self, jobs: int) -> None:
        """Prepare for so many threads, this one included; each is started when it has a task."""
        self._jobs = jobs
        self._waiting: deque[Task | None] = deque()  # None lets a thread end
        self._arrived = threading.Semaphore(0)  # as many as wait
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(jobs + AHEAD)
        self._open = 0  # tasks that are not over
        self._threads = 0

    @property
    def is_short(self) -> bool:
        """Whether threads may soon have nothing to do."""
        return self._open < self._jobs + AHEAD

    def add(self, task: Task) -> Task:
        """Have a task done behind those added before; return it."""
        self._open += 1
        self._put(task)
        if self._threads < self._jobs - task.is_short:
            self._start(task)
        return task

    def help(self) -> bool:
        """Do the next task on this thread; return False where there is none to be done here."""
        if not self._slots.acquire(blocking=False):
            return False
        with self._lock:
            task = self._waiting[0] if self._waiting else None
            if task is None or not task.is_short or not self._arrived.acquire(blocking=False):
                self._slots.release()
                return False
            self._waiting.popleft()
        task.run_here()
        return True

    def task_over(self) -> None:
        """Tell that nothing more is asked of the oldest task."""
        self._open -= 1
        self._slots.release()

    def close(self) -> None:
        """Let the threads end, once each task has been done or cancelled."""
        for _ in range(self._threads):
            self._put(None)
            self._slots.release()

    def _put(self, task: Task | None) -> None:
        self._waiting.append(task)
        self._arrived.release()

    def _start(self, task: Task) -> None:
        """Start a thread; where the system has no more, those that there are must do.

        Raises:
            CaptureError: There is none at all.
        """
        # A thread may wait for a pipe that never gives anything, and must keep nobody.
        thread = threading.Thread(target=self._work, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._jobs = self._threads
            if not self._threads and not task.is_short:
                raise CaptureError("no thread can be started: use -j 1", "") from error
        else:
            self._threads += 1

    def _work(self) -> None:
        while True:
            self._slots.acquire()
            self._arrived.acquire()
            with self._lock:
                task = self._waiting.popleft()
            if task is None:
                return
            task.run()
