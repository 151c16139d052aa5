"""The passes, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.passes.drop_dead_lets import drop_dead_lets
from pfcompile.passes.fold import fold
from pfcompile.passes.fuse_tests import fuse_tests
from pfcompile.passes.group_tests import group_tests
from pfcompile.passes.merge_alike import merge_alike
from pfcompile.passes.order_switches import order_switches
from pfcompile.passes.refuse_impossible import refuse_impossible
from pfcompile.passes.swap_tests import swap_tests
from pfcompile.passes.thread_jumps import thread_all_jumps

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.ir.graph import Graph

PIPELINE: Final[tuple[Callable[[Graph], Graph], ...]] = (
    fold,
    thread_all_jumps,
    drop_dead_lets,
    order_switches,
    group_tests,
    thread_all_jumps,
    refuse_impossible,
)


SEARCHES: Final[tuple[Callable[[Graph, Callable[[Graph], int]], Graph], ...]] = (
    fuse_tests,
    merge_alike,
    swap_tests,
)
"""Passes whose rewrites are kept where the program gets shorter."""


def simplify(graph: Graph) -> Graph:
    """Return the graph after the passes that need no cost."""
    for rewrite in PIPELINE:
        graph = rewrite(graph)
    return graph


def shorten(graph: Graph, cost: Callable[[Graph], int]) -> Graph:
    """Return a simplified graph after the passes that try what makes the program shorter.

    Args:
        graph: What `simplify` gave.
        cost: How many instructions a graph becomes.
    """
    counted: dict[Graph, int] = {}

    def count(candidate: Graph) -> int:
        """Return a graph's cost; what one search ends with, the next begins with."""
        if candidate not in counted:
            counted[candidate] = cost(candidate)
        return counted[candidate]

    for search in SEARCHES:
        graph = search(graph, count)
    return graph
