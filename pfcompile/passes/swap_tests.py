"""Change the order of two tests of one value that cannot both hold.

Before::
    b1:  br ldb[20] in {4, 47}, b8, b2
    b2:  br ldb[20] == 44, b3, b9
After::
    b1:  br ldb[20] == 44, b3, b2
    b2:  br ldb[20] in {4, 47}, b8, b9

The second one may then be what another part of the graph ends in as well. Sound because at most one
of the two holds, so that each is asked with the same outcome before and after. Which order is
better is counted.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Branch, Graph, Label, rebuild_with, successors
from pfcompile.ir.ranges import EVERYTHING, complement, normal
from pfcompile.ir.values import Const, Numbers
from pfcompile.passes.search import improve

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from pfcompile.ir.graph import Block, Builder, Test
    from pfcompile.ir.ranges import RangeList
    from pfcompile.passes.search import Cost


def swap_tests(graph: Graph, cost: Cost) -> Graph:
    """Return `graph` with tests swapped where `cost`, in instructions, falls."""
    return improve(graph, cost, _swaps)


def _swaps(graph: Graph) -> Iterator[tuple[Hashable, Callable[[], Graph]]]:
    """Yield the swaps that can be made."""
    ways_to = Counter(after for block in graph.blocks for after in dict.fromkeys(successors(block)))
    for label in graph.labels:
        first = graph[label]
        if not isinstance(first, Branch) or ways_to[first.no] != 1:
            continue
        second = graph[first.no]
        if isinstance(second, Branch) and exclude_each_other(first.test, second.test):
            yield (first.test, second.test), partial(_swapped, graph, label)


def members(test: Test) -> RangeList | None:
    """Return the numbers for which a test holds, None where it is no question of that."""
    match test.op, test.right:
        case Comparison.EQ, Const(value=k):
            return ((k, k),)
        case Comparison.IN, Numbers(ranges=ranges):
            return ranges
        case _:
            return None


def exclude_each_other(a: Test, b: Test) -> bool:
    """Return whether two tests of one value never both hold."""
    if a.left is not b.left or a.may_end or b.may_end:
        return False
    mine, other = members(a), members(b)
    if mine is None or other is None:
        return False
    # Disjoint where nothing of either is lost by taking out the other.
    return normal((*complement(mine), *complement(other))) == EVERYTHING


def _swapped(graph: Graph, label: Label) -> Graph:
    """Return `graph` with the test at `label` and the one on its no side changed round."""

    def rewrite(builder: Builder, here: Label, block: Block, names: Mapping[Label, Label]) -> Label:
        if here != label:
            return builder.add(block)
        first = graph[label]
        assert isinstance(first, Branch)
        second = graph[first.no]
        assert isinstance(second, Branch)
        below = builder.add(Branch(first.test, names[first.yes], names[second.no], first.origins))
        return builder.add(Branch(second.test, names[second.yes], below, second.origins))

    return rebuild_with(graph, rewrite)
