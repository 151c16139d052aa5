"""The check against the kernel's verdict, and the words of each refusal."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pfcompile.cbpf.asm import assemble
from pfcompile.cbpf.check import check, check_structure
from pfcompile.cbpf.isa import ROWS, Instruction, Op
from pfcompile.errors import ProgramError
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE

from .random_programs import NOTABLE_WORDS, SEED, mutated, random_program, rerun_hint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.oracles.kernel import Kernel

RET = Instruction(Op.RET_K, 0, 0, 0)


def accepts(program: Sequence[Instruction]) -> bool:
    try:
        check(program)
    except ProgramError:
        return False
    return True


def test_mutated_programs_are_judged_as_by_the_kernel(kernel: Kernel) -> None:
    rng = random.Random(SEED)
    verdicts: Counter[bool] = Counter()
    for _ in range(1000):
        program = random_program(rng)
        for _ in range(6):
            program = mutated(rng, program) or (RET,)
            verdict = kernel.takes(program)
            assert accepts(program) == verdict, (program, rerun_hint("test_check.py"))
            verdicts[verdict] += 1
    assert min(verdicts[True], verdicts[False]) > 1000, verdicts


def test_random_instructions_are_judged_as_by_the_kernel(kernel: Kernel) -> None:
    """Short programs over few scratch words: many stores, loads, jumps and `ret`s in between."""
    rng = random.Random(SEED)
    kinds = (Op.ST, Op.STX, Op.LD_MEM, Op.LDX_MEM, Op.JEQ_K, Op.JSET_X, Op.JA, Op.RET_A, Op.TAX)
    verdicts: Counter[bool] = Counter()
    for _ in range(6000):
        body = [
            Instruction(rng.choice(kinds), rng.randint(0, 3), rng.randint(0, 3), rng.randint(0, 1))
            for _ in range(rng.randint(1, 9))
        ]
        program = (Instruction(Op.ST, 0, 0, 0), *body, RET, RET, RET)
        verdict = kernel.takes(program)
        assert accepts(program) == verdict, (program, rerun_hint("test_check.py"))
        verdicts[verdict] += 1
    assert min(verdicts[True], verdicts[False]) > 1000, verdicts


def test_every_code_and_constant_is_judged_as_by_the_kernel(kernel: Kernel) -> None:
    for code in (*range(0x200), 0x8028, 0xFFFF):
        program = (Instruction(Op.ST, 0, 0, 0), Instruction(code, 0, 0, 0), RET, RET)
        assert accepts(program) == kernel.takes(program), hex(code)
        assert accepts(program[:2]) == kernel.takes(program[:2]), hex(code)
    words = (*NOTABLE_WORDS, *range(ANCILLARY_BASE - 4, ANCILLARY_BASE + 70))
    for row in ROWS:
        for k in words:
            program = (Instruction(Op.ST, 0, 0, 0), Instruction(row.op, 0, 0, k), RET, RET)
            assert accepts(program) == kernel.takes(program), (row.op.name, hex(k))


@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 4097])
def test_lengths_are_judged_as_by_the_kernel(kernel: Kernel, count: int) -> None:
    program = (RET,) * count
    assert accepts(program) == kernel.takes(program) == (1 <= count <= 4096)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ((), "the program has no instructions"),
        (
            (RET,) * 4097,
            "the program has 4097 instructions, more than the 4096 that the kernel takes",
        ),
        (
            (Instruction(Op.TAX, 0, 0, 0),),
            "instruction 0 (tax): the last instruction is not ret",
        ),
        (
            (Instruction(0x16 | 0x08, 0, 0, 0), RET),
            "instruction 0 (unimp 0x1e): unknown operation 0x1e",
        ),
        (
            (RET, Instruction(Op.JEQ_K, 0, 1, 2), RET),
            "instruction 1 (jeq #0x2 jt 2 jf 3): jumps to instruction 3, past the last one, 2",
        ),
        (
            (Instruction(Op.JA, 0, 0, 9), RET),
            "instruction 0 (ja 10): jumps to instruction 10, past the last one, 1",
        ),
        (
            (Instruction(Op.JA, 0, 0, 0xFFFFFFFF), RET),
            "instruction 0 (ja 0): jumps to instruction 4294967296, past the last one, 1",
        ),
        ((Instruction(Op.MOD_K, 0, 0, 0), RET), "instruction 0 (mod #0): division by zero"),
        (
            (Instruction(Op.LSH_K, 0, 0, 32), RET),
            "instruction 0 (lsh #32): shift by 32, which is more than 31 bits",
        ),
        (
            (Instruction(Op.ST, 0, 0, 16), RET),
            "instruction 0 (st M[16]): there is no M[16]: scratch words go from 0 to 15",
        ),
        (
            (Instruction(Op.LD_W_ABS, 0, 0, 0xFFFFF001), RET),
            "instruction 0 (ld [-4095]): unknown metadata word SKF_AD_OFF + 1",
        ),
        (
            (Instruction(Op.RET_K, 256, 0, 0),),
            "instruction 0 (ret #0): jt is 256, which does not fit in 8 bits",
        ),
        (
            (Instruction(Op.RET_K, 0, 0, -1),),
            "instruction 0 (ret #-1): k is -1, which does not fit in 32 bits",
        ),
        (
            assemble("jeq #1, L1\nst M[2]\nL1: ldx M[2]\nret a"),
            "instruction 2 (ldx M[2]): M[2] may be read before it is written",
        ),
    ],
)
def test_messages(program: tuple[Instruction, ...], message: str) -> None:
    with pytest.raises(ProgramError) as caught:
        check(program)
    assert str(caught.value) == message


def test_structure_alone_leaves_the_order_of_scratch_words() -> None:
    program = assemble("ld M[2]\nret a")
    check_structure(program)
    with pytest.raises(ProgramError):
        check(program)
