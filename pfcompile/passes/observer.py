"""What a compilation tells of its stages, to whoever asks.

An observer is called after each stage with what came out of it. Listings of graphs, statistics and
timings are all made from that, outside of what is observed, which costs nothing where nobody asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeAlias, TypeVar

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
