"""Packets on which meanings are compared: many truths at once, a bit for each packet.

A test, a piece of an expression or a whole program is a number whose bit i says whether packet i
passes it; `and`, `or` and `not` of expressions are then those of numbers. What agrees on all
samples need not agree on all packets: that is for the prover to say, and what it finds becomes a
sample.

Packets are long and zero where nothing was put; a load that leaves one even so is "lost", and a
packet on which the program loses one is no sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pfcompile.ir.arithmetic import WORD, ArithmeticOp, alu
from pfcompile.ir.comparison import Comparison, holds
from pfcompile.ir.graph import Accept, Branch, Graph, Test
from pfcompile.ir.ranges import contains
from pfcompile.ir.values import (
    Ancillary,
    Arithmetic,
    Const,
    Load,
    Numbers,
    PacketLength,
    Value,
    Variable,
)

if TYPE_CHECKING:
    import random


_BIASES: Final = (0.5, 0.5, 0.5, 0.1, 0.9, 0.02, 0.98)
"""How often a coin says yes."""


@dataclass(slots=True)
class Sample:
    """A packet under way.

    Attributes:
        data: Its bytes.
        wire_length: Its length on the wire.
        metadata: The kernel's words, by offset; those that are missing are 0.
    """

    data: bytearray
    wire_length: int = 100
    metadata: dict[int, int] = field(default_factory=dict)
    _computed: dict[Value, int | None] = field(default_factory=dict)
    """What stands at computed offsets: in a chain of headers each depends on all before it."""

    def copy(self) -> Sample:
        """Return another with the same contents."""
        return Sample(bytearray(self.data), self.wire_length, dict(self.metadata))

    def value(self, value: Value) -> int | None:
        """Return what a value is for this packet, None where it cannot be computed."""
        match value:
            case Const(value=k):
                return k
            case Load(size=size, base=base, offset=offset):
                if base is None:
                    return self._loaded(offset, size)
                if value not in self._computed:
                    start = self.value(base)
                    self._computed[value] = (
                        None if start is None else self._loaded(start + offset & WORD, size)
                    )
                return self._computed[value]
            case Arithmetic(op=op, left=left, right=right):
                a, b = self.value(left), self.value(right)
                return None if a is None or b is None else alu(op, a, b)
            case PacketLength():
                return self.wire_length
            case Ancillary(offset=offset):
                return self.metadata.get(offset, 0)
            case Variable() | Numbers():
                raise AssertionError  # neither is in a graph without variables, nor alone

    def _loaded(self, offset: int, size: int) -> int | None:
        if offset + size > len(self.data):
            return None
        return int.from_bytes(self.data[offset : offset + size], "big")

    def put(self, value: Value, wanted: int) -> None:
        """Try to make a value what is wanted, by changing what it is computed from."""
        self._computed.clear()
        match value:
            case Load(size=size, base=base, offset=offset):
                start = 0 if base is None else self.value(base)
                place = None if start is None else start + offset & WORD
                if place is not None and place + size <= len(self.data):
                    self.data[place : place + size] = (wanted & (1 << 8 * size) - 1).to_bytes(
                        size, "big"
                    )
            case PacketLength():
                self.wire_length = wanted
            case Ancillary(offset=offset):
                self.metadata[offset] = wanted
            case Arithmetic(op=op, left=left, right=right):
                self._put_operand(op, left, right, wanted)
            case _:
                pass

    def _put_operand(self, op: ArithmeticOp, left: Value, right: Value, wanted: int) -> None:
        if isinstance(left, Const):
            a = left.value
            match op:
                case ArithmeticOp.SUB:
                    self.put(right, a - wanted & WORD)
                case ArithmeticOp.ADD | ArithmeticOp.XOR | ArithmeticOp.OR | ArithmeticOp.AND:
                    self._put_operand(op, right, left, wanted)
                case _:
                    pass
            return
        old, b = self.value(left), self.value(right)
        if old is None or b is None:
            return
        match op:
            case ArithmeticOp.ADD:
                new = wanted - b
            case ArithmeticOp.SUB:
                new = wanted + b
            case ArithmeticOp.XOR:
                new = wanted ^ b
            case ArithmeticOp.AND:
                new = old & ~b | wanted & b
            case ArithmeticOp.OR:
                new = old & b | wanted & ~b
            case ArithmeticOp.LSH if b < 32:
                new = wanted >> b
            case ArithmeticOp.RSH if b < 32:
                new = wanted << b | old & (1 << b) - 1
            case ArithmeticOp.MUL if b:
                new = wanted // b
            case ArithmeticOp.DIV:
                new = wanted * b
            case ArithmeticOp.MOD if b:
                new = old - old % b + wanted
            case _:
                return
        self.put(left, new & WORD)

    def holds(self, test: Test) -> bool | None:
        """Return whether a test holds for this packet; None where it cannot be computed."""
        left = self.value(test.left)
        if left is None:
            return None
        if isinstance(test.right, Numbers):
            return contains(test.right.ranges, left)
        right = self.value(test.right)
        return None if right is None else holds(test.op, left, right)

    def settle(self, test: Test, wanted: bool, rng: random.Random) -> None:
        """Try to make a test give what is wanted."""
        for _ in range(3):
            if self.holds(test) is wanted:
                return
            self.put(test.left, _number_for(self, test, wanted, rng))

    def lead(self, graph: Graph, rng: random.Random) -> None:
        """Change the packet so that it takes a way through a graph that a coin chooses.

        It is another coin for each packet: a fair one does not come far in a long list.
        """
        bias = rng.choice(_BIASES)
        label = graph.entry
        while isinstance(block := graph[label], Branch):
            wanted = rng.random() < bias
            self.settle(block.test, wanted, rng)
            label = block.yes if self.holds(block.test) else block.no


def _number_for(sample: Sample, test: Test, wanted: bool, rng: random.Random) -> int:
    """Return a number that the left side of a test may be for it to give what is wanted."""
    if isinstance(test.right, Numbers):
        low, high = rng.choice(test.right.ranges)
        if wanted:
            return rng.choice((low, high, (low + high) // 2))
        return rng.choice((low - 1, high + 1, rng.getrandbits(8))) & WORD
    right = sample.value(test.right) or 0
    if test.op is Comparison.SET:
        lowest = right & -right
        old = sample.value(test.left) or 0
        return old | rng.choice((right, lowest)) if wanted else old & ~right & WORD
    if wanted:
        above = 1 if test.op is Comparison.GT else 0
        return right + above & WORD if rng.random() < 0.7 or test.op is Comparison.EQ else WORD
    if test.op is Comparison.EQ:
        return rng.choice((right ^ 1, right + 1 & WORD, right ^ 0x80, 0, rng.getrandbits(8)))
    return rng.choice((right, max(right - 1, 0), 0))


class Samples:
    """Some packets, and what tests give for them."""

    def __init__(self) -> None:
        self.packets: list[Sample] = []
        self._tests: dict[Test, tuple[int, int, int]] = {}
        self._graphs: dict[Graph, tuple[int, int, int]] = {}

    @property
    def all(self) -> int:
        """The number that has a bit for each packet."""
        return (1 << len(self.packets)) - 1

    def of_test(self, test: Test) -> tuple[int, int]:
        """Return for which packets a test holds, and for which it cannot be computed."""
        known, truth, lost = self._tests.get(test, (0, 0, 0))
        if known < len(self.packets):
            for i in range(known, len(self.packets)):
                outcome = self.packets[i].holds(test)
                if outcome:
                    truth |= 1 << i
                elif outcome is None:
                    lost |= 1 << i
            self._tests[test] = len(self.packets), truth, lost
        return truth, lost

    def of_graph(self, graph: Graph) -> tuple[int, int]:
        """Return which packets a graph accepts, and on which it loses a load."""
        known, accepted, lost = self._graphs.get(graph, (-1, 0, 0))
        if known < len(self.packets):
            accepted = lost = 0
            reached = [0] * len(graph)
            reached[0] = self.all
            for label in graph.labels:
                here = reached[label]
                block = graph[label]
                if isinstance(block, Branch) and here:
                    truth, cannot = self.of_test(block.test)
                    lost |= here & cannot
                    here &= ~cannot
                    reached[block.yes] |= here & truth
                    reached[block.no] |= here & ~truth
                elif isinstance(block, Accept):
                    accepted |= here
            self._graphs[graph] = len(self.packets), accepted, lost
        return accepted, lost
