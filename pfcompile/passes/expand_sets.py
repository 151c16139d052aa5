"""Write membership in a set of numbers as comparisons: the last step before instructions.

Before::
    b1:  br ldh[54] in {22, 80, 443, 8000-8100}, b9, b10
After::
    b1:  br ldh[54] == 22, b9, b2
    b2:  br ldh[54] == 80, b9, b3
    b3:  br ldh[54] == 443, b9, b4
    b4:  br ldh[54] > 7999, b5, b10
    b5:  br ldh[54] > 8100, b10, b9

Where all ranges begin and end at multiples of a power of two, as lists of networks do, the value
is shifted first, so that each of the smallest is one number. More than a few are first cut in
halves with `>`, again and again, so that a packet's cost grows with the logarithm of the list.
Sound since only the way of asking changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Branch, Builder, Graph, Label, Test, rebuild
from pfcompile.ir.values import Numbers, arithmetic, const
from pfcompile.passes.fold import upper_bound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.ir.graph import Block
    from pfcompile.ir.ranges import RangeList
    from pfcompile.ir.values import Value

_LONGEST_ROW: Final = 8
"""Comparisons made one after the other: a cut costs an instruction and saves half of the rest."""

_LARGEST_SHIFT: Final = 31

_LEAF: Final = 4
"""The same below a cut."""


_expansions: Final[WeakKeyDictionary[Graph, Graph]] = WeakKeyDictionary()
"""A graph is asked for again and again while passes try what pays."""


def expand_sets(graph: Graph) -> Graph:
    """Return `graph` without IN tests."""
    found = _expansions.get(graph)
    if found is None:
        found = _expanded(graph, None)
        if found is not graph:
            _expansions[graph] = found
    return found


def expand_beginnings(graph: Graph, most: int) -> tuple[Graph, int]:
    """Return `graph` with long sets cut after `most` ranges, and about how many tests are gone.

    Enough to compare the lengths of two programs, and quick whatever the lists.
    """
    left_out = 0
    for block in graph.blocks:
        asked = _asked(block)
        if asked is not None:
            rest = comparisons(asked[1][most:])
            left_out += rest + rest // _LEAF
    return _expanded(graph, most) if left_out else expand_sets(graph), left_out


def asks_for_set(block: Block) -> bool:
    """Return whether a block is a test for a set of numbers."""
    return isinstance(block, Branch) and isinstance(block.test.right, Numbers)


def _asked(block: Block) -> tuple[Value, RangeList] | None:
    """Return the value and the set that a block compares, None where it asks for no set."""
    if isinstance(block, Branch) and isinstance(block.test.right, Numbers):
        return _shifted(block.test.left, block.test.right.ranges)
    return None


def _expanded(graph: Graph, most: int | None) -> Graph:
    if not any(map(_asked, graph.blocks)):
        return graph

    def rewrite(builder: Builder, block: Block) -> Label:
        asked = _asked(block)
        if asked is not None and isinstance(block, Branch):
            left, ranges = asked
            return _Expansion(builder, block, left).expand(ranges[:most])
        return builder.add(block)

    return rebuild(graph, rewrite)


def _shifted(left: Value, ranges: RangeList) -> tuple[Value, RangeList]:
    """Return the value and the set to test, shifted where that saves more than it costs."""
    edges = 0
    for low, high in ranges:
        edges |= low | high + 1
    shift = (edges & -edges).bit_length() - 1
    if not 0 < shift <= _LARGEST_SHIFT:
        return left, ranges
    smaller = tuple((low >> shift, high >> shift) for low, high in ranges)
    if comparisons(smaller) + 1 >= comparisons(ranges):
        return left, ranges
    return arithmetic(ArithmeticOp.RSH, left, const(shift)), smaller


class _Expansion:
    """The comparisons of one test."""

    def __init__(self, builder: Builder, block: Branch, left: Value) -> None:
        self._builder = builder
        self._block = block
        self._left = left
        self._highest = upper_bound(left)

    def expand(self, ranges: Sequence[tuple[int, int]]) -> Label:
        """Return where the comparisons begin."""
        if comparisons(ranges) <= _LONGEST_ROW:
            return self._row(ranges)
        return self._tree(ranges)

    def _tree(self, ranges: Sequence[tuple[int, int]]) -> Label:
        if comparisons(ranges) <= _LEAF:
            return self._row(ranges)
        middle = len(ranges) // 2
        low, high = self._tree(ranges[:middle]), self._tree(ranges[middle:])
        return self._test(Comparison.GT, ranges[middle - 1][1], high, low)

    def _row(self, ranges: Sequence[tuple[int, int]]) -> Label:
        """Return comparisons with one range after the other, in ascending order."""
        found, after = self._block.yes, self._block.no
        for low, high in reversed(ranges):
            if high - low <= 1:
                # Two neighbours are two comparisons either way, and these end sooner.
                for number in range(high, low - 1, -1):
                    after = self._test(Comparison.EQ, number, found, after)
                continue
            not_below = found
            if high < self._highest:
                not_below = self._test(Comparison.GT, high, after, found)
            # What is below this range is below all that follow, too.
            below = self._block.no
            after = self._test(Comparison.GT, low - 1, not_below, below) if low else not_below
        return after

    def _test(self, op: Comparison, number: int, yes: Label, no: Label) -> Label:
        test = Test(op, self._left, const(number))
        return self._builder.add(Branch(test, yes, no, self._block.origins))


def comparisons(ranges: Sequence[tuple[int, int]]) -> int:
    """Return how many comparisons a row of ranges takes."""
    return sum(1 if low == high else 2 for low, high in ranges)
