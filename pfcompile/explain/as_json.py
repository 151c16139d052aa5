"""An explanation as plain data, for editors and web pages; docs/explain.md describes it.

Fields may be added; none is removed or changes its meaning while `SCHEMA` stays the same. Spans are
[start, end) in characters of the text, which are Unicode code points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pfcompile.explain.codes import BY_CODE
from pfcompile.facts import link_types

if TYPE_CHECKING:
    from pfcompile.errors import FilterError, Span
    from pfcompile.explain.explanation import Explanation, FilterWarning, Term

SCHEMA: Final = 1


def as_data(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as dictionaries and lists."""
    row = link_types.by_dlt(explanation.dlt)
    return {
        "schema": SCHEMA,
        "text": explanation.text,
        "link_type": {
            "dlt": explanation.dlt,
            "name": None if row is None else row.name,
            "description": None if row is None else row.description,
        },
        "understood": explanation.understood,
        "terms": [_term(explanation, term) for term in explanation.terms],
        "usual_packets": [
            {"name": tried.name, "matches": tried.matches} for tried in explanation.tried
        ],
        "warnings": [_warning(each) for each in explanation.warnings],
        "left_out": explanation.left_out,
    }


def error_as_data(error: FilterError) -> dict[str, Any]:
    """Return what is wrong with an expression that has no explanation."""
    return {
        "schema": SCHEMA,
        "text": error.text,
        "error": {
            "message": error.message,
            "span": None if error.span is None else _span(error.span),
            "hint": error.hint,
        },
    }


def _term(explanation: Explanation, term: Term) -> dict[str, Any]:
    return {
        "span": _span(term.span),
        "understood_span": _span(term.understood),
        "understood": explanation.understood[term.understood.start : term.understood.end],
        "words": term.words,
        "inherited": term.inherited,
    }


def _warning(each: FilterWarning) -> dict[str, Any]:
    return {
        "code": each.code,
        "level": each.level.value,
        "title": BY_CODE[each.code].title,
        "span": _span(each.span),
        "message": each.message,
        "hint": each.hint,
        "related": [
            {"span": _span(related.span), "message": related.message} for related in each.related
        ],
    }


def _span(span: Span) -> list[int]:
    return [span.start, span.end]
