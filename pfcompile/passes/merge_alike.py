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
anyway. Sound because both copies are what substituting the variable's values gives, and those
values are computed no earlier than something that needs as much of the packet: with the first test,
or from bytes before those that it looks at. Whether it pays is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial, reduce
from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.ir.graph import (
    Branch,
    Builder,
    Graph,
    Label,
    Let,
    Test,
    rebuild_with,
    successors,
    united,
    used_values,
)
from pfcompile.ir.values import (
    Arithmetic,
    Const,
    Load,
    Numbers,
    Value,
    Variable,
    add,
    arithmetic,
    const,
    load,
    may_end,
    parts,
    variable,
    variables,
)
from pfcompile.passes.expand_sets import comparisons
from pfcompile.passes.search import improve

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from pfcompile.ir.graph import Block
    from pfcompile.passes.search import Cost

_MOST_ALIKE: Final = 4
"""IPv4 and IPv6, each with and without a VLAN tag, say."""

_MOST_VARIABLES: Final = 2
"""One lives in X, one in A; a third would cost more than it saves."""


def merge_alike(graph: Graph, cost: Cost) -> Graph:
    """Return `graph` with alike parts merged where `cost`, a number of instructions, falls."""
    return improve(graph, cost, _merges)


def _merges(graph: Graph) -> Iterator[tuple[Hashable, Callable[[], Graph]]]:
    """Yield the merges that can be made, the largest saving first."""
    for group in _groups(graph):
        tests = []
        for label in group.labels:
            block = graph[label]
            assert isinstance(block, Branch)
            tests.append(block.test)
        yield (*tests, group.saving), partial(_apply, graph, group)


_Labels: TypeAlias = tuple[Label, ...]
_Loads: TypeAlias = tuple[Load, ...]

_Difference: TypeAlias = tuple[tuple[Value | None, int], ...]
"""Where alike loads differ: each one's base, and how far its offset is from the first one's."""


@dataclass(slots=True)
class _Group:
    """Labels whose blocks, and all below them, differ in the places of their loads only.

    Attributes:
        labels: The labels.
        blocks: All groups of differing blocks, the labels first.
        loads: For each kind of difference, the loads that differ so.
    """

    labels: _Labels
    blocks: dict[_Labels, None] = field(default_factory=dict)
    loads: dict[_Difference, dict[_Loads, None]] = field(default_factory=dict)

    @property
    def saving(self) -> int:
        """How many blocks fall away, at most."""
        return len({label for group in self.blocks for label in group}) - len(self.blocks)


def _groups(graph: Graph) -> list[_Group]:
    """Return what can be merged, the largest saving first: all that are alike, and pairs."""
    shapes: dict[object, int] = {}
    shape_of: dict[Label, int] = {}
    alike: dict[int, list[Label]] = {}
    for label in reversed(graph.labels):
        shape = _shape(graph[label], shape_of)
        number = shape_of[label] = shapes.setdefault(shape, len(shapes))
        alike.setdefault(number, []).append(label)
    found = []
    for labels in alike.values():
        members = tuple(reversed(labels))[:_MOST_ALIKE]
        choices = [members] if len(members) > 2 else []
        choices += [(members[0], other) for other in members[1:]]
        for choice in choices:
            group = _compared(graph, choice)
            if group is not None and _may_pay(graph, group) and _is_timely(graph, group):
                found.append(group)
    found.sort(key=lambda group: -group.saving)
    return found


def _may_pay(graph: Graph, group: _Group) -> bool:
    """Return whether merging can make the program shorter, by what it saves and sets.

    Of some thousand merges that were counted, none paid that is refused here. It saves counting
    most of those that do not.
    """
    if group.saving < 1:
        return False
    saved = sum(_instructions(graph[labels[0]]) for labels in group.blocks)
    if len(group.loads) == _MOST_VARIABLES and saved < 2 * _MOST_VARIABLES:
        return False
    for difference in group.loads:
        bases = {base for base, _ in difference}
        least = 1 if len(bases) == 1 else 2 if None in bases else 3
        if saved < least:
            return False
    return True


def _instructions(block: Block) -> int:
    """Return about how many instructions a block takes besides its loads."""
    if not isinstance(block, Branch):
        return 1
    test = block.test
    jumps = comparisons(test.right.ranges) if isinstance(test.right, Numbers) else 1
    return jumps + _operations(test.left)


def _operations(value: Value) -> int:
    """Return how many operators stand outside of a value's loads."""
    if not isinstance(value, Arithmetic):
        return 0
    return 1 + _operations(value.left) + _operations(value.right)


def _is_timely(graph: Graph, group: _Group) -> bool:
    """Return whether the first tests need all that the variables' values are made of."""
    for side, label in enumerate(group.labels):
        block = graph[label]
        assert isinstance(block, Branch)
        needed = set(_loads_in(block.test.left)) | set(_loads_in(block.test.right))
        reach = max((each.offset + each.size for each in needed if each.base is None), default=0)
        for difference in group.loads:
            base = difference[side][0]
            if base is None:
                continue
            if may_end(base):
                return False
            for each in _loads_in(base):
                near = each.base is None and each.offset + each.size <= reach
                if each not in needed and not near:
                    return False
    return True


def _loads_in(value: Value) -> Iterator[Load]:
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Load):
            yield node
        waiting += parts(node)


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


