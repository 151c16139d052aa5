"""How often packets take each way through a graph: what must be counted, and what follows from it.

What goes into a block comes out of it again, so of a test's ways only one is counted. That is the
way whose rest is shorter: in a row of tests, most packets take the longer one again and again, and
add to nothing (Knuth and Stevenson, "Optimal measurement points for program frequency counts",
1973, say how few counters will do; here the ways out of the packet are counted, too).

A block has a third way out: a load past the captured bytes, or a division by zero, ends the filter.
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


@dataclass(eq=False)
class Counting:
    """A graph, and the places of its counters.

    Attributes:
        graph: The filter.
        counted_yes: For each test, whether it is its yes side that is counted.
        way_counters: The number of each test's counter.
        end_counters: The number of the counter of each block that may end the filter.
    """

    graph: Graph

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

    def _new(self) -> int:
        return 1 + len(self.way_counters) + len(self.end_counters)

    @cached_property
    def words(self) -> int:
        """How many counters there are; the first counts all packets."""
        return 1 + len(self.way_counters) + len(self.end_counters)

    @cached_property
    def constant_ends(self) -> list[int]:
        """Where each load at a constant offset ends, in bytes from the packet's start."""
        found = []
        for block in self.graph.blocks:
            waiting = list(used_values(block))
            while waiting:
                value = waiting.pop()
                if isinstance(value, Load) and value.base is None:
                    found.append(value.offset + value.size)
                waiting += parts(value)
        return found

    def flows(self, counters: Sequence[int]) -> tuple[BlockFlow, ...]:
        """Return the packets of each block, by its label.

        Args:
            counters: What was counted, in the order of the counters' numbers.
        """
        reached = [0] * len(self.graph)
        reached[self.graph.entry] = counters[0]
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
                case _:
                    pass
            found.append(BlockFlow(here, yes, no, ended))
        return tuple(found)


def may_stop(block: Block) -> bool:
    """Return whether a block may end the filter: it loads from the packet, or divides."""
    waiting = list(used_values(block))
    while waiting:
        value = waiting.pop()
        if isinstance(value, Load | Ancillary) or may_end(value):
            return True
        waiting += parts(value)
    return False
