"""Random instructions of every row, and random programs of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.ebpf.isa import REGISTERS, ROWS, Instruction, Kind, Row

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

OFFSETS = (0, 1, -1, 8, -8, 0x7FFF, -0x8000)
IMMEDIATES = (0, 1, -1, 7, 255, 0x7FFFFFFF, -0x80000000, 0x12345678)


def random_instruction(rng: random.Random, row: Row) -> tuple[Instruction, ...]:
    """Return one instruction of `row`, of one slot or two."""
    first = Instruction(
        row.code,
        rng.randrange(REGISTERS) if row.dst is None else row.dst,
        rng.randrange(REGISTERS) if row.src is None else row.src,
        _offset(rng) if row.offset is None else row.offset,
        _immediate(rng) if row.imm is None else row.imm,
    )
    if row.kind is not Kind.WIDE:
        return (first,)
    return (first, Instruction(0, imm=_immediate(rng) if row.high is None else row.high))


def random_program(
    rng: random.Random, length: int, rows: Sequence[Row] = ROWS
) -> tuple[Instruction, ...]:
    """Return `length` instructions; most jumps lead to a slot of the program."""
    chosen = [(row, random_instruction(rng, row)) for row in rng.choices(rows, k=length)]
    size = sum(len(slots) for _, slots in chosen)
    program: list[Instruction] = []
    for row, slots in chosen:
        first = slots[0]
        if row.target is not None and rng.random() < 0.8:
            distance = rng.randrange(size) - len(program) - 1
            fields = {"offset": first.offset, "imm": first.imm, row.target: distance}
            first = Instruction(first.code, first.dst, first.src, **fields)
        program += (first, *slots[1:])
    return tuple(program)


def _offset(rng: random.Random) -> int:
    return rng.choice(OFFSETS) if rng.random() < 0.5 else rng.randint(-0x8000, 0x7FFF)


def _immediate(rng: random.Random) -> int:
    if rng.random() < 0.5:
        return rng.choice(IMMEDIATES)
    return rng.randint(-0x80000000, 0x7FFFFFFF)
