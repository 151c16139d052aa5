"""What must hold beside a term for the whole to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.explain.runs import runs_of
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Junction

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.explain.subject import Occurrence, Subject


class Company:
    """What stands beside each term of an expression."""

    def __init__(self, subject: Subject) -> None:
        self._ways = {span: run.way for run in runs_of(subject) for span in run.spans}

    def asks(self, occurrence: Occurrence, asks: Callable[[tree.Primitive], bool]) -> bool:
        """Return whether `and` joins a term with something that asks for what `asks` says.

        Of alternatives, each must ask for it. What is denied beside the term counts for nothing; a
        `not` before both of them changes nothing.
        """
        for step in self._ways[occurrence.span]:
            links, at = step.chain.links, step.operand
            if at and links[at - 1].junction is Junction.AND and _asked(step.chain, at - 1, asks):
                return True
            for link in links[at:]:
                if link.junction is Junction.AND and _asked_by(link.operand, asks):
                    return True
        return False


def _asked_by(node: tree.Expression, asks: Callable[[tree.Primitive], bool]) -> bool:
    """Return whether nothing makes `node` true but what asks for it."""
    match node:
        case tree.Chain(links=links):
            return _asked(node, len(links), asks)
        case tree.Not():
            return False
        case _:
            return asks(node)


def _asked(chain: tree.Chain, count: int, asks: Callable[[tree.Primitive], bool]) -> bool:
    """Return the same of a chain's first operand and as many links as `count`."""
    asked = _asked_by(chain.first, asks)
    for link in chain.links[:count]:
        its = _asked_by(link.operand, asks)
        asked = asked or its if link.junction is Junction.AND else asked and its
    return asked
