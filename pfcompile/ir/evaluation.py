"""A graph on a packet, block by block: the way that it takes, and what is read on it.

The meaning is the interpreter's (`cbpf.interpreter`): a shift by a computed amount looks at its low
five bits, metadata is not there, and a load past the captured bytes or a division by zero ends the
filter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, assert_never

from pfcompile.ir.arithmetic import WORD, ArithmeticOp, alu
from pfcompile.ir.comparison import holds
from pfcompile.ir.graph import Accept, Branch, Let, Reject
from pfcompile.ir.ranges import contains
from pfcompile.ir.values import (
    Ancillary,
    Arithmetic,
    Const,
    Load,
    Numbers,
    PacketLength,
    Variable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pfcompile.ir.graph import Graph, Label
    from pfcompile.ir.values import Value

_SHIFTS: Final = frozenset({ArithmeticOp.LSH, ArithmeticOp.RSH})
_SHIFT_BITS: Final = 31


class Way(Enum):
    """How a block is left."""

    YES = "yes"
    NO = "no"
    ON = "on"
    CUT_SHORT = "cut short"


class Step(NamedTuple):
    """A block on the way: a test or an assignment.

    Attributes:
        label: The block.
        way: How it is left.
    """

    label: Label
    way: Way


class EndedError(Exception):
    """A value cannot be computed, and the filter ends."""


@dataclass(slots=True)
class Run:
    """A packet and what is known on the way.

    Attributes:
        packet: The captured bytes.
        wire_length: The length on the wire.
        variables: What they hold, by number.
    """

    packet: bytes
    wire_length: int
    variables: dict[int, int] = field(default_factory=dict)


_Computation: TypeAlias = "Callable[[Run], int]"


class Walker:
    """A graph made ready for many packets."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._left: list[_Computation | None] = []
        self._right: list[_Computation | None] = []
        computed: dict[Value, _Computation] = {}
        for block in graph.blocks:
            left: _Computation | None = None
            right: _Computation | None = None
            match block:
                case Branch(test=test):
                    left = _computation(test.left, computed)
                    if not isinstance(test.right, Numbers):
                        right = _computation(test.right, computed)
                case Let(value=value):
                    left = _computation(value, computed)
                case Accept() | Reject():
                    pass
            self._left.append(left)
            self._right.append(right)

    def walk(self, packet: bytes, wire_length: int) -> tuple[list[Step], bool]:
        """Return the way that a packet takes, and whether it is accepted."""
        run = Run(packet, wire_length)
        steps: list[Step] = []
        label = self.graph.entry
        blocks = self.graph.blocks
        while True:
            block = blocks[label]
            left = self._left[label]
            if left is None:
                return steps, isinstance(block, Accept)
            try:
                a = left(run)
                right = self._right[label]
                b = 0 if right is None else right(run)
            except EndedError:
                steps.append(Step(label, Way.CUT_SHORT))
                return steps, False
            match block:
                case Branch(test=test, yes=yes, no=no):
                    if isinstance(test.right, Numbers):
                        is_so = contains(test.right.ranges, a)
                    else:
                        is_so = holds(test.op, a, b)
                    steps.append(Step(label, Way.YES if is_so else Way.NO))
                    label = yes if is_so else no
                case Let(variable=variable, next=after):
                    run.variables[variable.number] = a
                    steps.append(Step(label, Way.ON))
                    label = after
                case Accept() | Reject():
                    raise AssertionError


def compute(value: Value, run: Run) -> int:
    """Return what a value is; raises EndedError where it cannot be computed."""
    return _computation(value, {})(run)


def reads(value: Value, run: Run) -> Iterator[tuple[Load, int]]:
    """Yield the loads of a value with the offsets where they begin, innermost first.

    It ends, without an error, behind a load that leaves the packet.
    """
    for each in _loads(value):
        try:
            base = 0 if each.base is None else compute(each.base, run)
        except EndedError:
            return
        yield each, (base + each.offset) & WORD


def _loads(value: Value) -> Iterator[Load]:
    match value:
        case Load(base=base):
            if base is not None:
                yield from _loads(base)
            yield value
        case Arithmetic(left=left, right=right):
            yield from _loads(left)
            yield from _loads(right)
        case Const() | PacketLength() | Ancillary() | Variable() | Numbers():
            pass


def _computation(value: Value, known: dict[Value, _Computation]) -> _Computation:
    """Return what computes a value; `known` keeps what is made."""
    made = known.get(value)
    if made is None:
        made = known[value] = _made(value, known)
    return made


def _made(value: Value, known: dict[Value, _Computation]) -> _Computation:
    match value:
        case Const(value=k):
            return lambda _: k
        case Load():
            return _load(value, known)
        case PacketLength():
            return lambda run: run.wire_length & WORD
        case Variable(number=number):
            return lambda run: run.variables[number]
        case Arithmetic():
            return _arithmetic(value, known)
        case Ancillary():
            return _missing
        case Numbers():
            raise AssertionError
        case _:
            assert_never(value)


def _missing(_: Run) -> int:
    raise EndedError


def _load(value: Load, known: dict[Value, _Computation]) -> _Computation:
    size, offset = value.size, value.offset
    base = None if value.base is None else _computation(value.base, known)

    def compute_load(run: Run) -> int:
        start = offset if base is None else (base(run) + offset) & WORD
        stop = start + size
        if stop > len(run.packet):
            raise EndedError
        return int.from_bytes(run.packet[start:stop])

    return compute_load


def _arithmetic(value: Arithmetic, known: dict[Value, _Computation]) -> _Computation:
    op = value.op
    left, right = (_computation(each, known) for each in (value.left, value.right))

    def compute_arithmetic(run: Run) -> int:
        a, b = left(run), right(run)
        found = alu(op, a, b & _SHIFT_BITS if op in _SHIFTS else b)
        if found is None:
            raise EndedError
        return found

    return compute_arithmetic
