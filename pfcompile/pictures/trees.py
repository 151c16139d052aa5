"""The picture of an expression's tree: operators above their operands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.pictures.model import Box, Kind, Picture, Way
from pfcompile.syntax import tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.errors import Span


def picture_of_tree(expression: tree.Expression, text: str, title: str = "") -> Picture:
    """Return the picture of a tree.

    `and` and `or` have one precedence: a chain is drawn from its end, what stands left of the last
    change of the operator being one operand.
    """
    drawing = _Drawing(text)
    drawing.draw(expression)
    return Picture(title or "tree of the expression", drawing.boxes, drawing.ways, text)


class _Drawing:
    def __init__(self, text: str) -> None:
        self._text = text
        self.boxes: list[Box] = []
        self.ways: list[Way] = []

    def draw(self, node: tree.Expression) -> int:
        """Draw a node and what is below it; return its place among the boxes."""
        match node:
            case tree.Chain(first=first, links=links):
                return self._chain(first, links)
            case tree.Not(operand=operand):
                place = self._box(Kind.OPERATOR, "not")
                self._lead(place, self.draw(operand))
                return place
            case _:
                return self._box(Kind.TERM, self._written(node.span), (node.span,))

    def _chain(self, first: tree.Expression, links: Sequence[tree.Link]) -> int:
        junction = links[-1].junction
        start = len(links)
        while start and links[start - 1].junction is junction:
            start -= 1
        place = self._box(Kind.OPERATOR, junction.value)
        self._lead(place, self._chain(first, links[:start]) if start else self.draw(first))
        for link in links[start:]:
            self._lead(place, self.draw(link.operand))
        return place

    def _box(self, kind: Kind, says: str, origins: tuple[Span, ...] = ()) -> int:
        self.boxes.append(Box(kind, (says,), origins=origins))
        return len(self.boxes) - 1

    def _lead(self, above: int, below: int) -> None:
        self.ways.append(Way(above, below))

    def _written(self, span: Span) -> str:
        return " ".join(self._text[span.start : span.end].split())
