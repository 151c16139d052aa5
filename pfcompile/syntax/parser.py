"""From text to tree.

The parser's tables are made by `python -m pfcompile.syntax.tables` and ship with the package; at
run time they are only read, never checked against the grammar or written (a test does the first).
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from ply import yacc

from pfcompile.errors import FilterError, Span
from pfcompile.lazy_dataclasses import dataclass
from pfcompile.syntax import grammar, hints, inherit, parsetab, tree
from pfcompile.syntax.default_reductions import consistent_states, reduce_by_default
from pfcompile.syntax.keywords import BAD
from pfcompile.syntax.lexer import SYNTAX_ERROR, tokenize

_SHOWN = 40
"""Characters of a misplaced word that a message repeats."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A text that is not an expression: the error, and the operands that were whole before it.

    libpcap generates code while it parses, so an error in what one of those means comes first.
    """

    error: FilterError
    operands: tuple[tree.Expression, ...]


@cache
def _parser() -> Any:
    """Return the parser, made from the stored tables without looking at the grammar again."""
    parser = yacc.yacc(
        module=grammar, tabmodule=parsetab, optimize=True, debug=False, write_tables=False
    )
    parser.defaulted_states = consistent_states()
    return parser


def parse(text: str) -> tree.Expression | None:
    """Return the tree of `text`, or None for an empty or blank one, which accepts everything.

    Raises:
        FilterError: `text` is not a filter expression.
    """
    result = parse_partly(text)
    if isinstance(result, Unfinished):
        raise result.error
    return result


def parse_partly(text: str) -> tree.Expression | Unfinished | None:
    """Return the tree of `text`, None for a blank one, or what could be made of a broken one."""
    text = text.partition("\0")[0]
    if not text.strip(" \t\r\n"):
        return None
    parser = copy.copy(_parser())  # a parser keeps the state of its run
    parser.errorfunc = _stop
    try:
        partial = parser.parse(lexer=tokenize(text))
    except _StoppedError as stopped:
        return _unfinished(text, parser, stopped.token)
    try:
        return inherit.finish(partial)
    except inherit.TooDeepError as error:
        return Unfinished(FilterError(str(error), text, error.span), ())


class _StoppedError(Exception):
    """The way out of PLY's own error recovery, which this grammar does not use."""

    def __init__(self, token: Any) -> None:
        self.token = token


def _stop(token: Any) -> None:
    raise _StoppedError(token)


def _unfinished(text: str, parser: Any, token: Any) -> Unfinished:
    """Return what is left when `token` fits nowhere; None is the end of the text."""
    expected = frozenset(parser.action[parser.statestack[-1]])
    before = tuple(symbol.type for symbol in parser.symstack)
    reduce_by_default(parser)
    if token is not None and token.type == BAD:
        return Unfinished(token.value, _operands(parser))
    place = hints.Place(text, *_located(text, token), expected, before, _loose_word(parser))
    return Unfinished(_syntax_error(place), _operands(parser))


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


def _operands(parser: Any) -> tuple[tree.Expression, ...]:
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
