"""Names that look like a misspelt one, for hints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST: Final = 3
_LONGEST: Final = 64
"""Longer words are not compared: it takes quadratic time, and no name is that long."""


def nearest(word: str, candidates: Iterable[str]) -> list[str]:
    """Return up to three of `candidates` that look like `word`, the most similar first.

    Case does not count; each candidate is given as it is spelt, and never twice.
    """
    import difflib  # noqa: PLC0415 - for mistakes only

    if len(word) > _LONGEST:
        return []
    by_folded: dict[str, list[str]] = {}
    for candidate in dict.fromkeys(candidates):
        by_folded.setdefault(candidate.casefold(), []).append(candidate)
    close = difflib.get_close_matches(word.casefold(), by_folded, n=_MOST)
    return [candidate for folded in close for candidate in by_folded[folded]][:_MOST]
