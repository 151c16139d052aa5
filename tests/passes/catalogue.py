"""Every pass there is, found in its package, so that none goes untested."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any, Final

from pfcompile import passes
from pfcompile.cbpf.generate import measure
from pfcompile.passes import pipeline
from pfcompile.passes.fold import check_arithmetic

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.ir.graph import Graph
    from pfcompile.passes.search import Cost


def _is_a_pass(found: object, module: str) -> bool:
    return (
        inspect.isfunction(found)
        and found.__module__ == module
        and not found.__name__.startswith("_")
        and found.__annotations__.get("return") == "Graph"
        and set(inspect.signature(found).parameters) <= {"graph", "cost"}
    )


def _all_passes() -> dict[str, Callable[..., Graph]]:
    return {
        name: found
        for place in pkgutil.iter_modules(passes.__path__, f"{passes.__name__}.")
        for name, found in vars(importlib.import_module(place.name)).items()
        if _is_a_pass(found, place.name)
    }


def _optimise(graph: Graph, cost: Cost) -> Graph:
    """Return the graph after all passes, as the compiler strings them together."""
    graph = pipeline.simplify(graph)
    check_arithmetic(graph)
    return pipeline.shorten(graph, cost)


PASSES: Final = _all_passes() | {"optimise": _optimise}
"""Functions from graph to graph, by name; the whole pipeline is one of them, `optimise`."""


def apply(name: str, graph: Graph) -> Graph:
    """Return `graph` after a pass; those that weigh costs measure the program."""
    rewrite: Any = PASSES[name]
    if "cost" in inspect.signature(rewrite).parameters:
        return rewrite(graph, measure)
    return rewrite(graph)


assert {"fold", "optimise"} <= set(PASSES)
assert {one.__name__ for one in pipeline.PIPELINE} <= set(PASSES)
