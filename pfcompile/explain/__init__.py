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
    from pfcompile.explain.counting.captures import Reading, hits
    from pfcompile.explain.counting.found import Hits, LinkTypeHits, TermHits
    from pfcompile.explain.one_packet.found import Change, NamedBytes, TermWay, TestWay, Why
    from pfcompile.explain.one_packet.walk import why, why_packet

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
    "Change": "one_packet.found",
    "Hits": "counting.found",
    "LinkTypeHits": "counting.found",
    "NamedBytes": "one_packet.found",
    "Reading": "counting.captures",
    "TermHits": "counting.found",
    "TermWay": "one_packet.found",
    "TestWay": "one_packet.found",
    "Why": "one_packet.found",
    "hits": "counting.captures",
    "why": "one_packet.walk",
    "why_packet": "one_packet.walk",
}
"""Where names are that read captures, which an explanation alone does not load."""


def __getattr__(name: str) -> Any:
    """Load a name of `_PLACES`."""
    if name not in _PLACES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    found = globals()[name] = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    return found
