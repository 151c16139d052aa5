"""Walk through classic programs: how many instructions are executed, and what ends them.

A reading of programs of its own, beside the interpreter, which does not tell either.
"""

from __future__ import annotations

import operator
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.cbpf.isa import ROW_OF, SCRATCH_WORDS, Class, Instruction, Operand, Place, successors
from pfcompile.ir.arithmetic import WORD, ArithmeticOp, alu
from pfcompile.ir.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.shared_captures import Captured

_HOLDS: Final[dict[Comparison, Callable[[int, int], int]]] = {
    Comparison.EQ: operator.eq,
    Comparison.GT: operator.gt,
    Comparison.GE: operator.ge,
    Comparison.SET: operator.and_,
}


class End(Enum):
    """What ends a program."""

    RETURN = "its return"
    LOAD = "a load past the end of the packet, or of metadata, which no packet has here"
    DIVISION = "a division by zero"


class Walk(NamedTuple):
    """One packet's way through a program.

    Attributes:
        executed: Instructions, the last one included.
        end: What ended it.
    """

    executed: int
    end: End


def walk(program: Sequence[Instruction], packet: Captured) -> Walk:
    """Return a packet's way through a loop-free program."""
    return _walk([_Decoded(position, one) for position, one in enumerate(program)], packet)


def executed(program: Sequence[Instruction], packets: Iterable[Captured]) -> int:
    """Return how many instructions a loop-free program executes on all of `packets` together.

    What ends a program counts.
    """
    decoded = [_Decoded(position, one) for position, one in enumerate(program)]
    return sum(_walk(decoded, packet).executed for packet in packets)


class _Decoded:
    """An instruction made ready to run; what it is about is worked out once."""

    __slots__ = ("arithmetic", "holds", "k", "kind", "operand", "size", "ways", "writes_index")

    def __init__(self, position: int, instruction: Instruction) -> None:
        row = ROW_OF[instruction.code]
        self.k = instruction.k
        self.kind = row.instruction_class
        self.operand = row.operand
        self.size = row.size
        self.arithmetic = row.arithmetic
        self.holds = None if row.comparison is None else _HOLDS[row.comparison]
        self.ways = successors(position, instruction)
        self.writes_index = Place.X in row.writes


def _walk(program: Sequence[_Decoded], packet: Captured) -> Walk:
    a = x = position = count = 0
    scratch = [0] * SCRATCH_WORDS
    while True:
        count += 1
        one = program[position]
        value: int | None
        match one.kind:
            case Class.LD | Class.LDX:
                value = _loaded(one, packet, x, scratch)
            case Class.JMP:
                right = x if one.operand is Operand.INDEX else one.k
                position = one.ways[0 if one.holds is None or one.holds(a, right) else 1]
                continue
            case Class.ALU if one.arithmetic is None:
                value = alu(ArithmeticOp.SUB, 0, a)
            case Class.ALU:
                value = alu(one.arithmetic, a, x if one.operand is Operand.INDEX else one.k)
            case Class.ST | Class.STX:
                scratch[one.k] = a if one.kind is Class.ST else x
                position += 1
                continue
            case Class.MISC:
                value = a if one.writes_index else x
            case Class.RET:
                return Walk(count, End.RETURN)
        if value is None:
            return Walk(count, End.DIVISION if one.kind is Class.ALU else End.LOAD)
        if one.writes_index:
            x = value
        else:
            a = value
        position += 1


def _loaded(one: _Decoded, packet: Captured, x: int, scratch: Sequence[int]) -> int | None:
    """Return what a load gives, or None where it ends the program."""
    match one.operand:
        case Operand.CONSTANT:
            return one.k
        case Operand.SCRATCH:
            return scratch[one.k]
        case Operand.LENGTH:
            return packet.wire_length
        case Operand.INDIRECT:
            start = x + one.k & WORD
        case _:
            start = one.k
    found = packet.data[start : start + one.size]
    if len(found) < one.size:
        return None
    word = int.from_bytes(found, "big")
    return (word & 0x0F) << 2 if one.operand is Operand.HEADER else word
