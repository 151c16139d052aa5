"""Of tests of one value that exclude each other, make those first that have most behind them.

Before::
    b1:  br ldb[20] == 47, accept, b2
    b2:  br ldb[20] == 44, b4, b3
    b3:  br ldb[20] == 4, accept, reject
After::
    b1:  br ldb[20] == 44, b4, b2
    b2:  br ldb[20] == 47, accept, b3
    b3:  br ldb[20] == 4, accept, reject

The longest way through the filter then has the fewest of them on it. What decides the filter is
together at the end, where it becomes one set and where other parts of the graph often end alike.
Sound because at most one of the tests holds, so that each is asked with the same outcome in any
order.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pfcompile.ir.graph import Branch, Graph, Label, rebuild_with, successors
from pfcompile.passes.swap_tests import exclude_each_other

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.ir.graph import Block, Builder


def order_switches(graph: Graph) -> Graph:
    """Return `graph` with the tests of every switch in the order of what is behind them."""
    ways_to = Counter(after for block in graph.blocks for after in dict.fromkeys(successors(block)))
    heights = _heights(graph)
    rows: dict[Label, list[Branch]] = {}
    inside: set[Label] = set()
    for label in graph.labels:
        if label in inside:
            continue
        row, members = _switch(graph, label, ways_to)
        if len(row) > 1:
            rows[label] = row
            inside.update(members)

    rows = {label: row for label, row in rows.items() if row != _ordered(heights, row)}
    if not rows:
        return graph

    def rewrite(
        builder: Builder, label: Label, block: Block, names: Mapping[Label, Label]
    ) -> Label:
        row = rows.get(label)
        if row is None:
            return builder.add(block)
        after = names[row[-1].no]
        for member in reversed(_ordered(heights, row)):
            after = builder.add(Branch(member.test, names[member.yes], after, member.origins))
        return after

    return rebuild_with(graph, rewrite)


def _heights(graph: Graph) -> dict[Label, int]:
    """Return how many blocks lie at most between each block and the end of the filter."""
    heights: dict[Label, int] = {}
    for label in reversed(graph.labels):
        below = (heights[after] for after in successors(graph[label]))
        heights[label] = 1 + max(below, default=-1)
    return heights


def _switch(
    graph: Graph, label: Label, ways_to: Counter[Label]
) -> tuple[list[Branch], list[Label]]:
    """Return the tests from `label` on that exclude each other, and the labels of all but it."""
    row: list[Branch] = []
    members: list[Label] = []
    while isinstance(block := graph[label], Branch):
        if not all(exclude_each_other(earlier.test, block.test) for earlier in row):
            break
        if len(row) == _LONGEST:
            break
        if row:
            members.append(label)
        row.append(block)
        label = block.no
        if ways_to[label] != 1:
            break
    return row, members


_LONGEST = 64
"""Tests of one switch that are looked at together."""


def _ordered(heights: Mapping[Label, int], row: Sequence[Branch]) -> list[Branch]:
    """Return the tests of a row, those first behind which most blocks lie."""
    return sorted(row, key=lambda member: -heights[member.yes])
