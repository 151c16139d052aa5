"""The loop that walks the records of a block, with the filters in it, as a module of LLVM's.

The module has one function::

    scan(block, state)    walks, filters, takes notes

`state` is 64-bit words (`loop.Loop.state`). `scan` stops at the first record that is not whole, or
that cannot be, before it; what is wrong with it is for its caller to say. A limit on the matches of
the first filter stops it behind the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.analysis.counters import Counting
from pfcompile.captures.blocks.scans import SLACK
from pfcompile.captures.formats.layouts import PcapLayout
from pfcompile.jit.scan.compared import Compared
from pfcompile.jit.scan.counted import CountedGraph, Places
from pfcompile.jit.scan.filter import Begin, Filter, Packet, write_filter, write_start
from pfcompile.jit.scan.flows import Branches, Conditions, Expected, Registers
from pfcompile.jit.scan.loop import POSITION, TABLES, Loop
from pfcompile.jit.scan.notes import Judged, matches_word, notes_for
from pfcompile.jit.scan.records import PcapngRecords, PcapRecords, interface_filter
from pfcompile.jit.scan.tables import Tables
from pfcompile.jit.scan.text import TRUE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.captures.blocks.scans import Wanted
    from pfcompile.captures.formats.layouts import Layout
    from pfcompile.jit.scan.counted import Scanned
    from pfcompile.jit.scan.notes import Note
    from pfcompile.jit.scan.records import Record
    from pfcompile.jit.scan.text import Text

MOST_CONDITIONS: Final = 40
"""Programs up to this length, look-ups counted as one, are written without branches.

Measured with 16 filters on packets in random order and in flows of eight packets: on random ones
conditions took 0.3 to 0.9 of the time of branches at 16 to 31 instructions, 0.5 to 0.7 at 33 to 39
and 0.7 to 2.1 at 46 and 48; on flows 0.9 to 1.3 times at 16 to 31, 1.1 to 1.9 at 33 to 39 and 1.7
to 2.6 at 46 and 48. 0.9 was a filter whose first test most packets fail.
"""

USUAL_LENGTH: Final = 64
"""Loads that end here or before are checked at once. Most packets are at least so long as the
filter's loads of headers reach; what a filter loads beyond this it checks when it comes to it."""


def state_words(layout: Layout, wanted: Wanted, filters: int) -> tuple[str, ...]:
    """Return the names of the words that a scan shares with its caller."""
    return _loop(notes_for(layout, wanted, filters)).state


class Module(NamedTuple):
    """A scan before it is compiled.

    Attributes:
        text: The module in LLVM's language.
        tables: What its word `tables` must point to.
    """

    text: str
    tables: bytes


def scan_module(programs: Sequence[Sequence[Scanned]], layout: Layout, wanted: Wanted) -> Module:
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
    filters = [[_filter(program) for program in each] for each in programs]
    tables = Tables(f"%{TABLES}")
    verdicts = _Verdicts(text, record, tables, places_of(programs))
    judged = Judged(record, records, verdicts.write(filters))
    after = {POSITION: record.stop}
    for note in notes:
        after |= note.write(text, judged)
    if records.has_others:
        after = _with_others(text, record, notes, after)
    else:
        text.act("br label %next")
        text.begin("next")
    counted = matches_word(0) if wanted.limit else None
    return Module(loop.finish(after, matches=counted), tables.data)


def _with_others(
    text: Text, record: Record, notes: Sequence[Note], after: Mapping[str, str]
) -> dict[str, str]:
    """Write what becomes of a record without a packet; return the words' new numbers in `next`."""
    ways = [(text.label, after)]
    text.act("br label %next")
    text.begin("other")
    changed = {POSITION: record.stop}
    for note in notes:
        changed |= note.pass_over(text, record)
    ways.append((text.label, changed))
    text.act("br label %next")
    text.begin("next")
    return {
        word: text.value(
            "phi i64 "
            + ", ".join(f"[{numbers.get(word, f'%{word}')}, %{label}]" for label, numbers in ways)
        )
        for word in after
    }


def places_of(programs: Sequence[Sequence[Scanned]]) -> Places:
    """Return where the counters of those graphs lie that are to be counted.

    They stay where they are when a link type is added behind the others.
    """
    places = Places()
    for filters in programs:
        for each in filters:
            if isinstance(each, Counting):
                places.add(each)
    return places


def _filter(program: Scanned) -> Filter | Counting:
    return program if isinstance(program, Counting) else Filter(program)


def _loop(notes: Sequence[Note]) -> Loop:
    return Loop([word for note in notes for word in note.words])


