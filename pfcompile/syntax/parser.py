"""From text to tree.

The parser's tables are made by `python -m pfcompile.syntax.tables` and ship with the package; at run
time they are only read, never checked against the grammar or written (a test does the first).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from ply import yacc

from pfcompile.errors import FilterError, Span
from pfcompile.syntax import grammar, hints, inherit, parsetab, tree
from pfcompile.syntax.lexer import tokenize

SYNTAX_ERROR = "can't parse filter expression: syntax error"
"""libpcap's words for every error of grammar."""


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
    return yacc.yacc(
        module=grammar, tabmodule=parsetab, optimize=True, debug=False, write_tables=False
    )


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
    # A parser keeps the state of its run, so each run has one of its own.
    prototype = _parser()
    parser = type(prototype).__new__(type(prototype))
    parser.__dict__.update(prototype.__dict__)
    failures: list[tuple[Any, list[object]]] = []

    def note(token: Any) -> None:
        values = [getattr(symbol, "value", None) for symbol in parser.symstack]
        failures.append((token, values))
        raise _StopParsingError

    parser.errorfunc = note
    try:
        partial = parser.parse(lexer=tokenize(text))
    except _StopParsingError:
        token, values = failures[0]
        return Unfinished(_syntax_error(text, token, values), _operands(values))
    try:
        return inherit.finish(partial)
    except inherit.TooDeepError as error:
        return Unfinished(FilterError(str(error), text, error.span), ())


class _StopParsingError(Exception):
    """The way out of PLY's own error recovery, which this grammar does not use."""


def _operands(values: list[object]) -> tuple[tree.Expression, ...]:
    try:
        return tuple(inherit.finish_all(values))
    except inherit.TooDeepError:
        return ()


def _syntax_error(text: str, token: Any, values: list[object]) -> FilterError:
    """Return the error for the token that fits nowhere; None is the end of the text."""
    if token is not None and token.type == "BAD":
        error: FilterError = token.value
        return error
    if token is None:
        end = len(text.rstrip(" \t\r\n"))
        hint = hints.for_end(text, values)
        return FilterError(f"{SYNTAX_ERROR}: it ends too early", text, Span(end, end), hint)
    span: Span = token.value.span
    hint = hints.for_token(text, span, values)
    shown = text[span.start : span.end]
    message = f"{SYNTAX_ERROR}: '{shown}' does not fit here"
    return FilterError(message, text, span, hint)
