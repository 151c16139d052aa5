"""`pfcompile filter`: the packets of captures that match an expression.

Packets go to standard output, one line each, or to a capture file; counts, progress and errors go
to standard error. Exit status: 0; 1 for damaged or unreadable input and for output that cannot be
written; 2 for a bad expression or usage; 130 after an interrupt.
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, Self

import click

from pfcompile.captures.filtering import Stats, Tally, filter_captures
from pfcompile.captures.folders import expand
from pfcompile.captures.inputs import STANDARD_INPUT, local_path, size_of
from pfcompile.captures.output import STANDARD_OUTPUT, is_same_file
from pfcompile.captures.records import Item, Record
from pfcompile.captures.summary import summarize
from pfcompile.captures.writer import Format, open_writer
from pfcompile.cli import common
from pfcompile.errors import CaptureError, FilterError, PfcompileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from pfcompile.captures.filtering import Destination
    from pfcompile.captures.inputs import Source
    from pfcompile.files import Programs
    from pfcompile.program import Program

STATUS_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells say it

PROGRESS_AFTER: Final = 1.0
"""Seconds before a progress bar appears: what is over sooner needs none."""


@click.command("filter")
@click.option(
    "-r",
    "inputs",
    multiple=True,
    required=True,
    metavar="IN",
    help="Read this file, all captures in this folder, or a URL, compressed or not; '-' is stdin.",
)
@click.option("-w", "output", metavar="OUT", help="Write a capture; '-' is stdout.")
@click.option("-c", "limit", type=click.IntRange(min=1), metavar="N", help="Stop after N matches.")
@click.option("--count", is_flag=True, help="Print only how many packets match.")
@click.option(
    "--write-format",
    type=click.Choice([each.value for each in Format]),
    help="Format of OUT; else as its name ends (.pcap, .pcapng), or as the first input.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "native", "interp"]),
    default="auto",
    show_default=True,
    help="Run the filter as native code (pcap only), or interpret it; auto goes by the size.",
)
@click.option("-F", "expression_file", metavar="FILE", help="Read the expression from this file.")
@click.option("-O", "no_optimize", is_flag=True, help="Do not optimize the filter.")
@click.option(
    "-s",
    "snaplen",
    type=click.IntRange(min=1, max=(1 << 31) - 1),
    metavar="BYTES",
    help="Snapshot length the filter is compiled for (packets are not cut).",
)
@click.option("-n", "no_names", is_flag=True, help="Look no names up in the expression.")
@common.protochain_headers_option
@click.argument("words", nargs=-1, metavar="EXPR...")
def command(
    inputs: tuple[str, ...],
    output: str | None,
    limit: int | None,
    count: bool,
    write_format: str | None,
    engine: str,
    expression_file: str | None,
    no_optimize: bool,
    snaplen: int | None,
    no_names: bool,
    protochain_headers: int,
    words: tuple[str, ...],
) -> None:
    """Print or write the packets that match EXPR.

    Without -w or --count, prints a line a packet: local time (TZ=UTC for UTC), protocol, addresses
    and ports as numbers, length on the wire and in the file. No EXPR matches every packet.
    """
    unreadable: list[PfcompileError] = []
    sources = expand(inputs, unreadable.append)
    _check_usage(sources, output, count=count, write_format=write_format)
    text = common.expression(words, expression_file)
    chosen = None if write_format is None else Format(write_format)
    destination: AbstractContextManager[Destination] = (
        open_writer(output, chosen) if output is not None else nullcontext(_lines(count=count))
    )
    tally = Tally()
    status = 0

    def on_damage(error: PfcompileError) -> None:
        nonlocal status
        status = common.STATUS_FAILED
        bar.close()
        common.complain(error)

    bar = _ProgressBar(sources, wanted=output not in {None, STANDARD_OUTPUT} or count)
    try:
        programs = _programs(
            text,
            engine,
            keep=not count or output is not None,
            snaplen=snaplen,
            optimize=not no_optimize,
            names=not no_names,
            protochain_headers=protochain_headers,
        )
        for each in unreadable:
            on_damage(each)
        with bar, destination as taker:
            filter_captures(
                sources,
                taker,
                programs,
                tally=tally,
                on_damage=on_damage,
                limit=limit,
                progress=bar.update,
                scanner_for=programs.scanner,
            )
        if count:
            _print(f"{_counted(tally.matched, 'packet')}\n")
        _flush()
    except FilterError as error:
        common.complain(error)
        sys.exit(common.STATUS_USAGE)
    except BrokenPipeError:
        common.forget_standard_output()
        sys.exit(status)
    except KeyboardInterrupt:
        status = STATUS_INTERRUPTED
    except PfcompileError as error:
        common.complain(error)
        status = common.STATUS_FAILED
    _flush_or_forget()
    click.echo(_summary(tally.stats()), err=True)
    sys.exit(status)


def _check_usage(
    inputs: Sequence[Source], output: str | None, *, count: bool, write_format: str | None
) -> None:
    """Refuse what cannot be meant, before anything is opened for writing."""
    if inputs.count(STANDARD_INPUT) > 1:
        raise click.UsageError("standard input can be read only once")
    if output is None:
        if write_format is not None:
            raise click.UsageError("--write-format needs -w")
        return
    if output == STANDARD_OUTPUT:
        if count:
            raise click.UsageError("--count and -w - would both write to standard output")
        if sys.stdout is not None and sys.stdout.isatty():
            raise click.UsageError("a capture is not written to a terminal")
    for each in inputs:
        path = STANDARD_INPUT if each == STANDARD_INPUT else local_path(each)
        if path is not None and is_same_file(output, path):
            raise click.UsageError(f"-w {output} would overwrite the input {each}")


def _programs(
    text: str,
    engine: str,
    *,
    keep: bool,
    snaplen: int | None,
    optimize: bool,
    names: bool,
    protochain_headers: int,
) -> Programs:
    """Return what compiles the expression for a link type, and runs it."""
    # Here, so that `--help` and usage errors do not wait for the compiler to load.
    from pfcompile.compiler import compile as compile_filter  # noqa: PLC0415
    from pfcompile.files import Engine, Programs  # noqa: PLC0415

    resolver = common.resolver(no_names=not names)

    def compiled(dlt: int, file_snaplen: int) -> Program:
        return compile_filter(
            text,
            link_type=dlt,
            snaplen=snaplen or file_snaplen,
            optimize=optimize,
            savefile=True,
            resolver=resolver,
            protochain_headers=protochain_headers,
        )

    def complain(reason: str) -> None:
        click.echo(f"pfcompile: {reason}", err=True)

    return Programs(compiled, Engine(engine), keep=keep, complain=complain)


class _Lines:
    """Prints a line for every packet."""

    def write(self, item: Item) -> None:
        """Print a packet; everything else has no line."""
        if isinstance(item, Record):
            _print(f"{summarize(item)}\n")

    def flush(self) -> None:
        """Let the lines be seen before a read that may block."""
        _flush()


class _Nothing:
    """Prints nothing: for `--count`."""

    def write(self, item: Item) -> None:
        """Take an item."""

    def flush(self) -> None:
        """Do nothing."""


def _lines(*, count: bool) -> Destination:
    return _Nothing() if count else _Lines()


class _ProgressBar:
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
        if self._progress is None or self._task is None:
            self._progress, self._task = self._start()
        self._progress.update(self._task, completed=done, refresh=True)
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


def _summary(stats: Stats) -> str:
    return (
        f"{_counted(stats.packets, 'packet')} read ({_counted(stats.bytes, 'byte')}), "
        f"{stats.matched} matched ({_counted(stats.matched_bytes, 'byte')}), "
        f"{stats.seconds:.3f} s"
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _print(text: str) -> None:
    """Write to standard output.

    Raises:
        CaptureError: It cannot be written.
        BrokenPipeError: Nobody reads it any more.
    """
    if sys.stdout is None:
        raise CaptureError("standard output is closed", STANDARD_OUTPUT)
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _not_written(error) from error


def _flush() -> None:
    """Hand on what has been printed; raises as `_print`."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _not_written(error) from error


def _flush_or_forget() -> None:
    """Hand on what has been printed, in an end that has its error already."""
    try:
        _flush()
    except (BrokenPipeError, CaptureError):
        common.forget_standard_output()


def _not_written(error: OSError) -> CaptureError:
    return CaptureError(f"cannot be written: {error.strerror or error}", STANDARD_OUTPUT)
