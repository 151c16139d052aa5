"""What an expression does with the packets of a capture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from pfcompile.captures.reader import read_records
from pfcompile.captures.sources.inputs import open_source
from pfcompile.captures.summary import decimals_of, describe_packet, local_time
from pfcompile.errors import CaptureError, FilterError, Span
from pfcompile.explain.counting.captures import Reading, hits
from pfcompile.facts import link_types
from pfcompile.ir.evaluation import Walker, Way
from pfcompile.ir.graph import Accept, successors
from pfcompile.page.asked import compiled
from pfcompile.page.spans import places_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pfcompile.captures.formats.records import Record
    from pfcompile.ir.evaluation import Step
    from pfcompile.ir.graph import Graph, Label
    from pfcompile.page.asked import Filter
    from pfcompile.page.spans import Place

MOST_PACKETS: Final = 100_000
"""How many packets of a capture are looked at."""

MOST_LISTED: Final = 2_000
"""How many packets are listed of those that match, and of those that do not."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a capture.

    Attributes:
        capture: Its identifier.
        packets: How many.
        link_types: Of its packets, the most frequent first.
        problem: What is wrong with it, or None; what is before that is there.
    """

    capture: str
    packets: int
    link_types: tuple[str, ...]
    problem: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A packet in the list.

    Attributes:
        number: Its place in the capture, from 1.
        time: When it was captured.
        summary: What it is.
        length: On the wire.
        matches: Whether it matches; None where it is of another link type.
    """

    number: int
    time: str
    summary: str
    length: int
    matches: bool | None


@dataclass(slots=True)
class Flow:
    """The packets that came to a block, and which way they went on."""

    reached: int = 0
    yes: int = 0
    no: int = 0
    cut_short: int = 0


@dataclass(frozen=True, slots=True)
class TermCounts:
    """How many packets came to a term, and for how many it was true.

    Attributes:
        place: Where the term stands.
        reached: How many came to it; for the others those before it have settled the matter.
        true: For how many it was true.
    """

    place: Place
    reached: int
    true: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an expression does with a capture.

    Attributes:
        text: The expression.
        link_type: The link type that it was compiled for.
        packets: How many packets were looked at.
        matched: How many of them match.
        foreign: How many are of other link types.
        problem: What is wrong with the capture or the expression, or why not all was looked at.
        blocks: The packets of each block of the last graph.
        terms: The packets of each term.
        listed: Packets, in their order.
    """

    text: str
    link_type: str
    packets: int = 0
    matched: int = 0
    foreign: int = 0
    problem: str | None = None
    blocks: Mapping[Label, Flow] = field(default_factory=dict)
    terms: tuple[TermCounts, ...] = ()
    listed: tuple[Listed, ...] = ()


def contents(capture: str, path: str) -> Contents:
    """Return what is in a capture that was handed over."""
    found: Counter[int] = Counter()
    problem = None
    try:
        for record in records(path):
            found[record.interface.dlt] += 1
    except CaptureError as error:
        problem = said(error)
    names = tuple(name_of(dlt) for dlt, _ in found.most_common())
    return Contents(capture, found.total(), names, problem)


def run_over(path: str, asked: Filter) -> Outcome:
    """Return what an expression does with the packets of a capture."""
    try:
        made = compiled(asked)
    except (FilterError, ValueError) as error:
        return Outcome(asked.text, asked.link_type, problem=str(error))
    graph = made.graph
    walker = None if graph is None else Walker(graph)
    flows = {} if graph is None else {label: Flow() for label in graph.labels}
    lists: dict[bool | None, list[Listed]] = {True: [], False: [], None: []}
    counts: Counter[bool | None] = Counter()
    problem = None
    try:
        for number, record in enumerate(records(path), 1):
            matches: bool | None = True
            if record.interface.dlt != made.program.dlt:
                matches = None
            elif walker is not None:
                steps, matches = walker.walk(record.data, record.wire_length)
                assert graph is not None
                _count(graph, steps, flows, matches=matches)
            counts[matches] += 1
            if len(lists[matches]) < MOST_LISTED:
                lists[matches].append(_listed(number, record, matches=matches))
    except CaptureError as error:
        problem = said(error)
    listed = sorted((row for rows in lists.values() for row in rows), key=lambda row: row.number)
    if counts.total() == MOST_PACKETS:
        problem = f"no more than the first {MOST_PACKETS:,} packets are looked at"
    return Outcome(
        asked.text,
        made.program.link_type,
        counts.total(),
        counts[True],
        counts[None],
        problem,
        flows,
        _terms(path, asked, made.program.dlt) if counts.total() < MOST_PACKETS else (),
        tuple(listed),
    )


def _terms(path: str, asked: Filter, dlt: int) -> tuple[TermCounts, ...]:
    """Return what the terms of an expression said, as far as that can be counted."""
    reading = Reading(on_damage=lambda _: None, complain=lambda _: None)
    try:
        found = hits(path, asked.text, resolver=asked.resolver, reading=reading)
    except FilterError:  # of a link type that it means nothing for, or `ip broadcast`
        return ()
    place = places_in(asked.text)
    return tuple(
        TermCounts(place(Span(term.start, term.end)), term.reached, term.true)
        for each in found.link_types
        if each.dlt == dlt
        for term in each.terms
    )


def records(path: str) -> Iterator[Record]:
    """Yield the packets of a capture, not more than are looked at."""
    with open_source(path) as stream:
        yield from islice(read_records(stream, path), MOST_PACKETS)


def said(error: CaptureError) -> str:
    """Return what is wrong with a capture, without the name that the server gave it."""
    return error.message if error.offset is None else f"byte {error.offset}: {error.message}"


def name_of(dlt: int) -> str:
    """Return what a link type is called."""
    row = link_types.by_dlt(dlt)
    return str(dlt) if row is None else row.name


def _listed(number: int, record: Record, *, matches: bool | None) -> Listed:
    interface = record.interface
    time = local_time(record.timestamp_ns, decimals_of(interface)) if record.has_time else ""
    summary = describe_packet(interface.dlt, record.data)
    return Listed(number, time, summary, record.wire_length, matches)


def _count(graph: Graph, steps: list[Step], flows: dict[Label, Flow], *, matches: bool) -> None:
    """Count a packet on its way."""
    for label, way in steps:
        flow = flows[label]
        flow.reached += 1
        if way is Way.CUT_SHORT:
            flow.cut_short += 1
        elif way is Way.NO:
            flow.no += 1
        else:
            flow.yes += 1
    end = end_of(graph, steps)
    if end is not None:
        flows[end].reached += 1
        assert isinstance(graph[end], Accept) is matches


def end_of(graph: Graph, steps: list[Step]) -> Label | None:
    """Return the end that a way leads to; None where the filter ends before."""
    if not steps:
        return graph.entry
    label, way = steps[-1]
    if way is Way.CUT_SHORT:
        return None
    ways = successors(graph[label])
    return ways[-1] if way is Way.NO else ways[0]
