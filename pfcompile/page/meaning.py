"""What an expression means in words, and what may surprise about it: all that takes a proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.errors import FilterError, MissingExtraError
from pfcompile.explain import explain
from pfcompile.page.analysis import Remark
from pfcompile.page.spans import places_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.errors import Span
    from pfcompile.explain import Explanation, FilterWarning
    from pfcompile.page.asked import Filter
    from pfcompile.page.spans import Place

PROOF_SECONDS: Final = 3.0
"""How long warnings may take that need proofs."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a part of the expression looks for.

    Attributes:
        place: The part.
        understood: The same with all that it inherits.
        words: What it looks for.
    """

    place: Place
    understood: str
    words: str


@dataclass(frozen=True, slots=True)
class Usual:
    """A usual packet, and whether the expression takes it."""

    name: str
    matches: bool


@dataclass(frozen=True, slots=True)
class Meaning:
    """What there is to say.

    Attributes:
        text: The expression.
        remarks: Warnings and notes.
        parts: Its parts, from left to right.
        usual: What it does with usual packets.
        left_out: Why some warnings were not looked for, or None.
    """

    text: str
    remarks: tuple[Remark, ...] = ()
    parts: tuple[Part, ...] = ()
    usual: tuple[Usual, ...] = ()
    left_out: str | None = None


def meaning(asked: Filter) -> Meaning:
    """Return what an expression means; of one that is wrong, nothing."""
    try:
        found = explain(
            asked.text,
            asked.link_type,
            netmask=asked.netmask,
            savefile=asked.savefile,
            resolver=asked.resolver,
            seconds=PROOF_SECONDS,
        )
    except MissingExtraError as error:
        return Meaning(asked.text, left_out=str(error))
    except (FilterError, ValueError):
        return Meaning(asked.text)
    place = places_in(asked.text)
    return Meaning(
        asked.text,
        tuple(_remark(each, found, place) for each in found.warnings),
        tuple(
            Part(place(term.span), found.understood[slice(*term.understood)], term.words)
            for term in found.terms
        ),
        tuple(Usual(each.name, each.matches) for each in found.tried),
        found.left_out,
    )


def _remark(warning: FilterWarning, found: Explanation, place: Callable[[Span], Place]) -> Remark:
    return Remark(
        warning.level.value,
        warning.message,
        place(warning.span),
        warning.code,
        warning.hint,
        tuple(f"{found.quoted(each.span)}: {each.message}" for each in warning.related),
    )
