"""`pfcompile explain -r`: how often packets came to each term and each test, as text or JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from pfcompile.captures.folders import expand
from pfcompile.cli import common
from pfcompile.cli.explaining.failing import fail
from pfcompile.cli.progress import ProgressBar
from pfcompile.errors import FilterError, PfcompileError
from pfcompile.explain.counting.captures import Reading, hits
from pfcompile.fields import describe
from pfcompile.ir.graph import Accept, Branch, Let, Reject

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.explain.counting.found import Hits, LinkTypeHits
    from pfcompile.ir.graph import Label
    from pfcompile.names.answers import Resolver

_LONGEST: Final = 60
"""Characters of a term or a test that are written out."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for.

    Attributes:
        inputs: The captures, and folders of them.
        text: The expression.
        optimize: Whether the graph is the optimised one.
        snaplen: What the graph is compiled for; None: that of the captures.
        resolver: Where names are looked up.
        protochain_headers: How many headers `protochain` follows.
        engine: "auto", "native" or "interp".
        jobs: How many threads scan.
        format_name: "text" or "json".
    """

    inputs: tuple[str, ...]
    text: str
    optimize: bool
    snaplen: int | None
    resolver: Resolver
    protochain_headers: int
    engine: str
    jobs: int
    format_name: str

    def run(self) -> None:
        """Print it, and end the process where something is wrong."""
        status = 0

        def on_error(error: PfcompileError) -> None:
            nonlocal status
            status = common.STATUS_FAILED
            bar.close()
            common.complain(error)

        def complain(reason: str) -> None:
            bar.close()
            click.echo(f"pfcompile: {reason}", err=True)

        unreadable: list[PfcompileError] = []
        sources = expand(self.inputs, unreadable.append)
        bar = ProgressBar(sources, wanted=True)
        for each in unreadable:
            on_error(each)
        reading = Reading(
            engine=self.engine,
            jobs=self.jobs,
            progress=bar.update,
            complain=complain,
            on_damage=on_error,
        )
        try:
            with bar:
                found = hits(
                    list(sources),
                    self.text,
                    optimize=self.optimize,
                    snaplen=self.snaplen,
                    resolver=self.resolver,
                    protochain_headers=self.protochain_headers,
                    reading=reading,
                )
        except FilterError as error:
            fail(error, self.format_name)
        except PfcompileError as error:
            on_error(error)
            sys.exit(status)
        if self.format_name == "json":
            click.echo(json.dumps(found.as_json(), indent=2))
        else:
            click.echo("\n".join(lines(found)))
        sys.exit(status)


def lines(found: Hits) -> Iterator[str]:
    """Yield the tables of all link types."""
    yield f"Read as: {found.understood or 'every packet'}"
    if not found.link_types:
        yield "No packets."
    for each in found.link_types:
        yield ""
        yield f"{each.link_type}: {_counted(each.packets)}, {each.matched:,} matched"
        if each.turned_away_before:
            yield f"  {each.turned_away_before:,} turned away before the first term"
        if each.terms:
            yield ""
            yield from _terms(each)
        yield ""
        yield "optimized graph:" if found.optimized else "graph as written:"
        yield from _blocks(each)


def _counted(number: int) -> str:
    return f"{number:,} packet{'' if number == 1 else 's'}"


def _terms(found: LinkTypeHits) -> Iterator[str]:
    head = ["term", "reached", "true", "false", "cut short", "let in", "turned away"]
    rows = [
        [
            _short(each.text),
            *_numbers(each.reached, each.true, each.false),
            *_numbers(each.cut_short, each.let_in, each.turned_away),
        ]
        for each in found.terms
    ]
    yield from _table([head, *rows], left=1)


def _blocks(found: LinkTypeHits) -> Iterator[str]:
    head = ["block", "test", "reached", "yes", "", "no", "", "cut short"]
    rows = [head]
    words = describe(found.graph, found.dlt)
    for label in found.graph.labels:
        flow = found.flows[label]
        reached, yes, no, cut_short = _numbers(flow.reached, flow.yes, flow.no, flow.cut_short)
        match found.graph[label]:
            case Branch(yes=then, no=otherwise):
                ways = [yes, _target(found, then), no, _target(found, otherwise)]
                rows.append([f"b{label}", _short(words[label]), reached, *ways, cut_short])
            case Let(next=after):
                ways = [yes, _target(found, after), "", ""]
                rows.append([f"b{label}", _short(words[label]), reached, *ways, cut_short])
            case Accept():
                rows.append([f"b{label}", "match", reached])
            case Reject():
                rows.append([f"b{label}", "no match", reached])
    yield from _table(rows, left=2)


def _target(found: LinkTypeHits, label: Label) -> str:
    match found.graph[label]:
        case Accept():
            return "-> match"
        case Reject():
            return "-> no match"
        case _:
            return f"-> b{label}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def _numbers(*numbers: int) -> list[str]:
    return [f"{each:,}" for each in numbers]


def _table(rows: Sequence[Sequence[str]], *, left: int) -> Iterator[str]:
    """Yield the lines of a table; its first columns, and those of targets, are set left."""
    columns = max(map(len, rows))
    full = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(len(row[column]) for row in full) for column in range(columns)]
    for row in full:
        cells = [
            cell.ljust(width) if column < left or cell.startswith("->") else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield ("  " + "  ".join(cells)).rstrip()
