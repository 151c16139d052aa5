"""A graph as places on a sheet: its blocks as boxes, its ways as curves between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.pictures.blocks import picture_of_graph
from pfcompile.pictures.labels import place_labels
from pfcompile.pictures.layout import lay_out
from pfcompile.pictures.model import Kind, Side
from pfcompile.pictures.wording import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pfcompile.errors import Span
    from pfcompile.ir.graph import Graph, Label
    from pfcompile.page.spans import Place
    from pfcompile.pictures.model import Box

MOST_BLOCKS: Final = 150
"""Larger graphs are not drawn: nobody sees anything there, and the layout takes long."""

_CHARACTER: Final = 7.25
_SMALL_CHARACTER: Final = 6.1
"""How wide a character is, in pixels, in the fonts of style.css."""

_MOST_COLUMNS: Final = 52
"""How much of a text is written; a test may be for any of thousands of addresses."""

_PADDING: Final = 22.0
_LINE: Final = 30.0
_TWO_LINES: Final = 42.0

_ENDS: Final = {Kind.ACCEPT: "match", Kind.REJECT: "no match"}


@dataclass(frozen=True, slots=True)
class Node:
    """A block as a box, in pixels from the upper left.

    Attributes:
        label: The block. An end that many ways lead to has several boxes.
        kind: "test", "assignment", "accept" or "reject".
        text: What it does, in the words of packet fields.
        detail: The same as the graph is printed, where that is something else.
        x: Its left side.
        y: Its upper side.
        width: How wide it is.
        height: How high.
        places: The parts of the expression that asked for it.
        written_as: The block that has its instructions.
    """

    label: int
    kind: str
    text: str
    detail: str
    x: float
    y: float
    width: float
    height: float
    places: tuple[Place, ...]
    written_as: int


@dataclass(frozen=True, slots=True)
class Edge:
    """A way from a box to another.

    Attributes:
        source: Where it begins, a place among the boxes.
        target: Where it leads.
        kind: "yes", "no", or "on" where there is but one.
        points: A row of cubic Bezier curves: where the first begins, then three points for each.
        word: The middle of where its kind is written.
    """

    source: int
    target: int
    kind: str
    points: tuple[tuple[float, float], ...]
    word: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph on its sheet."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def draw(
    graph: Graph,
    dlt: int,
    place: Callable[[Span], Place],
    written_as: Mapping[Label, Label] | None = None,
) -> Drawing | None:
    """Return a graph's drawing, or None where it is too large for one.

    Args:
        graph: The graph.
        dlt: The link type of its packets (DLT value).
        place: Makes places of spans.
        written_as: For each block the one that has its instructions, or None where that is itself.

    Raises:
        MissingExtraError: What lays graphs out is not installed.
    """
    if len(graph) > MOST_BLOCKS:
        return None
    picture = picture_of_graph(graph, dlt)
    texts = [_texts(box) for box in picture.boxes]
    sizes = {number: _size(*pair) for number, pair in enumerate(texts)}
    layout = lay_out(sizes, [(way.source, way.target) for way in picture.ways])
    words = ["" if way.side is Side.ON else way.side.value for way in picture.ways]
    spots = place_labels(layout, [len(word) * _SMALL_CHARACTER for word in words])
    names = {label: label for label in graph.labels} if written_as is None else written_as
    nodes = []
    for number, (box, (text, detail)) in enumerate(zip(picture.boxes, texts, strict=True)):
        at = layout.boxes[number]
        assert box.label is not None
        label = graph.labels[box.label]
        nodes.append(
            Node(
                label,
                box.kind.value,
                text,
                detail,
                at.left,
                at.top,
                at.width,
                at.height,
                tuple(map(place, box.origins)),
                names[label],
            )
        )
    edges = tuple(
        Edge(way.source, way.target, way.side.value, curve, spot)
        for way, curve, spot in zip(picture.ways, layout.ways, spots, strict=True)
    )
    return Drawing(layout.width, layout.height, tuple(nodes), edges)


def _texts(box: Box) -> tuple[str, str]:
    """Return what is written in a box, cut: in words, and as the graph is printed."""
    if box.kind in _ENDS:
        return _ENDS[box.kind], ""
    words, *details = box.lines
    detail = next(iter(details), "").removeprefix("let ")
    return cut(words, _MOST_COLUMNS), "" if detail == words else cut(detail, _MOST_COLUMNS)


def _size(text: str, detail: str) -> tuple[float, float]:
    """Return how wide and how high the box of a text is."""
    width = max(len(text) * _CHARACTER, len(detail) * _SMALL_CHARACTER) + _PADDING
    return width, _TWO_LINES if detail else _LINE
