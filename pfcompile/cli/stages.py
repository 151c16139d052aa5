"""Seeing the compiler at work: --dump-after, --stats and --timings.

All three are made from what `compile` tells its observer, and go to standard error, so that the
program on standard output stays what it is. A graph is printed after a line that names its pass::

    --- fold
    b0:  br ldh[12] == 0x800, b1, b2  ; 0-2
    b1:  accept
    b2:  reject

What follows such a line reads back (`ir.text.parse_graph`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from pfcompile.cbpf.generate import generate
from pfcompile.errors import FilterError
from pfcompile.ir.graph import Graph
from pfcompile.passes.pipeline import PASS_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pfcompile.cbpf.ways import WayLengths
    from pfcompile.passes.observer import Observer, Stage

EVERYTHING: Final = "all"

DUMPED: Final = ("lower", *PASS_NAMES, EVERYTHING)
"""What --dump-after takes: every stage that a graph comes out of."""


@dataclass(frozen=True, slots=True)
class _Row:
    """What is known of one stage; None where a number has no meaning, or there is no program."""

    name: str
    seconds: float
    blocks: int | None = None
    instructions: int | None = None
    paths: WayLengths | None = None


class Stages:
    """An observer that prints graphs as they come, and keeps the numbers for a table."""

    def __init__(self, dump_after: Sequence[str], *, stats: bool, timings: bool) -> None:
        """Choose what to show.

        Args:
            dump_after: Stages whose graphs to print, of `DUMPED`.
            stats: Whether to count: blocks, instructions and the lengths of ways, after each stage.
            timings: Whether to give each stage's part of the time, and their sum.
        """
        self._dump_after = frozenset(DUMPED if EVERYTHING in dump_after else dump_after)
        self._stats = stats
        self._timings = timings
        self._rows: list[_Row] = []

    @property
    def observer(self) -> Observer | None:
        """What to give to `compile`: nothing where nothing is to be shown."""
        return self._take if self._dump_after or self._stats or self._timings else None

    def report(self) -> None:
        """Print the table of what has been taken so far, if one was asked for."""
        if self._stats or self._timings:
            click.echo(self._table(), err=True)

    def _take(self, stage: Stage) -> None:
        if isinstance(stage.product, Graph) and stage.name in self._dump_after:
            from pfcompile.ir.text import print_graph  # noqa: PLC0415 - only for --dump-after

            click.echo(f"--- {stage.name}\n{print_graph(stage.product)}", err=True)
        self._rows.append(_counted(stage) if self._stats else _Row(stage.name, stage.seconds))

    def _table(self) -> str:
        rows = self._rows
        total = sum(row.seconds for row in rows)
        columns: list[tuple[str, Callable[[_Row], str]]] = [("stage", lambda row: row.name)]
        if self._stats:
            columns += _COUNTS
        columns.append(("ms", lambda row: f"{1000 * row.seconds:.3f}"))
        if self._timings:
            columns.append(("share", lambda row: f"{row.seconds / (total or 1):.0%}"))
            rows = [*rows, _Row("total", total)]
        cells = [[title for title, _ in columns]]
        cells += [[show(row) for _, show in columns] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join([first.ljust(widths[0]), *map(str.rjust, others, widths[1:])])
            for first, *others in cells
        )


def _counted(stage: Stage) -> _Row:
    """Return the numbers of a stage; a graph's instructions are those it would become as it is."""
    from pfcompile.cbpf.ways import way_lengths  # noqa: PLC0415 - only for --stats

    match stage.product:
        case Graph() as graph:
            try:
                program = generate(graph, 1)
            except FilterError:  # too long as it is, which a later pass may change
                return _Row(stage.name, stage.seconds, len(graph))
            return _Row(stage.name, stage.seconds, len(graph), len(program), way_lengths(program))
        case tuple() as program:
            return _Row(stage.name, stage.seconds, None, len(program), way_lengths(program))
        case _:
            return _Row(stage.name, stage.seconds)


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)


_COUNTS: Final[tuple[tuple[str, Callable[[_Row], str]], ...]] = (
    ("blocks", lambda row: _number(row.blocks)),
    ("instructions", lambda row: _number(row.instructions)),
    ("longest path", lambda row: _number(row.paths and row.paths.longest)),
    ("shortest path", lambda row: _number(row.paths and row.paths.shortest)),
)
"""The columns of --stats."""
