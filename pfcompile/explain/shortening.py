"""Long texts with their middle left out."""

from __future__ import annotations

from typing import Final

_GAP: Final = " ... "


def shortened(text: str, longest: int) -> str:
    """Return a text of one line in at most `longest` characters, its middle left out.

    It is cut between words, so that what is left of an address does not look like another one.
    """
    if len(text) <= longest:
        return text
    half = (longest - len(_GAP)) // 2
    begin, end = text[:half], text[-half:]
    if not text[half].isspace():
        begin = begin.rpartition(" ")[0] or begin
    if not text[-half - 1].isspace():
        end = end.partition(" ")[2] or end
    return f"{begin.rstrip()}{_GAP}{end.lstrip()}"
