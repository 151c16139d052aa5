"""Try rewrites and keep those that make the program shorter.

What a rewrite of the graph does to the program's length depends on what the registers hold, on
which blocks come out equal, and on jumps: it is counted, not guessed. Each rewrite that is kept
lowers that size and each that is refused is not tried again, so the search ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from pfcompile.ir.graph import Graph


class Size(NamedTuple):
    """What a program costs: the fewer instructions the better, then the shorter its longest way.

    Attributes:
        instructions: All of them.
        longest_way: How many of them a packet takes at most.
    """

    instructions: int
    longest_way: int


Cost: TypeAlias = "Callable[[Graph], Size]"
"""Gives the size of the program that a graph becomes."""

MOST_REFUSED: Final = 8
"""Rewrites of one kind that are tried in vain before giving up."""

LARGEST_GRAPH: Final = 600
"""Blocks above which nothing is tried: each trial writes the whole program."""


def improve(
    graph: Graph,
    cost: Cost,
    rewrites: Callable[[Graph], Iterable[tuple[Hashable, Callable[[], Graph]]]],
) -> Graph:
    """Return `graph` after all rewrites that lower its cost, the first one found each time.

    Args:
        graph: Where to begin.
        cost: What the program costs that a graph becomes.
        rewrites: Gives what can be done to a graph, the most promising first: a name by which the
            same is known again later, and a function that does it.
    """
    if len(graph) > LARGEST_GRAPH:
        return graph
    lowest = cost(graph)
    refused: set[Hashable] = set()
    while True:
        for name, rewrite in rewrites(graph):
            if name in refused:
                continue
            changed = rewrite()
            found = cost(changed)
            if found < lowest:
                graph, lowest = changed, found
                break
            refused.add(name)
            if len(refused) >= MOST_REFUSED:
                return graph
        else:
            return graph
