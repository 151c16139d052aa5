"""Random classic BPF programs, valid by construction, and packets for them.

Everything comes from one seed: PFCOMPILE_SEED in the environment, or a fixed one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.check import check
from pfcompile.cbpf.isa import (
    ROW_OF,
    ROWS,
    SCRATCH_WORDS,
    Ancillary,
    Class,
    Instruction,
    Op,
    Operand,
    Place,
    Row,
    successors,
)
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from pfcompile.ir.arithmetic import WORD, ArithmeticOp

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

SEED: Final = int(os.environ.get("PFCOMPILE_SEED", "20260731"))

METADATA: Final = {
    Ancillary.PROTOCOL: 0,
    Ancillary.PKTTYPE: 0,
    Ancillary.MARK: 0,
    Ancillary.QUEUE: 0,
    Ancillary.RXHASH: 0,
    Ancillary.VLAN_TAG: 0,
    Ancillary.VLAN_TAG_PRESENT: 0,
    Ancillary.VLAN_TPID: 0,
    Ancillary.PAY_OFFSET: 0,
}
"""The metadata of a datagram on a unix socket. CPU and RANDOM differ each time, and where there is
no device, as here, the kernel answers to IFINDEX and HATYPE with A (see test_interpreter)."""

REPEATABLE: Final = sorted(
    {*METADATA, Ancillary.NLATTR, Ancillary.NLATTR_NEST, Ancillary.ALU_XOR_X}
)
"""The words for random programs: told above, or computed from the packet and the registers."""

PACKET_LENGTHS: Final = (0, 1, 2, 3, 4, 7, 8, 14, 20, 33, 34, 60, 64, 100, 300, 1000, 1514, 4095)
NOTABLE: Final = (0, 1, 2, 3, 4, 5, 15, 16, 31, 32, 33, 0xFF, 0x800, 0xFFFF, 0x7FFFFFFF)
NOTABLE_WORDS: Final = (*NOTABLE, *(WORD - word for word in NOTABLE))
_MORE_OFTEN: Final = (Op.LD_B_ABS, Op.LD_H_ABS, Op.LD_W_ABS, Op.LDX_IMM, Op.LDX_MSH, Op.AND_K)
_INSIDE: Final = tuple(row for row in ROWS if row.instruction_class is not Class.RET)


def rerun_hint(test: str) -> str:
    """Return what to add to a failure's message."""
    return f"rerun: PFCOMPILE_SEED={SEED} pytest -n0 tests/cbpf/{test}"


def random_packet(rng: random.Random) -> bytes:
    """Return a packet of one of `PACKET_LENGTHS`, of random or mostly small bytes."""
    length = rng.choice(PACKET_LENGTHS)
    if rng.random() < 0.4:
        return rng.randbytes(length)
    return bytes(rng.choices((0, 1, 2, 4, 8, 16, 0x45, 0xFF), k=length))


def random_program(rng: random.Random) -> tuple[Instruction, ...]:
    """Return a valid program: mostly short, now and then long enough for the farthest jumps."""
    length = rng.choice((*range(2, 30), 300, 600)) if rng.random() < 0.5 else rng.randint(2, 40)
    stored = [(1 << SCRATCH_WORDS) - 1] * (length + 1)
    stored[0] = 0
    program: list[Instruction] = []
    for position in range(length):
        left = length - position - 1
        instruction = _instruction(rng, position, left, stored[position])
        program.append(instruction)
        words = stored[position]
        if ROW_OF[instruction.code].writes & Place.M:
            words |= 1 << instruction.k
        for successor in successors(position, instruction) or (position + 1,):
            stored[successor] &= words
    check(program)
    return tuple(program)


def _instruction(rng: random.Random, position: int, left: int, stored: int) -> Instruction:
    if left == 0 or rng.random() < 0.01:
        return _ret(rng)
    row = _choose(rng, left, stored)
    jt = jf = 0
    if row.comparison is not None:
        jt, jf = (_skip(rng, min(left - 1, 255)) for _ in range(2))
    return Instruction(row.op, jt, jf, _constant(rng, row, left, stored))


