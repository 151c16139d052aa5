"""What an expression means, in words, with warnings; and what it does with packets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from pfcompile.explain.explaining import explain
from pfcompile.explain.explanation import (
    Explanation,
    FilterWarning,
    Level,
    Related,
    Term,
    Tried,
)

if TYPE_CHECKING:
    from pfcompile.explain.hits_counting import Reading, hits
    from pfcompile.explain.hits_found import Hits, LinkTypeHits, TermHits
    from pfcompile.explain.why_found import Change, NamedBytes, TermWay, TestWay, Why
    from pfcompile.explain.why_walk import why, why_packet

__all__ = [
    "Change",
    "Explanation",
    "FilterWarning",
    "Hits",
    "Level",
    "LinkTypeHits",
    "NamedBytes",
    "Reading",
    "Related",
    "Term",
    "TermHits",
    "TermWay",
    "TestWay",
    "Tried",
    "Why",
    "explain",
    "hits",
    "why",
    "why_packet",
]

_PLACES: Final = {
    "Change": "why_found",
    "Hits": "hits_found",
    "LinkTypeHits": "hits_found",
    "NamedBytes": "why_found",
    "Reading": "hits_counting",
    "TermHits": "hits_found",
    "TermWay": "why_found",
    "TestWay": "why_found",
    "Why": "why_found",
    "hits": "hits_counting",
    "why": "why_walk",
    "why_packet": "why_walk",
}
"""Where names are that read captures, which an explanation alone does not load."""


def __getattr__(name: str) -> Any:
    """Load a name of `_PLACES`."""
    if name not in _PLACES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    found = globals()[name] = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    return found
