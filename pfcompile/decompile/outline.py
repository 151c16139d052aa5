"""A graph written down test by test: what is left where no shorter expression is found.

Every test is the link header's bytes by number, so that nothing is assumed of the packet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.decompile.phrases import Form, Phrase
from pfcompile.ir.graph import Accept, Branch, Reject

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.ir.graph import Graph, Label, Test

_LONGEST: Final = 20_000
"""Characters; where ways meet again what follows is written several times."""


def outline(graph: Graph, write: Callable[[Test], str | None]) -> str | None:
    """Return an expression for a graph that is not constant.

    Args:
        graph: It has no variables.
        write: Writes a test; None where it cannot be written.

    Returns:
        None where a test cannot be written, or the whole is too long.
    """
    phrases: dict[Label, Phrase | bool] = {}
    for label in reversed(graph.labels):
        match graph[label]:
            case Accept():
                phrases[label] = True
            case Reject():
                phrases[label] = False
            case Branch(test=test, yes=yes, no=no):
                text = write(test)
                if text is None:
                    return None
                phrase = _choice(Phrase(text, 0, len(text), ()), phrases[yes], phrases[no])
                if isinstance(phrase, Phrase) and len(phrase.text) > _LONGEST:
                    return None
                phrases[label] = phrase
            case _:
                return None
    whole = phrases[graph.entry]
    return whole.text if isinstance(whole, Phrase) else None


def _choice(test: Phrase, yes: Phrase | bool, no: Phrase | bool) -> Phrase | bool:
    """Return `yes` where a test holds, else `no`."""
    negated = test.negated(0)
    match yes, no:
        case bool(), bool():
            return yes if yes == no else test if yes else negated
        case True, Phrase():
            return test.joined(Form.OR, no)
        case False, Phrase():
            return negated.joined(Form.AND, no)
        case Phrase(), True:
            return negated.joined(Form.OR, yes)
        case Phrase(), False:
            return test.joined(Form.AND, yes)
        case Phrase(), Phrase():
            first = test.joined(Form.AND, yes)
            return first.joined(Form.OR, negated.joined(Form.AND, no))
        case _:
            raise AssertionError
