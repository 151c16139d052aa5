"""Places for the blocks of a graph: rows by the longest way to them, each row in the middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pfcompile.cbpf.provenance import origins_of
from pfcompile.ir.graph import Accept, Branch, Let, Reject, successors
from pfcompile.ir.text import print_test, print_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pfcompile.errors import Span
    from pfcompile.ir.graph import Block, Graph, Label
    from pfcompile.page.spans import Place

MOST_BLOCKS = 300
_CHARACTER = 7.3
_HEIGHT = 30
_GAP_X = 22
_GAP_Y = 34


@dataclass(frozen=True, slots=True)
class Node:
    """A block."""

    label: int
    kind: str
    text: str
    x: float
    y: float
    width: float
    height: float
    places: tuple[Place, ...]
    written_as: int


@dataclass(frozen=True, slots=True)
class Edge:
    """A way from one to the next."""

    source: int
    target: int
    kind: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph with its places."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def draw(
    graph: Graph, place: Callable[[Span], Place], written_as: Mapping[Label, Label] | None = None
) -> Drawing | None:
    """Return it, or None where it is too large."""
    if len(graph) > MOST_BLOCKS:
        return None
    names = {label: label for label in graph.labels} if written_as is None else written_as
    rank = [0] * len(graph)
    for label in graph.labels:
        for target in successors(graph[label]):
            rank[target] = max(rank[target], rank[label] + 1)
    rows: dict[int, list[int]] = {}
    for label in graph.labels:
        rows.setdefault(rank[label], []).append(label)
    widths = [max(64, len(text_of(block)) * _CHARACTER + 20) for block in graph.blocks]
    total = max(sum(widths[i] + _GAP_X for i in row) for row in rows.values()) + _GAP_X
    nodes: dict[int, Node] = {}
    for depth, row in rows.items():
        used = sum(widths[i] + _GAP_X for i in row) - _GAP_X
        x = (total - used) / 2
        for i in row:
            block = graph.blocks[i]
            nodes[i] = Node(
                i,
                type(block).__name__.lower(),
                text_of(block),
                x,
                12 + depth * (_HEIGHT + _GAP_Y),
                widths[i],
                _HEIGHT,
                tuple(map(place, origins_of(block))),
                names[graph.labels[i]],
            )
            x += widths[i] + _GAP_X
    edges = []
    for label in graph.labels:
        ways = successors(graph[label])
        for side, target in enumerate(ways):
            a, b = nodes[label], nodes[target]
            kind = "on" if len(ways) == 1 else ("yes", "no")[side]
            start = a.x + a.width * (0.5 if len(ways) == 1 else (0.3, 0.7)[side])
            edges.append(
                Edge(label, target, kind, ((start, a.y + a.height), (b.x + b.width / 2, b.y)))
            )
    return Drawing(
        total,
        24 + len(rows) * (_HEIGHT + _GAP_Y),
        tuple(nodes[i] for i in graph.labels),
        tuple(edges),
    )


def text_of(block: Block) -> str:
    """Return what a block does."""
    match block:
        case Branch(test=test):
            return print_test(test)
        case Let(variable=variable, value=value):
            return f"v{variable.number} = {print_value(value)}"
        case Accept():
            return "match"
        case Reject():
            return "no match"
