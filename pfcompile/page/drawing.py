"""A graph as places on a sheet: its blocks as boxes, its ways as curves between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.provenance import origins_of
from pfcompile.fields import describe
from pfcompile.ir.graph import Accept, Branch, Let, Reject, successors
from pfcompile.ir.text import print_test, print_value
from pfcompile.pictures.layout import lay_out

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pfcompile.errors import Span
    from pfcompile.ir.graph import Block, Graph, Label
    from pfcompile.page.spans import Place

MOST_BLOCKS: Final = 150
"""Larger graphs are not drawn: nobody sees anything there, and the layout takes long."""

_CHARACTER: Final = 7.25
_SMALL_CHARACTER: Final = 6.1
"""How wide a character is, in pixels, in the fonts of style.css."""

_PADDING: Final = 22
_LINE: Final = 30
_TWO_LINES: Final = 42


@dataclass(frozen=True, slots=True)
class Node:
    """A block as a box, in pixels from the upper left.

    Attributes:
        label: The block.
        kind: "branch", "let", "accept" or "reject".
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
    """A way from a block to the next one.

    Attributes:
        source: Where it begins.
        target: Where it leads.
        kind: "yes", "no", or "on" where there is but one.
        points: A row of cubic Bezier curves: where the first begins, then three points for each.
    """

    source: int
    target: int
    kind: str
    points: tuple[tuple[float, float], ...]


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
    words = describe(graph, dlt)
    texts = {label: _texts(graph[label], words[label]) for label in graph.labels}
    edges = [
        (label, target, kind)
        for label in graph.labels
        for target, kind in zip(
            successors(graph[label]),
            ("yes", "no") if isinstance(graph[label], Branch) else ("on",),
            strict=False,
        )
    ]
    sizes = {int(label): _size(*texts[label]) for label in graph.labels}
    layout = lay_out(sizes, [(source, target) for source, target, _ in edges])
    nodes = []
    for label in graph.labels:
        text, detail = texts[label]
        box = layout.boxes[label]
        nodes.append(
            Node(
                label,
                type(graph[label]).__name__.lower(),
                text,
                detail,
                box.left,
                box.top,
                box.width,
                box.height,
                tuple(map(place, origins_of(graph[label]))),
                label if written_as is None else written_as[label],
            )
        )
    curves = tuple(Edge(*edge, points) for edge, points in zip(edges, layout.ways, strict=True))
    return Drawing(layout.width, layout.height, tuple(nodes), curves)


def _texts(block: Block, words: str) -> tuple[str, str]:
    """Return what is written in a box: in words, and as the graph is printed."""
    match block:
        case Branch(test=test):
            printed = print_test(test)
        case Let(variable=variable, value=value):
            printed = f"v{variable.number} = {print_value(value)}"
        case Accept():
            return "match", ""
        case Reject():
            return "no match", ""
    return words, "" if printed == words else printed


def _size(text: str, detail: str) -> tuple[float, float]:
    """Return how wide and how high the box of a text is."""
    width = max(len(text) * _CHARACTER, len(detail) * _SMALL_CHARACTER) + _PADDING
    return width, _TWO_LINES if detail else _LINE
