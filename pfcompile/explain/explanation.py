"""What there is to say about an expression: its terms in words, and warnings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pfcompile.errors import Span


class Level(Enum):
    """How much something matters."""

    WARNING = "warning"
    """The expression may well do something else than its writer thinks."""
    NOTE = "note"
    """It does what it says, within a limit that is good to know."""


@dataclass(frozen=True, slots=True)
class Related:
    """Another part of the text that a warning is about.

    Attributes:
        span: Where it stands.
        message: What it has to do with it.
    """

    span: Span
    message: str


@dataclass(frozen=True, slots=True)
class FilterWarning:
    """One thing that may surprise.

    Attributes:
        code: "PF101" and so on, from `codes.CODES`; never given to something else later.
        span: Where in the text.
        message: What surprises, in one line.
        hint: What to write instead, or None.
        related: Other parts of the text.
        level: Whether it is a warning or a note.
    """

    code: str
    span: Span
    message: str
    hint: str | None = None
    related: tuple[Related, ...] = ()
    level: Level = Level.WARNING


@dataclass(frozen=True, slots=True)
class Term:
    """One primitive, or a long list of them that differ in their values only.

    Attributes:
        span: Where it stands in the text; of an inherited one the identifier alone.
        understood: Where it stands in `Explanation.understood`.
        words: What it looks for, in plain English.
        inherited: The qualifiers that it takes from its left, or None where they are written.
    """

    span: Span
    understood: Span
    words: str
    inherited: str | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """A usual packet, made up, and what the filter does with it.

    Attributes:
        name: What it is: "TCP port 22 (ssh)".
        matches: Whether the filter takes it.
    """

    name: str
    matches: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an expression means for one link type.

    Attributes:
        text: The expression.
        dlt: The link type (DLT value).
        understood: The expression with all that it leaves out: inherited qualifiers, parentheses.
            Empty for a blank expression, which every packet matches.
        terms: From left to right.
        warnings: In the order of their places; notes are among them.
        tried: Usual packets of this link type; none where there are none for it.
        left_out: Why some warnings were not looked for, or None.
    """

    text: str
    dlt: int
    understood: str
    terms: tuple[Term, ...]
    warnings: tuple[FilterWarning, ...]
    tried: tuple[Tried, ...] = ()
    left_out: str | None = None

    def quoted(self, span: Span) -> str:
        """Return the part of the text at `span`, in one line."""
        return " ".join(self.text[span.start : span.end].split())
