"""`pfcompile split`: several filters in one pass, each with an output of its own."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from pfcompile.captures.output import STANDARD_OUTPUT, is_same_file
from pfcompile.captures.scans import Wanted
from pfcompile.captures.writer import Format, open_writer
from pfcompile.cli import standard_output
from pfcompile.cli.scanning import Scan, scan_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.captures.filtering import Destination, Tally
    from pfcompile.captures.records import Item

MOST_FILTERS = 64
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
@click.argument("texts", nargs=-1, required=True, metavar="EXPR [EXPR...]")
def command(
    outputs: tuple[str, ...], write_format: str | None, texts: tuple[str, ...], **options: Any
) -> None:
    """Filter with several expressions at once: `split -r IN tcp -w tcp.pcap udp -w udp.pcap`.

    Each EXPR is one argument, and each has an OUT; a packet goes to all whose expression it
    matches. Without -w, only how many match each EXPR is printed. The captures are read once.
    """
    _check_usage(outputs, texts, write_format)

    @contextmanager
    def open_destinations() -> Iterator[Sequence[Destination]]:
        chosen = None if write_format is None else Format(write_format)
        with ExitStack() as opened:
            if outputs:
                yield [opened.enter_context(open_writer(each, chosen)) for each in outputs]
            else:
                yield [_Nothing() for _ in texts]

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
        raise click.UsageError(f"at most {MOST_FILTERS} expressions at once")
    if outputs and len(outputs) != len(texts):
        raise click.UsageError(
            f"{len(texts)} expressions and {len(outputs)} times -w: each expression is one "
            "argument (quote it) and has one -w"
        )
    if not outputs and write_format is not None:
        raise click.UsageError("--write-format needs -w")
    for number, output in enumerate(outputs):
        for other in outputs[:number]:
            if output == other or (output != STANDARD_OUTPUT and is_same_file(output, other)):
                raise click.UsageError(f"-w {output} is given twice")


class _Nothing:
    """Takes packets that are only counted."""

    def write(self, item: Item) -> None:
        """Take an item."""

    def flush(self) -> None:
        """Do nothing."""
