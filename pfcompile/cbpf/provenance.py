"""Which block, and which parts of the expression, each instruction of a program comes from.

Made on request, from what a compilation tells its observer; compiling itself does nothing for it::

    recording = Recording()
    program = compile("tcp port 80 or udp", observer=recording)
    found = trace(recording.graph, program.snaplen, recording.lowered)
    assert found.instructions == program.instructions
    found.labels[3]         # the block of instruction 3, a label of found.graph
    found.origins(3)        # the parts of the expression that asked for it: spans of its text
    found.positions[label]  # the instructions of a block, as a range

A block carries the parts that asked for its test through all passes (`Branch.origins`). But where
one test tells the outcome of others, those are skipped, and what asked for them is gone: of `tcp
port 80 or (tcp and host a)` only the first part is left at the test for TCP. So it is looked up
among the tests that the filter began with: all parts that asked for what a test settles count.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, TypeAlias

from pfcompile.analysis.facts import Facts
from pfcompile.cbpf.generate import as_program, write
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Branch, Graph, Let, Test, united
from pfcompile.ir.values import Const, Load, Numbers, const, parts
from pfcompile.passes.expand_sets import expand_sets
from pfcompile.passes.fold import fold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.errors import Span
    from pfcompile.ir.graph import Block, Label, Origins
    from pfcompile.ir.ranges import RangeList
    from pfcompile.ir.values import Value


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the instructions of a program come from.

    Attributes:
        instructions: The program.
        graph: What it was written from: the optimised graph, its sets of numbers written as
            comparisons (`expand_sets`), so its labels are not those of the optimised graph where
            that has such sets.
        labels: The block of each instruction.
        positions: The instructions of each block that has some, in the order of the program. They
            are all that stand together; a jump over more than 255 instructions may have a step
            among those of another block.
        targets: Where each of those blocks goes: yes and no, or one way on, or nowhere.
        written_as: For each block of the graph, the one that has its instructions: blocks that
            test different values may come to the same instructions.
    """

    instructions: tuple[Instruction, ...]
    graph: Graph
    labels: tuple[Label, ...]
    positions: Mapping[Label, range]
    targets: Mapping[Label, tuple[Label, ...]]
    written_as: Mapping[Label, Label]

    def origins(self, position: int) -> Origins:
        """Return the parts of the expression that asked for an instruction; none for its ends."""
        return self.asked_for(self.labels[position])

    def asked_for(self, label: Label) -> Origins:
        """Return the parts of the expression that asked for the instructions of a block."""
        kept = self.written_as[label]
        alike = [self.graph[each] for each, other in self.written_as.items() if other == kept]
        return reduce(united, map(origins_of, alike))


def origins_of(block: Block) -> Origins:
    """Return the parts of the expression that a block names; none for an end of the filter."""
    return block.origins if isinstance(block, Branch | Let) else ()


def trace(graph: Graph, snaplen: int, lowered: Graph | None = None) -> Provenance:
    """Return where the instructions come from that `generate` makes of a graph.

    Args:
        graph: The graph that the program was generated from.
        snaplen: What the program returns for a match.
        lowered: The graph before all passes, for what asked for tests that were skipped; None to
            leave those out.

    Raises:
        FilterError: It needs more than 16 scratch words.
    """
    expanded = expand_sets(graph if lowered is None else with_all_origins(graph, lowered))
    if lowered is not None:
        expanded = _told_apart(expanded, graph, lowered)
    written = write(expanded)
    count = len(written.instructions)
    ends = [written.places[label] for label in written.order[1:]] + [0]
    positions = {
        label: range(count - written.places[label], count - end)
        for label, end in zip(written.order, ends, strict=True)
    }
    return Provenance(
        as_program(written.instructions, snaplen),
        expanded,
        tuple(label for label, span in positions.items() for _ in span),
        positions,
        {label: written.codes[label].targets for label in written.order},
        written.names,
    )


