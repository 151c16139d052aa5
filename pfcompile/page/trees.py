"""A tree of an expression as the page lists it: lines, each with the lines below it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pfcompile.syntax import tree
from pfcompile.syntax.unparse import unparse

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.errors import Span
    from pfcompile.page.spans import Place


@dataclass(frozen=True, slots=True)
class Row:
    """A node of the tree.

    Attributes:
        text: A junction's word, or a primitive as it is understood: what it inherits is there.
        place: Where it stands in the expression.
        below: Its operands.
    """

    text: str
    place: Place
    below: tuple[Row, ...] = ()


def rows(expression: tree.Expression, place: Callable[[Span], Place]) -> Row:
    """Return the top row; nested as deep as the expression is, but for operands of one junction."""
    match expression:
        case tree.Not(operand=operand, span=span):
            return Row("not", place(span), (rows(operand, place),))
        case tree.Chain():
            return _chain(expression, place)
        case _:
            return Row(unparse(expression), place(expression.span))


def _chain(chain: tree.Chain, place: Callable[[Span], Place]) -> Row:
    """Return a row for each run of one junction: `a or b and c` is `and` over `or` and c."""
    operands = [rows(chain.first, place)]
    junction = chain.links[0].junction
    start = end = chain.first.span
    for link in chain.links:
        if link.junction is not junction:
            operands = [Row(junction.value, place(start.to(end)), tuple(operands))]
            junction = link.junction
        operands.append(rows(link.operand, place))
        end = link.operand.span
    return Row(junction.value, place(chain.span), tuple(operands))
