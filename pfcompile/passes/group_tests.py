"""Bring tests of one value together in a row of alternatives.

Before::
    b0:  br ldh[x + 14] == 80, b9, b1
    b1:  br ldh[x + 16] == 80, b9, b2
    b2:  br ldh[x + 14] == 443, b9, b3
    b3:  br ldh[x + 16] == 443, b9, b10
After::
    b0:  br ldh[x + 14] == 80, b9, b1
    b1:  br ldh[x + 14] == 443, b9, b2
    b2:  br ldh[x + 16] == 80, b9, b3
    b3:  br ldh[x + 16] == 443, b9, b10

Each value is then loaded once, and the one that the test before the row looks at comes first. The
same with the sides turned round: a row of conditions that must
all hold. Sound because tests only read: whether any of them holds (all of them hold) does not
depend on their order, but where a packet is cut off before one of the loads. Only the first of a
row may be reached from elsewhere.

Each block moves once, in one walk.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pfcompile.ir.graph import Branch, Builder, Graph, Label, rebuild_with, successors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.ir.graph import Block
    from pfcompile.ir.values import Value


def group_tests(graph: Graph) -> Graph:
    """Return `graph` with the tests of every row sorted by value, first come first."""
    reached_from = Counter(
        target for block in graph.blocks for target in dict.fromkeys(successors(block))
    )
    value_before = _values_before(graph)
    row_of: dict[Label, Sequence[Branch]] = {}
    inside: set[Label] = set()
    for label in graph.labels:
        if label not in inside:
            row = _row(graph, label, reached_from)
            if len(row) > 1:
                inside.update(row[1:])
                row_of[label] = [_branch(graph, member) for member in row]

    def rewrite(builder: Builder, label: Label, block: Block, names: Mapping[Label, Label]) -> Label:
        row = row_of.get(label)
        if row is None:
            return builder.add(block)
        return _write_row(builder, _grouped(row, value_before.get(label)), row, names)

    return rebuild_with(graph, rewrite)


def _branch(graph: Graph, label: Label) -> Branch:
    block = graph[label]
    assert isinstance(block, Branch)
    return block


def _row(graph: Graph, first: Label, reached_from: Counter[Label]) -> list[Label]:
    """Return the longest row that begins at `first`: all share their yes side, or their no side."""
    block = graph[first]
    if not isinstance(block, Branch):
        return [first]
    rows = []
    for shares_yes in (True, False):
        shared = block.yes if shares_yes else block.no
        row, label = [first], block.no if shares_yes else block.yes
        while reached_from[label] == 1:
            after = graph[label]
            if not isinstance(after, Branch) or (after.yes if shares_yes else after.no) != shared:
                break
            row.append(label)
            label = after.no if shares_yes else after.yes
        rows.append(row)
    return max(rows, key=len)


def _values_before(graph: Graph) -> dict[Label, Value | None]:
    """Return, for each block, the value that all tests leading to it look at, or None."""
    found: dict[Label, Value | None] = {}
    for block in graph.blocks:
        value = block.test.left if isinstance(block, Branch) else None
        for target in successors(block):
            found[target] = value if found.get(target, value) is value else None
    return found


def _grouped(row: Sequence[Branch], loaded: Value | None) -> list[Branch]:
    """Return the blocks of a row, those of one value together, `loaded` before the others."""
    by_value: dict[Value, list[Branch]] = {}
    for block in row:
        by_value.setdefault(block.test.left, []).append(block)
    order = sorted(by_value, key=lambda value: value is not loaded)
    return [block for value in order for block in by_value[value]]


def _write_row(
    builder: Builder, blocks: Sequence[Branch], row: Sequence[Branch], names: Mapping[Label, Label]
) -> Label:
    """Return where the row begins in the new graph, its blocks in their new order."""
    first, last = row[0], row[-1]
    shares_yes = first.yes == last.yes
    shared = names[first.yes if shares_yes else first.no]
    label = names[last.no if shares_yes else last.yes]
    for block in reversed(blocks):
        yes, no = (shared, label) if shares_yes else (label, shared)
        label = builder.add(Branch(block.test, yes, no, block.origin))
    return label
