"""What workers do for requests: each takes what is asked and returns JSON, as bytes.

Whatever goes wrong with what a user gave is part of the answer; only our own mistakes are raised.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from pfcompile.page import analysis, comparison, course, meaning, packets

if TYPE_CHECKING:
    from pfcompile.page.asked import Filter


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A capture that was handed over.

    Attributes:
        name: Its identifier.
        path: Where it lies.
    """

    name: str
    path: str


def analyse(asked: Filter) -> bytes:
    """Return the JSON of an `analysis.Analysis`."""
    return encoded(analysis.analyse(asked))


def explain(asked: Filter) -> bytes:
    """Return the JSON of a `meaning.Meaning`."""
    return encoded(meaning.meaning(asked))


def compare(asked: tuple[Filter, Filter]) -> bytes:
    """Return the JSON of a `comparison.Comparison`."""
    return encoded(comparison.compare(*asked))


def describe_capture(asked: Uploaded) -> bytes:
    """Return the JSON of a `packets.Contents`."""
    return encoded(packets.contents(asked.name, asked.path))


def run_over_capture(asked: tuple[Uploaded, Filter]) -> bytes:
    """Return the JSON of a `packets.Outcome`."""
    capture, filtering = asked
    return encoded(packets.run_over(capture.path, filtering))


def explain_packet(asked: tuple[Uploaded, Filter, int]) -> bytes:
    """Return the JSON of a `course.Course`."""
    capture, filtering, number = asked
    return encoded(course.course(capture.path, filtering, number))


def encoded(answer: object) -> bytes:
    """Return an answer as JSON, in ASCII: text that is no Unicode has escapes, too."""
    return json.dumps(answer, default=plain, separators=(",", ":")).encode()


def plain(answer: object) -> dict[str, Any]:
    """Return a dataclass as JSON has it; `asdict` would copy all that is in it."""
    assert is_dataclass(answer)
    return {each.name: getattr(answer, each.name) for each in fields(answer)}
