"""Places in an expression, counted as browsers count: in UTF-16 units, not in characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.errors import Span

Place: TypeAlias = tuple[int, int]
"""Where something begins and ends in what a browser calls the text."""


def places_in(text: str) -> Callable[[Span], Place]:
    """Return what makes a browser's places of spans of `text`; beyond its end is its end."""
    if text.isascii():
        return lambda span: (min(span.start, len(text)), min(span.end, len(text)))

    def units(characters: int) -> int:
        return len(text[:characters].encode("utf-16-le", "surrogatepass")) // 2

    return lambda span: (units(span.start), units(span.end))
