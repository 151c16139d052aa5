"""Random programs that run for a while before they do something wrong, if they do.

Every one is a valid program: jumps stay inside it, calls go to instructions. What registers hold
is mostly an address of something, a little moved, so that some accesses hit and most miss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.ebpf.isa import R10, ROWS, Instruction, Kind, Row, Wide
from pfcompile.ebpf.machine.memory import CODE_ADDRESS, CONTEXT_ADDRESS, PACKET_ADDRESS
from tests.ebpf.random_instructions import IMMEDIATES

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

EXIT = Instruction(0x95)
ADDRESSES = (
    PACKET_ADDRESS, CONTEXT_ADDRESS, CODE_ADDRESS, *(region << 32 for region in range(3, 12)),
    0x100 << 32, 0x101 << 32, 0x102 << 32, 0x100_0000 << 32, 0x4000_0000 << 32, 0, 5, 7, 8,
    0xFFFF_FFFF_FFFF_FFF8,
)  # fmt: skip
"""Where things are, or could be; and numbers of helpers."""
OFFSETS = (0, 0, 0, 1, 4, 8, 12, 48, 76, 80, -1, -4, -8, -16, 60, 63, -512, -520, 0x7FFF, -0x8000)

ARITHMETIC = [row for row in ROWS if row.kind is Kind.ALU]
MEMORY = [
    row
    for row in ROWS
    if row.kind in {Kind.LOAD, Kind.LOAD_SIGNED, Kind.STORE, Kind.ATOMIC, Kind.PACKET}
]
JUMPS = [row for row in ROWS if row.kind in {Kind.BRANCH, Kind.JUMP, Kind.MAY_GOTO}]
CALLS = [row for row in ROWS if row.kind is Kind.CALL]
EXITS = [row for row in ROWS if row.kind is Kind.EXIT]
OF_WIDE = {row.operation: row for row in ROWS if row.kind is Kind.WIDE}
WIDES = list(OF_WIDE.values())
NUMBERS = (1, 2, 3, 5, 7, 8, 12, 26, 130, 131, 132, 133, 189)
"""Helpers that can be called; numbers 1 to 3 are maps, too."""


def wide(register: int, value: int) -> tuple[Instruction, Instruction]:
    """Return the load of a number of 64 bits."""
    low, high = value & 0xFFFF_FFFF, value >> 32 & 0xFFFF_FFFF
    return (
        Instruction(0x18, register, imm=low - (low >> 31 << 32)),
        Instruction(0, imm=high - (high >> 31 << 32)),
    )


class RandomProgram:
    """A program under way."""

    def __init__(self, rng: random.Random, rows: Sequence[Row]) -> None:
        self.rng = rng
        self.rows = rows
        self.good = rng.choice((0.3, 0.9, 1))

    def make(self, length: int) -> tuple[Instruction, ...]:
        """Return a program of about `length` instructions."""
        rng = self.rng
        units: list[tuple[Instruction, ...]] = []
        for register in rng.sample(range(10), 6):
            near = rng.choice(ADDRESSES) + rng.choice(OFFSETS) * (rng.random() < 0.4)
            value = near if rng.random() < 0.8 else rng.getrandbits(64)
            units.append(wide(register, value & 0xFFFF_FFFF_FFFF_FFFF))
        if rng.random() < 0.7:
            units.append((Instruction(0xBF, 6, 1),))
        units += [self.one(rng.choice(self.rows)) for _ in range(length)]
        units.append((EXIT,))
        starts, slot = [], 0
        for unit in units:
            starts.append(slot)
            slot += len(unit)
        return tuple(
            one
            for start, unit in zip(starts, units, strict=True)
            for one in self.aimed(start, unit, starts)
        )

    def one(self, row: Row) -> tuple[Instruction, ...]:
        """Return an instruction of a row."""
        rng = self.rng
        writes_dst = row.writes.dst
        dst = rng.randrange(10 if writes_dst else 11)
        imm = rng.choice(IMMEDIATES) if rng.random() < 0.6 else rng.randint(-64, 64)
        if row.kind is Kind.CALL:
            imm = rng.choice(NUMBERS)
        elif row.kind is Kind.WIDE and row.operation is not Wide.VALUE:
            imm = rng.choice((1, 2, 3)) if row.operation is not Wide.MAP_VALUE_FD else 1
            imm = 1 if row.operation is Wide.MAP_VALUE_INDEX else imm
        src = rng.randrange(10 if row.writes.src else 11)
        offset = rng.choice(OFFSETS)
        if row.kind in {Kind.LOAD, Kind.LOAD_SIGNED, Kind.STORE, Kind.ATOMIC} and (
            rng.random() < self.good
        ):
            near, offset = rng.choice(((1, 4), (1, 12), (R10, -8), (R10, -16), (R10, -504)))
            dst, src = (dst, near) if row.writes.dst else (near, src)
        first = Instruction(
            row.code,
            dst if row.dst is None else row.dst,
            src if row.src is None else row.src,
            offset if row.offset is None else row.offset,
            imm if row.imm is None else row.imm,
        )
        if row.kind is not Kind.WIDE:
            return (first,)
        high = rng.choice((0, 1, 8)) if row.high is None else row.high
        return (first, Instruction(0, imm=high))

    def aimed(
        self, start: int, unit: tuple[Instruction, ...], starts: list[int]
    ) -> tuple[Instruction, ...]:
        """Return the instruction at a slot, with a target that is an instruction."""
        first = unit[0]
        row = next((row for row in self.rows if row.fits(first)), None)
        if row is None or row.target is None:
            return unit
        later = [slot for slot in starts if slot > start]
        target = self.rng.choice(later if later and self.rng.random() < 0.8 else starts)
        fields = {"offset": first.offset, "imm": first.imm, row.target: target - start - 1}
        return (Instruction(first.code, first.dst, first.src, **fields), *unit[1:])
