"""Random decision graphs, and what they do with a concrete packet.

The values are few, so that tests meet the same bytes again and again: that is what the passes look
for. Nothing here divides by what is not a constant, since a division by zero ends a filter and is
as fleeting as a load past the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.errors import Span
from pfcompile.ir.arithmetic import WORD, ArithmeticOp, alu
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Accept, Branch, Builder, Graph, Label, Let, Origins, Reject, Test
from pfcompile.ir.values import (
    Ancillary,
    Arithmetic,
    Const,
    Load,
    Numbers,
    PacketLength,
    Value,
    Variable,
    ancillary,
    arithmetic,
    const,
    load,
    numbers,
    packet_length,
    variable,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

PACKET_BYTES: Final = 600
"""Enough for every load of a random graph whose base is a variable."""

VARIABLES: Final = 3

_OFFSETS: Final = (0, 1, 2, 12, 13, 14, 23)
_LOST_OFFSET: Final = 0xFFFFFFFE
_INTERESTING: Final = (
    0, 1, 2, 3, 5, 6, 7, 8, 15, 16, 17, 80, 127, 128, 254, 255, 256, 0x800, 0x806, 0x86DD,
    0xFFFF, 0x10000, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF,
)  # fmt: skip
_MASKS: Final = (1, 2, 3, 4, 7, 0x0F, 0xF0, 0x80, 0xFF, 0x1FFF, 0xFF00, 0xFFFF, 0xFFFF0000, WORD)
_OPERATORS: Final = tuple(ArithmeticOp)


class RandomGraphs:
    """Makes graphs, values and tests from one generator of random numbers."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def number(self) -> int:
        if self.rng.random() < 0.8:
            return self.rng.choice(_INTERESTING)
        return self.rng.getrandbits(self.rng.choice((4, 8, 16, 32)))

    def leaf(self) -> Value:
        kind = self.rng.random()
        if kind < 0.7:
            size = self.rng.choice((1, 1, 2, 2, 4))
            base = variable(self.rng.randrange(VARIABLES)) if self.rng.random() < 0.2 else None
            offset = _LOST_OFFSET if self.rng.random() < 0.01 else self.rng.choice(_OFFSETS)
            return load(size, base, offset)
        if kind < 0.8:
            return packet_length()
        if kind < 0.9:
            return variable(self.rng.randrange(VARIABLES))
        return const(self.number())

    def value(self, depth: int = 2) -> Value:
        if depth == 0 or self.rng.random() < 0.55:
            return self.leaf()
        op = self.rng.choice(_OPERATORS)
        left = self.value(depth - 1)
        match op:
            case ArithmeticOp.DIV | ArithmeticOp.MOD:
                return arithmetic(op, left, const(self.number() or 1))
            case ArithmeticOp.LSH | ArithmeticOp.RSH:
                return arithmetic(op, left, const(self.rng.randrange(32)))
            case ArithmeticOp.MUL:
                # Products of unknown words are what solvers give up on.
                return arithmetic(op, left, const(self.number()))
            case ArithmeticOp.AND if self.rng.random() < 0.7:
                return arithmetic(op, left, const(self.rng.choice(_MASKS)))
            case _:
                return arithmetic(op, left, self.value(depth - 1))

    def test(self) -> Test:
        op = self.rng.choice((Comparison.EQ, Comparison.EQ, *Comparison))
        if op is Comparison.IN:
            return Test(op, self.value(), self.set_of_numbers())
        if op is Comparison.SET and self.rng.random() < 0.8:
            return Test(op, self.value(), const(self.rng.choice(_MASKS)))
        right = const(self.number()) if self.rng.random() < 0.85 else self.value(1)
        left = self.value()
        return Test(op, right, left) if self.rng.random() < 0.05 else Test(op, left, right)

    def set_of_numbers(self) -> Numbers:
        """Return one to a dozen numbers and ranges, some of them side by side."""
        ranges = []
        for _ in range(self.rng.choice((1, 2, 3, 12))):
            low = self.number()
            length = self.rng.choice((0, 0, 1, 3, 100))
            ranges.append((low, min(low + length, WORD)))
        return numbers(ranges)

    def offset(self) -> Value:
        """Return something to put into a variable, always small enough for a load's base."""
        if self.rng.random() < 0.3:
            return const(self.rng.randrange(64))
        masked = arithmetic(ArithmeticOp.AND, load(1, None, self.rng.choice(_OFFSETS)), const(0x0F))
        return arithmetic(ArithmeticOp.LSH, masked, const(self.rng.choice((0, 2))))

    def graph(self, most_blocks: int = 18) -> Graph:
        """Return a graph of up to that many tests and assignments, whose variables are all set."""
        builder = Builder()
        labels = [builder.add(Reject()), builder.add(Accept())]
        pool = [self.test() for _ in range(self.rng.randrange(1, most_blocks))]
        for _ in range(self.rng.randrange(1, most_blocks)):
            yes, no = self._target(labels), self._target(labels)
            shape = self.rng.random()
            if shape < 0.1:
                labels += self._row(builder, yes, no)
            elif shape < 0.2:
                labels += self._copies(builder, yes, no)
            elif shape < 0.3:
                labels += self._neighbours(builder, yes, no)
            elif shape < 0.4:
                labels += self._endings(builder, yes, no, self._target(labels))
            elif shape < 0.5:
                labels += self._told_apart(builder, yes, no)
            elif self.rng.random() < 0.12:
                chosen = variable(self.rng.randrange(VARIABLES))
                labels.append(builder.add(Let(chosen, self.offset(), yes, self._origins())))
            else:
                # Tests come from a pool: the same ones are to meet on one way.
                test = self.rng.choice(pool)
                labels.append(builder.add(Branch(test, yes, no, self._origins())))
        entry = labels[-1]
        for number in range(VARIABLES):
            entry = builder.add(Let(variable(number), self.offset(), entry, self._origins()))
        return builder.finish(entry)

    def _row(self, builder: Builder, way_out: Label, label: Label) -> list[Label]:
        """Add tests of few values in turn, each of which leaves to `way_out` on one side.

        Some look at a part of the other's bits, and ask for what is nearly the same number.
        """
        values = [self.value(1), self.value(1)]
        usual = self.number()
        row = []
        for index in range(self.rng.randrange(3, 7)):
            value, number = values[index % 2], self.rng.choice((usual, usual, self.number()))
            if self.rng.random() < 0.4:
                mask = self.rng.choice(_MASKS)
                value, number = arithmetic(ArithmeticOp.AND, value, const(mask)), number & mask
            op = self.rng.choice((Comparison.EQ, Comparison.EQ, Comparison.GT))
            sides = (way_out, label) if self.rng.random() < 0.6 else (label, way_out)
            test = Test(op, value, const(number))
            label = builder.add(Branch(test, *sides, self._origins()))
            row.append(label)
        return row

    def _copies(self, builder: Builder, yes: Label, no: Label) -> list[Label]:
        """Add the same tests twice, the second time at other offsets, as for IPv4 and IPv6."""
        first, second = self.rng.sample((0, 2, 20, 40), 2)
        bases = [(None, first), (variable(0) if self.rng.random() < 0.6 else None, second)]
        tests = [
            (self.rng.choice((1, 2)), self.rng.choice((0, 2, 4)), self.number())
            for _ in range(self.rng.randrange(2, 5))
        ]
        heads = []
        for base, start in bases:
            label = no
            for size, offset, number in tests:
                test = Test(Comparison.EQ, load(size, base, start + offset), const(number & 0xFF))
                label = builder.add(Branch(test, yes, label, self._origins()))
            heads.append(label)
        split = self.test()
        return [*heads, builder.add(Branch(split, *heads, self._origins()))]

    def _neighbours(self, builder: Builder, yes: Label, no: Label) -> list[Label]:
        """Add tests of bytes that stand side by side, perhaps masked, all of which must hold."""
        base = variable(0) if self.rng.random() < 0.3 else None
        start, label = self.rng.choice((0, 12, 14)), yes
        row = []
        for size, offset in self.rng.choice((((1, 0), (1, 1)), ((2, 0), (2, 2)), ((4, 0), (2, 4)))):
            value: Value = load(size, base, start + offset)
            number = self.rng.getrandbits(8 * size)
            if self.rng.random() < 0.4:
                mask = self.rng.choice((0x0F, 0xF0, 0xFF))
                value, number = arithmetic(ArithmeticOp.AND, value, const(mask)), number & mask
            label = builder.add(
                Branch(Test(Comparison.EQ, value, const(number)), label, no, self._origins())
            )
            row.append(label)
        return row

    def _endings(self, builder: Builder, yes: Label, no: Label, other: Label) -> list[Label]:
        """Add two parts, of which one has a test in the middle that the other one ends in."""
        value = load(self.rng.choice((1, 2)), None, self.rng.choice(_OFFSETS))
        first, second, third = self.rng.sample(range(200), 3)
        shared = Test(Comparison.IN, value, numbers([(first, first), (second, second)]))
        between = Test(Comparison.EQ, value, const(third))
        ending = builder.add(Branch(shared, yes, no, self._origins()))
        after = builder.add(Branch(between, other, no, self._origins()))
        middle = builder.add(Branch(shared, yes, after, self._origins()))
        return [ending, builder.add(Branch(self.test(), middle, ending, self._origins()))]

    def _told_apart(self, builder: Builder, yes: Label, no: Label) -> list[Label]:
        """Add a test for a set and, behind it, one for a part of the set."""
        value, members = (
            self.leaf(),
            sorted(self.rng.sample(_INTERESTING, self.rng.randrange(2, 6))),
        )
        ranges = [(n, n if self.rng.random() < 0.8 else min(n + 3, WORD)) for n in members]
        part = self.rng.sample(ranges, self.rng.randrange(1, len(ranges)))
        inner = Test(Comparison.IN, value, numbers(part))
        second = builder.add(Branch(inner, yes, no, self._origins()))
        outer = Test(Comparison.IN, value, numbers(ranges))
        return [second, builder.add(Branch(outer, second, no, self._origins()))]

    def _target(self, labels: list[Label]) -> Label:
        return labels[-1] if self.rng.random() < 0.45 else self.rng.choice(labels)

    def _origins(self) -> Origins:
        starts = sorted(self.rng.sample(range(100), self.rng.choice((0, 0, 1, 1, 2, 3))))
        return tuple(Span(start, start + self.rng.randrange(1, 20)) for start in starts)

    def any_value(self, depth: int = 4) -> Value:
        """Return a value of any form, also of those that lowering never makes."""
        if depth == 0 or self.rng.random() < 0.3:
            kind = self.rng.randrange(5)
            return (
                const(self.rng.getrandbits(self.rng.choice((1, 8, 32)))),
                packet_length(),
                variable(self.rng.randrange(20)),
                ancillary(self.rng.randrange(0, 80, 4), self.rng.choice((1, 2, 4))),
                load(self.rng.choice((1, 2, 4)), None, self.rng.getrandbits(32)),
            )[kind]
        if self.rng.random() < 0.3:
            offset = self.rng.choice((0, 0, 1, 14, WORD))
            return load(self.rng.choice((1, 2, 4)), self.any_value(depth - 1), offset)
        op = self.rng.choice(_OPERATORS)
        return arithmetic(op, self.any_value(depth - 1), self.any_value(depth - 1))


