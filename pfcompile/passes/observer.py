"""What a compilation tells of its stages, to whoever asks.

An observer is called after each stage with what came out of it. Listings of graphs, statistics and
timings are all made from that, outside of what is observed, which costs nothing where nobody asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeAlias, TypeVar

from pfcompile.ir.graph import Graph

Given = ParamSpec("Given")
Product = TypeVar("Product")


class Stage(NamedTuple):
    """One stage that is over.

    Attributes:
        name: "parse", "lower", a pass's name, "generate" or "verify".
        product: What came out. Of "parse" a tree, or what could be made of a broken text, or None
            for a blank one, which has no further stages; of "lower" and the passes a graph
            (`ir.graph.Graph`); of "generate" instructions; of "verify" None.
        seconds: How long it took, without what an observer does.
    """

    name: str
    product: object
    seconds: float


Observer: TypeAlias = Callable[[Stage], None]


class Recording:
    """An observer that keeps all it is told, for whoever wants to look at a compilation later.

    ::

        recording = Recording()
        program = compile("tcp port 80", observer=recording)
        recording.stages     # "parse", "lower", the passes as they ran, "generate"
        recording.graph      # what the program was generated from
    """

    def __init__(self) -> None:
        self.stages: list[Stage] = []

    def __call__(self, stage: Stage) -> None:
        """Keep a stage."""
        self.stages.append(stage)

    @property
    def expression(self) -> Any:
        """The tree of the expression (a `tree.Expression`); None for a blank one.

        A blank one has no graphs either.
        """
        return next((stage.product for stage in self.stages if stage.name == "parse"), None)

    @property
    def graphs(self) -> list[tuple[str, Graph]]:
        """Each graph with the name of the stage that it came from, "lower" first."""
        return [(s.name, s.product) for s in self.stages if isinstance(s.product, Graph)]

    @property
    def lowered(self) -> Graph:
        """The graph before all passes."""
        return self.graphs[0][1]

    @property
    def graph(self) -> Graph:
        """The last graph: what the program was generated from."""
        return self.graphs[-1][1]


def observed(
    observer: Observer | None,
    name: str,
    step: Callable[Given, Product],
    *args: Given.args,
    **kwargs: Given.kwargs,
) -> Product:
    """Return what `step` gives, after telling the observer, if there is one."""
    if observer is None:
        return step(*args, **kwargs)
    start = time.perf_counter()
    product = step(*args, **kwargs)
    observer(Stage(name, product, time.perf_counter() - start))
    return product
