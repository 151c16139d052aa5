"""The loop that walks the records of a block, with the filters in it, as a module of LLVM's.

The module has one function::

    scan(block, state)    walks, filters, takes notes

`state` is 64-bit words (`loop.Loop.state`). `scan` stops at the first record that is not whole, or
that cannot be, before it; what is wrong with it is for its caller to say. A limit on the matches of
the first filter stops it behind the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.captures.layouts import PcapLayout
from pfcompile.captures.native import SLACK
from pfcompile.jit.scan.filter import (
    Packet,
    constant_ends,
    jump_targets,
    write_filter,
)
from pfcompile.jit.scan.flows import Branches, Conditions
from pfcompile.jit.scan.loop import POSITION, Loop
from pfcompile.jit.scan.notes import Judged, notes_for
from pfcompile.jit.scan.records import (
    PcapngRecords,
    PcapRecords,
    interface_filter,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.captures.layouts import Layout
    from pfcompile.captures.native import Wanted
    from pfcompile.cbpf.isa import Instruction
    from pfcompile.jit.scan.notes import Note
    from pfcompile.jit.scan.records import Record
    from pfcompile.jit.scan.text import Text

MOST_CONDITIONS: Final = 64
"""Programs up to this length are written without branches: beyond it, branches were faster."""

USUAL_LENGTH: Final = 64
"""Loads that end here or before are checked at once. Most packets are at least so long as the
filter's loads of headers reach; what a filter loads beyond this it checks for itself."""


def state_words(layout: Layout, wanted: Wanted, filters: int) -> tuple[str, ...]:
    """Return the names of the words that a scan shares with its caller."""
    return _loop(notes_for(layout, wanted, filters)).state


def scan_text(
    programs: Sequence[Sequence[Sequence[Instruction]]], layout: Layout, wanted: Wanted
) -> str:
    """Return the module for some filters and a kind of record.

    Args:
        programs: For each link type a program for each filter; one link type in a pcap file.
        layout: The records.
        wanted: What is taken down of them.
    """
    notes = notes_for(layout, wanted, len(programs[0]))
    loop = _loop(notes)
    text = loop.text
    records = PcapRecords(layout) if isinstance(layout, PcapLayout) else PcapngRecords(layout)
    record = records.write(text)
    judged = Judged(record, records, _verdicts(text, programs, record))
    after = {POSITION: record.stop}
    for note in notes:
        after |= note.write(text, judged)
    text.act("br label %next")
    text.begin("next")
    return loop.finish(after, matched="matched_0" if wanted.limit else None)


def _loop(notes: Sequence[Note]) -> Loop:
    return Loop([word for note in notes for word in note.words])


def _verdicts(
    text: Text, programs: Sequence[Sequence[Sequence[Instruction]]], record: Record
) -> list[str]:
    """Write all filters; return a bit for each, which says whether the packet matches."""
    if len(programs) == 1:
        text.act("br label %filters.0")
    else:
        chosen = interface_filter(text, record)
        ways = " ".join(f"i64 {number}, label %filters.{number}" for number in range(len(programs)))
        text.act(f"switch i64 {chosen}, label %halt [{ways}]")
    ends: list[tuple[str, list[str]]] = []
    for number, filters in enumerate(programs):
        text.begin(f"filters.{number}")
        ends += _link_type(text, filters, record, number)
    text.begin("judged")
    return [
        text.value("phi i1 " + ", ".join(f"[{bits[index]}, %{label}]" for label, bits in ends))
        for index in range(len(programs[0]))
    ]


def _link_type(
    text: Text, filters: Sequence[Sequence[Instruction]], record: Record, number: int
) -> list[tuple[str, list[str]]]:
    """Write the filters of one link type; return the blocks that lead on, and their bits."""
    packet = Packet(record.data, record.captured, record.wire)
    known = max(
        (end for each in filters for end in constant_ends(each) if end <= USUAL_LENGTH), default=0
    )
    ends = []
    if known:
        usual = text.value(f"icmp uge i64 {record.captured}, {known}")
        text.act(f"br i1 {usual}, label %usual.{number}, label %short.{number}, !prof !0")
        text.begin(f"short.{number}")
        bits = [
            _branches(text, each, packet, 0, f"short.{number}.{i}")
            for i, each in enumerate(filters)
        ]
        ends.append((text.label, bits))
        text.act("br label %judged")
        text.begin(f"usual.{number}")
    bits = [
        _filter(text, each, packet, known, f"usual.{number}.{i}") for i, each in enumerate(filters)
    ]
    ends.append((text.label, bits))
    text.act("br label %judged")
    return ends


def _filter(
    text: Text, instructions: Sequence[Instruction], packet: Packet, known: int, name: str
) -> str:
    """Write one filter the faster way; return its bit."""
    if len(instructions) > MOST_CONDITIONS or max(constant_ends(instructions), default=0) > SLACK:
        return _branches(text, instructions, packet, known, name)
    conditions = Conditions(text)
    write_filter(instructions, conditions, packet, known)
    return conditions.match


def _branches(
    text: Text, instructions: Sequence[Instruction], packet: Packet, known: int, name: str
) -> str:
    """Write one filter with branches; return its bit."""
    flow = Branches(text, f"{name}.done", jump_targets(instructions))
    write_filter(instructions, flow, packet, known)
    flow.close()
    text.begin(f"{name}.done")
    return text.value("phi i1 " + ", ".join(f"[{bit}, %{label}]" for bit, label in flow.verdicts))
