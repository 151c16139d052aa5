"""What stands in each box, and how large that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.pictures.model import Kind
from pfcompile.pictures.wording import asking, clean, columns, cut

if TYPE_CHECKING:
    from pfcompile.pictures.model import Box, Picture

_MOST_COLUMNS: Final = 48
_CHARACTER: Final = 0.615
"""Width of a character of the usual fonts of equal widths, in font sizes."""

STRIP: Final = 5.0
"""Width of the coloured strips that tell the terms."""

_PAD: Final = 9.0
_NAME_GAP: Final = 8.0
_SIDES: Final = 14.0
"""Room left and right in a rounded box."""

SIZES: Final = {"words": 12.0, "name": 10.0, "detail": 11.0, "asked": 11.0}
_HEIGHTS: Final = {"words": 17.0, "detail": 14.0, "asked": 15.0}

ROUND: Final = frozenset({Kind.ACCEPT, Kind.REJECT, Kind.OPERATOR})


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in a box, placed from the box's upper left.

    Attributes:
        kind: "name", "words", "detail" or "asked".
        text: What it says, cut.
        x: Where it begins.
        y: Its base line.
    """

    kind: str
    text: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Contents:
    """A box's lines, and its size in pixels."""

    lines: tuple[Line, ...]
    width: float
    height: float


def contents(box: Box, picture: Picture) -> Contents:
    """Return what stands in a box."""
    words = cut(clean(box.lines[0]), _MOST_COLUMNS)
    if box.kind in ROUND:
        width = _width("words", words) + 2 * _SIDES
        return Contents((Line("words", words, _SIDES, 16.0),), width, 24.0)
    left = _PAD + (STRIP if box.origins else 0.0)
    x, y = left, 17.0
    lines = []
    if box.name:
        lines.append(Line("name", box.name, x, y))
        x += _width("name", box.name) + _NAME_GAP
    lines.append(Line("words", words, x, y))
    further = [("detail", line) for line in box.lines[1:]]
    if box.origins and picture.text and box.kind is not Kind.TERM:
        further.append(("asked", asking(picture.text, box.origins)))
    for kind, text in further:
        if not text:
            continue
        y += _HEIGHTS[kind]
        lines.append(Line(kind, cut(clean(text), _MOST_COLUMNS), left, y))
    widest = max(line.x + _width(line.kind, line.text) for line in lines)
    count = "" if box.count is None else count_text(box.count)
    if count:
        first = lines[1 if box.name else 0]
        beside = first.x + _width("words", first.text) + _NAME_GAP + _width("name", count)
        widest = max(widest, beside)
    return Contents(tuple(lines), widest + _PAD, y + 9.0)


def count_text(count: int) -> str:
    """Return a number of packets as it is shown."""
    return f"{count:,}"


def text_width(size: float, text: str) -> float:
    """Return how wide a text is at most, in pixels."""
    return columns(text) * size * _CHARACTER


def _width(kind: str, text: str) -> float:
    return text_width(SIZES[kind], text)
