"""The decision graph: blocks of one test each, ending in accept or reject.

It has no cycle: a filter always ends. Passes never change a graph; they build the next one with a
`Builder`, which gives equal blocks one label. Algorithms on graphs come from networkx, through
`Graph.digraph`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NewType, TypeAlias, cast

from pfcompile.ir.values import may_end

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pfcompile.errors import Span
    from pfcompile.ir.comparison import Comparison
    from pfcompile.ir.values import Value, Variable

Label = NewType("Label", int)

Origins: TypeAlias = "tuple[Span, ...]"
"""The parts of an expression that asked for something, in the order of the text."""


def united(a: Origins, b: Origins) -> Origins:
    """Return the parts that are in either."""
    if a == b or not b:
        return a
    return tuple(sorted({*a, *b})) if a else b


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison of two values."""

    op: Comparison
    left: Value
    right: Value

    @property
    def may_end(self) -> bool:
        """Whether computing its values may end the filter: a division by zero."""
        return may_end(self.left) or may_end(self.right)


@dataclass(frozen=True, slots=True)
class Branch:
    """Go to `yes` where the test holds, else to `no`.

    `origins` are the parts of the expression that asked for the test: equal tests asked for by
    different parts are one block.
    """

    test: Test
    yes: Label
    no: Label
    origins: Origins = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Let:
    """Set a variable and go on."""

    variable: Variable
    value: Value
    next: Label
    origins: Origins = field(default=(), compare=False)


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
    """A whole filter: its blocks, each before the ones it may go to.

    A block's label is its place among them; the first is where the filter begins.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = tuple(blocks)

    @property
    def entry(self) -> Label:
        """Where the filter begins."""
        return Label(0)

    def __getitem__(self, label: Label) -> Block:
        return self.blocks[label]

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def labels(self) -> Sequence[Label]:
        """The labels, each before the ones that its block may go to."""
        return cast("Sequence[Label]", range(len(self.blocks)))

    @property
    def is_constant(self) -> bool:
        """Whether the filter gives every packet the same answer, without a look at it."""
        return isinstance(self.blocks[0], Accept | Reject)

    @cached_property
    def digraph(self) -> Any:
        """The same as a networkx.DiGraph, whose nodes have the attribute `block`.

        Dominators, longest paths and drawings come from there. It is made when it is first asked
        for, since networkx takes longer to load than a filter to compile.
        """
        import networkx as nx  # noqa: PLC0415 - see above

        digraph = nx.DiGraph()
        for label, block in enumerate(self.blocks):
            digraph.add_node(label, block=block)
        digraph.add_edges_from(
            (label, target)
            for label, block in enumerate(self.blocks)
            for target in successors(block)
        )
        return digraph


class Builder:
    """Builds a graph from its ends to its entry; equal blocks get one label."""

    def __init__(self) -> None:
        self._labels: dict[Block, Label] = {}
        self._blocks: list[Block] = []

    def add(self, block: Block) -> Label:
        """Return the label of `block`, an existing one where an equal block has it.

        That one is then asked for by the parts of the expression that asked for either.

        A branch whose two sides are one needs no test: it only reads, and where its load could run
        off the packet, verdicts of equivalent programs may differ. One that may divide by zero
        stays, unless it leads to rejection like that.
        """
        if isinstance(block, Branch) and block.yes == block.no:
            rejects = isinstance(self._blocks[block.yes], Reject)
            if rejects or not block.test.may_end:
                return block.yes
        label = self._labels.get(block)
        if label is None:
            label = Label(len(self._blocks))
            self._labels[block] = label
            self._blocks.append(block)
        elif isinstance(block, Branch | Let):
            self._blocks[label] = _asked_for_by(self._blocks[label], block.origins)
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
        return Graph([_renamed(self._blocks[label], names) for label in names])


def _asked_for_by(block: Block, origins: Origins) -> Block:
    """Return `block` with more parts of the expression that asked for it."""
    match block:
        case Branch(origins=known) | Let(origins=known) if known != origins:
            return replace(block, origins=united(known, origins))
        case _:
            return block


def _renamed(block: Block, names: Mapping[Label, Label]) -> Block:
    match block:
        case Branch(test=test, yes=yes, no=no, origins=origins):
            return Branch(test, names[yes], names[no], origins)
        case Let(variable=variable, value=value, next=after, origins=origins):
            return Let(variable, value, names[after], origins)
        case Accept() | Reject():
            return block


def rebuild(graph: Graph, rewrite: Callable[[Builder, Block], Label]) -> Graph:
    """Return the graph made by `rewrite`, called for each block from the ends to the entry.

    `rewrite` gets a block whose targets are labels of the new graph already, and returns the label
    that stands for it there.
    """
    return rebuild_with(graph, lambda builder, _label, block, _names: rewrite(builder, block))


def rebuild_with(
    graph: Graph, rewrite: Callable[[Builder, Label, Block, Mapping[Label, Label]], Label]
) -> Graph:
    """Return the same as `rebuild`; `rewrite` also gets the old label and all new labels so far."""
    builder = Builder()
    names: dict[Label, Label] = {}
    blocks = graph.blocks
    for label in reversed(graph.labels):
        names[label] = rewrite(builder, label, _renamed(blocks[label], names), names)
    return builder.finish(names[graph.entry])
