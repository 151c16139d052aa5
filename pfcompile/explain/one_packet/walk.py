"""One packet's way through an expression, the bytes that decided, and what would turn the verdict.

The way is that of the expression as it is written, term by term, without the optimiser. Where a
packet is cut off inside a header that the filter reads, the optimised program may say something
else, as it may with libpcap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.captures.filtering import check_link_type
from pfcompile.captures.reader import open_source, read_records
from pfcompile.captures.sources.inputs import name_of
from pfcompile.cbpf.generate import generate
from pfcompile.cbpf.interpreter import run
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import CaptureError, FilterError, MissingExtraError
from pfcompile.explain.one_packet.field_names import FieldNames
from pfcompile.explain.one_packet.found import Change, NamedBytes, TermWay, TestWay, Why
from pfcompile.explain.one_packet.looked_at import Read, Reader, ranges
from pfcompile.explain.one_packet.words import cut_words, found_words
from pfcompile.explain.remembering import Remembering
from pfcompile.facts import link_types
from pfcompile.fields import describe
from pfcompile.ir.evaluation import Walker, Way
from pfcompile.ir.graph import Accept, Branch, Graph, Let, used_values
from pfcompile.ir.text import print_test, print_value
from pfcompile.lower.context import DEFAULT_PROTOCHAIN_HEADERS, Options, Source
from pfcompile.lower.lowering import lower_apart
from pfcompile.lower.terms import TermGraph, without_marks
from pfcompile.names.resolvers import SystemResolver
from pfcompile.syntax.parser import parse
from pfcompile.syntax.unparse import unparse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.captures.formats.records import Record
    from pfcompile.captures.sources.inputs import Source as Input
    from pfcompile.cbpf.isa import Instruction
    from pfcompile.ir.evaluation import Step
    from pfcompile.ir.graph import Label
    from pfcompile.lower.terms import Term
    from pfcompile.names.answers import Resolver

CHANGE_SECONDS = 10.0
"""How long the search for the smallest change may take."""

MOST_DESCRIBED = 1000
"""Blocks of a graph whose tests are told in the words of fields: what that takes grows faster than
their number."""

EXACT = 600
"""Instructions of a program up to which it is asked for changes as it is written."""

NO_CHANGE = "no change of its bytes would turn the verdict"

_OUTCOMES = {Way.YES: "true", Way.NO: "false", Way.ON: "true", Way.CUT_SHORT: "cut short"}


def why(
    source: Input,
    number: int,
    text: str = "",
    *,
    resolver: Resolver | None = None,
    protochain_headers: int = DEFAULT_PROTOCHAIN_HEADERS,
    change_seconds: float = CHANGE_SECONDS,
) -> Why:
    """Return why a packet of a capture matches an expression, or does not.

    Args:
        source: A path, "-" for standard input, a URL or a binary stream: pcap or pcapng.
        number: The packet's number, from 1, as Wireshark counts.
        text: The expression, compiled for the packet's link type.
        resolver: Where names are looked up; the system by default.
        protochain_headers: How many headers `protochain` follows, at least 1.
        change_seconds: How long the search for the smallest change may take; 0 for none.

    Raises:
        FilterError: The expression is wrong for the packet's link type.
        CaptureError: There is no such packet, or the capture cannot be read, or is damaged before
            it.
    """
    record = find_packet(source, number)
    dlt = record.interface.dlt
    check_link_type(dlt, name_of(source))
    return why_packet(
        bytes(record.data),
        text,
        dlt,
        number=number,
        wire_length=record.wire_length,
        resolver=resolver,
        protochain_headers=protochain_headers,
        change_seconds=change_seconds,
    )


def find_packet(source: Input, number: int) -> Record:
    """Return a packet of a capture by its number, from 1; raises as `why`."""
    path = name_of(source)
    count = 0
    with open_source(source) as stream:
        for count, record in enumerate(read_records(stream, path), 1):
            if count == number:
                return record
    packets = "1 packet" if count == 1 else f"{count} packets"
    raise CaptureError(f"has {packets}: there is no packet {number}", path)


def why_packet(
    packet: bytes,
    text: str = "",
    link_type: str | int = "EN10MB",
    *,
    number: int = 1,
    wire_length: int | None = None,
    resolver: Resolver | None = None,
    protochain_headers: int = DEFAULT_PROTOCHAIN_HEADERS,
    change_seconds: float = CHANGE_SECONDS,
) -> Why:
    """Return the same for a packet in memory.

    Args:
        packet: The captured bytes, from the link header on.
        text: The expression.
        link_type: Its link type, by name or DLT value.
        number: What is told as its number.
        wire_length: The length on the wire; None where all of it was captured.
        resolver: As for `why`.
        protochain_headers: As for `why`.
        change_seconds: As for `why`.

    Raises:
        FilterError: As `why`.
        ValueError: There is no such link type.
    """
    dlt = link_types.number(link_type)
    length = len(packet) if wire_length is None else wire_length
    options = Options(
        dlt=dlt,
        resolver=Remembering(SystemResolver() if resolver is None else resolver),
        source=Source.SAVEFILE,
        protochain_headers=protochain_headers,
    )
    expression = parse(text)
    graph = TermGraph(Graph([Accept()]), ())
    if expression is not None:
        graph = lower_apart(expression, text, options)
    names = FieldNames(dlt, packet)
    steps, matches = Walker(graph.graph).walk(packet, length)
    way = _WayThrough(graph, dlt, Reader(packet, length), names)
    for step in steps:
        way.go(step)
    smallest, plain, no_change = None, None, "no time was given to look for one"
    if change_seconds > 0:
        program, no_change = _program(graph.graph, text, dlt, options)
        if program is not None:
            smallest, plain, no_change = _changes(
                program, packet, length, dlt, names, seconds=change_seconds, matches=matches
            )
    return Why(
        text=text,
        number=number,
        dlt=dlt,
        link_type=link_types.describe(dlt),
        packet=packet,
        wire_length=length,
        matches=matches,
        terms=way.terms(),
        deciding=_named(way.all.bits, packet, names),
        length_decides=way.all.length,
        smallest=smallest,
        plain=plain,
        no_change=no_change,
    )


class _WayThrough:
    """The tests on a way, gathered term by term.

    Attributes:
        all: All that they look at.
    """

    def __init__(self, terms: TermGraph, dlt: int, reader: Reader, names: FieldNames) -> None:
        self._graph = terms.graph
        self._asked = describe(terms.graph, dlt) if len(terms.graph) <= MOST_DESCRIBED else None
        self._reader = reader
        self._names = names
        self._begins: dict[Label, Term] = {}
        self._ends: dict[Label, str] = {}
        for term in terms.terms:
            for label, outcome in ((term.true, "true"), (term.false, "false")):
                if label is not None:
                    self._ends[label] = outcome
            if term.begins is not None:
                self._begins[term.begins] = term
        self.all = Read()
        self._term: Term | None = None
        self._tests: list[TestWay] = []
        self._terms: list[TermWay] = []

    def go(self, step: Step) -> None:
        """Take one step."""
        label, way = step
        block = self._graph[label]
        if label in self._begins:
            self._finish("true")
            self._term = self._begins[label]
        elif label in self._ends:
            self._finish(self._ends[label])
        elif isinstance(block, Branch):
            self._test(label, block, way)
        elif isinstance(block, Let):
            self._assign(label, block, way)

    def terms(self) -> tuple[TermWay, ...]:
        """Return the terms, once the way has ended."""
        self._finish("cut short")
        return tuple(self._terms)

    def _test(self, label: Label, block: Branch, way: Way) -> None:
        read = self._reader.test(block)
        self.all.add(read)
        asked = print_test(block.test) if self._asked is None else self._asked[label]
        if way is Way.CUT_SHORT:
            words = cut_words(used_values(block), self._reader)
        else:
            holds = way is Way.YES
            words = found_words(block.test, asked, self._reader, self._names, holds=holds)
        self._note(label, words, asked, way, read)

    def _assign(self, label: Label, block: Let, way: Way) -> None:
        shown = f"v{block.variable.number} = {print_value(block.value)}"
        if way is Way.CUT_SHORT:
            read = self._reader.look(block.value)
            self.all.add(read)
            self._note(label, cut_words((block.value,), self._reader), shown, way, read)
            return
        self.all.add(self._reader.assign(block))

    def _note(self, label: Label, words: str, test: str, way: Way, read: Read) -> None:
        found = _named(read.bits, self._reader.run.packet, self._names)
        self._tests.append(TestWay(words, test, _OUTCOMES[way], label, found))

    def _finish(self, outcome: str) -> None:
        """Put away the term that ends here, or what was done before the first."""
        tests, self._tests = tuple(self._tests), []
        if self._term is not None:
            node = self._term.node
            span = node.span
            self._terms.append(TermWay(unparse(node), span.start, span.end, outcome, tests))
        elif tests:
            self._terms.append(TermWay("before the first term", None, None, outcome, tests))
        self._term = None


def _named(bits: Mapping[int, int], packet: bytes, names: FieldNames) -> tuple[NamedBytes, ...]:
    """Return bytes with what they are called; neighbours in different fields are kept apart."""
    found: list[NamedBytes] = []
    for start, stop in ranges(list(bits)):
        pieces: list[NamedBytes] = []
        for offset in range(start, stop):
            called = names.of({offset: bits[offset]})
            data = packet[offset : offset + 1]
            if pieces and pieces[-1].names == called:
                pieces[-1] = NamedBytes(pieces[-1].start, pieces[-1].data + data, called)
            else:
                pieces.append(NamedBytes(offset, data, called))
        found += pieces
    return tuple(found)


def _program(
    graph: Graph, text: str, dlt: int, options: Options
) -> tuple[Sequence[Instruction] | None, str]:
    """Return the program to be asked for changes, or why there is none.

    A long one is optimised: it says the same of every packet that is not cut off in what it reads.
    """
    try:
        program = generate(without_marks(graph), snaplen=1, longest=None)
        if len(program) <= EXACT:
            return program, ""
        return compile_text(
            text,
            dlt,
            savefile=True,
            resolver=options.resolver,
            protochain_headers=options.protochain_headers,
            max_instructions=None,  # no kernel is to run it
        ).instructions, ""
    except FilterError as error:
        return None, error.message


def _changes(
    program: Sequence[Instruction],
    packet: bytes,
    wire_length: int,
    dlt: int,
    names: FieldNames,
    *,
    seconds: float,
    matches: bool,
) -> tuple[Change | None, Change | None, str]:
    """Return the smallest change, the plain one, and why there is none."""
    if bool(run(program, packet, wire_length)) != matches:
        return None, None, "the packet is cut off in what the filter reads"
    try:
        from pfcompile.prove.change import smallest_change  # noqa: PLC0415 - z3 is an extra
        from pfcompile.prove.result import Undecided  # noqa: PLC0415 - the same
    except MissingExtraError as error:
        return None, None, str(error)

    found = smallest_change(program, packet, wire_length, timeout_ms=int(1000 * seconds))
    if isinstance(found, Undecided):
        return None, None, found.reason
    if found.smallest is None and found.plain is None:
        return None, None, NO_CHANGE
    if found.smallest is None and found.plain is not None:
        return None, _change(packet, found.plain, dlt, names), found.undecided
    assert found.smallest is not None
    smallest = _change(packet, found.smallest, dlt, names)
    plain = None
    if found.plain is not None and found.plain != found.smallest:
        plain = _change(packet, found.plain, dlt, names)
    return smallest, plain, ""


def _change(packet: bytes, changed: bytes, dlt: int, names: FieldNames) -> Change:
    bits = {n: 0xFF for n, (a, b) in enumerate(zip(packet, changed, strict=True)) if a != b}
    # The fields are those of the changed packet, unless nobody knows what that is.
    edits = _named(bits, changed, FieldNames(dlt, changed))
    if not all(each.names for each in edits):
        edits = _named(bits, changed, names)
    return Change(edits, tuple(packet[each.start : each.stop] for each in edits), changed)
