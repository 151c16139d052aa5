"""What the kernel's verifier must not know, lest it walks a program again and again.

The verifier follows every way through a program, and stops where it has come by with the same
knowledge before. It minds differences in what it knows about a number only where it has used that
knowledge: where a jump's outcome was clear to it, or the number became part of an address. A
program in which ways part and join 500 times, each with a constant of its own that is later
compared or indexed with, has more combinations than the million instructions that it is ready to
walk.

So, for programs with very many ways, values are *disguised* where they are compared or indexed
with: the verifier sees a number of which it knows nothing. That is needed only for values that
differ by the way taken. A value is followed here by what last set it; where ways join on which that
was not the same instruction, or a jump has told them apart, it is mixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pfcompile.cbpf.isa import (
    ROW_OF,
    SCRATCH_WORDS,
    Class,
    Instruction,
    Place,
    ancillary_word,
    successors,
)
from pfcompile.ir.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

MANY_STEPS: Final = 20_000
"""Classic instructions on all ways together from which on values are disguised: each is at most 16
slots or so, and the verifier walks a million (BPF_COMPLEXITY_LIMIT_INSNS, linux/bpf.h)."""

_Name: TypeAlias = "Place | int"
"""A register, or the number of a scratch word."""


class _Origin(NamedTuple):
    """Where a value comes from. Copies of it have the same.

    Attributes:
        family: The position of the instruction that has made it, or what it was computed from with
            constants: the verifier follows such values together.
        changed: The position of the last of these computations, or of the last jump that has told
            something about one of the family.
        way: Which of the jump's two ways it was.
    """

    family: int
    changed: int
    way: int = 0


_REGISTERS: Final = (Place.A, Place.X)
_COPIES: Final = frozenset({Class.LD, Class.LDX, Class.ST, Class.STX, Class.MISC})
"""What copies a value, where it reads one and not the packet."""
_START: Final = _Origin(-1, -1)
_MIXED: Final = _Origin(-2, -2)


def has_many_ways(instructions: Sequence[Instruction]) -> bool:
    """Tell whether a walk of every way through a program has more than `MANY_STEPS` steps."""
    ways = [0] * len(instructions)
    ways[0] = 1
    steps = 0
    for position, instruction in enumerate(instructions):
        steps += ways[position]
        if steps > MANY_STEPS:
            return True
        for successor in successors(position, instruction):
            ways[successor] += ways[position]
    return False


def find_mixed(instructions: Sequence[Instruction]) -> list[Place]:
    """Return for each position which of A and X differ by the way taken to it."""
    names: tuple[_Name, ...] = (*_REGISTERS, *range(SCRATCH_WORDS))
    before: list[dict[_Name, _Origin] | None] = [None] * len(instructions)
    before[0] = dict.fromkeys(names, _START)
    mixed = [Place.NOTHING] * len(instructions)
    for position, instruction in enumerate(instructions):
        origins = before[position]
        if origins is None:
            continue
        for register in _REGISTERS:
            if origins[register] == _MIXED:
                mixed[position] |= register
        after = _after(position, instruction, origins)
        for way, successor in enumerate(successors(position, instruction)):
            arriving = _told_apart(position, instruction, way, after)
            there = before[successor]
            before[successor] = arriving if there is None else _joined(there, arriving)
    return mixed


def _after(
    position: int, instruction: Instruction, origins: dict[_Name, _Origin]
) -> dict[_Name, _Origin]:
    """Return where values come from after an instruction."""
    row, word = ROW_OF[instruction.code], ancillary_word(instruction)
    reads = row.reads if word is None else word.reads
    read: list[_Name] = [each for each in _REGISTERS if each in reads]
    if Place.M in reads:
        read.append(instruction.k)
    written: list[_Name] = [each for each in _REGISTERS if each in row.writes]
    if Place.M in row.writes:
        written.append(instruction.k)
    origin = _Origin(position, position)
    # What comes from the packet is news to the verifier, whatever the offset was.
    if read and Place.PACKET not in reads:
        sources = [origins[name] for name in read]
        if _MIXED in sources:
            origin = _MIXED
        elif len(sources) == 1:
            is_copy = row.instruction_class in _COPIES
            origin = sources[0] if is_copy else _Origin(sources[0].family, position)
    return {**origins, **dict.fromkeys(written, origin)}


def _told_apart(
    position: int, instruction: Instruction, way: int, origins: dict[_Name, _Origin]
) -> dict[_Name, _Origin]:
    """Return where values come from on one way out of a jump, which tells something about them."""
    row = ROW_OF[instruction.code]
    # That a value is not some number is hardly ever worth knowing.
    if row.comparison is None or (row.comparison is Comparison.EQ and way == 1):
        return origins
    compared = {origins[each].family for each in _REGISTERS if each in row.reads}
    return {
        name: _Origin(origin.family, position, way)
        if origin != _MIXED and origin.family in compared
        else origin
        for name, origin in origins.items()
    }


def _joined(one: dict[_Name, _Origin], other: dict[_Name, _Origin]) -> dict[_Name, _Origin]:
    return {name: origin if origin == other[name] else _MIXED for name, origin in one.items()}
