"""From text to tree.

The parser's tables are made by `python -m pfcompile.syntax.tables` and ship with the package; at
run time they are only read, never checked against the grammar or written (a test does the first).
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any, NamedTuple

from ply import yacc

from pfcompile.errors import FilterError
from pfcompile.syntax import grammar, inherit, parsetab, tree
from pfcompile.syntax.default_reductions import consistent_states
from pfcompile.syntax.lexer import tokenize


class Unfinished(NamedTuple):
    """A text that is not an expression: the error, and the operands that were whole before it.

    libpcap generates code while it parses, so an error in what one of those means comes first.
    """

    error: FilterError
    operands: tuple[tree.Expression, ...]


@cache
def _parser() -> Any:
    """Return the parser, made from the stored tables without looking at the grammar again."""
    table = yacc.LRTable()
    table.read_table(parsetab)
    table.bind_callables(vars(grammar))
    parser = yacc.LRParser(table, _stop)
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
    try:
        partial = parser.parse(lexer=tokenize(text))
    except _StoppedError as stopped:
        from pfcompile.syntax.unfinished import whole_operands, why  # noqa: PLC0415 - see there

        error = why(text, parser, stopped.token)
        return Unfinished(error, whole_operands(parser))
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
