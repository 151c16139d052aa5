"""The assembler: what it takes, that it undoes the listing, and the words of each refusal."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfcompile.cbpf.asm import assemble, disassemble
from pfcompile.cbpf.isa import ROWS, Instruction, Op
from pfcompile.errors import ProgramError

from .random_programs import SEED, random_program, rerun_hint

RET = Instruction(Op.RET_K, 0, 0, 0)


def test_random_programs_come_back() -> None:
    rng = random.Random(SEED)
    for _ in range(500):
        program = random_program(rng)
        text = disassemble(program)
        assert assemble(text) == program, f"{text}\n{rerun_hint('test_asm.py')}"
        assert "insn" not in text


@given(
    st.lists(
        st.builds(
            Instruction,
            st.sampled_from([row.op.value for row in ROWS]) | st.integers(0, 0xFFFF),
            st.integers(0, 3) | st.integers(0, 255),
            st.integers(0, 3) | st.integers(0, 255),
            st.integers(0, 3) | st.integers(0xFFFFF000, 0xFFFFF040) | st.integers(0, 0xFFFFFFFF),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_anything_comes_back(program: list[Instruction]) -> None:
    """Also what is unknown, jumps out of the program, or has a value that means nothing."""
    assert assemble(disassemble(program)) == tuple(program)


@pytest.mark.parametrize("distance", range(256))
def test_conditional_jumps_of_every_distance(distance: int) -> None:
    program = (
        Instruction(Op.JEQ_K, distance, 255 - distance, 1),
        *[Instruction(Op.TAX, 0, 0, 0)] * 255,
        RET,
    )
    assert assemble(disassemble(program)) == program


def test_far_jumps() -> None:
    middle = [Instruction(Op.TXA, 0, 0, 0)] * 4094
    for k in (0, 255, 256, 257, 4094):
        program = (Instruction(Op.JA, 0, 0, k), *middle, RET)
        assert assemble(disassemble(program)) == program


@pytest.mark.parametrize(
    ("line", "instruction"),
    [
        ("ldh [12]", (Op.LD_H_ABS, 0, 0, 12)),
        ("LDH [0x0C]", (Op.LD_H_ABS, 0, 0, 12)),
        ("ldb [ 014 ]", (Op.LD_B_ABS, 0, 0, 12)),
        ("ld [0b1100]", (Op.LD_W_ABS, 0, 0, 12)),
        ("ld [-4096]", (Op.LD_W_ABS, 0, 0, 0xFFFFF000)),
        ("ld [x+14]", (Op.LD_W_IND, 0, 0, 14)),
        ("ldb [%x + 14]", (Op.LD_B_IND, 0, 0, 14)),
        ("ldh [x - 2]", (Op.LD_H_IND, 0, 0, 0xFFFFFFFE)),
        ("ldh [x + -2]", (Op.LD_H_IND, 0, 0, 0xFFFFFFFE)),
        ("ld #-1", (Op.LD_IMM, 0, 0, 0xFFFFFFFF)),
        ("ldi 5", (Op.LD_IMM, 0, 0, 5)),
        ("ldi #5", (Op.LD_IMM, 0, 0, 5)),
        ("ldxi 5", (Op.LDX_IMM, 0, 0, 5)),
        ("ld M[3]", (Op.LD_MEM, 0, 0, 3)),
        ("ldx m[3]", (Op.LDX_MEM, 0, 0, 3)),
        ("ld len", (Op.LD_LEN, 0, 0, 0)),
        ("ld #len", (Op.LD_LEN, 0, 0, 0)),
        ("ld #pktlen", (Op.LD_LEN, 0, 0, 0)),
        ("ldx len", (Op.LDX_LEN, 0, 0, 0)),
        ("ldx 4*([14]&0xf)", (Op.LDX_MSH, 0, 0, 14)),
        ("ldxb 4 * ( [14] & 15 )", (Op.LDX_MSH, 0, 0, 14)),
        ("ld vlan_tci", (Op.LD_W_ABS, 0, 0, 0xFFFFF02C)),
        ("ldh #proto", (Op.LD_H_ABS, 0, 0, 0xFFFFF000)),
        ("ldb [vlanp]", (Op.LD_B_ABS, 0, 0, 0xFFFFF030)),
        ("ldb vlan_pr", (Op.LD_B_ABS, 0, 0, 0xFFFFF030)),
        ("ld rand", (Op.LD_W_ABS, 0, 0, 0xFFFFF038)),
        ("st M[15]", (Op.ST, 0, 0, 15)),
        ("add x", (Op.ADD_X, 0, 0, 0)),
        ("xor %x", (Op.XOR_X, 0, 0, 0)),
        ("mod #7", (Op.MOD_K, 0, 0, 7)),
        ("neg", (Op.NEG, 0, 0, 0)),
        ("ret a", (Op.RET_A, 0, 0, 0)),
        ("ret %a", (Op.RET_A, 0, 0, 0)),
        ("ret #0x40000", (Op.RET_K, 0, 0, 262144)),
        ("ja far", (Op.JA, 0, 0, 1)),
        ("jmp far", (Op.JA, 0, 0, 1)),
        ("jeq #1, near, far", (Op.JEQ_K, 0, 1, 1)),
        ("jeq #1, far", (Op.JEQ_K, 1, 0, 1)),
        ("jne #1, far", (Op.JEQ_K, 0, 1, 1)),
        ("jneq x, far", (Op.JEQ_X, 0, 1, 0)),
        ("jne #1, far, near", (Op.JEQ_K, 0, 1, 1)),
        ("jlt #1, far", (Op.JGE_K, 0, 1, 1)),
        ("jle %x, far", (Op.JGT_X, 0, 1, 0)),
        ("jset #0xff , far", (Op.JSET_K, 1, 0, 255)),
        ("insn 0x87, 1, 2, 3", (Op.TXA, 1, 2, 3)),
    ],
)
def test_statements(line: str, instruction: tuple[int, int, int, int]) -> None:
    program = assemble(f"start: {line}\nnear: tax\nfar: ret a")
    assert program[0] == Instruction(*instruction)
    assert len(program) == 3


def test_layout_is_free() -> None:
    text = """# a comment of the C preprocessor's looks
    /* one over
       two lines: ld #1 */ ld #2 ; ld #3
    one:
    two: three:   jeq #0, last /* ; */, two_more
    two_more:
      ret a\t; /* not the start of a comment
    last :ret #0"""
    assert assemble(text) == (
        Instruction(Op.LD_IMM, 0, 0, 2),
        Instruction(Op.JEQ_K, 1, 0, 0),
        Instruction(Op.RET_A, 0, 0, 0),
        RET,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no instruction in the text"),
        ("; only a comment", "there is no instruction in the text"),
        (
            "  ldq [12]",
            "1:3: unknown instruction 'ldq'\n      ldq [12]\n      ^^^\n    hint: did you mean ld?",
        ),
        (
            "tax\nldh 12",
            "2:5: ldh cannot take '12'\n    ldh 12\n        ^^\n    hint: ldh takes [k] or [x + k]",
        ),
        ("neg\n st", "2:2: st needs more\n     st\n     ^^\n    hint: st takes M[k]"),
        ("tax x", "1:5: tax cannot take 'x'\n    tax x\n        ^\n    hint: tax takes nothing"),
        ("ret x", "1:5: ret cannot take 'x'\n    ret x\n        ^\n    hint: ret takes #k or a"),
        (
            "ldi [3]",
            (
                "1:5: ldi cannot take '[3]'\n    ldi [3]\n        ^^^\n"
                "    hint: ld takes [k] or [x + k] or #k or M[k] or #pktlen"
            ),
        ),
        ("jeq #1", "1:1: jeq needs one or two labels\n    jeq #1\n    ^^^"),
        ("jeq #1,", "1:8: a label must stand here\n    jeq #1,\n           ^"),
        ("jeq #1, 5", "1:9: '5' is not a label\n    jeq #1, 5\n            ^"),
        ("jeq x, b, c, d", "1:14: too much for jeq\n    jeq x, b, c, d\n                 ^"),
        ("txa, 3", "1:6: too much for txa\n    txa, 3\n         ^"),
        ("ja", "1:1: ja needs a label\n    ja\n    ^^"),
        (
            "st M[4294967296]",
            (
                "1:4: 4294967296 does not fit in 32 bits\n"
                "    st M[4294967296]\n       ^^^^^^^^^^^^^\n"
                "    hint: st takes M[k]"
            ),
        ),
        (
            "st M[08]",
            (
                "1:4: '08' starts with 0 and so is octal, but has a digit over 7\n    st M[08]\n"
                "       ^^^^^\n    hint: st takes M[k]"
            ),
        ),
        (
            "ldb foo",
            "1:5: unknown name 'foo'\n    ldb foo\n        ^^^\n    hint: ldb takes [k] or [x + k]",
        ),
        (
            "st #1 2",
            (
                "1:4: cannot read the operand '#1 2'\n    st #1 2\n       ^^^^\n"
                "    hint: st takes M[k]"
            ),
        ),
        (
            "here: ret #0\nhere: ret #1",
            "2:1: label 'here' is already on line 1\n    here: ret #1\n    ^^^^",
        ),
        (
            "ret #0\nend:",
            "2:1: label 'end' stands before no instruction\n    end:\n    ^^^",
        ),
        (
            "up: tax\nja up",
            "2:4: 'up' stands above: jumps go forward only\n    ja up\n       ^^",
        ),
        (
            "ja dorp\ndrop: ret #0",
            "1:4: there is no label 'dorp'\n    ja dorp\n       ^^^^\n    hint: did you mean drop?",
        ),
        (
            "jeq x, far\n" + 256 * "tax\n" + "far: ret a",
            (
                "1:8: 'far' is 256 instructions away; a conditional jump skips at most 255\n"
                "    jeq x, far\n           ^^^\n    hint: jump the other way over a ja"
            ),
        ),
        (
            "ret a /* oops",
            (
                "1:7: this comment has no end\n    ret a /* oops\n          ^^\n"
                "    hint: it ends with */"
            ),
        ),
        ("[12]", "1:1: an instruction's name must stand here\n    [12]\n    ^"),
        (
            "insn 1, 2, 3",
            "1:1: insn needs four numbers: code, jt, jf, k\n    insn 1, 2, 3\n    ^^^^",
        ),
        ("insn 1, 256, 3, 4", "1:9: 256 is more than 255\n    insn 1, 256, 3, 4\n            ^^^"),
        ("insn 1, q, 3, 4", "1:9: 'q' is not a number\n    insn 1, q, 3, 4\n            ^"),
    ],
)
def test_messages(text: str, message: str) -> None:
    with pytest.raises(ProgramError) as caught:
        assemble(text)
    assert str(caught.value) == message
