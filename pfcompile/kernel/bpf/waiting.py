"""Waiting for several descriptors, with a way out that a signal handler may take.

Source: epoll(7), eventfd(2).
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Waiter:
    """Waits until one of several descriptors can be read, or somebody calls `stop`."""

    def __init__(self) -> None:
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self._poll = select.epoll()
            self._poll.register(self._stop, select.EPOLLIN)
        except BaseException:
            os.close(self._stop)
            raise
        self._is_stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._is_stopped

    def fileno(self) -> int:
        """Return a descriptor that can be read when waiting would be over."""
        return self._poll.fileno()

    def add(self, fd: int) -> None:
        """Wait for one more descriptor."""
        self._poll.register(fd, select.EPOLLIN)

    def stop(self) -> None:
        """End the waiting, now and for good; any thread or signal handler may call this."""
        self._is_stopped = True
        if self._stop >= 0:
            os.eventfd_write(self._stop, 1)

    def wait(self, timeout: float | None) -> tuple[int, ...]:
        """Return the descriptors that can be read; none after `timeout` seconds, or `stop`.

        Signals whose handlers return do not end it (PEP 475).
        """
        ready = self._poll.poll(timeout)
        return tuple(fd for fd, _ in ready if fd != self._stop)

    def close(self) -> None:
        """Close it; the descriptors that it waited for stay open. Again does nothing."""
        fd, self._stop = self._stop, -1
        if fd >= 0:
            self._poll.close()
            os.close(fd)
