"""Texts for pictures: cut to what fits, and without what a terminal or XML would take amiss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size

if TYPE_CHECKING:
    from pfcompile.errors import Span

_CUT: Final = "…"
_UNPRINTABLE: Final = "\N{REPLACEMENT CHARACTER}"


def clean(text: str) -> str:
    """Return `text` in one line, with a sign in place of each character that is not printable."""
    return "".join(c if c.isprintable() else " " if c.isspace() else _UNPRINTABLE for c in text)


def cut(text: str, most: int) -> str:
    """Return the first `most` columns of a text, the last one a sign that there was more."""
    return text if cell_len(text) <= most else set_cell_size(text, most - 1).rstrip() + _CUT


def columns(text: str) -> int:
    """Return how many columns a text takes in a font of equal widths."""
    return cell_len(text)


def quoted(text: str, span: Span) -> str:
    """Return a part of an expression in one line."""
    return clean(" ".join(text[span.start : span.end].split()))


def asking(text: str, origins: tuple[Span, ...], most: int = 2) -> str:
    """Return the parts of an expression that asked for something, the first ones of many."""
    shown = [quoted(text, span) for span in origins[:most]]
    more = len(origins) - most
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")
