"""Bring tests of one value together in a row of alternatives.

Before::
    b0:  br ldh[x + 14] == 80, b9, b1
    b1:  br ldh[x + 16] == 80, b9, b2
    b2:  br ldh[x + 14] == 443, b9, b3
    b3:  br ldh[x + 16] == 443, b9, b10
After::
    b0:  br ldh[x + 14] in {80, 443}, b9, b1
    b1:  br ldh[x + 16] in {80, 443}, b9, b10

Each value is then loaded once, and the one that the test before the row looks at comes first. The
same with conditions that must all hold, and with tests turned round among them: all that counts
is that every test of the row has one way out to the same place. Sound because tests only read:
whether any of them leads out does not depend on their order, but where a packet is cut off before
one of the loads; tests that may divide by zero end a row. Only the first of a row may be reached
from elsewhere.

Each block moves once, in one walk.
"""

from __future__ import annotations

from collections import Counter
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import (
    Branch,
    Builder,
    Graph,
    Label,
    Test,
    rebuild_with,
    successors,
    united,
)
from pfcompile.ir.ranges import RangeList, complement, normal, prefix_range
from pfcompile.ir.values import Arithmetic, Const, Numbers, Value, numbers
from pfcompile.passes.fold import canonical, decide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.ir.graph import Block


_Tests: TypeAlias = "list[tuple[Branch, bool]]"
"""Tests of a row, each with whether its way out is its yes side."""


class _Row(NamedTuple):
    """Tests one after the other, each with a way out to one place.

    Attributes:
        members: Labels of the tests.
        tests: The tests.
        exit: Where they all lead out to.
        end: Where the last one goes on to.
    """

    members: Sequence[Label]
    tests: _Tests
    exit: Label
    end: Label


def group_tests(graph: Graph) -> Graph:
    """Return `graph` with the tests of every row sorted by value, first come first."""
    reached_from = Counter(
        target for block in graph.blocks for target in dict.fromkeys(successors(block))
    )
    value_before = _values_before(graph)
    grouped_at: dict[Label, tuple[_Row, _Tests | None]] = {}
    inside: set[Label] = set()
    for label in graph.labels:
        if label not in inside:
            row = _row(graph, label, reached_from)
            if row is not None:
                inside.update(row.members[1:])
                grouped = _grouped(row, value_before.get(label))
                if grouped != row.tests:
                    grouped_at[label] = row, grouped
    if not grouped_at:
        return graph

    def rewrite(
        builder: Builder, label: Label, block: Block, names: Mapping[Label, Label]
    ) -> Label:
        if label not in grouped_at:
            return builder.add(block)
        return _write_row(builder, *grouped_at[label], names)

    return rebuild_with(graph, rewrite)


def _row(graph: Graph, first: Label, reached_from: Counter[Label]) -> _Row | None:
    """Return the longest row of two and more tests that begins at `first`."""
    block = graph[first]
    if not isinstance(block, Branch):
        return None
    rows = [_row_to(graph, first, way_out, reached_from) for way_out in (block.yes, block.no)]
    longest = max(rows, key=lambda row: len(row.members))
    return longest if len(longest.members) > 1 else None


def _row_to(graph: Graph, first: Label, way_out: Label, reached_from: Counter[Label]) -> _Row:
    """Return the longest row that begins at `first` and whose way out is `way_out`."""
    members: list[Label] = []
    tests: _Tests = []
    label = first
    while True:
        block = graph[label]
        if (
            not isinstance(block, Branch)
            or way_out not in (block.yes, block.no)
            or block.test.may_end
        ):
            break
        members.append(label)
        tests.append((block, block.yes == way_out))
        label = block.no if block.yes == way_out else block.yes
        if reached_from[label] != 1:
            break
    return _Row(members, tests, way_out, label)


def _values_before(graph: Graph) -> dict[Label, Value | None]:
    """Return, for each block, the value that all tests leading to it look at, or None."""
    found: dict[Label, Value | None] = {}
    for block in graph.blocks:
        value = block.test.left if isinstance(block, Branch) else None
        for target in successors(block):
            found[target] = value if found.get(target, value) is value else None
    return found


def membership(test: Test) -> tuple[Value, RangeList] | None:
    """Return a value and the numbers for which a test of it holds, None where that is no set."""
    match test.op, test.left, test.right:
        case Comparison.EQ, Arithmetic(
            op=ArithmeticOp.AND, left=base, right=Const(value=mask)
        ), Const(value=k):
            prefix = prefix_range(k, mask)
            return None if prefix is None else (base, (prefix,))
        case Comparison.EQ, left, Const(value=k):
            return left, ((k, k),)
        case Comparison.GT, left, Const(value=k):
            return left, ((k + 1, WORD),)
        case Comparison.IN, left, Numbers(ranges=ranges):
            return left, ranges
        case _:
            return None


def _leaving(block: Branch, leaves_on_yes: bool) -> tuple[Value, RangeList] | None:
    """Return a value and its numbers for which a test leads out, None where that is no set."""
    found = membership(block.test)
    if found is None or leaves_on_yes:
        return found
    return found[0], complement(found[1])


def _key(block: Branch, leaves_on_yes: bool) -> Value:
    """Return the value by which a test is grouped: what it loads, without a prefix's mask."""
    leaving = _leaving(block, leaves_on_yes)
    return block.test.left if leaving is None else leaving[0]


def _united(tests: _Tests) -> _Tests | None:
    """Return the tests of one value, those that are sets of numbers made one.

    None where one of them always leads out, whatever the value.
    """
    sets, others = [], []
    for block, leaves_on_yes in tests:
        leaving = _leaving(block, leaves_on_yes)
        if leaving is None:
            others.append((block, leaves_on_yes))
        else:
            sets.append((block, leaves_on_yes, leaving))
    if len(sets) < 2:
        return tests
    value = sets[0][2][0]
    out = normal(pair for _, _, (_, ranges) in sets for pair in ranges)
    membership = Test(Comparison.IN, value, numbers(out))
    always = decide(membership)
    if always is not None:
        return None if always else others
    test, swapped = canonical(membership)
    first = sets[0][0]
    origins = reduce(united, (block.origins for block, _, _ in sets))
    whole = Branch(test, first.yes, first.no, origins)
    return [(whole, not swapped), *others]


def _grouped(row: _Row, loaded: Value | None) -> _Tests | None:
    """Return a row's tests, each with whether it leads out on yes, in their new order.

    Those of one value stand together, and those of `loaded` first of all. None where the row always
    leads out.
    """
    by_value: dict[Value, _Tests] = {}
    for block, leaves_on_yes in row.tests:
        by_value.setdefault(_key(block, leaves_on_yes), []).append((block, leaves_on_yes))
    values = sorted(by_value, key=lambda value: value is not loaded)
    grouped = []
    for value in values:
        tests = _united(by_value[value])
        if tests is None:
            return None
        grouped += tests
    return grouped


def _write_row(
    builder: Builder,
    row: _Row,
    tests: _Tests | None,
    names: Mapping[Label, Label],
) -> Label:
    """Return where the row begins in the new graph, its tests in their new order."""
    way_out, label = names[row.exit], names[row.end]
    if tests is None:
        return way_out
    for block, leaves_on_yes in reversed(tests):
        yes, no = (way_out, label) if leaves_on_yes else (label, way_out)
        label = builder.add(Branch(block.test, yes, no, block.origins))
    return label
