"""Expressions under way: text, what it is true of, and what stands to its right.

`and` and `or` have one precedence, so whatever joins operands of the other kind stands in
parentheses.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pfcompile.decompile.probes import Level


EXTRA: Final = 20
"""What is added to the cost of a phrase that asks for bytes of the link header by number."""


class Form(Enum):
    """What a phrase is made of."""

    SINGLE = "single"
    AND = "and"
    OR = "or"


@dataclass(frozen=True, slots=True)
class Phrase:
    """A part of an expression.

    Attributes:
        text: How it is written, without parentheses around it.
        truth: For which samples it is true.
        cost: How long it is, with something added where it is hard to read.
        after: The encapsulations to the left of what follows it.
        form: What parentheses it needs.
    """

    text: str
    truth: int
    cost: int
    after: Level
    form: Form = Form.SINGLE

    @property
    def is_plain(self) -> bool:
        """Whether it is as easy to read as its length says, so that nothing else is looked for."""
        return self.cost < len(self.text) + EXTRA

    def negated(self, everything: int) -> Phrase:
        """Return the negation."""
        text = self.text if self.form is Form.SINGLE else f"({self.text})"
        cost = self.cost + len("not ") + len(text) - len(self.text)
        return Phrase(f"not {text}", everything & ~self.truth, cost, self.after)

    def joined(self, form: Form, other: Phrase) -> Phrase:
        """Return this phrase and another to its right, joined by `and` or `or`."""
        pieces = [
            phrase.text if phrase.form in {form, Form.SINGLE} else f"({phrase.text})"
            for phrase in (self, other)
        ]
        truth = self.truth & other.truth if form is Form.AND else self.truth | other.truth
        text = f" {form.value} ".join(pieces)
        cost = self.cost + other.cost + len(text) - len(self.text) - len(other.text)
        return Phrase(text, truth, cost, other.after, form)


def without_parentheses(text: str) -> tuple[str, Form]:
    """Return a piece without the parentheses around all of it, and what is inside."""
    if not text.startswith("("):
        return text, Form.SINGLE
    depth, forms = 0, {Form.SINGLE}
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and position < len(text) - 1:
            return text, Form.SINGLE  # the first one closes before the end
        if depth == 1:
            forms |= {form for form in _JOINED if text.startswith(f" {form.value} ", position)}
    form = max(forms, key=lambda each: each in _JOINED)
    return (text, form) if form is Form.SINGLE else (text[1:-1], form)


_JOINED: Final = (Form.AND, Form.OR)
