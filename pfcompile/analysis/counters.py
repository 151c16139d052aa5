"""How often packets take each way through a graph: what must be counted, and what follows from it.

What goes into a block comes out of it again, so of a test's ways only one is counted. That is the
way whose rest is shorter: in a row of tests, most packets take the longer one again and again, and
add to nothing (Knuth and Stevenson, "Optimal measurement points for program frequency counts",
1973, say how few counters will do; here the ways out of the packet are counted, too).

A block has a third way out: a load past the captured bytes, or a division by zero, ends the filter.

Of a list of terms, each of which is asked in its turn, most packets would pass all. A `Shortcut`
asks for all of them at once, and counts which is the first that is true, or that none is; what each
term would have counted follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pfcompile.ir.graph import Branch, Graph, Label, Let, successors, used_values
from pfcompile.ir.values import Ancillary, Load, may_end, parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.ir.graph import Block
    from pfcompile.ir.ranges import RangeList


@dataclass(frozen=True, slots=True)
class BlockFlow:
    """The packets that came to a block.

    Attributes:
        reached: How many.
        yes: Where it is a test, how many it held for; else all that went on.
        no: How many it did not hold for.
        cut_short: How many the filter ended for: a load left the packet, or a divisor was zero.
    """

    reached: int
    yes: int
    no: int
    cut_short: int

    def __add__(self, other: BlockFlow) -> BlockFlow:
        return BlockFlow(
            self.reached + other.reached,
            self.yes + other.yes,
            self.no + other.no,
            self.cut_short + other.cut_short,
        )


NO_FLOW = BlockFlow(0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Shortcut:
    """A list of terms whose marks (`lower.terms`) are in a graph.

    Attributes:
        begins: The mark where each term begins.
        true: The mark behind each where it is true; all lead to the same block.
        false: The mark behind each where it is false; it leads to where the next begins.
        any_of_them: A filter that accepts what at least one of them is true for.
        firsts: The numbers for which each of some terms is the first that is true, where the filter
            only asks whether values are in any; None: it says only whether none is true.
        owners: Which terms those are.
    """

    begins: tuple[Label, ...]
    true: tuple[Label, ...]
    false: tuple[Label, ...]
    any_of_them: Graph
    firsts: tuple[RangeList, ...] | None
    owners: tuple[int, ...]

    @property
    def outcomes(self) -> int:
        """How many counters it has: one for each of `firsts`, and one for none."""
        return 1 + len(self.owners)


@dataclass(eq=False)
class Counting:
    """A graph, and the places of its counters.

    Attributes:
        graph: The filter.
        shortcuts: Lists in it that are asked for at once.
        counted_yes: For each test, whether it is its yes side that is counted.
        way_counters: The number of each test's counter.
        end_counters: The number of the counter of each block that may end the filter.
        shortcut_at: The shortcuts by the mark where they begin.
        shortcut_counters: The number of the first counter of each, that for none of its terms.
        words: How many counters there are; the first counts all packets.
    """

    graph: Graph
    shortcuts: tuple[Shortcut, ...] = ()

    def __post_init__(self) -> None:
        self.way_counters: dict[Label, int] = {}
        self.end_counters: dict[Label, int] = {}
        self.counted_yes: dict[Label, bool] = {}
        longest: dict[Label, int] = {}
        for label in reversed(self.graph.labels):
            block = self.graph[label]
            after = [longest[target] for target in successors(block)]
            longest[label] = 1 + max(after, default=0)
            if isinstance(block, Branch):
                self.counted_yes[label] = after[0] <= after[1]
        for label in self.graph.labels:
            block = self.graph[label]
            if isinstance(block, Branch):
                self.way_counters[label] = self._new()
            if may_stop(block):
                self.end_counters[label] = self._new()
        self.shortcut_at = {each.begins[0]: each for each in self.shortcuts}
        self.shortcut_counters: dict[Label, int] = {}
        words = self._new()
        for label, shortcut in self.shortcut_at.items():
            self.shortcut_counters[label] = words
            words += shortcut.outcomes
        self.words = words

    def _new(self) -> int:
        return 1 + len(self.way_counters) + len(self.end_counters)

    @cached_property
    def constant_ends(self) -> list[int]:
        """Where each load at a constant offset ends, in bytes from the packet's start."""
        return [
            load.offset + load.size
            for block in self.graph.blocks
            for load in loads(block)
            if load.base is None
        ]

    def flows(self, counters: Sequence[int]) -> tuple[BlockFlow, ...]:
        """Return the packets of each block, by its label.

        Args:
            counters: What was counted, in the order of the counters' numbers.

        Where there are shortcuts, those of marks are right, and blocks between them lack the
        packets that took the shortcut.
        """
        reached = [0] * len(self.graph)
        reached[self.graph.entry] = counters[0]
        passed = [0] * len(self.graph)
        found = []
        for label in self.graph.labels:
            here = reached[label]
            ended = counters[self.end_counters[label]] if label in self.end_counters else 0
            yes, no = here - ended, 0
            match self.graph[label]:
                case Branch(yes=then, no=otherwise):
                    counted = counters[self.way_counters[label]]
                    left = here - ended - counted
                    yes, no = (counted, left) if self.counted_yes[label] else (left, counted)
                    reached[then] += yes
                    reached[otherwise] += no
                case Let(next=after):
                    reached[after] += yes
                    if label in self.shortcut_at:
                        reached[after] -= self._take(label, counters, reached, passed)
                case _:
                    pass
            found.append(BlockFlow(here, yes, no, ended))
        return tuple(
            BlockFlow(flow.reached + more, flow.yes + more, flow.no, flow.cut_short)
            for flow, more in zip(found, passed, strict=True)
        )

    def _take(
        self, label: Label, counters: Sequence[int], reached: list[int], passed: list[int]
    ) -> int:
        """Return how many packets took a shortcut, after adding them where they came to.

        Args:
            label: Where it begins.
            counters: What was counted.
            reached: Of blocks behind the shortcut, the packets that come from there.
            passed: Of marks that it passes, the packets.
        """
        shortcut = self.shortcut_at[label]
        start = self.shortcut_counters[label]
        none, *hits = counters[start : start + shortcut.outcomes]
        reached[self.target(shortcut.false[-1])] += none
        reached[self.target(shortcut.true[0])] += sum(hits)
        true = dict(zip(shortcut.owners, hits, strict=True))
        left = none + sum(hits)
        for number, begins in enumerate(shortcut.begins):
            if number:  # the first is in the graph
                passed[begins] += left
            here = true.get(number, 0)
            left -= here
            passed[shortcut.true[number]] += here
            passed[shortcut.false[number]] += left
        return none + sum(hits)

    def target(self, label: Label) -> Label:
        """Return where a mark leads."""
        block = self.graph[label]
        assert isinstance(block, Let)
        return block.next


def loads(block: Block) -> list[Load]:
    """Return the loads of a block."""
    found = []
    waiting = list(used_values(block))
    while waiting:
        value = waiting.pop()
        if isinstance(value, Load):
            found.append(value)
        waiting += parts(value)
    return found


def may_stop(block: Block) -> bool:
    """Return whether a block may end the filter: it loads from the packet, or divides."""
    waiting = list(used_values(block))
    while waiting:
        value = waiting.pop()
        if isinstance(value, Load | Ancillary) or may_end(value):
            return True
        waiting += parts(value)
    return False