class PastTheEnd(Exception):  # noqa: N818 - an answer, not a fault
    """The packet is too short for a load."""


def evaluate(
    value: Value, packet: bytes, wire_length: int, variables: Mapping[Variable, int]
) -> int:
    """Return the word that `value` is for a packet; raises PastTheEnd."""
    match value:
        case Const(value=k):
            return k
        case PacketLength():
            return wire_length
        case Variable():
            return variables[value]
        case Load(size=size, base=base, offset=offset):
            start = 0 if base is None else evaluate(base, packet, wire_length, variables)
            start = start + offset & WORD
            if start + size > len(packet):
                raise PastTheEnd
            return int.from_bytes(packet[start : start + size], "big")
        case Arithmetic(op=op, left=left, right=right):
            result = alu(
                op,
                evaluate(left, packet, wire_length, variables),
                evaluate(right, packet, wire_length, variables),
            )
            assert result is not None
            return result
        case Ancillary():
            raise AssertionError("random graphs read no metadata")
        case Numbers():
            raise AssertionError("a set is not a number")


def outcome(test: Test, packet: bytes, wire_length: int, variables: Mapping[Variable, int]) -> bool:
    """Return what `test` gives for a packet; raises PastTheEnd."""
    a = evaluate(test.left, packet, wire_length, variables)
    if isinstance(test.right, Numbers):
        return any(low <= a <= high for low, high in test.right.ranges)
    b = evaluate(test.right, packet, wire_length, variables)
    match test.op:
        case Comparison.EQ:
            return a == b
        case Comparison.GT:
            return a > b
        case Comparison.GE:
            return a >= b
        case Comparison.SET:
            return a & b != 0
        case Comparison.IN:
            raise AssertionError("IN goes with a set")


def accepts(graph: Graph, packet: bytes, wire_length: int) -> bool:
    """Return whether `graph` accepts a packet; raises PastTheEnd."""
    variables: dict[Variable, int] = {}
    block = graph[graph.entry]
    while True:
        match block:
            case Accept():
                return True
            case Reject():
                return False
            case Branch(test=test, yes=yes, no=no):
                holds = outcome(test, packet, wire_length, variables)
                block = graph[yes if holds else no]
            case Let(variable=chosen, value=value, next=after):
                variables[chosen] = evaluate(value, packet, wire_length, variables)
                block = graph[after]


def random_packet(rng: random.Random) -> bytes:
    """Return PACKET_BYTES bytes, most of them such as the tests ask about."""
    usual = (0, 0, 1, 2, 6, 8, 15, 17, 80, 0x86, 0xDD, 0xFF)
    return bytes(
        rng.choice(usual) if rng.random() < 0.7 else rng.getrandbits(8) for _ in range(PACKET_BYTES)
    )
