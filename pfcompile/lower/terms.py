"""Primitives kept apart in a graph: blocks that mark where each begins, is true and is false.

A mark is an assignment that nobody reads. Before, with `tcp or udp` on IPv4 alone::

    b0:  br ldh[12] == 0x800, b1, b4
    b1:  br ldb[23] == 6, b3, b2
    b2:  br ldb[23] == 17, b3, b4

After::

    b0:  let v1000000 = 0, b1          begins 0
    b1:  br ldh[12] == 0x800, b2, b4
    b2:  br ldb[23] == 6, b3, b4
    b3:  let v1000001 = 0, b9          true 0
    b4:  let v1000002 = 0, b5          false 0
    b5:  let v1000003 = 1, b6          begins 1
    ...

Since what a primitive's tests lead to are its own marks, no two primitives share a block, and every
packet that is tested passes either the one or the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.ir.graph import Accept, Branch, Let, rebuild
from pfcompile.ir.ranges import normal, prefix_range
from pfcompile.ir.values import Numbers, const, numbers, variable
from pfcompile.lower.formula import Assign, Choice, every, opposite, to_graph
from pfcompile.lower.lists import Ipv4List, PortList, can_join, joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.ir.graph import Block, Builder, Graph, Label
    from pfcompile.ir.ranges import RangeList
    from pfcompile.ir.values import Variable
    from pfcompile.lower.context import Context
    from pfcompile.lower.formula import Formula
    from pfcompile.lower.frame import Frame
    from pfcompile.lower.lists import ValueList
    from pfcompile.syntax import tree

_FIRST_MARK: Final = 1_000_000
"""Variables from here on are marks; a filter has a handful of its own."""

SHORTEST_LIST: Final = 4
"""Terms from which on they are taken for a list, which may be asked for at once."""


@dataclass(frozen=True, slots=True)
class Term:
    """A primitive and its marks, each None where no packet can get there.

    Attributes:
        node: The primitive.
        begins: The block before its first test.
        true: The block behind them where it is true.
        false: The block behind them where it is not.
    """

    node: tree.Primitive
    begins: Label | None
    true: Label | None
    false: Label | None


@dataclass(frozen=True, slots=True)
class ListRun:
    """Terms that are one list, as `lower` has them: any of them, or none of them.

    Attributes:
        terms: The numbers of the terms, one behind the other.
        any_of_them: A filter that accepts what at least one of them is true for.
        elements: Where each is one set of numbers that the same values may be in, those sets.
    """

    terms: range
    any_of_them: Graph
    elements: tuple[RangeList, ...] | None


@dataclass(frozen=True, slots=True)
class TermGraph:
    """A graph with marks.

    Attributes:
        graph: The whole filter.
        terms: Its primitives in the order of the text.
        lists: Which of them are lists; short ones are left out.
    """

    graph: Graph
    terms: tuple[Term, ...]
    lists: tuple[ListRun, ...] = ()


class Marks:
    """The marks of one expression, put while it is lowered."""

    def __init__(self) -> None:
        self._nodes: list[tree.Primitive] = []
        self._values: list[tuple[ValueList, Frame] | None] = []

    def put(
        self, context: Context, node: tree.Primitive, meaning: Formula, values: ValueList | None
    ) -> Formula:
        """Return what a primitive means, with marks around it.

        Args:
            context: Where it stands.
            node: The primitive.
            meaning: What it means.
            values: The same as a list of values, where it is one.
        """
        first = _FIRST_MARK + 3 * len(self._nodes)
        number = const(len(self._nodes))
        self._nodes.append(node)
        self._values.append(None if values is None else (values, context.frame))
        begins, true, false = (Assign(variable(first + step), number) for step in range(3))
        return every(begins, Choice(meaning, true, opposite(false)))

    def found(self, graph: Graph, context: Context) -> TermGraph:
        """Return the graph with its marks found again; the context is not used any more."""
        places: dict[Variable, Label] = {
            block.variable: label
            for label, block in zip(graph.labels, graph.blocks, strict=True)
            if isinstance(block, Let) and is_mark(block)
        }
        terms = []
        for number, node in enumerate(self._nodes):
            first = _FIRST_MARK + 3 * number
            begins, true, false = (places.get(variable(first + step)) for step in range(3))
            terms.append(Term(node, begins, true, false))
        lists = (self._list(each, context) for each in self._runs(graph, terms))
        return TermGraph(graph, tuple(terms), tuple(each for each in lists if each is not None))

    def _runs(self, graph: Graph, terms: Sequence[Term]) -> Iterator[range]:
        """Yield the numbers of terms that are lists, as far as values and blocks go."""
        start = 0
        for number in range(1, len(terms) + 1):
            if number < len(terms) and self._goes_on(graph, terms, number):
                continue
            if number - start >= SHORTEST_LIST:
                yield range(start, number)
            start = number

    def _goes_on(self, graph: Graph, terms: Sequence[Term], number: int) -> bool:
        """Return whether a term is asked just where the one before is false, for the same end."""
        before, here = terms[number - 1], terms[number]
        one, other = self._values[number - 1], self._values[number]
        if one is None or other is None or one[1] != other[1] or not can_join(one[0], other[0]):
            return False
        return (
            here.begins is not None
            and _next(graph, before.false) == here.begins
            and _next(graph, before.true) == _next(graph, here.true) is not None
            and here.false is not None
        )

    def _list(self, places: range, context: Context) -> ListRun | None:
        """Return a list, unless asking for any of its terms takes more than tests."""
        gathered = [each for each in self._values[places.start : places.stop] if each is not None]
        values, context.frame = [each for each, _ in gathered], gathered[0][1]
        graph = to_graph(joined(values).formula(context), ())
        if any(isinstance(block, Let) for block in graph.blocks) or graph.is_constant:
            return None
        return ListRun(places, graph, _elements(values, graph))


def _next(graph: Graph, label: Label | None) -> Label | None:
    """Return where a mark leads."""
    block = None if label is None else graph[label]
    return block.next if isinstance(block, Let) else None


def _elements(values: Sequence[ValueList], graph: Graph) -> tuple[RangeList, ...] | None:
    """Return the numbers of each value, if the graph accepts only what is one of them all.

    It may look at several places in the packet, but at nothing else once it has asked for a number.
    """
    found: list[RangeList] = []
    for each in values:
        ranges: list[tuple[int, int] | None]
        match each:
            case PortList(values=ports):
                ranges = list(ports)
            case Ipv4List(values=networks):
                ranges = [prefix_range(*network) for network in networks]
            case _:
                return None
        if any(each is None for each in ranges):
            return None
        found.append(normal([each for each in ranges if each is not None]))
    everything = normal([each for ranges in found for each in ranges])
    for block in graph.blocks:
        if not isinstance(block, Branch):
            continue
        asks = isinstance(block.test.right, Numbers)
        if asks and block.test.right is not numbers(everything):
            return None
        ends = [isinstance(graph[label], Accept) for label in (block.yes, block.no)]
        if ends != [asks, False]:
            return None
    return tuple(found)


def is_mark(block: Let) -> bool:
    """Return whether an assignment is a mark."""
    return block.variable.number >= _FIRST_MARK


def without_marks(graph: Graph) -> Graph:
    """Return the same filter without its marks."""

    def rewrite(builder: Builder, block: Block) -> Label:
        if isinstance(block, Let) and is_mark(block):
            return block.next
        return builder.add(block)

    return rebuild(graph, rewrite)