def with_all_origins(graph: Graph, lowered: Graph) -> Graph:
    """Return the same graph with all parts of the expression that asked for each block.

    Args:
        graph: Any graph that passes made of `lowered`.
        lowered: The graph before all passes.
    """
    asked = _Asked(fold(lowered))
    return Graph(
        [
            replace(block, origins=united(block.origins, asked.settled_by(block.test)))
            if isinstance(block, Branch)
            else block
            for block in graph.blocks
        ]
    )


def _told_apart(expanded: Graph, graph: Graph, lowered: Graph) -> Graph:
    """Return `expanded` with only those at a comparison of a set who asked for its number.

    A set may be what several parts of the expression asked for together.
    """
    numbers: dict[Span, list[tuple[int, int]]] = {}
    for block in lowered.blocks:
        for span in origins_of(block):
            numbers.setdefault(span, []).extend(_compared_with(block))
    sets = {
        block.test.left
        for block in graph.blocks
        if isinstance(block, Branch) and isinstance(block.test.right, Numbers)
    }

    def told_apart(block: Block) -> Block:
        match block:
            case Branch(test=Test(op=Comparison.EQ, left=left, right=Const(value=k))) if (
                left in sets
            ):
                asking = tuple(
                    span
                    for span in block.origins
                    if any(low <= k <= high for low, high in numbers.get(span, ()))
                )
                return replace(block, origins=asking or block.origins)
            case _:
                return block

    return Graph([told_apart(block) for block in expanded.blocks])


def _compared_with(block: Block) -> RangeList:
    """Return the numbers that a block compares something with."""
    match block:
        case Branch(test=Test(right=Const(value=k))):
            return ((k, k),)
        case Branch(test=Test(right=Numbers(ranges=ranges))):
            return ranges
        case _:
            return ()


class _Asked:
    """The tests of a graph, and who asked for them, by the packet bytes that they look at."""

    def __init__(self, graph: Graph) -> None:
        self._origins: dict[Test, Origins] = {}
        # The tested values that look at a byte; of each, the tests that are no plain comparison.
        self._values_at: dict[_Place, dict[Value, frozenset[_Place]]] = {}
        self._others: dict[Value, list[Test]] = {}
        for block in graph.blocks:
            if isinstance(block, Branch):
                known = self._origins.get(block.test)
                self._origins[block.test] = united(known or (), block.origins)
                if known is None:
                    self._note(block.test)

    def _note(self, test: Test) -> None:
        if not _is_plain(test):
            self._others.setdefault(test.left, []).append(test)
        looks_at = frozenset(_places(test.left, test.right))
        for place in looks_at:
            values = self._values_at.setdefault(place, {})
            values[test.left] = looks_at | values.get(test.left, frozenset())

    def settled_by(self, test: Test) -> Origins:
        """Return who asked for `test`, or for what it tells of the bytes that it looks at.

        That a comparison does not hold where another one does is nothing that its part asked for;
        that some bits are not set may be.
        """
        found = self._origins.get(test, ())
        places = frozenset(_places(test.left, test.right))
        values = {
            value: None
            for place in places
            for value, looks_at in self._values_at.get(place, {}).items()
            if looks_at <= places
        }
        if not values:
            return found
        where_it_holds = Facts().assume(test, outcome=True)
        for value in values:
            known = where_it_holds.of(value)
            if known.low == known.high:
                equal = Test(Comparison.EQ, value, const(known.low))
                found = united(found, self._origins.get(equal, ()))
            for other in self._others.get(value, ()):
                outcome = where_it_holds.decide(other)
                if outcome or (outcome is False and other.op is Comparison.SET):
                    found = united(found, self._origins[other])
        return found


_Place: TypeAlias = "tuple[Value | None, int]"
"""A packet byte, by the base and offset that it is loaded from."""


def _is_plain(test: Test) -> bool:
    return test.op is Comparison.EQ and isinstance(test.right, Const)


def _places(*values: Value) -> Iterator[_Place]:
    """Yield each packet byte that values are made of."""
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, Load):
            yield from ((value.base, value.offset + i) for i in range(value.size))
        waiting += parts(value)
