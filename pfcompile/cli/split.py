"""`pfcompile split`: several filters in one pass, each with an output of its own.

An output that fails ends alone: the others go on, and the command fails in the end. It ends at once
when none is left. Exit status: as of `pfcompile filter`.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pfcompile.captures.blocks.scans import Wanted
from pfcompile.captures.output import STANDARD_OUTPUT
from pfcompile.captures.writer import Format, open_writer
from pfcompile.cli import standard_output
from pfcompile.cli.scanning import Scan, counted, scan_options
from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pfcompile.captures.blocks.scans import Run
    from pfcompile.captures.filtering import Destination, Tally
    from pfcompile.captures.formats.records import Item
    from pfcompile.captures.writer import AutomaticWriter
    from pfcompile.errors import PfcompileError

MOST_FILTERS: Final = 64
"""As many as a verdict has bits."""


@click.command("split")
@scan_options
@click.option(
    "-w",
    "outputs",
    multiple=True,
    metavar="OUT",
    help="Write the matches of an expression here: the first for the first one, and so on.",
)
@click.option(
    "--write-format",
    type=click.Choice([each.value for each in Format]),
    help="Format of all OUT; else as their names end (.pcap, .pcapng), or as the first input.",
)
@click.argument("texts", nargs=-1, required=True, metavar="EXPR...")
def command(
    outputs: tuple[str, ...], write_format: str | None, texts: tuple[str, ...], **options: Any
) -> None:
    """Filter with several expressions at once: `split -r IN tcp -w tcp.pcap udp -w udp.pcap`.

    Each EXPR is one argument, so quote it, and each has an OUT; a packet goes to all whose
    expression it matches. Without -w, only how many match each EXPR is printed. The captures are
    read once.
    """
    _check_usage(outputs, texts, write_format)

    @contextmanager
    def open_destinations(
        tell: Callable[[PfcompileError], None],
    ) -> Iterator[Sequence[Destination]]:
        chosen = None if write_format is None else Format(write_format)
        with ExitStack() as opened:
            if not outputs:
                yield [_Nothing() for _ in texts]
                return
            going = _Going(len(outputs), tell)
            ones = [opened.enter_context(_open_one(each, chosen, going)) for each in outputs]
            try:
                yield ones
            except BaseException:
                _begin_all(ones)
                raise

    def report(tally: Tally) -> None:
        if not outputs:
            for number, text in zip(tally.counts, texts, strict=True):
                standard_output.write(f"{number}\t{text}\n")

    scan = Scan(**options)
    wanted = Wanted(copies=bool(outputs))
    scan.run(texts, outputs, open_destinations, wanted, report=report)


def _check_usage(outputs: Sequence[str], texts: Sequence[str], write_format: str | None) -> None:
    """Refuse what cannot be meant, before anything is opened."""
    if len(texts) > MOST_FILTERS:
        raise click.UsageError(f"at most {MOST_FILTERS} expressions at once, not {len(texts)}")
    if outputs and len(outputs) != len(texts):
        raise click.UsageError(
            f"{counted(len(texts), 'expression')}, but -w {counted(len(outputs), 'time')}: each "
            "expression is one argument, so quote it, and has one -w"
        )
    if not outputs and write_format is not None:
        raise click.UsageError("--write-format needs -w")
    for number, output in enumerate(outputs):
        for other in outputs[:number]:
            if _is_same_output(output, other):
                same = output if output == other else f"{output}, which is {other},"
                raise click.UsageError(f"-w {same} is given twice")


def _is_same_output(one: str, other: str) -> bool:
    """Tell whether what is written to two outputs would get mixed, by whatever names and links."""
    try:
        found = [_status_of(each) for each in (one, other)]
    except OSError:  # at least one is yet to be made
        return os.path.realpath(one) == os.path.realpath(other)
    return os.path.samestat(*found) and not stat.S_ISCHR(found[0].st_mode)


def _status_of(output: str) -> os.stat_result:
    return os.fstat(1) if output == STANDARD_OUTPUT else Path(output).stat()


def _begin_all(ones: Sequence[_One]) -> None:
    """Let no older file stay beside outputs that have been begun."""
    if any(one.writer.kept for one in ones):
        for one in ones:
            one.writer.kept = True


class _Going:
    """The outputs that have not failed."""

    def __init__(self, count: int, tell: Callable[[PfcompileError], None]) -> None:
        self._count = count
        self._tell = tell

    def lose(self, error: CaptureError | BrokenPipeError) -> None:
        """Go on without one; raises its error if it was the last."""
        self._count -= 1
        if not self._count:
            raise error
        if isinstance(error, CaptureError):  # a reader that has gone is no mistake
            self._tell(error)


class _One:
    """An output whose failing leaves the others going.

    Attributes:
        writer: Writes it.
        failed: Whether it takes nothing any more.
    """

    def __init__(self, writer: AutomaticWriter, going: _Going) -> None:
        self.writer = writer
        self._going = going
        self.failed = False

    def write(self, item: Item) -> None:
        """Take an item."""
        self._unless_failed(self.writer.write, item)

    def write_run(self, run: Run, number: int) -> None:
        """Take what a scan has kept."""
        self._unless_failed(self.writer.write_run, run, number)

    def flush(self) -> None:
        """Hand on what is finished."""
        self._unless_failed(self.writer.flush)

    def _unless_failed(self, act: Callable[..., None], *arguments: Any) -> None:
        if self.failed:
            return
        try:
            act(*arguments)
        except (CaptureError, BrokenPipeError) as error:
            self.failed = True
            self._going.lose(error)


@contextmanager
def _open_one(path: str, write_format: Format | None, going: _Going) -> Iterator[_One]:
    """Open an output; see `open_writer`. Failing to close it leaves the others going, too."""
    is_done = False
    one = None
    try:
        with open_writer(path, write_format) as writer:
            one = _One(writer, going)
            yield one
            is_done = True
    except (CaptureError, BrokenPipeError) as error:
        if not is_done:
            raise
        if one is not None and not one.failed:
            going.lose(error)


class _Nothing:
    """Takes packets that are only counted."""

    def write(self, item: Item) -> None:
        """Take an item."""

    def flush(self) -> None:
        """Do nothing."""
