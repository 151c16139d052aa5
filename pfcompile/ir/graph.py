"""The decision graph: blocks of one test each, ending in accept or reject.

It is a networkx.DiGraph whose nodes are labels with the attribute `block` and whose edges follow
from the blocks. It has no cycle: a filter always ends. Passes never change a graph; they build the
next one with a `Builder`, which gives equal blocks one label.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NewType, TypeAlias

import networkx

from pfcompile.errors import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pfcompile.ir.comparison import Comparison
    from pfcompile.ir.values import Value, Variable

Label = NewType("Label", int)


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison of two values."""

    op: Comparison
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Branch:
    """Go to `yes` where the test holds, else to `no`.

    `origin` is the part of the expression that asked for the test; equal tests asked for by
    different parts are one block all the same.
    """

    test: Test
    yes: Label
    no: Label
    origin: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Let:
    """Set a variable and go on."""

    variable: Variable
    value: Value
    next: Label
    origin: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Accept:
    """The packet matches."""


@dataclass(frozen=True, slots=True)
class Reject:
    """The packet does not match."""


Block: TypeAlias = Branch | Let | Accept | Reject


def successors(block: Block) -> tuple[Label, ...]:
    """Return where a block may go, the yes side first."""
    match block:
        case Branch(yes=yes, no=no):
            return (yes, no)
        case Let(next=after):
            return (after,)
        case Accept() | Reject():
            return ()


def used_values(block: Block) -> tuple[Value, ...]:
    """Return the values that a block computes."""
    match block:
        case Branch(test=test):
            return (test.left, test.right)
        case Let(value=value):
            return (value,)
        case Accept() | Reject():
            return ()


class Graph:
    """A whole filter: a networkx.DiGraph and the label where it begins."""

    def __init__(self, digraph: Any, entry: Label) -> None:
        self.digraph = digraph
        self.entry = entry

    def __getitem__(self, label: Label) -> Block:
        block: Block = self.digraph.nodes[label]["block"]
        return block

    def __len__(self) -> int:
        return len(self.digraph)

    @cached_property
    def order(self) -> tuple[Label, ...]:
        """The labels, each before the ones it may go to; the entry is the first."""
        return tuple(networkx.topological_sort(self.digraph))

    def predecessors(self, label: Label) -> Iterable[Label]:
        """Return the labels of the blocks that may go to this one."""
        found: Iterable[Label] = self.digraph.predecessors(label)
        return found

    @property
    def is_constant(self) -> bool:
        """Whether the filter gives every packet the same answer, without a look at it."""
        return isinstance(self[self.entry], Accept | Reject)


class Builder:
    """Builds a graph from its ends to its entry; equal blocks get one label."""

    def __init__(self) -> None:
        self._labels: dict[Block, Label] = {}
        self._blocks: list[Block] = []

    def add(self, block: Block) -> Label:
        """Return the label of `block`, an existing one where an equal block has it.

        A branch whose two sides are one needs no test: it only reads, and where its load could run
        off the packet, verdicts of equivalent programs may differ.
        """
        if isinstance(block, Branch) and block.yes == block.no:
            return block.yes
        label = self._labels.get(block)
        if label is None:
            label = Label(len(self._blocks))
            self._labels[block] = label
            self._blocks.append(block)
        return label

    def __getitem__(self, label: Label) -> Block:
        return self._blocks[label]

    def finish(self, entry: Label) -> Graph:
        """Return the graph of what can be reached from `entry`, labelled in its own order."""
        reached: dict[Label, None] = {}
        waiting = [entry]
        while waiting:
            label = waiting.pop()
            if label not in reached:
                reached[label] = None
                waiting.extend(reversed(successors(self._blocks[label])))
        # Built from its ends, a block's number is above those of the blocks it may go to: falling
        # numbers are an order from the entry on, and renaming by it keeps texts short and stable.
        names = {label: Label(i) for i, label in enumerate(sorted(reached, reverse=True))}
        digraph = networkx.DiGraph()
        for label, name in names.items():
            block = _renamed(self._blocks[label], names)
            digraph.add_node(name, block=block)
        digraph.add_edges_from(
            (name, target)
            for name, block in digraph.nodes(data="block")
            for target in successors(block)
        )
        return Graph(digraph, names[entry])


def _renamed(block: Block, names: Mapping[Label, Label]) -> Block:
    match block:
        case Branch(test=test, yes=yes, no=no, origin=origin):
            return Branch(test, names[yes], names[no], origin)
        case Let(variable=variable, value=value, next=after, origin=origin):
            return Let(variable, value, names[after], origin)
        case Accept() | Reject():
            return block


def rebuild(graph: Graph, rewrite: Callable[[Builder, Block], Label]) -> Graph:
    """Return the graph made by `rewrite`, called for each block from the ends to the entry.

    `rewrite` gets a block whose targets are labels of the new graph already, and returns the label
    that stands for it there.
    """
    builder = Builder()
    names: dict[Label, Label] = {}
    for label in reversed(graph.order):
        names[label] = rewrite(builder, _renamed(graph[label], names))
    return builder.finish(names[graph.entry])
