"""An attachment while its command runs: it obeys signals, and shows what is counted.

SIGINT and SIGTERM end it, and so does whoever detaches it; SIGUSR1 has the counts said; SIGHUP has
the expression's file read again, or ends it where there is none.
"""

from __future__ import annotations

import errno
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from pfcompile.cli.attaching import words
from pfcompile.errors import KernelError, PfcompileError
from pfcompile.kernel.bpf.waiting import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from pfcompile.kernel.attach import Attachment, Counters

_ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_TURN_SECONDS: Final = 0.2
"""A signal that asks for something is obeyed so soon."""
_LIVE_SECONDS: Final = 1.0
_ENDED: Final = "somebody has detached it, or what it was attached to has gone"


class Running:
    """One attachment that is watched."""

    def __init__(self, session: Attachment, again: Callable[[], None] | None = None) -> None:
        """Prepare.

        Args:
            session: The attachment.
            again: Reads the expression's file again and replaces the filter; None where there is
                no file.
        """
        self._session = session
        self._again = again
        self._shows = sys.stderr is not None and sys.stderr.isatty()
        self._has_shown = False
        self._shown: tuple[float, Counters] | None = None
        self._asked_for: set[int] = set()
        self._waiter = Waiter()

    def run(self, first: str) -> None:
        """Watch until a signal ends it.

        Args:
            first: What is said once signals are obeyed.

        Raises:
            KernelError: ENOLINK where somebody has detached it, or its interface has gone.
        """
        try:
            with self._waiter, self._signals():
                self.say(first)
                while not self._waiter.is_stopped:
                    self._waiter.wait(_TURN_SECONDS)
                    self._attend()
                    if not self._session.is_attached():
                        raise KernelError(_ENDED, errno.ENOLINK)
        finally:
            self.say(self._counts())

    def say(self, line: str) -> None:
        """Print a line on standard error."""
        before = "\r\x1b[K" if self._has_shown else ""
        self._has_shown = False
        click.echo(f"{before}{line}", err=True)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        handlers: dict[int, Callable[[int, FrameType | None], None]] = dict.fromkeys(
            _ENDING_SIGNALS, self._end
        )
        handlers[signal.SIGUSR1] = self._ask
        if self._again is not None:
            handlers[signal.SIGHUP] = self._ask
        elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # it is not run by nohup
            handlers[signal.SIGHUP] = self._end
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._waiter.stop()

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self._asked_for.add(number)

    def _attend(self) -> None:
        """Do what was asked for by a signal, and show the counts where somebody looks on."""
        while self._asked_for:
            if self._asked_for.pop() == signal.SIGUSR1:
                self.say(self._counts())
            elif self._again is not None:
                try:
                    self._again()
                except (PfcompileError, click.UsageError) as error:
                    said = error.message if isinstance(error, click.UsageError) else str(error)
                    self.say(f"pfcompile: {said}")
                    self.say("pfcompile: the filter stays as it was")
                else:
                    self.say("filtering with what the file has now")
        if self._shows:
            self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if self._shown is not None and now - self._shown[0] < _LIVE_SECONDS:
            return
        counters = self._session.counters()
        since, before = self._shown or (now, counters)
        self._shown = now, counters
        self._has_shown = True
        speed = words.rate((counters - before).seen_packets, now - since)
        line = f"{words.counted(counters, self._session.action)}, {speed}"
        click.echo(f"\r{line}\x1b[K", nl=False, err=True)

    def _counts(self) -> str:
        return words.counted(self._session.counters(), self._session.action)
