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

from pfcompile.ir.graph import Let, rebuild
from pfcompile.ir.values import const, variable
from pfcompile.lower.formula import Assign, Choice, every, opposite

if TYPE_CHECKING:
    from pfcompile.ir.graph import Block, Builder, Graph, Label
    from pfcompile.ir.values import Variable
    from pfcompile.lower.formula import Formula
    from pfcompile.syntax import tree

_FIRST_MARK: Final = 1_000_000
"""Variables from here on are marks; a filter has a handful of its own."""


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
class TermGraph:
    """A graph with marks.

    Attributes:
        graph: The whole filter.
        terms: Its primitives in the order of the text.
    """

    graph: Graph
    terms: tuple[Term, ...]


class Marks:
    """The marks of one expression, put while it is lowered."""

    def __init__(self) -> None:
        self._nodes: list[tree.Primitive] = []

    def put(self, node: tree.Primitive, meaning: Formula) -> Formula:
        """Return what a primitive means, with marks around it."""
        first = _FIRST_MARK + 3 * len(self._nodes)
        number = const(len(self._nodes))
        self._nodes.append(node)
        begins, true, false = (Assign(variable(first + step), number) for step in range(3))
        return every(begins, Choice(meaning, true, opposite(false)))

    def found(self, graph: Graph) -> TermGraph:
        """Return the graph with its marks found again."""
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
        return TermGraph(graph, tuple(terms))


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