class _Verdicts:
    """Filters for one record."""

    def __init__(self, text: Text, record: Record, tables: Tables, places: Places) -> None:
        self._places = places
        self._text = text
        self._record = record
        self._packet = Packet(record.data, record.captured, record.wire)
        self._tables = tables

    def write(self, programs: Sequence[Sequence[Filter | Counting]]) -> list[str]:
        """Write all filters of all link types; return a bit a filter: whether it matches."""
        text = self._text
        if len(programs) == 1:
            text.act("br label %filters.0")
        else:
            chosen = interface_filter(text, self._record)
            ways = (f"i64 {number}, label %filters.{number}" for number in range(len(programs)))
            text.act(f"switch i64 {chosen}, label %halt [{' '.join(ways)}]")
        ends: list[tuple[str, list[str]]] = []
        for number, filters in enumerate(programs):
            text.begin(f"filters.{number}")
            ends += self._link_type(filters, number)
        text.begin("judged")
        return [
            text.value("phi i1 " + ", ".join(f"[{bits[index]}, %{label}]" for label, bits in ends))
            for index in range(len(programs[0]))
        ]

    def _link_type(
        self, filters: Sequence[Filter | Counting], number: int
    ) -> list[tuple[str, list[str]]]:
        """Write the filters of one link type; return the blocks that lead on, and their bits."""
        text = self._text
        ends = (end for each in filters for end in each.constant_ends)
        known = max((end for end in ends if end <= USUAL_LENGTH), default=0)
        found = []
        if known:
            usual = text.value(f"icmp uge i64 {self._record.captured}, {known}")
            text.act(f"br i1 {usual}, label %usual.{number}, label %short.{number}, !prof !0")
            text.begin(f"short.{number}")
            bits = [
                self._shortest(each, f"short.{number}.{index}")
                for index, each in enumerate(filters)
            ]
            found.append((text.label, bits))
            text.act("br label %judged")
            text.begin(f"usual.{number}")
        # What is expected and does not hold is for the block with all checks; but what has counted
        # a packet would count it there again.
        counts = any(isinstance(each, Counting) for each in filters)
        expected = Expected(text, f"short.{number}") if known and not counts else None
        bits = [
            self._fastest(each, known, f"usual.{number}.{index}", expected)
            for index, each in enumerate(filters)
        ]
        found.append((text.label, bits))
        self._go_on("judged", expected)
        return found

    def _go_on(self, label: str, expected: Expected | None) -> None:
        """Leave the present block for another, or for that where what was expected is checked."""
        fits = TRUE if expected is None else expected.write(self._packet.captured)
        if expected is None or fits == TRUE:
            self._text.act(f"br label %{label}")
        else:
            self._text.act(f"br i1 {fits}, label %{label}, label %{expected.instead}, !prof !0")

    def _shortest(self, program: Filter | Counting, name: str) -> str:
        """Write one filter with all its checks; return its bit."""
        if isinstance(program, Counting):
            return self._counted(program, 0, name, takes_shortcuts=False)
        return self._branches(program, Begin(0, Registers()), name)

    def _counted(
        self,
        program: Counting,
        known: int,
        name: str,
        *,
        takes_shortcuts: bool = True,
        checked: str | None = None,
    ) -> str:
        """Write a graph that is counted; return its bit."""
        return CountedGraph(
            program,
            self._places.start(program),
            self._text,
            self._packet,
            self._tables,
            known,
            name,
            takes_shortcuts=takes_shortcuts,
            checked=checked,
        ).write()

    def _fastest(
        self, program: Filter | Counting, known: int, name: str, expected: Expected | None
    ) -> str:
        """Write one filter the fastest way; return its bit."""
        if isinstance(program, Counting):
            # The first graph can go on in the text with all checks; behind it, so can the others.
            is_first = name.endswith(".0") and known > 0
            checked = name.replace("usual", "short") if is_first else None
            return self._counted(program, known, name, checked=checked)
        begin = Begin(0, Registers(known=known))
        tags = program.tag_test
        if tags is None:
            return self._part(program, begin, name, expected)
        text = self._text
        flow = Conditions(text)
        registers = write_start(program, tags.position, flow, self._packet, known)
        if registers is None:
            return self._part(program, begin, name, expected)
        # One after the other: with a branch behind it, each takes less than a look-up's share.
        test = Compared(tags.numbers).write(text, f"%{TABLES}", registers.a)
        text.act(f"br i1 {test}, label %{name}.0.way, label %{name}.1.way")
        found = []
        for number, way in enumerate((tags.then, tags.otherwise)):
            text.begin(f"{name}.{number}.way")
            of_the_way = None if expected is None else Expected(text, expected.instead)
            bit = self._part(program, Begin(way, registers), f"{name}.{number}", of_the_way)
            found.append(f"[{bit}, %{text.label}]")
            self._go_on(f"{name}.ways", of_the_way)
        text.begin(f"{name}.ways")
        return text.value(f"phi i1 {', '.join(found)}")

    def _part(self, program: Filter, begin: Begin, name: str, expected: Expected | None) -> str:
        """Write a filter from some instruction on, without branches if it is short."""
        length = len(program.reached_from(begin.position))
        if length > MOST_CONDITIONS or max(program.constant_ends, default=0) > SLACK:
            return self._branches(program, begin, name)
        conditions = Conditions(self._text, expected)
        write_filter(program, conditions, self._packet, self._tables, begin)
        return conditions.match

    def _branches(self, program: Filter, begin: Begin, name: str) -> str:
        """Write a filter from some instruction on with branches; return its bit."""
        text = self._text
        flow = Branches(text, f"{name}.done", program.jump_targets)
        write_filter(program, flow, self._packet, self._tables, begin)
        flow.close()
        text.begin(f"{name}.done")
        verdicts = (f"[{bit}, %{label}]" for bit, label in flow.verdicts)
        return text.value("phi i1 " + ", ".join(verdicts))
