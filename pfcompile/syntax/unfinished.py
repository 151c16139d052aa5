"""Texts that are no expression: what is wrong, and what was whole before it.

Apart from the parser, which loads this with the first mistake, as advice comes with long tables.
"""

from __future__ import annotations

from typing import Any, Final

from pfcompile.errors import FilterError, Span
from pfcompile.syntax import hints, inherit, tree
from pfcompile.syntax.default_reductions import reduce_by_default
from pfcompile.syntax.keywords import BAD
from pfcompile.syntax.lexer import SYNTAX_ERROR

_SHOWN: Final = 40
"""Characters of a misplaced word that a message repeats."""


def why(text: str, parser: Any, token: Any) -> FilterError:
    """Return the error for a `token` that fits nowhere; None is the end of the text.

    The parser has then read all that needs no further token.
    """
    expected = frozenset(parser.action[parser.statestack[-1]])
    before = tuple(symbol.type for symbol in parser.symstack)
    reduce_by_default(parser)
    if token is not None and token.type == BAD:
        found: FilterError = token.value
        return found
    place = hints.Place(text, *_located(text, token), expected, before, _loose_word(parser))
    return _syntax_error(place)


def _located(text: str, token: Any) -> tuple[str, Span]:
    """Return the kind of a token and its span; the end of the text is one of no characters."""
    if token is None:
        end = len(text.rstrip(" \t\r\n"))
        return hints.END, Span(end, end)
    return token.type, token.value.span


def _loose_word(parser: Any) -> Span | None:
    """Return where a name stands that hardly anything qualifies, if it is just before the error.

    In `tcp and prot 80` and in `dst prot 80` it is `prot` that is wrong, and not the number.
    """
    symbol = parser.symstack[-1]
    if symbol.type not in {"filter", "expression"}:
        return None
    last = symbol.value.last
    if isinstance(last, inherit.Headed) and last.head.qualifiers.kind is None:
        last = last.identifiers
    return last.span if isinstance(last, tree.Name) else None


def whole_operands(parser: Any) -> tuple[tree.Expression, ...]:
    """Return the operands that the parser has read to their ends; none if they nest too deep."""
    try:
        symbols = ((s.type, getattr(s, "value", None)) for s in parser.symstack)
        return tuple(inherit.finish_all(symbols))
    except inherit.TooDeepError:
        return ()


def _syntax_error(place: hints.Place) -> FilterError:
    """Return the error for a token that fits nowhere, or for the word before it."""
    about_loose = hints.for_loose_word(place)
    if place.loose is not None and about_loose is not None:
        message = _misplaced(place, place.loose)
        return FilterError(message, place.text, place.loose, about_loose)
    hint = hints.for_place(place)
    if place.kind == hints.END:
        message = f"{SYNTAX_ERROR}: it ends too early"
    else:
        message = _misplaced(place, place.span)
    return FilterError(message, place.text, place.span, hint)


def _misplaced(place: hints.Place, span: Span) -> str:
    word = place.text[span.start : span.end]
    if len(word) > _SHOWN:
        word = word[:_SHOWN] + "..."
    return f"{SYNTAX_ERROR}: '{word}' does not fit here"
