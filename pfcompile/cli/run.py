"""`pfcompile run PROGRAM -r CAPTURE`: what a program says of the packets of captures."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from pfcompile.captures.formats.records import Item, Record
from pfcompile.captures.output import STANDARD_OUTPUT, is_same_file
from pfcompile.captures.reader import open_source, read_items
from pfcompile.captures.summary import summarize
from pfcompile.captures.writer import open_writer
from pfcompile.cli import common, programs
from pfcompile.cli.runners import PLACES, runner
from pfcompile.errors import CaptureError, PfcompileError, ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from pfcompile.captures.filtering import Destination
    from pfcompile.cli.runners import Verdict


@click.command("run")
@programs.with_family
@click.option(
    "-r", "inputs", multiple=True, required=True, metavar="IN", help="Read this; '-' is stdin."
)
@click.option("-w", "output", metavar="OUT", help="Write what is kept; '-' is stdout.")
@click.option(
    "-c",
    "limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop after N packets that the program accepts.",
)
@click.option("--count", is_flag=True, help="Print only how many packets got each verdict.")
@click.option(
    "--target",
    type=click.Choice(list(PLACES)),
    help="eBPF: what it is run as. [what an object file says, else user]",
)
@click.option(
    "--engine",
    type=click.Choice(["interp", "native"]),
    default="interp",
    show_default=True,
    help="Interpret the program, or compile it to native code first.",
)
@click.option(
    "--program", "name", metavar="NAME", help="Of an object file: the function or section."
)
@click.argument("file", metavar="PROGRAM")
def command(
    family: str | None,
    inputs: tuple[str, ...],
    output: str | None,
    limit: int | None,
    count: bool,
    target: str | None,
    engine: str,
    name: str | None,
    file: str,
) -> None:
    """Run PROGRAM on every packet of IN and print its verdicts, one packet a line.

    PROGRAM is any file that `pfcompile disasm` reads. -w keeps the packets that the program
    accepts, and -c counts them: at xdp and tc those that go on, elsewhere those for which it does
    not return 0.
    """
    _check_usage(inputs, output, file, count=count)
    totals: Counter[tuple[int, str]] = Counter()
    accepted = 0
    show = not count and output is None
    try:
        if sys.stdout is None and (show or count):
            raise ProgramError("standard output is closed")
        given = programs.read_program(file, family, name=name, target=target)
        judge = runner(given, native=engine == "native")
        destination: AbstractContextManager[Destination | None] = (
            nullcontext() if output is None else open_writer(output)
        )
        with destination as kept:
            for record, verdict in _judged(inputs, judge, kept):
                totals[verdict.number, verdict.name] += 1
                if show:
                    click.echo(f"{verdict.name}\t{summarize(record)}")
                accepted += verdict.keeps
                if accepted == limit:
                    break
    except BrokenPipeError:
        common.forget_standard_output()
        sys.exit(common.STATUS_FAILED)
    except PfcompileError as error:
        if count:
            _print_totals(totals)
        common.fail(error)
    if count:
        _print_totals(totals)


def _check_usage(inputs: Sequence[str], output: str | None, file: str, *, count: bool) -> None:
    """Refuse what cannot be meant, before anything is opened for writing."""
    common.check_standard_input(*inputs, file)
    if output is None:
        return
    if output == STANDARD_OUTPUT and count:
        raise click.UsageError("--count and -w - would both write to standard output")
    if output == STANDARD_OUTPUT and sys.stdout is not None and sys.stdout.isatty():
        raise click.UsageError("a capture is not written to a terminal: give -w FILE, or a pipe")
    for each in (*inputs, file):
        if is_same_file(output, each):
            raise click.UsageError(f"-w {output} would overwrite the input {each}")


def _judged(
    inputs: Sequence[str], judge: Callable[[Record], Verdict], kept: Destination | None
) -> Iterator[tuple[Record, Verdict]]:
    """Yield every packet with its verdict; what is kept goes to `kept`.

    Raises:
        CaptureError: An input cannot be read or is damaged, or the output cannot be written.
        ProgramError: The program did what it may not; names the packet.
    """
    for each in inputs:
        number = 0
        for item in _items(each):
            if not isinstance(item, Record):
                if kept is not None:
                    kept.write(item)
                continue
            number += 1
            try:
                verdict = judge(item)
            except ProgramError as error:
                raise CaptureError(f"packet {number}: the program fails: {error}", each) from error
            if kept is not None and verdict.keeps:
                kept.write(item)
            yield item, verdict


def _items(name: str) -> Iterator[Item]:
    with open_source(name) as stream:
        yield from read_items(stream, name)


def _print_totals(totals: Counter[tuple[int, str]]) -> None:
    for (_, name), packets in sorted(totals.items()):
        click.echo(f"{packets}\t{name}")
