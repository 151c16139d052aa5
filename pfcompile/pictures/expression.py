"""The expression above a picture, its parts told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.pictures.wording import clean, columns

if TYPE_CHECKING:
    from pfcompile.errors import Span
    from pfcompile.pictures.model import Picture

Part: TypeAlias = "tuple[str, Span | None]"
"""Some of the text, and which part of the expression it is in, if in any."""

_MOST_LINES: Final = 5


def coloured_lines(picture: Picture, width: int) -> list[list[Part]]:
    """Return the expression in lines of at most `width` columns, cut after a few.

    Lines break at blanks where there are some.
    """
    lines: list[list[Part]] = [[]]
    room = width
    for text, span in _words(picture):
        size = columns(text)
        if size > room and lines[-1]:
            if len(lines) == _MOST_LINES:
                lines[-1].append((" …", None))
                return lines
            lines.append([])
            room = width
            text = text.lstrip()  # noqa: PLW2901 - a line begins with no blank
            size = columns(text)
        while size > room:
            # A word longer than a line.
            lines[-1].append((text[:room], span))
            if len(lines) == _MOST_LINES:
                return lines
            lines.append([])
            text = text[room:]  # noqa: PLW2901
            room, size = width, columns(text)
        lines[-1].append((text, span))
        room -= size
    return [line for line in lines if line]


def _words(picture: Picture) -> list[Part]:
    """Return the expression word by word, each with the blanks before it."""
    words: list[Part] = []
    place = 0
    for span in picture.terms:
        if span.start < place:
            continue  # Inside of another one.
        words += [(word, None) for word in _split(picture.text[place : span.start])]
        words += [(word, span) for word in _split(picture.text[span.start : span.end])]
        place = span.end
    return words + [(word, None) for word in _split(picture.text[place:])]


def _split(text: str) -> list[str]:
    words = []
    start = 0
    for i, character in enumerate(text):
        if character.isspace() and i and not text[i - 1].isspace():
            words.append(clean(text[start:i]))
            start = i
    return [*words, clean(text[start:])] if text else []
