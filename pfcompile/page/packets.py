"""What an expression does with the packets of a capture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from pfcompile.captures.inputs import open_source
from pfcompile.captures.reader import read_records
from pfcompile.captures.summary import decimals_of, describe_packet, local_time
from pfcompile.errors import CaptureError, FilterError
from pfcompile.facts import link_types
from pfcompile.ir.evaluation import Walker, Way
from pfcompile.ir.graph import Accept, successors
from pfcompile.page.analysis import compiled
from pfcompile.page.drawing import text_of as block_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pfcompile.captures.records import Record
    from pfcompile.ir.evaluation import Step
    from pfcompile.ir.graph import Graph, Label
    from pfcompile.page.analysis import Filter

MOST_PACKETS: Final = 100_000
"""How many packets of a capture are looked at."""

MOST_LISTED: Final = 2_000
"""How many packets are listed of those that match, and of those that do not."""

MOST_BYTES: Final = 512
"""How many bytes of a packet are shown."""


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
        listed: Packets, in their order.
    """

    text: str
    link_type: str
    packets: int = 0
    matched: int = 0
    foreign: int = 0
    problem: str | None = None
    blocks: Mapping[Label, Flow] = field(default_factory=dict)
    listed: tuple[Listed, ...] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """What happens to one packet.

    Attributes:
        number: Its place in the capture.
        matches: Whether it matches.
        labels: The blocks on its way.
        steps: What is tested there, and how that ends.
        hex: Its bytes, a row of 16 a line.
        left_out: How many of its bytes are not shown.
        problem: Why there is nothing to say.
    """

    number: int
    matches: bool = False
    labels: tuple[int, ...] = ()
    steps: tuple[str, ...] = ()
    hex: tuple[str, ...] = ()
    left_out: int = 0
    problem: str | None = None


def contents(capture: str, path: str) -> Contents:
    """Return what is in a capture that was handed over."""
    found: Counter[int] = Counter()
    problem = None
    try:
        for record in _records(path):
            found[record.interface.dlt] += 1
    except CaptureError as error:
        problem = said(error)
    names = tuple(_name(dlt) for dlt, _ in found.most_common())
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
        for number, record in enumerate(_records(path), 1):
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
        problem = f"only the first {MOST_PACKETS:,} packets were looked at"
    return Outcome(
        asked.text,
        made.program.link_type,
        counts.total(),
        counts[True],
        counts[None],
        problem,
        flows,
        tuple(listed),
    )


def _records(path: str) -> Iterator[Record]:
    """Yield the packets of a capture, not more than are looked at."""
    with open_source(path) as stream:
        yield from islice(read_records(stream, path), MOST_PACKETS)


def said(error: CaptureError) -> str:
    """Return what is wrong with a capture, without the name that the server gave it."""
    return error.message if error.offset is None else f"byte {error.offset}: {error.message}"


def _name(dlt: int) -> str:
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
    end = _end(graph, steps)
    if end is not None:
        flows[end].reached += 1
        assert isinstance(graph[end], Accept) is matches


def _end(graph: Graph, steps: list[Step]) -> Label | None:
    """Return the end that a way leads to; None where the filter ends before."""
    if not steps:
        return graph.entry
    label, way = steps[-1]
    if way is Way.CUT_SHORT:
        return None
    ways = successors(graph[label])
    return ways[-1] if way is Way.NO else ways[0]


def course(path: str, asked: Filter, number: int) -> Course:
    """Return what happens to one packet of a capture, by its place in it, from 1."""
    try:
        made = compiled(asked)
        record = next(islice(_records(path), number - 1, None), None) if number > 0 else None
    except (FilterError, ValueError) as error:
        return Course(number, problem=str(error))
    except CaptureError as error:
        return Course(number, problem=said(error))
    if record is None:
        return Course(number, problem="there is no such packet")
    rows, left_out = hex_rows(record.data)
    if record.interface.dlt != made.program.dlt:
        other = _name(record.interface.dlt)
        return Course(number, hex=rows, left_out=left_out, problem=f"its link type is {other}")
    if made.graph is None:
        return Course(number, matches=True, hex=rows, left_out=left_out)
    graph = made.graph
    steps, matches = Walker(graph).walk(record.data, record.wire_length)
    end = _end(graph, steps)
    return Course(
        number,
        matches,
        (*(label for label, _ in steps), *(() if end is None else (end,))),
        tuple(f"{block_text(graph[label])}: {_WORDS[way]}" for label, way in steps),
        rows,
        left_out,
    )


_WORDS: Final = {
    Way.YES: "yes",
    Way.NO: "no",
    Way.ON: "set",
    Way.CUT_SHORT: "beyond the captured bytes, so it does not match",
}


def hex_rows(packet: bytes) -> tuple[tuple[str, ...], int]:
    """Return rows of 16 bytes as hex, and how many bytes are left out at the end."""
    shown = packet[:MOST_BYTES]
    rows = tuple(
        f"{start:04x}  {shown[start : start + 16].hex(' ')}" for start in range(0, len(shown), 16)
    )
    return rows, len(packet) - len(shown)
