"""Let parts of a graph that do the same at other offsets be one, reading through a variable.

Before::
    b2:  br ldh[54] == 443, b9, b3              IPv6, whose header has 40 bytes
    b3:  br ldh[56] == 443, b9, b10
    b6:  br ldh[msh + 14] == 443, b9, b7        IPv4, whose header says how long it is
    b7:  br ldh[msh + 16] == 443, b9, b10
After::
    b2:  let v0 = 40, b8
    b6:  let v0 = msh, b8
    b8:  br ldh[v0 + 14] == 443, b9, b8b
    b8b: br ldh[v0 + 16] == 443, b9, b10

Where the first test alone looks elsewhere, its value becomes the variable, since that is loaded
anyway. Sound because both copies are what substituting the variable's values gives. A pair is
merged only where the program, written out, gets shorter: that number falls with every step, so
this ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pfcompile.ir.graph import (
    Branch,
    Builder,
    Graph,
    Label,
    Let,
    Test,
    rebuild_with,
    successors,
    used_values,
)
from pfcompile.ir.values import (
    Arithmetic,
    Const,
    Load,
    Value,
    Variable,
    add,
    arithmetic,
    const,
    load,
    variable,
    variables,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pfcompile.ir.graph import Block

_MOST_TRIALS: Final = 6
"""Pairs that are written out before giving up: the most promising ones come first."""

_MOST_VARIABLES: Final = 2
"""One lives in X, one in A; a third would cost more than it saves."""

_LARGEST_GRAPH: Final = 600
"""Blocks above which pairs are not tried: each trial writes the whole program."""


def merge_alike(graph: Graph, cost: Callable[[Graph], int]) -> Graph:
    """Return `graph` with alike parts merged where `cost`, a number of instructions, falls."""
    if len(graph) > _LARGEST_GRAPH:
        return graph
    lowest = cost(graph)
    while True:
        for pair in _pairs(graph)[:_MOST_TRIALS]:
            merged = _apply(graph, pair)
            found = cost(merged)
            if found < lowest:
                graph, lowest = merged, found
                break
        else:
            return graph


@dataclass(frozen=True, slots=True)
class _Difference:
    """Where two loads differ: each reads at a base and an offset."""

    first_base: Value | None
    second_base: Value | None
    distance: int
    """The first one's offset less the second one's."""


@dataclass(slots=True)
class _Pair:
    """Two labels whose blocks, and all below them, differ in the places of their loads only.

    Attributes:
        first, second: The labels.
        blocks: All pairs of differing blocks, this one first.
        loads: For each kind of difference, the pairs of loads that differ so.
    """

    first: Label
    second: Label
    blocks: dict[tuple[Label, Label], None] = field(default_factory=dict)
    loads: dict[_Difference, dict[tuple[Load, Load], None]] = field(default_factory=dict)

    @property
    def saving(self) -> int:
        """How many blocks fall away, at most."""
        first = {a for a, _ in self.blocks}
        second = {b for _, b in self.blocks}
        return len(first | second) - len(self.blocks)


def _pairs(graph: Graph) -> list[_Pair]:
    """Return the pairs that can be merged, the largest saving first."""
    shapes: dict[object, int] = {}
    shape_of: dict[Label, int] = {}
    alike: dict[int, list[Label]] = {}
    for label in reversed(graph.labels):
        shape = _shape(graph[label], shape_of)
        number = shape_of[label] = shapes.setdefault(shape, len(shapes))
        alike.setdefault(number, []).append(label)
    found = []
    for labels in alike.values():
        first = labels[-1]
        for other in reversed(labels[:-1]):
            pair = _compared(graph, first, other)
            if pair is not None and pair.saving > 0:
                found.append(pair)
    found.sort(key=lambda pair: -pair.saving)
    return found


def _shape(block: Block, shape_of: Mapping[Label, int]) -> object:
    """Return what a block has in common with all that are alike."""
    if isinstance(block, Branch):
        test = block.test
        below = (shape_of[block.yes], shape_of[block.no])
        return (test.op, _value_shape(test.left), _value_shape(test.right), below)
    if isinstance(block, Let):
        return (block.variable, block.value, shape_of[block.next])
    return block


def _value_shape(value: Value) -> object:
    match value:
        case Load(size=size):
            return size
        case Arithmetic(op=op, left=left, right=right):
            return (op, _value_shape(left), _value_shape(right))
        case _:
            return value


def _compared(graph: Graph, first: Label, second: Label) -> _Pair | None:
    """Return the pair with all its differences, None where it would take too many variables."""
    pair = _Pair(first, second)
    waiting = [(first, second)]
    while waiting:
        a, b = waiting.pop()
        if a == b or (a, b) in pair.blocks:
            continue
        pair.blocks[a, b] = None
        mine, other = graph[a], graph[b]
        if not isinstance(mine, Branch) or not isinstance(other, Branch):
            return None  # One of two equal assignments stands above different blocks.
        _compare_values(mine.test.left, other.test.left, pair)
        _compare_values(mine.test.right, other.test.right, pair)
        waiting += [(mine.no, other.no), (mine.yes, other.yes)]
        if len(pair.loads) > _MOST_VARIABLES:
            return None
    return pair


def _compare_values(a: Value, b: Value, pair: _Pair) -> None:
    if a is b:
        return
    match a, b:
        case Load(), Load():
            difference = _Difference(a.base, b.base, a.offset - b.offset)
            pair.loads.setdefault(difference, {})[a, b] = None
        case Arithmetic(), Arithmetic():
            _compare_values(a.left, b.left, pair)
            _compare_values(a.right, b.right, pair)
        case _:
            assert a is b


def _apply(graph: Graph, pair: _Pair) -> Graph:
    """Return `graph` with a pair merged."""
    number = 1 + max(
        (
            found.number
            for block in graph.blocks
            for value in (*used_values(block), *_assigned(block))
            for found in variables(value)
        ),
        default=-1,
    )
    merge = _Merge(graph, pair, number)

    def rewrite(
        builder: Builder, label: Label, block: Block, names: Mapping[Label, Label]
    ) -> Label:
        if label == max(pair.first, pair.second):
            # All that the two have in common below them is built by now.
            merge.build(builder, names)
        if label in merge.entries:
            return merge.entries[label]
        return builder.add(block)

    return _hoist_lets(rebuild_with(graph, rewrite))


def _assigned(block: Block) -> tuple[Value, ...]:
    return (block.variable,) if isinstance(block, Let) else ()


class _Merge:
    """One merged copy of a pair.

    Attributes:
        entries: For the two labels, where ways to them now lead.
    """

    def __init__(self, graph: Graph, pair: _Pair, number: int) -> None:
        self._graph = graph
        self._pair = pair
        self._replaced: dict[tuple[Load, Load], Value] = {}
        # Values of the new variables on the first and on the second way.
        self._values: list[tuple[Variable, Value, Value]] = []
        self.entries: dict[Label, Label] = {}
        by_value = self._first_load()
        for difference, loads in pair.loads.items():
            made = variable(number + len(self._values))
            if by_value is not None and by_value in loads:
                self._replaced[by_value] = made
                self._values.append((made, *by_value))
                continue
            origin = _origin(difference, loads)
            for a, b in loads:
                self._replaced[a, b] = load(a.size, made, a.offset - origin)
            first = _place(difference.first_base, origin)
            second = _place(difference.second_base, origin - difference.distance)
            self._values.append((made, first, second))
        # The one that A holds is set last, so that it is still there for the first test.
        self._values.sort(key=lambda row: isinstance(row[1], Load))

    def _first_load(self) -> tuple[Load, Load] | None:
        """Return the first test's loads where nothing else differs in the same way.

        Its value is then the variable: it is tested before anything else is loaded.
        """
        first, second = self._graph[self._pair.first], self._graph[self._pair.second]
        assert isinstance(first, Branch)
        assert isinstance(second, Branch)
        of_first_test = _Pair(self._pair.first, self._pair.second)
        _compare_values(first.test.left, second.test.left, of_first_test)
        for difference, loads in of_first_test.loads.items():
            if len(loads) == 1 and len(self._pair.loads[difference]) == 1:
                return next(iter(loads))
        return None

    def build(self, builder: Builder, names: Mapping[Label, Label]) -> None:
        """Write the merged copy, and an entry to it for each of the two."""
        made: dict[tuple[Label, Label], Label] = {}

        def target(a: Label, b: Label) -> Label:
            return names[a] if a == b else made[a, b]

        for a, b in sorted(self._pair.blocks, reverse=True):
            mine, other = self._graph[a], self._graph[b]
            assert isinstance(mine, Branch)
            assert isinstance(other, Branch)
            test = Test(
                mine.test.op,
                self._merged(mine.test.left, other.test.left),
                self._merged(mine.test.right, other.test.right),
            )
            yes, no = target(mine.yes, other.yes), target(mine.no, other.no)
            made[a, b] = builder.add(Branch(test, yes, no, mine.origin))
        root = made[self._pair.first, self._pair.second]
        for side, label in enumerate((self._pair.first, self._pair.second)):
            entry = root
            for made_variable, *values in reversed(self._values):
                entry = builder.add(Let(made_variable, values[side], entry))
            self.entries[label] = entry

    def _merged(self, a: Value, b: Value) -> Value:
        if a is b:
            return a
        match a, b:
            case Load(), Load():
                return self._replaced[a, b]
            case Arithmetic(op=op), Arithmetic():
                left, right = self._merged(a.left, b.left), self._merged(a.right, b.right)
                return arithmetic(op, left, right)
            case _:
                raise AssertionError


def _origin(difference: _Difference, loads: Mapping[tuple[Load, Load], None]) -> int:
    """Return the first side's offset that the variable stands for.

    Chosen so that a side with a computed base needs no addition, and the other a constant.
    """
    if difference.first_base is not None:
        return 0
    if difference.second_base is not None:
        return difference.distance
    return min(a.offset for a, _ in loads)


def _place(base: Value | None, offset: int) -> Value:
    return const(offset) if base is None else add(base, const(offset))


def _hoist_lets(graph: Graph) -> Graph:
    """Return `graph` with constants assigned before a test that only one way leads through.

    Before::
        b1:  br ldb[20] == 6, b2, b9
        b2:  let v0 = 40, b5
    After::
        b1:  let v0 = 40, b2
        b2:  br ldb[20] == 6, b5, b9

    A conditional jump then goes where the assignment would have needed a jump to. Sound because the
    other side does not read the variable, or sets it first; the test does not read it either.
    """
    ways_to: dict[Label, int] = {}
    for block in graph.blocks:
        for after in successors(block):
            ways_to[after] = ways_to.get(after, 0) + 1
    read_below = _read_below(graph)

    def rewrite(
        builder: Builder, label: Label, block: Block, _names: Mapping[Label, Label]
    ) -> Label:
        old = graph[label]
        if not isinstance(old, Branch) or not isinstance(block, Branch) or _needs_x(old.test):
            return builder.add(block)
        for side, other in ((old.yes, old.no), (old.no, old.yes)):
            let = graph[side]
            if (
                isinstance(let, Let)
                and isinstance(let.value, Const)
                and ways_to[side] == 1
                and ways_to[let.next] > 1
                and let.variable not in read_below[other]
            ):
                written = builder[block.yes if side == old.yes else block.no]
                if not isinstance(written, Let) or written.variable is not let.variable:
                    continue
                yes = written.next if side == old.yes else block.yes
                no = block.no if side == old.yes else written.next
                test = builder.add(Branch(block.test, yes, no, block.origin))
                return builder.add(Let(written.variable, written.value, test))
        return builder.add(block)

    return rebuild_with(graph, rewrite)


def _needs_x(test: Test) -> bool:
    """Whether a test's values take X: a computed offset, or two values compared."""
    return not isinstance(test.right, Const) or not (
        isinstance(test.left, Load) and test.left.base is None
    )


def _read_below(graph: Graph) -> dict[Label, frozenset[Variable]]:
    """Return, for each block, the variables that are read from there on before they are set."""
    read: dict[Label, frozenset[Variable]] = {}
    for label in reversed(graph.labels):
        block = graph[label]
        below = frozenset(found for after in successors(block) for found in read[after])
        if isinstance(block, Let):
            below -= {block.variable}
        own = (found for value in used_values(block) for found in variables(value))
        read[label] = below.union(own)
    return read