def _choose(rng: random.Random, left: int, stored: int) -> Row:
    if rng.random() < 0.25:
        return ROW_OF[rng.choice(_MORE_OFTEN)]
    while True:
        row = rng.choice(_INSIDE)
        # Unconditional jumps waste what they skip, so they are rare in long programs.
        rare = row.operand is Operand.TARGET and left > 40 and rng.random() < 0.9
        if not rare and (stored or not row.reads & Place.M):
            return row


def _ret(rng: random.Random) -> Instruction:
    if rng.random() < 0.75:
        return Instruction(Op.RET_A, 0, 0, 0)
    return Instruction(Op.RET_K, 0, 0, rng.choice((0, 1, 40, 0xFFFF, WORD, rng.getrandbits(32))))


def _skip(rng: random.Random, most: int) -> int:
    return rng.choice((0, min(1, most), rng.randint(0, min(most, 8)), rng.randint(0, most), most))


def _constant(rng: random.Random, row: Row, left: int, stored: int) -> int:
    match row.operand:
        case Operand.TARGET:
            return rng.randint(0, min(left - 1, 4 if rng.random() < 0.7 else left - 1))
        case Operand.SCRATCH if row.reads & Place.M:
            return rng.choice([k for k in range(SCRATCH_WORDS) if stored >> k & 1])
        case Operand.SCRATCH:
            return rng.randrange(SCRATCH_WORDS)
        case Operand.ABSOLUTE if rng.random() < 0.1:
            return ANCILLARY_BASE + rng.choice(REPEATABLE)
        case Operand.ABSOLUTE | Operand.HEADER:
            return _offset(rng)
        case Operand.INDIRECT:
            # Often a sum that wraps to the packet's start.
            return _offset(rng) if rng.random() < 0.7 else -rng.randint(1, 64) & WORD
        case Operand.CONSTANT:
            return _number(rng, row)
        case _:
            return 0


def _offset(rng: random.Random) -> int:
    if rng.random() < 0.85:
        return rng.randint(0, 24)
    return rng.choice((rng.randint(0, 100), rng.randint(0, 5000), 0x7FFFFFFF, 0x80000000))


def _number(rng: random.Random, row: Row) -> int:
    if row.arithmetic in {ArithmeticOp.LSH, ArithmeticOp.RSH}:
        return rng.randint(0, 31)
    if row.op is Op.LDX_IMM and rng.random() < 0.7:
        return rng.randint(0, 40)
    number = rng.choice((rng.choice(NOTABLE_WORDS), rng.randint(0, 255), rng.getrandbits(32)))
    if row.arithmetic in {ArithmeticOp.DIV, ArithmeticOp.MOD}:
        return number or 1
    return number


def mutated(rng: random.Random, program: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """Return `program` with one thing changed, which may make it invalid."""
    position = rng.randrange(len(program))
    old = program[position]
    code = rng.choice((rng.choice(ROWS).op, rng.getrandbits(8), rng.getrandbits(16)))
    changed = rng.choice(
        (
            old._replace(code=int(code)),
            old._replace(jt=rng.choice((0, 1, rng.getrandbits(8)))),
            old._replace(jf=rng.choice((0, 1, rng.getrandbits(8)))),
            old._replace(k=rng.choice((*NOTABLE_WORDS, rng.getrandbits(32)))),
            old._replace(k=ANCILLARY_BASE + rng.randint(-4, 70)),
            Instruction(Op.LD_MEM, 0, 0, rng.randrange(SCRATCH_WORDS + 1)),
            Instruction(Op.RET_K, 0, 0, 0),
            None,
        )
    )
    middle = () if changed is None else (changed,)
    return (*program[:position], *middle, *program[position + 1 :])
