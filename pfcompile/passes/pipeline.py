"""The passes, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.passes.drop_dead_lets import drop_dead_lets
from pfcompile.passes.fold import fold
from pfcompile.passes.group_tests import group_tests
from pfcompile.passes.thread_jumps import thread_all_jumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pfcompile.ir.graph import Graph

PIPELINE: Final[tuple[Callable[[Graph], Graph], ...]] = (
    fold,
    thread_all_jumps,
    drop_dead_lets,
    group_tests,
    thread_all_jumps,
)


def optimise(graph: Graph) -> Graph:
    """Return the graph after all passes.

    Raises:
        FilterError: A constant division by zero or too long a shift came to light.
    """
    for _, graph in stages(graph):  # noqa: B020 - each stage is the next one's input
        pass
    return graph


def stages(graph: Graph) -> Iterator[tuple[str, Graph]]:
    """Yield each pass's name and the graph after it."""
    for rewrite in PIPELINE:
        graph = rewrite(graph)
        yield rewrite.__name__, graph
