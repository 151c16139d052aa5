"""What happens to one packet: its way, the bytes that decided, and what would turn the verdict."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from pfcompile.errors import CaptureError, FilterError, MissingExtraError, Span
from pfcompile.explain.one_packet.walk import why_packet
from pfcompile.ir.evaluation import Walker
from pfcompile.page.asked import compiled
from pfcompile.page.packets import end_of, name_of, records, said
from pfcompile.page.spans import places_in

if TYPE_CHECKING:
    from pfcompile.captures.formats.records import Record
    from pfcompile.explain.one_packet.found import Why
    from pfcompile.page.asked import Compiled, Filter
    from pfcompile.page.spans import Place

MOST_BYTES: Final = 1024
"""How many bytes of a packet are shown."""

CHANGE_SECONDS: Final = 3.0
"""How long is looked for a change that turns the verdict."""


@dataclass(frozen=True, slots=True)
class TermOutcome:
    """What a term said of a packet.

    Attributes:
        text: The term.
        place: Where it stands; None for what is measured before the first one.
        outcome: "true", "false" or "cut short".
        tests: What its tests found, in words.
    """

    text: str
    place: Place | None
    outcome: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """What happens to one packet.

    Attributes:
        number: Its place in the capture, from 1.
        matches: Whether it matches; None where it is not looked at.
        labels: The blocks of the last graph on its way.
        terms: The terms that it came to.
        bytes: Its bytes as hex, the first of them.
        left_out: How many of its bytes are not shown.
        deciding: The bytes that were looked at, as first and behind the last.
        change: What would turn the verdict, or why that is not known.
        problem: Why there is no more to say.
    """

    number: int
    matches: bool | None = None
    labels: tuple[int, ...] = ()
    terms: tuple[TermOutcome, ...] = ()
    bytes: str = ""
    left_out: int = 0
    deciding: tuple[tuple[int, int], ...] = ()
    change: str = ""
    problem: str | None = None


def course(path: str, asked: Filter, number: int, change_seconds: float = CHANGE_SECONDS) -> Course:
    """Return what happens to a packet of a capture.

    Args:
        path: The capture.
        asked: The expression.
        number: The packet's place in it, from 1.
        change_seconds: How long is looked for a change that turns the verdict; 0 for not at all.
    """
    try:
        made = compiled(asked)
        is_number = 0 < number <= sys.maxsize  # more than that no file can have
        record = next(islice(records(path), number - 1, None), None) if is_number else None
    except (FilterError, ValueError) as error:
        return Course(number, problem=str(error))
    except CaptureError as error:
        return Course(number, problem=said(error))
    if record is None:
        return Course(number, problem="there is no such packet")
    shown = Course(
        number,
        bytes=record.data[:MOST_BYTES].hex(),
        left_out=max(0, len(record.data) - MOST_BYTES),
    )
    if record.interface.dlt != made.program.dlt:
        other = name_of(record.interface.dlt)
        return replace(shown, problem=f"it is of another link type, {other}")
    matches, labels = _way(made, record)
    shown = replace(shown, matches=matches, labels=labels)
    try:
        return _with_reasons(shown, _why(record, asked, number, change_seconds), asked)
    except FilterError:  # what needs a netmask: its way is known all the same
        return shown


def _way(made: Compiled, record: Record) -> tuple[bool, tuple[int, ...]]:
    """Return whether a packet matches, and the blocks of the last graph on its way."""
    if made.graph is None:
        return True, ()
    steps, matches = Walker(made.graph).walk(record.data, record.wire_length)
    end = end_of(made.graph, steps)
    return matches, (*(label for label, _ in steps), *(() if end is None else (end,)))


def _why(record: Record, asked: Filter, number: int, change_seconds: float) -> Why:
    def why(seconds: float) -> Why:
        return why_packet(
            bytes(record.data),
            asked.text,
            record.interface.dlt,
            number=number,
            wire_length=record.wire_length,
            resolver=asked.resolver,
            change_seconds=seconds,
        )

    try:
        return why(change_seconds)
    except MissingExtraError:
        return why(0)


def _with_reasons(shown: Course, found: Why, asked: Filter) -> Course:
    place = places_in(asked.text)
    return replace(
        shown,
        terms=tuple(
            TermOutcome(
                term.text,
                None
                if term.start is None or term.end is None
                else place(Span(term.start, term.end)),
                term.outcome,
                tuple(test.words for test in term.tests),
            )
            for term in found.terms
        ),
        deciding=tuple((each.start, each.stop) for each in found.deciding),
        change=found.no_change if found.smallest is None else found.smallest.words,
    )
