"""Make one comparison of two whose bytes lie side by side, and load no more bytes than count.

Before::
    b2:  br ldb[23] == 6, b3, b9                 the protocol,
    b3:  br ldh[20] & 0x1fff, b9, b4             and no later fragment
    b4:  br (ldw[26] & 0xff000000) == 0xa000000, b8, b9
After::
    b2:  br (ldw[20] & 0x1fff00ff) == 6, b4, b9
    b4:  br ldb[26] == 10, b8, b9

Sound because both tests must hold for the way on, and what they ask of the bytes is a mask and a
value each. A wider load begins earlier, never ends later, so that it stays inside every packet that
the first was inside, unless a packet that the first does not like is rejected anyway. Whether it
pays is counted.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import (
    Branch,
    Graph,
    Label,
    Reject,
    Test,
    rebuild_with,
    successors,
    united,
)
from pfcompile.ir.values import Arithmetic, Const, Load, Value, arithmetic, const, load
from pfcompile.passes.search import improve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pfcompile.ir.graph import Block, Builder, Origins
    from pfcompile.passes.search import Cost


class _Demand(NamedTuple):
    """Bits that some bytes must have: `packet[base + offset : size] & mask == bits`.

    `on_yes` is the side of the block on which they have them.
    """

    base: Value | None
    offset: int
    size: int
    mask: int
    bits: int
    on_yes: bool

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.offset + self.size


def fuse_tests(graph: Graph, cost: Cost) -> Graph:
    """Return `graph` with tests fused and loads narrowed where `cost`, in instructions, falls."""
    return improve(
        graph,
        cost,
        lambda current: ((step.asked, partial(_apply, current, step)) for step in _steps(current)),
    )


class _Step(NamedTuple):
    """A block to be rewritten: with another test, and perhaps with the next block taken in.

    Attributes:
        label: The block.
        asked: The one or two tests that it stands for now.
        demand: What is asked of the packet instead.
        yes, no: Where the new block goes.
        origins: The parts of the expression that asked for what it stands for.
    """

    label: Label
    asked: tuple[Test, Test | None]
    demand: _Demand
    yes: Label
    no: Label
    origins: Origins


def _steps(graph: Graph) -> Iterator[_Step]:
    """Yield what can be done: tests to fuse before loads to narrow."""
    ways_to = Counter(after for block in graph.blocks for after in dict.fromkeys(successors(block)))
    for label in graph.labels:
        block = graph[label]
        if isinstance(block, Branch):
            yield from _fusions(graph, label, block, ways_to)
    for label in graph.labels:
        block = graph[label]
        if isinstance(block, Branch):
            demand = _demand(block.test)
            narrow = None if demand is None else _narrowed(demand)
            if narrow is not None:
                yes, no = (block.yes, block.no) if narrow.on_yes else (block.no, block.yes)
                yield _Step(label, (block.test, None), narrow, yes, no, block.origins)


def _fusions(graph: Graph, label: Label, block: Branch, ways_to: Counter[Label]) -> Iterator[_Step]:
    first = _demand(block.test)
    if first is None:
        return
    onward, out = (block.yes, block.no) if first.on_yes else (block.no, block.yes)
    after = graph[onward]
    if not isinstance(after, Branch) or ways_to[onward] != 1:
        return
    second = _demand(after.test)
    if second is None:
        return
    further, other_out = (after.yes, after.no) if second.on_yes else (after.no, after.yes)
    if other_out != out:
        return
    joined = _joined(first, second)
    if joined is None:
        return
    # A packet that ends behind the first's bytes must get the verdict that it got.
    if joined.end <= first.end or isinstance(graph[out], Reject):
        origins = united(block.origins, after.origins)
        yield _Step(label, (block.test, after.test), joined, further, out, origins)


def _demand(test: Test) -> _Demand | None:
    """Return what a test asks of some bytes, None where it is not a mask and a value."""
    if not isinstance(test.right, Const):
        return None
    k = test.right.value
    match test.op, test.left:
        case Comparison.EQ, Load(size=size, base=base, offset=offset):
            return _Demand(base, offset, size, (1 << 8 * size) - 1, k, on_yes=True)
        case Comparison.EQ, Arithmetic(
            op=ArithmeticOp.AND,
            left=Load(size=size, base=base, offset=offset),
            right=Const(value=mask),
        ) if k & ~mask == 0:
            return _Demand(base, offset, size, mask, k, on_yes=True)
        case Comparison.SET, Load(size=size, base=base, offset=offset):
            return _Demand(base, offset, size, k, 0, on_yes=False)
        case _:
            return None


def _joined(a: _Demand, b: _Demand) -> _Demand | None:
    """Return the demand that both are, None where no load reaches over them."""
    if a.base is not b.base:
        return None
    start, end = min(a.offset, b.offset), max(a.end, b.end)
    size = next((size for size in (1, 2, 4) if size >= end - start), None)
    if size is None or end > WORD:
        return None
    start = end - size
    # Behind a computed base nothing is known of what stands before.
    if start < (0 if a.base is None else min(a.offset, b.offset)):
        return None
    a_shift, b_shift = 8 * (end - a.end), 8 * (end - b.end)
    a_mask, b_mask = a.mask << a_shift, b.mask << b_shift
    a_bits, b_bits = a.bits << a_shift, b.bits << b_shift
    if (a_bits ^ b_bits) & a_mask & b_mask:
        return None
    return _Demand(a.base, start, size, a_mask | b_mask, a_bits | b_bits, on_yes=True)


def _narrowed(demand: _Demand) -> _Demand | None:
    """Return a demand of whole bytes as one of just those bytes, None where that is not shorter."""
    for size in (1, 2):
        for skipped in range(demand.size - size + 1):
            shift = 8 * (demand.size - size - skipped)
            full = ((1 << 8 * size) - 1) << shift
            if demand.mask == full and size < demand.size:
                offset = demand.offset + skipped & WORD
                return _Demand(
                    demand.base,
                    offset,
                    size,
                    demand.mask >> shift,
                    demand.bits >> shift,
                    demand.on_yes,
                )
    return None


def _test(demand: _Demand) -> Test:
    loaded = load(demand.size, demand.base, demand.offset)
    if demand.mask == (1 << 8 * demand.size) - 1:
        return Test(Comparison.EQ, loaded, const(demand.bits))
    asked = arithmetic(ArithmeticOp.AND, loaded, const(demand.mask))
    return Test(Comparison.EQ, asked, const(demand.bits))


def _apply(graph: Graph, step: _Step) -> Graph:
    def rewrite(
        builder: Builder, label: Label, block: Block, names: Mapping[Label, Label]
    ) -> Label:
        if label != step.label or not isinstance(block, Branch):
            return builder.add(block)
        changed = Branch(_test(step.demand), names[step.yes], names[step.no], step.origins)
        return builder.add(changed)

    return rebuild_with(graph, rewrite)
