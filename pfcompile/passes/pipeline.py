"""The passes, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.passes.drop_dead_lets import drop_dead_lets
from pfcompile.passes.expand_sets import asks_for_set
from pfcompile.passes.fold import fold
from pfcompile.passes.fuse_tests import fuse_tests
from pfcompile.passes.group_tests import group_tests
from pfcompile.passes.merge_alike import merge_alike
from pfcompile.passes.observer import observed
from pfcompile.passes.order_switches import order_switches
from pfcompile.passes.refuse_impossible import refuse_impossible
from pfcompile.passes.reject_lost_loads import reject_lost_loads
from pfcompile.passes.split_sets import split_sets
from pfcompile.passes.swap_tests import swap_tests
from pfcompile.passes.thread_jumps import thread_all_jumps

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.ir.graph import Graph
    from pfcompile.passes.observer import Observer
    from pfcompile.passes.search import Cost

PIPELINE: Final[tuple[Callable[[Graph], Graph], ...]] = (
    fold,
    thread_all_jumps,
    order_switches,
    group_tests,
    split_sets,
    thread_all_jumps,
    drop_dead_lets,
    refuse_impossible,
)
"""A pass that meets the graph that it gave itself is not run again: all of them go to the end."""

SEARCHES: Final[tuple[Callable[[Graph, Cost], Graph], ...]] = (
    fuse_tests,
    merge_alike,
    swap_tests,
)
"""Passes whose rewrites are kept where the program gets shorter."""


PASS_NAMES: Final = tuple(
    dict.fromkeys(each.__name__ for each in (*PIPELINE, reject_lost_loads, *SEARCHES))
)
"""What the passes are called, each once, in the order in which they first run."""


def simplify(graph: Graph, observer: Observer | None = None) -> Graph:
    """Return the graph after the passes that need no cost; tells the observer after each."""
    given: dict[Callable[[Graph], Graph], Graph] = {}
    for rewrite in PIPELINE:
        before = graph
        if given.get(rewrite) is not before:
            graph = observed(observer, rewrite.__name__, rewrite, before)
            if graph.blocks == before.blocks:
                graph = before
            given[rewrite] = graph
        if rewrite is order_switches and given.get(thread_all_jumps) is before:
            threaded = _is_threaded_still(graph)
            given[thread_all_jumps] = graph if threaded else before
    return graph


def _is_threaded_still(graph: Graph) -> bool:
    """Return whether threading jumps again is futile after tests have changed places.

    Behind tests for single numbers the same is known in any order; of large sets facts keep less.
    """
    return not any(map(asks_for_set, graph.blocks))


def shorten(graph: Graph, cost: Cost, observer: Observer | None = None) -> Graph:
    """Return a simplified graph after the passes that try what makes the program shorter.

    Args:
        graph: What `simplify` gave.
        cost: What the program costs that a graph becomes.
        observer: Is told after each pass.
    """
    graph = observed(observer, reject_lost_loads.__name__, reject_lost_loads, graph)
    for search in SEARCHES:
        graph = observed(observer, search.__name__, search, graph, cost)
    return graph
