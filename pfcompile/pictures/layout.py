"""Where boxes and the ways between them go: Graphviz's `dot`, which pygraphviz brings along.

Only sizes and numbers are handed to it, never a text. Its algorithm is that of Gansner, Koutsofios,
North and Vo, "A Technique for Drawing Directed Graphs", 1993.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.errors import MissingExtraError, ProgramError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_INCH: Final = 72.0
"""Graphviz takes sizes in inches and gives places in points; we take points for pixels."""

MOST_BOXES: Final = 3000
"""More take minutes, and nobody finds anything in them."""

_BESIDE: Final = 24.0
_BELOW: Final = 34.0
"""Pixels between boxes, sideways and down."""

_MANY: Final = 60
"""From so many boxes on, the search for the best places is cut short: of 120 it takes a second and
more, and ten times as long of 300."""

_IN_A_HURRY: Final = {"nslimit": 1, "nslimit1": 1, "mclimit": 0.1}
"""Rounds of the network simplex, per box, and a tenth of the usual rounds against crossings."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A box's place, in pixels from the upper left."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything in its place.

    Attributes:
        width, height: Of the whole.
        boxes: Where each box is.
        ways: For each way, in their order, a row of cubic Bezier curves: where the first begins,
            then three points for each.
    """

    width: float
    height: float
    boxes: Mapping[int, Rectangle]
    ways: Sequence[tuple[tuple[float, float], ...]]


def lay_out(sizes: Mapping[int, tuple[float, float]], ways: Sequence[tuple[int, int]]) -> Layout:
    """Return a layout in layers, all ways leading down.

    Args:
        sizes: Width and height of each box, in pixels, by its number.
        ways: Numbers of the boxes that each leads from and to; several may do alike.

    Raises:
        MissingExtraError: pygraphviz is not installed.
        ProgramError: There are more than `MOST_BOXES`.
    """
    if len(sizes) > MOST_BOXES:
        raise ProgramError(
            f"{len(sizes)} boxes are too many for a picture, the limit is {MOST_BOXES}; "
            "text and DOT have none"
        )
    try:
        import pygraphviz  # noqa: PLC0415 - an extra
    except ImportError as missing:
        raise MissingExtraError("pygraphviz", "pictures", "a picture") from missing
    graph = pygraphviz.AGraph(directed=True, strict=False)
    graph.graph_attr.update(
        nodesep=_BESIDE / _INCH, ranksep=_BELOW / _INCH, outputorder="nodesfirst"
    )
    if len(sizes) > _MANY:
        graph.graph_attr.update(_IN_A_HURRY)
    graph.node_attr.update(shape="box", fixedsize="true", label="")
    graph.edge_attr.update(arrowhead="none")
    for number, (width, height) in sizes.items():
        graph.add_node(number, width=width / _INCH, height=height / _INCH)
    for key, (source, target) in enumerate(ways):
        graph.add_edge(source, target, key=key, id=key)
    drawn = json.loads(graph.draw(format="json0", prog="dot"))
    _, _, width, height = _numbers(drawn["bb"])
    boxes = {}
    for node in drawn.get("objects", ()):
        number = int(node["name"])
        x, y = _numbers(node["pos"])
        wide, high = sizes[number]
        boxes[number] = Rectangle(x - wide / 2, height - y - high / 2, wide, high)
    curves: list[tuple[tuple[float, float], ...]] = [()] * len(ways)
    for edge in drawn.get("edges", ()):
        flat = _numbers(edge["pos"].replace(" ", ","))
        curves[int(edge["id"])] = tuple(
            (x, height - y) for x, y in zip(flat[::2], flat[1::2], strict=True)
        )
    return Layout(width, height, boxes, curves)


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]
