"""Lists found again in a graph: neighbouring tests of one value, made tests for sets of numbers.

Before, a list as a tree of comparisons, or as one after the other::

    b0:  br ld[26] > 0xa000007, b1, b2
    b1:  br ld[26] == 0xa000009, accept, b3
    b2:  br ld[26] == 0xa000005, accept, b4
    ...
After::
    b0:  br ld[26] in {0xa000005, 0xa000007-0xa000009}, accept, reject

What is reached through tests of one value alone is a function of that value. Between the numbers
that those tests name it is constant, so one number of each interval is sent through them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pfcompile.decompile.growth import Fork, Move, grow
from pfcompile.decompile.reading import fork
from pfcompile.ir.arithmetic import WORD
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Accept, Branch, Graph, Label, Reject, Test
from pfcompile.ir.ranges import RangeList, contains
from pfcompile.ir.values import Value, numbers
from pfcompile.passes.group_tests import membership

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Row(NamedTuple):
    """Where to go on, by what a value is: to the last of the ways for all other numbers."""

    value: Value
    ways: tuple[tuple[Label, RangeList], ...]


class _Link(NamedTuple):
    """One test of a region: the numbers that go on to `yes`."""

    ranges: RangeList
    yes: Label
    no: Label


_Region: TypeAlias = "Mapping[Label, _Link]"


def gather_sets(graph: Graph) -> Graph:
    """Return `graph` with neighbouring tests of one value made tests for sets."""

    def move(state: Label | _Row) -> Move:
        if isinstance(state, _Row):
            return _row_move(state)
        block = graph[state]
        if not isinstance(block, Branch):
            assert isinstance(block, Accept | Reject)  # a graph that was grown assigns nothing
            return block
        row = _row(graph, state)
        return Fork(block.test, block.yes, block.no) if row is None else _row_move(row)

    return grow(graph.entry, move)


def _row_move(row: _Row) -> Move:
    (way, ranges), *others = row.ways
    rest = others[0][0] if len(others) == 1 else _Row(row.value, tuple(others))
    return fork(Test(Comparison.IN, row.value, numbers(ranges)), way, rest)


def _row(graph: Graph, start: Label) -> _Row | None:
    """Return where each number leads from a test on; None where that is this test alone."""
    found = _asked(graph, start)
    if found is None:
        return None
    value = found[0]
    region: dict[Label, _Link] = {}
    waiting = [start]
    while waiting:
        label = waiting.pop()
        asked = None if label in region else _asked(graph, label)
        if asked is None or asked[0] is not value:
            continue
        region[label] = asked[1]
        waiting += (asked[1].yes, asked[1].no)
    if len(region) < 2:
        return None
    ways: dict[Label, list[tuple[int, int]]] = {}
    starts = sorted(
        {0}.union(*({low, high + 1} for link in region.values() for low, high in link.ranges))
    )
    follow = _Follower(region)
    for low, following in zip(starts, [*starts[1:], WORD + 1], strict=True):
        if low <= WORD:
            ways.setdefault(follow(start, low), []).append((low, following - 1))
    # All else is what takes most words to say.
    listed = sorted(ways.items(), key=lambda way: len(way[1]))
    if len(listed) == 1:
        return _Row(value, ((listed[0][0], ((0, WORD),)), (listed[0][0], ())))
    return _Row(value, tuple((way, tuple(ranges)) for way, ranges in listed))


def _asked(graph: Graph, label: Label) -> tuple[Value, _Link] | None:
    block = graph[label]
    if not isinstance(block, Branch) or block.test.may_end:
        return None
    found = membership(block.test)
    return None if found is None else (found[0], _Link(found[1], block.yes, block.no))


class _Follower:
    """Sends a number through a region; a chain of comparisons with single numbers is one step."""

    def __init__(self, region: _Region) -> None:
        self._region = region
        self._chains: dict[Label, tuple[dict[int, Label], Label]] = {}

    def __call__(self, label: Label, number: int) -> Label:
        while label in self._region:
            singles, end = self._chain(label)
            if singles:
                label = singles.get(number, end)
            else:
                link = self._region[label]
                label = link.yes if contains(link.ranges, number) else link.no
        return label

    def _chain(self, start: Label) -> tuple[dict[int, Label], Label]:
        found = self._chains.get(start)
        if found is None:
            singles: dict[int, Label] = {}
            label = start
            while (link := self._region.get(label)) is not None:
                (low, high), *more = link.ranges or ((0, -1),)
                if more or low != high:
                    break
                singles.setdefault(low, link.yes)
                label = link.no
            found = self._chains[start] = singles, label
        return found
