"""What a capture does beside moving packets: it obeys signals, and says how far it is.

SIGINT and SIGTERM end it, a second one behind the records that are being written, a third at once,
and so the second where somebody may never read them; SIGUSR1 has the counts said; SIGHUP has the
expression's file read again, or ends it where there is none.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, Final

import click

from pfcompile.captures.output import raise_between_writes
from pfcompile.cli import common
from pfcompile.cli.capturing.sources import exchange
from pfcompile.cli.signals import obeyed
from pfcompile.errors import FilterError, KernelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from types import FrameType

    from pfcompile.cli.capturing.loop import Loop
    from pfcompile.cli.capturing.sources import Source

_LIVE_SECONDS: Final = 1.0


class Control:
    """Obeys signals and tells.

    Attributes:
        loops: What moves packets.
        sources: All interfaces of all loops.
    """

    def __init__(
        self, sources: Sequence[Source], *, file: str | None, shows: bool, may_block: bool
    ) -> None:
        """Prepare.

        Args:
            sources: All interfaces of all loops.
            file: Where the expression is; None where it was on the command line.
            shows: Whether to say on a terminal how far it is.
            may_block: Whether writing may wait for somebody to read.
        """
        self.loops: list[Loop] = []
        self.sources = sources
        self._file = file
        self._may_block = may_block
        self._times_ended = 0
        self._shows = shows and sys.stderr is not None and sys.stderr.isatty()
        self._shown_at = time.monotonic()
        self._has_shown = False
        self._asked_for: set[int] = set()

    def signals(self) -> AbstractContextManager[None]:
        """Return what obeys signals while a block runs."""
        return obeyed(self._end, self._ask, reads_again=self._file is not None)

    def attend(self) -> float | None:
        """Do what was asked for by a signal, and show the counts; return when it is time again."""
        while self._asked_for:
            number = self._asked_for.pop()
            if number == signal.SIGUSR1:
                self._say(", ".join(self._counts()))
            else:
                self._read_again()
        if not self._shows:
            return None
        now = time.monotonic()
        if now - self._shown_at >= _LIVE_SECONDS:
            self._shown_at = now
            self._has_shown = True
            click.echo(f"\r{', '.join(self._counts())}\x1b[K", nl=False, err=True)
        return self._shown_at + _LIVE_SECONDS - now

    def say_where(self) -> None:
        """Say on standard error what is captured."""
        for source in self.sources:
            ring = source.ring
            place = "" if ring.user_filter is None else ", filtering outside the kernel"
            link_type = ring.link_type
            self._say(
                f"listening on {ring.interface.name},"
                f" link-type {link_type.name} ({link_type.description}){place}"
            )
        self._say_filters()

    def say_counts(self) -> None:
        """Say on standard error how many packets there were."""
        for line in self._counts():
            self._say(line)

    def _counts(self) -> list[str]:
        statistics = [source.ring.statistics() for source in self.sources]
        return [
            f"{sum(source.captured for source in self.sources)} packets captured",
            f"{sum(each.received for each in statistics)} packets received by filter",
            f"{sum(each.dropped for each in statistics)} packets dropped by kernel",
        ]

    def _say(self, line: str) -> None:
        before = "\r\x1b[K" if self._has_shown else ""
        self._has_shown = False
        click.echo(f"{before}{line}", err=True)

    def _say_filters(self) -> None:
        for said in dict.fromkeys(source.told() for source in self.sources):
            if said:
                self._say(f"pfcompile: {said}")

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._times_ended += 1
        for loop in self.loops:
            loop.stop()
            if self._times_ended > 1:
                loop.break_off()
        if self._times_ended > (1 if self._may_block else 2):
            raise_between_writes(KeyboardInterrupt())

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self._asked_for.add(number)
        for loop in self.loops:
            loop.wake()

    def _read_again(self) -> None:
        """Filter with what the file has now, unless that is wrong."""
        try:
            assert self._file is not None
            text = common.expression((), self._file)
            common.check_emptied(text, self._file)
            exchange(list(self.sources), text)
        except FilterError as error:
            self._say(f"pfcompile: {error}")
            self._say("pfcompile: the filter stays as it was")
        except (KernelError, click.UsageError) as error:
            message = error.message if isinstance(error, click.UsageError) else str(error)
            self._say(f"pfcompile: {message}; the filter stays as it was")
        else:
            self._say(f"filtering with what {self._file} has now")
            self._say_filters()
