"""An attachment while its command runs: it obeys signals, and shows what is counted.

SIGINT and SIGTERM end it, and so does whoever detaches it; SIGUSR1 has the counts said; SIGHUP has
the expression's file read again, or ends it where there is none.
"""

from __future__ import annotations

import errno
import signal
import sys
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

import click

from pfcompile.cli import signals
from pfcompile.cli.attaching import words
from pfcompile.errors import AttachmentError, KernelError, PfcompileError
from pfcompile.kernel.bpf.waiting import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import FrameType

    from pfcompile.cli.attaching.extras import Outlet
    from pfcompile.cli.attaching.sinks import Sink
    from pfcompile.kernel.attach import Attachment, Counters, Reports

_TURN_SECONDS: Final = 0.2
"""A signal that asks for something is obeyed so soon."""
_BATCH: Final = 1024
_LIVE_SECONDS: Final = 1.0
_ENDED: Final = "somebody has detached it, or what it was attached to has gone"


class Running:
    """One attachment that is watched."""

    def __init__(
        self,
        session: Attachment,
        *,
        again: Callable[[], str] | None = None,
        reports: Reports | None = None,
        sink: Sink | None = None,
        count: int | None = None,
        is_ours: bool = True,
    ) -> None:
        """Prepare.

        Args:
            session: The attachment.
            again: Reads the expression's file again, replaces the filter and returns the
                expression; None where there is no file.
            reports: The packets that it reports.
            sink: Where they go; None where it reports none.
            count: How many of them are enough.
            is_ours: Whether it ends with this command.
        """
        self._session = session
        self._again = again
        self._reports = reports
        self._sink = sink
        self._left = count
        self._is_ours = is_ours
        self._shows = (
            sys.stderr is not None
            and sys.stderr.isatty()
            and not (sink is not None and sink.is_on_terminal)
        )
        self._has_shown = False
        self._shown: tuple[float, Counters] | None = None
        self._attended = 0.0
        self._asked_for: set[int] = set()
        self._waiter = Waiter()
        if reports is not None:
            self._waiter.add(reports.fileno())

    def run(self, first: str) -> None:
        """Watch until a signal ends it, or there are enough packets, or nobody reads them.

        A second signal ends it without the packets that wait to be written.

        Args:
            first: What is said once signals are obeyed.

        Raises:
            KernelError: ENOLINK where somebody has detached it, or its interface has gone.
            CaptureError: The output cannot be written.
            KeyboardInterrupt: A second signal came.
        """
        try:
            with self._waiter, self._obeying():
                self.say(first)
                self._watch()
                if self._is_ours:
                    # What comes from now on is no business of this filter: all that it has
                    # counted is going to be reported.
                    with suppress(KernelError):
                        self._session.detach()
                    self._take(until=None)
        except BrokenPipeError:
            pass  # whoever reads has had enough, as with `| head`
        except KeyboardInterrupt:
            self._sink = None  # it waits for who reads, which is not to be waited for
            raise
        finally:
            self._close()

    def _watch(self) -> None:
        while not self._waiter.is_stopped:
            self._waiter.wait(_TURN_SECONDS)
            self._take(until=time.monotonic() + _TURN_SECONDS)
            if time.monotonic() - self._attended >= _TURN_SECONDS or self._asked_for:
                self._attended = time.monotonic()
                self._attend()
                if not self._session.is_attached():
                    raise KernelError(_ENDED, errno.ENOLINK)

    def _take(self, until: float | None) -> None:
        """Hand on the packets that are there, or as many as go until a time."""
        if self._reports is None or self._sink is None:
            return
        while self._left != 0 and (packets := self._reports.read(0, _BATCH)):
            if self._left is not None:
                packets = packets[: self._left]
                self._left -= len(packets)
                if not self._left:
                    self._waiter.stop()
            self._sink.take(packets)
            if until is not None and time.monotonic() > until:
                break

    def _close(self) -> None:
        """End the output, and say what was counted."""
        try:
            if self._sink is not None:
                with suppress(BrokenPipeError):
                    self._sink.close(self._session.counters())
        finally:
            self.say(self._counts())
            if self._session.counts_sources:
                for line in words.by_source(self._session.sources()):
                    self.say(line)

    def say(self, line: str) -> None:
        """Print a line on standard error."""
        before = "\r\x1b[K" if self._has_shown else ""
        self._has_shown = False
        click.echo(f"{before}{line}", err=True)

    def _obeying(self) -> AbstractContextManager[None]:
        return signals.obeyed(self._end, self._ask, reads_again=self._again is not None)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        if self._waiter.is_stopped:
            raise KeyboardInterrupt
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
                    expression = self._again()
                    if self._sink is not None:
                        self._sink.change_filter(expression)
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
        line = f"{self._counts(counters)}, {speed}"
        click.echo(f"\r{line}\x1b[K", nl=False, err=True)

    def _counts(self, counters: Counters | None = None) -> str:
        counters = self._session.counters() if counters is None else counters
        session = self._session
        return words.counted(counters, session.action, reports=session.reports_packets)


def watch(
    session: Attachment,
    outlet: Outlet,
    first: str,
    again: Callable[[], str] | None = None,
    *,
    is_ours: bool = True,
) -> None:
    """Watch an attachment until a signal ends it; see `Running`.

    Raises:
        KernelError: As of `Running.run`.
        CaptureError: The output cannot be written.
    """
    with ExitStack() as held:
        reports = sink = None
        if session.reports_packets:
            try:
                reports = held.enter_context(session.reports())
            except AttachmentError as error:
                if is_ours or outlet.is_wanted:
                    raise
                click.echo(f"pfcompile: {error}; there are counts", err=True)
            else:
                sink = outlet.open(session.description())
        running = Running(
            session, again=again, reports=reports, sink=sink, count=outlet.count, is_ours=is_ours
        )
        running.run(first)
