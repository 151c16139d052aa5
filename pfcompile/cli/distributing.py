"""`pfcompile filter --dask`: captures filtered by the workers of a dask scheduler."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, Final, Self

import click

from pfcompile.captures.filtering import Tally
from pfcompile.captures.output import STANDARD_OUTPUT
from pfcompile.captures.sources.inputs import STANDARD_INPUT
from pfcompile.cli import common, standard_output
from pfcompile.cli.scanning import (
    STATUS_SIGNAL,
    EndedError,
    counted,
    ended_like_interrupted,
    summary,
)
from pfcompile.errors import PfcompileError

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from pfcompile.cli.scanning import Scan
    from pfcompile.distributed import Progress, Result

LOCAL: Final = "local"
"""The address that stands for processes of this machine."""

_TAKEN: Final = {
    *("address", "inputs", "output", "count", "write_format", "expression_file", "words"),
    *("engine", "no_optimize", "no_names"),
}
"""The parameters of `pfcompile filter` that go with `--dask`."""


def distribute(
    address: str,
    scan: Scan,
    text: str,
    output: str | None,
    write_format: str | None,
    *,
    count: bool,
) -> None:
    """Filter, and end the process.

    Args:
        address: The scheduler's, or `LOCAL`.
        scan: What else the command line asks for.
        text: The expression.
        output: A file or a folder; None where packets are only counted.
        write_format: The format of what is written.
        count: Whether to print how many match.
    """
    _check_usage(scan, output, count=count)
    from pfcompile.distributed import filter as filter_distributed  # noqa: PLC0415 - loads much

    started = time.monotonic()
    status = 0
    try:
        with ended_like_interrupted(), _TaskBar() as bar:
            result = filter_distributed(
                scan.inputs,
                text,
                output,
                address=None if address == LOCAL else address,
                optimize=not scan.no_optimize,
                resolver=common.resolver(no_names=scan.no_names),
                engine=scan.engine,
                write_format=write_format,
                progress=bar.update,
                complain=bar.complain,
            )
    except KeyboardInterrupt as interrupt:
        ended_by = interrupt.number if isinstance(interrupt, EndedError) else signal.SIGINT
        sys.exit(STATUS_SIGNAL + ended_by)
    except PfcompileError as error:
        common.fail(error)
    for each in result.errors:
        status = common.STATUS_FAILED
        click.echo(f"pfcompile: {each}", err=True)
    if count:
        standard_output.write(f"{counted(result.matched, 'packet')}\n")
    standard_output.flush()
    click.echo(summary(_tally(result, started)), err=True)
    sys.exit(status)


def _check_usage(scan: Scan, output: str | None, *, count: bool) -> None:
    """Refuse what cannot be meant, before anything is opened."""
    context = click.get_current_context()
    for each in context.command.params:
        given = context.get_parameter_source(each.name or "")
        if each.name not in _TAKEN and given is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--dask does not go with {each.opts[0]}")
    if output is None and not count:
        raise click.UsageError("--dask needs -w or --count")
    if output == STANDARD_OUTPUT:
        raise click.UsageError("--dask writes to a file or a folder, not to standard output")
    if STANDARD_INPUT in scan.inputs:
        raise click.UsageError("--dask does not read standard input, which has only one reader")


def _tally(result: Result, started: float) -> Tally:
    return Tally(
        result.packets, result.bytes, [result.matched], [result.matched_bytes], None, started
    )


class _TaskBar:
    """How many tasks are over, on standard error, where a person looks at it."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr is not None and sys.stderr.isatty()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Return itself; nothing is shown before the first tasks are given away."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def update(self, progress: Progress) -> None:
        """Show how far it is."""
        if not self._is_shown:
            return
        if self._bar is None or self._task is None:
            self._bar = _new_bar()
            self._bar.start()
            self._task = self._bar.add_task("")
        self._bar.update(
            self._task,
            completed=progress.bytes_done,
            total=progress.bytes,
            description=f"{progress.tasks_done}/{progress.tasks} tasks",
        )

    def complain(self, reason: str) -> None:
        """Print what the user should know."""
        if self._bar is not None:
            self._bar.console.print(f"pfcompile: {reason}", markup=False, highlight=False)
        else:
            click.echo(f"pfcompile: {reason}", err=True)


def _new_bar() -> Bar:
    from rich.console import Console  # noqa: PLC0415 - for a terminal only
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    # Drawn by a thread, too: minutes may pass between two tasks.
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,
    )