def _compared(graph: Graph, labels: _Labels) -> _Group | None:
    """Return the group with all its differences, None where it would take too many variables."""
    group = _Group(labels)
    waiting = [labels]
    while waiting:
        these = waiting.pop()
        if len(set(these)) == 1 or these in group.blocks:
            continue
        group.blocks[these] = None
        blocks = []
        for label in these:
            block = graph[label]
            if not isinstance(block, Branch):
                return None  # Equal assignments stand above different blocks.
            blocks.append(block)
        _compare_values([block.test.left for block in blocks], group)
        _compare_values([block.test.right for block in blocks], group)
        waiting.append(tuple(block.no for block in blocks))
        waiting.append(tuple(block.yes for block in blocks))
        if len(group.loads) > _MOST_VARIABLES:
            return None
    return group


def _compare_values(values: Sequence[Value], group: _Group) -> None:
    first = values[0]
    if all(value is first for value in values):
        return
    loads = [value for value in values if isinstance(value, Load)]
    if len(loads) == len(values):
        difference = tuple((each.base, each.offset - loads[0].offset) for each in loads)
        group.loads.setdefault(difference, {})[tuple(loads)] = None
        return
    sums = [value for value in values if isinstance(value, Arithmetic)]
    assert len(sums) == len(values)
    _compare_values([each.left for each in sums], group)
    _compare_values([each.right for each in sums], group)


def _apply(graph: Graph, group: _Group) -> Graph:
    """Return `graph` with a group merged."""
    number = 1 + max(
        (
            found.number
            for block in graph.blocks
            for value in (*used_values(block), *_assigned(block))
            for found in variables(value)
        ),
        default=-1,
    )
    merge = _Merge(graph, group, number)

    def rewrite(
        builder: Builder, label: Label, block: Block, names: Mapping[Label, Label]
    ) -> Label:
        if label == max(group.labels):
            # All that they have in common below them is built by now.
            merge.build(builder, names)
        if label in merge.entries:
            return merge.entries[label]
        return builder.add(block)

    return _hoist_lets(rebuild_with(graph, rewrite))


def _assigned(block: Block) -> tuple[Value, ...]:
    return (block.variable,) if isinstance(block, Let) else ()


class _Merge:
    """The one copy of a group.

    Attributes:
        entries: For each of its labels, where ways to it now lead.
    """

    def __init__(self, graph: Graph, group: _Group, number: int) -> None:
        self._graph = graph
        self._group = group
        self._replaced: dict[_Loads, Value] = {}
        # Each new variable and its values, one for each label.
        self._values: list[tuple[Variable, Sequence[Value]]] = []
        self.entries: dict[Label, Label] = {}
        tested_first = self._first_loads()
        for difference, alike in group.loads.items():
            made = variable(number + len(self._values))
            if tested_first is not None and tested_first in alike:
                self._replaced[tested_first] = made
                self._values.append((made, tested_first))
                continue
            origin = _origin(difference, alike)
            for loads in alike:
                self._replaced[loads] = load(loads[0].size, made, loads[0].offset - origin)
            places = [_place(base, origin + distance) for base, distance in difference]
            self._values.append((made, places))
        # The one that A holds is set last, so that it is still there for the first test.
        self._values.sort(key=lambda row: isinstance(row[1][0], Load))

    def _first_loads(self) -> _Loads | None:
        """Return the first test's loads where nothing else differs in the same way.

        Their value is then the variable: it is tested before anything else is loaded.
        """
        lefts = []
        for label in self._group.labels:
            block = self._graph[label]
            assert isinstance(block, Branch)
            lefts.append(block.test.left)
        of_first_test = _Group(self._group.labels)
        _compare_values(lefts, of_first_test)
        for difference, loads in of_first_test.loads.items():
            if len(loads) == 1 and len(self._group.loads[difference]) == 1:
                return next(iter(loads))
        return None

    def build(self, builder: Builder, names: Mapping[Label, Label]) -> None:
        """Write the merged copy, and an entry to it for each of the labels."""
        made: dict[_Labels, Label] = {}

        def target(labels: _Labels) -> Label:
            return names[labels[0]] if len(set(labels)) == 1 else made[labels]

        for labels in sorted(self._group.blocks, key=max, reverse=True):
            blocks = []
            for label in labels:
                block = self._graph[label]
                assert isinstance(block, Branch)
                blocks.append(block)
            test = Test(
                blocks[0].test.op,
                self._merged([block.test.left for block in blocks]),
                self._merged([block.test.right for block in blocks]),
            )
            yes = target(tuple(block.yes for block in blocks))
            no = target(tuple(block.no for block in blocks))
            origins = reduce(united, (block.origins for block in blocks))
            made[labels] = builder.add(Branch(test, yes, no, origins))
        root = made[self._group.labels]
        for side, label in enumerate(self._group.labels):
            entry = root
            block = self._graph[label]
            assert isinstance(block, Branch)
            for made_variable, values in reversed(self._values):
                entry = builder.add(Let(made_variable, values[side], entry, block.origins))
            self.entries[label] = entry

    def _merged(self, values: Sequence[Value]) -> Value:
        first = values[0]
        if all(value is first for value in values):
            return first
        loads = [value for value in values if isinstance(value, Load)]
        if len(loads) == len(values):
            return self._replaced[tuple(loads)]
        sums = [value for value in values if isinstance(value, Arithmetic)]
        left = self._merged([each.left for each in sums])
        return arithmetic(sums[0].op, left, self._merged([each.right for each in sums]))


def _origin(difference: _Difference, alike: Mapping[_Loads, None]) -> int:
    """Return the first one's offset that the variable stands for.

    Chosen so that one with a computed base needs no addition, and the others a constant.
    """
    for base, distance in difference:
        if base is not None:
            return -distance
    return min(loads[0].offset for loads in alike)


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
                test = builder.add(Branch(block.test, yes, no, block.origins))
                return builder.add(Let(written.variable, written.value, test, written.origins))
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
