"""How often packets of captures take each way through a filter.

Two graphs are counted at once. One has each primitive by itself (`lower.lowering.lower_apart`):
its marks give what each was asked, and what it said. The other is the graph that the program is
made from, as pictures show it. Both are counted by the native loop over the capture where there is
one (`jit.scan.counted`), and else walked packet by packet (`ir.evaluation`).
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

from pfcompile.analysis.counters import NO_FLOW, BlockFlow, Counting, Shortcut
from pfcompile.captures.blocks.scans import Wanted
from pfcompile.captures.filtering import Plan, Tally, filter_captures
from pfcompile.compiler import DEFAULT_SNAPLEN
from pfcompile.compiler import compile as compile_text
from pfcompile.explain.counting.found import Hits, LinkTypeHits, TermHits
from pfcompile.explain.counting.lists import shortcuts_of
from pfcompile.explain.remembering import Remembering
from pfcompile.facts import link_types
from pfcompile.files import Engine, Programs
from pfcompile.ir.evaluation import Walker, Way
from pfcompile.ir.graph import Accept, Branch, Graph, Let, Reject
from pfcompile.lower.context import DEFAULT_PROTOCHAIN_HEADERS, Options, Source
from pfcompile.lower.lowering import lower_apart
from pfcompile.lower.terms import TermGraph
from pfcompile.names.resolvers import SystemResolver
from pfcompile.syntax.parser import parse
from pfcompile.syntax.unparse import unparse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pfcompile.captures.blocks.scans import Tallied
    from pfcompile.captures.formats.records import Item
    from pfcompile.captures.sources.inputs import Source as Input
    from pfcompile.errors import CaptureError
    from pfcompile.ir.graph import Label
    from pfcompile.lower.terms import Term
    from pfcompile.names.answers import Resolver
    from pfcompile.passes.observer import Stage


@dataclass(frozen=True, slots=True)
class Reading:
    """How captures are read; nothing that is counted hangs on it.

    Attributes:
        engine: "native", "interp" or "auto", as for `filter_file`.
        jobs: How many threads scan, at least 1.
        mapped: Whether files are mapped into memory.
        cached: Whether native code may be taken from the user's cache, and is kept there.
        progress: Told now and then how many bytes have been read so far.
        complain: Told, once, why there is no native code where there should be.
        on_damage: Told of an input that cannot be opened or is damaged, before the next is read;
            None: the first such error is raised once all is read.
    """

    engine: str = Engine.AUTO.value
    jobs: int = 1
    mapped: bool = False
    cached: bool = True
    progress: Callable[[int], None] | None = None
    complain: Callable[[str], None] | None = None
    on_damage: Callable[[CaptureError], None] | None = None


def hits(
    sources: Input | Sequence[Input],
    text: str = "",
    *,
    optimize: bool = True,
    snaplen: int | None = None,
    resolver: Resolver | None = None,
    protochain_headers: int = DEFAULT_PROTOCHAIN_HEADERS,
    reading: Reading = Reading(),
) -> Hits:
    """Return how many packets came to each term of an expression, and to each test of its graph.

    Args:
        sources: One capture or several: paths, "-" for standard input, URLs or binary streams.
        text: The expression, compiled for the link type of each interface.
        optimize: Whether the graph is the optimised one. The terms are as they are written.
        snaplen: What the graph is compiled for; that of the captures by default.
        resolver: Where names are looked up; the system by default.
        protochain_headers: How many headers `protochain` follows, at least 1.
        reading: How the captures are read.

    Raises:
        FilterError: The expression is wrong for a link type in the captures.
        CaptureError: A capture cannot be read or is damaged, where nobody is told of it.
    """
    counted = Counted(
        text,
        optimize=optimize,
        snaplen=snaplen,
        resolver=Remembering(SystemResolver() if resolver is None else resolver),
        protochain_headers=protochain_headers,
    )
    counted.read(_listed(sources), reading)
    return counted.found()


def _listed(sources: Input | Sequence[Input]) -> list[Input]:
    """Return one source or several as a list; a string is one."""
    if isinstance(sources, str | PathLike) or not isinstance(sources, Sequence):
        return [sources]
    return list(sources)


class _Ways:
    """A graph with what has been counted of it; a `files.Filter`."""

    def __init__(self, graph: Graph, shortcuts: tuple[Shortcut, ...] = ()) -> None:
        self.instructions = Counting(graph, shortcuts)
        self.flows = [NO_FLOW] * len(graph)
        self._walker = Walker(graph)
        self._seen: list[list[int]] = [[0, 0, 0, 0] for _ in graph.blocks]
        self._counters = [0] * self.instructions.words

    def match(self, packet: bytes, wire_length: int, /) -> int:
        """Count one packet, and return whether it is accepted."""
        steps, accepted = self._walker.walk(packet, wire_length)
        graph = self._walker.graph
        after = graph.entry
        for label, way in steps:
            seen = self._seen[label]
            seen[0] += 1
            block = graph[label]
            if way is Way.CUT_SHORT:
                seen[3] += 1
                return 0
            seen[2 if way is Way.NO else 1] += 1
            match block:
                case Branch(yes=yes, no=no):
                    after = no if way is Way.NO else yes
                case Let(next=target):
                    after = target
        end = self._seen[after]
        end[0] += 1
        end[1] += 1
        return int(accepted)

    def add(self, counters: Sequence[int]) -> None:
        """Add what native code has counted in a file."""
        self._counters = list(map(operator.add, self._counters, counters))

    def finish(self) -> None:
        """Add what has been counted here and natively to the flows."""
        self._add(BlockFlow(*each) for each in self._seen)
        self._seen = [[0, 0, 0, 0] for _ in self.flows]
        # Flows are sums of counters, so that those of all files are worked out at once.
        self._add(self.instructions.flows(self._counters))
        self._counters = [0] * len(self._counters)

    def _add(self, flows: Iterable[BlockFlow]) -> None:
        self.flows = [before + more for before, more in zip(self.flows, flows, strict=True)]


class _LinkType:
    """The graphs for one link type."""

    def __init__(self, dlt: int, terms: TermGraph, graph: Graph) -> None:
        self.dlt = dlt
        self.terms = terms
        self.by_terms = _Ways(terms.graph, tuple(shortcuts_of(terms)))
        self.by_graph = _Ways(graph)

    def found(self) -> LinkTypeHits:
        """Return what has been counted."""
        for each in (self.by_terms, self.by_graph):
            each.finish()
        graph, flows = self.terms.graph, self.by_terms.flows
        terms = tuple(_term_hits(term, graph, flows) for term in self.terms.terms)
        entered = flows[graph.entry].reached
        return LinkTypeHits(
            dlt=self.dlt,
            link_type=link_types.describe(self.dlt),
            packets=entered,
            matched=_sum(flows, graph, Accept),
            turned_away_before=entered
            - _sum(flows, graph, Accept)
            - sum(term.turned_away for term in terms),
            terms=terms,
            graph=self.by_graph.instructions.graph,
            flows=tuple(self.by_graph.flows),
        )


def _sum(flows: Sequence[BlockFlow], graph: Graph, kind: type[Accept | Reject]) -> int:
    """Return how many packets came to the ends of a kind."""
    return sum(
        flow.reached
        for flow, block in zip(flows, graph.blocks, strict=True)
        if isinstance(block, kind)
    )


def _term_hits(term: Term, graph: Graph, flows: Sequence[BlockFlow]) -> TermHits:
    def reached(label: Label | None) -> int:
        return 0 if label is None else flows[label].reached

    begins, true, false = (reached(label) for label in (term.begins, term.true, term.false))
    cut_short = begins - true - false
    let_in, turned_away = 0, cut_short
    for label in (term.true, term.false):
        block = None if label is None else graph[label]
        if isinstance(block, Let):
            match graph[block.next]:
                case Accept():
                    let_in += reached(label)
                case Reject():
                    turned_away += reached(label)
                case _:
                    pass
    return TermHits(
        text=unparse(term.node),
        start=term.node.span.start,
        end=term.node.span.end,
        reached=begins,
        true=true,
        false=false,
        cut_short=cut_short,
        let_in=let_in,
        turned_away=turned_away,
    )


class _Nothing:
    """Takes what matches, and keeps none of it."""

    def write(self, item: Item) -> None:
        """Take an item."""

    def flush(self) -> None:
        """Do nothing."""


class Counted:
    """What is counted of an expression, over any number of captures."""

    def __init__(
        self,
        text: str,
        *,
        optimize: bool,
        snaplen: int | None,
        resolver: Resolver,
        protochain_headers: int,
    ) -> None:
        """Prepare; the arguments are those of `hits`. Raises FilterError for a broken text."""
        self._text = text
        self._tree = parse(text)
        self._optimize = optimize
        self._snaplen = snaplen
        self._resolver = resolver
        self._protochain_headers = protochain_headers
        self._link_types: dict[int, _LinkType] = {}

    def read(self, sources: Sequence[Input], reading: Reading) -> None:
        """Count the packets of some captures.

        Raises:
            FilterError, CaptureError: As `hits`.
        """
        self.read_with(self.programs(reading), sources, reading)

    def programs(self, reading: Reading) -> Programs:
        """Return what counts; native code that it has made it keeps."""
        return Programs(
            [
                lambda dlt, snaplen: self._for(dlt, snaplen).by_terms,
                lambda dlt, snaplen: self._for(dlt, snaplen).by_graph,
            ],
            Engine(reading.engine),
            wanted=Wanted(),
            cached=reading.cached,
            complain=_warn if reading.complain is None else reading.complain,
        )

    def read_with(self, programs: Programs, sources: Sequence[Input], reading: Reading) -> None:
        """Count the packets of some captures with what `programs` has given; as `read`."""
        damage: list[CaptureError] = []
        tally = Tally.of(2)
        tally.on_tallied = self._add
        plan = Plan(
            jobs=reading.jobs,
            scans_for=programs.scans,
            progress=reading.progress,
            mapped=reading.mapped,
        )
        filter_captures(
            sources,
            [_Nothing(), _Nothing()],
            programs,
            tally=tally,
            on_damage=damage.append if reading.on_damage is None else reading.on_damage,
            plan=plan,
        )
        if damage:
            raise damage[0]

    def found(self) -> Hits:
        """Return what has been counted so far."""
        found = tuple(self._link_types[dlt].found() for dlt in sorted(self._link_types))
        understood = "" if self._tree is None else unparse(self._tree)
        return Hits(self._text, understood, self._optimize, found)

    def _for(self, dlt: int, snaplen: int) -> _LinkType:
        if dlt not in self._link_types:
            terms, graph = self._terms(dlt), self._graph(dlt, self._snaplen or snaplen)
            self._link_types[dlt] = _LinkType(dlt, terms, graph)
        return self._link_types[dlt]

    def _terms(self, dlt: int) -> TermGraph:
        if self._tree is None:
            return TermGraph(_EVERYTHING, ())
        options = Options(
            dlt=dlt,
            resolver=self._resolver,
            source=Source.SAVEFILE,
            protochain_headers=self._protochain_headers,
        )
        return lower_apart(self._tree, self._text, options)

    def _graph(self, dlt: int, snaplen: int) -> Graph:
        """Return the graph that the program is made from."""
        graph = _EVERYTHING

        def note(stage: Stage) -> None:
            nonlocal graph
            if isinstance(stage.product, Graph):
                graph = stage.product

        compile_text(
            self._text,
            dlt,
            snaplen or DEFAULT_SNAPLEN,
            optimize=self._optimize,
            savefile=True,
            resolver=self._resolver,
            protochain_headers=self._protochain_headers,
            max_instructions=None,  # no kernel is to run it
            observer=note,
        )
        return graph

    def _add(self, tallied: Tallied) -> None:
        ways = {
            each.instructions: each
            for link_type in self._link_types.values()
            for each in (link_type.by_terms, link_type.by_graph)
        }
        for counting, counters in tallied.counters:
            if isinstance(counting, Counting):
                ways[counting].add(counters)


_EVERYTHING = Graph([Accept()])


def _warn(reason: str) -> None:
    warnings.warn(reason, RuntimeWarning, stacklevel=2)
