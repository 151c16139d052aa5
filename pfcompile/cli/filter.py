"""`pfcompile filter`: the packets of captures that match an expression.

Packets go to standard output, one line each, or to a capture file; counts, progress and errors go
to standard error. Exit status: 0; 1 for damaged or unreadable input and for output that cannot be
written; 2 for a bad expression or usage; 129, 130 and 143 after SIGHUP, an interrupt and SIGTERM.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pfcompile.captures.blocks.scans import Wanted
from pfcompile.captures.formats.records import Item, Record
from pfcompile.captures.output import STANDARD_OUTPUT
from pfcompile.captures.writer import Format, open_writer
from pfcompile.cli import common, standard_output
from pfcompile.cli.scanning import Scan, counted, scan_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.captures.filtering import Destination, Tally


@click.command("filter")
@scan_options
@click.option("-w", "output", metavar="OUT", help="Write a capture; '-' is stdout.")
@click.option("-c", "limit", type=click.IntRange(min=1), metavar="N", help="Stop after N matches.")
@click.option("--count", is_flag=True, help="Print only how many packets match.")
@click.option(
    "--stats",
    is_flag=True,
    help="Print packets, bytes, first and last time of each interface, of all and of matches.",
)
@click.option("--json", "as_json", is_flag=True, help="Print --stats as JSON.")
@click.option(
    "--write-format",
    type=click.Choice([each.value for each in Format]),
    help="Format of OUT; else as its name ends (.pcap, .pcapng), or as the first input.",
)
@click.option(
    "--dask",
    "address",
    metavar="ADDRESS",
    help="Filter on the workers of this dask scheduler, or, for 'local', with processes here; "
    "OUT may be a folder.",
)
@click.option("-F", "expression_file", metavar="FILE", help="Read the expression from this file.")
@click.argument("words", nargs=-1, metavar="[EXPR...]")
def command(
    output: str | None,
    limit: int | None,
    count: bool,
    stats: bool,
    as_json: bool,
    write_format: str | None,
    address: str | None,
    expression_file: str | None,
    words: tuple[str, ...],
    **options: Any,
) -> None:
    """Print or write the packets that match EXPR.

    Without -w, --count or --stats, prints a line a packet: local time (TZ=UTC for UTC), protocol,
    addresses and ports as numbers, length on the wire and in the file. No EXPR matches every
    packet.
    """
    quiet = count or stats
    _check_usage(output, write_format, count=count, stats=stats, as_json=as_json)
    text = common.expression(words, expression_file)
    if address is not None:
        from pfcompile.cli.distributing import distribute  # noqa: PLC0415 - few need it

        distribute(address, Scan(**options), text, output, write_format, count=count)

    @contextmanager
    def open_destinations(_tell: object) -> Iterator[Sequence[Destination]]:
        if output is None:
            yield [_Nothing() if quiet else _Lines()]
            return
        with open_writer(output, None if write_format is None else Format(write_format)) as writer:
            yield [writer]

    def report(tally: Tally) -> None:
        if count:
            standard_output.write(f"{counted(tally.matched, 'packet')}\n")
        if stats:
            from pfcompile.cli.statistics import report as report_stats  # noqa: PLC0415

            report_stats(tally, as_json=as_json, filtered=bool(text.strip()))

    wanted = Wanted(copies=not quiet or output is not None, times=stats, limit=limit is not None)
    scan = Scan(**options)
    scan.run([text], [output], open_destinations, wanted, limit=limit, report=report)


def _check_usage(
    output: str | None, write_format: str | None, *, count: bool, stats: bool, as_json: bool
) -> None:
    """Refuse what cannot be meant, before anything is opened."""
    if output is None and write_format is not None:
        raise click.UsageError("--write-format needs -w")
    if output == STANDARD_OUTPUT and (count or stats):
        raise click.UsageError("--count or --stats and -w - would both write to standard output")
    if as_json and not stats:
        raise click.UsageError("--json needs --stats")
    if as_json and count:
        raise click.UsageError("--json has the number of --count in it")


class _Lines:
    """Prints a line for every packet."""

    def __init__(self) -> None:
        from pfcompile.captures.summary import summarize  # noqa: PLC0415 - not to count

        self._summarize = summarize

    def write(self, item: Item) -> None:
        """Print a packet; everything else has no line."""
        if isinstance(item, Record):
            standard_output.write(f"{self._summarize(item)}\n")

    def flush(self) -> None:
        """Let the lines be seen before a read that may block."""
        standard_output.flush()


class _Nothing:
    """Prints nothing: for `--count`."""

    def write(self, item: Item) -> None:
        """Take an item."""

    def flush(self) -> None:
        """Do nothing."""
