"""Ask at once which part of a set a value is in, where that is asked next anyway.

Before::
    b1:  br ldb[23] in {1, 17}, b2, b9
    b2:  br ldb[23] == 17, b3, b8
After::
    b1:  br ldb[23] == 17, b3, b2
    b2:  br ldb[23] == 1, b8, b9

Sound because the value is the same in both tests: a number of the first set is either in the second
one or in the rest. Done where both
tests have more comparisons than what takes their place: ranges may fall apart into more of them. A
single walk from the ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Branch, Graph, Test, rebuild, united
from pfcompile.ir.ranges import complement, normal
from pfcompile.ir.values import numbers
from pfcompile.passes.expand_sets import comparisons
from pfcompile.passes.fold import canonical, decide
from pfcompile.passes.swap_tests import members

if TYPE_CHECKING:
    from pfcompile.ir.graph import Block, Builder, Label
    from pfcompile.ir.ranges import RangeList


def split_sets(graph: Graph) -> Graph:
    """Return `graph` without tests for a set whose members are told apart right behind it."""
    if not any(_asked_next(graph, block) for block in graph.blocks):
        return graph

    def rewrite(builder: Builder, block: Block) -> Label:
        return _split(builder, block) if isinstance(block, Branch) else builder.add(block)

    return rebuild(graph, rewrite)


def _asked_next(blocks: Graph | Builder, block: Block) -> Branch | None:
    """Return the test of the same value on a test's yes side, None where there is none."""
    if not isinstance(block, Branch):
        return None
    second = blocks[block.yes]
    if isinstance(second, Branch) and second.test.left is block.test.left:
        return second
    return None


def _split(builder: Builder, first: Branch) -> Label:
    """Return where two tests of one value begin that stand for `first` and the one behind it."""
    second = _asked_next(builder, first)
    if second is None:
        return builder.add(first)
    mine, inner = members(first.test), members(second.test)
    if mine is None or inner is None or first.test.may_end:
        return builder.add(first)
    outside = complement(mine)
    inside = complement(normal((*outside, *complement(inner))))
    rest = complement(normal((*outside, *inner)))
    parts = comparisons(inside) + comparisons(rest)
    if not inside or not rest or parts >= comparisons(mine) + comparisons(inner):
        return builder.add(first)
    others = _ask(builder, first, rest, second.no, first.no)
    both = replace(second, origins=united(first.origins, second.origins))
    return _ask(builder, both, inside, second.yes, others)


def _ask(builder: Builder, block: Branch, ranges: RangeList, yes: Label, no: Label) -> Label:
    """Return where it is asked for other numbers than `block` asks for, to go elsewhere."""
    test = Test(Comparison.IN, block.test.left, numbers(ranges))
    outcome = decide(test)
    if outcome is not None:
        return yes if outcome else no
    test, swapped = canonical(test)
    sides = (no, yes) if swapped else (yes, no)
    return _split(builder, Branch(test, *sides, block.origins))
