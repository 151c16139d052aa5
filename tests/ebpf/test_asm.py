"""The assembler and the disassembler: each the other's inverse, and what they say of mistakes."""

from __future__ import annotations

import random

import pytest

from pfcompile.ebpf.asm import CLANG, SYNTAXES, UBPF, assemble, disassemble
from pfcompile.ebpf.isa import ROWS, Instruction, decode
from pfcompile.errors import ProgramError
from tests.ebpf.random_instructions import random_instruction, random_program
from tests.generator.seed import SEED, rerun

both = pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)


@both
def test_every_row_reads_back(syntax):
    rng = random.Random(SEED)
    for row in ROWS:
        for _ in range(8):
            program = random_instruction(rng, row)
            text = disassemble(program, syntax)
            assert "insn" not in text, text
            assert assemble(text) == program, f"{text}\n{rerun(__file__)}"


@both
def test_random_programs_with_labels_read_back(syntax):
    rng = random.Random(SEED)
    for _ in range(60):
        program = random_program(rng, rng.randrange(1, 60))
        text = disassemble(program, syntax)
        assert assemble(text) == program, f"{text}\n{rerun(__file__)}"


@both
def test_any_bytes_read_back(syntax):
    rng = random.Random(SEED)
    codes = sorted({row.code for row in ROWS}) * 2 + [0, 0xFF]
    for _ in range(60):
        size = rng.randrange(1, 40)
        data = b"".join(bytes([rng.choice(codes)]) + rng.randbytes(7) for _ in range(size))
        program = decode(data)
        text = disassemble(program, syntax)
        assert assemble(text) == program, f"{text}\n{rerun(__file__)}"


@both
def test_bits_of_no_instruction_read_back(syntax):
    wide = Instruction(0x18, 1, 0, 0, 5)
    for program in (
        (wide,),  # no second slot
        (wide, Instruction(0x95)),  # another instruction where the second slot must be
        (Instruction(0x18, 1, 1, 0, 5), Instruction(0, imm=1)),  # a map has no high half
        (Instruction(0x95, imm=1),),
        (Instruction(0x05, offset=1), wide, Instruction(0)),  # into the middle of an instruction
    ):
        assert assemble(disassemble(program, syntax)) == program


def test_jumps_have_labels():
    program = assemble("goto +1\nr0 = 1\nif r0 == 1 goto -2\ncall pc+1\nexit\nexit")
    assert disassemble(program) == (
        "    goto L2\n"
        "L1: r0 = 1\n"
        "L2: if r0 == 1 goto L1\n"
        "    call L5\n"
        "    exit\n"
        "L5: exit\n"
    )  # fmt: skip
    assert disassemble(program, UBPF).splitlines()[2:4] == [
        "L2: jeq r0, 0x1, L1",
        "    call local L5",
    ]


ONE_OF_EACH = [
    ("r0 = *(u16 *)(r1 + 12)", "ldxh r0, [r1+12]", "69100c0000000000"),
    ("r1 = *(s32 *)(r2 + 4)", "ldxsw r1, [r2+4]", "8121040000000000"),
    ("r1 = (s8)r2", "movsx864 r1, r2", "bf21080000000000"),
    ("w0 += w1", "add32 r0, r1", "0c10000000000000"),
    ("r3 s/= -2", "sdiv r3, -0x2", "37030100feffffff"),
    ("r0 = be16 r0", "be16 r0", "dc00000010000000"),
    ("r0 = bswap32 r0", "bswap32 r0", "d700000020000000"),
    ("if r1 s> 5 goto +2", "jsgt r1, 0x5, +2", "6501020005000000"),
    ("if w1 & w2 goto -2", "jset32 r1, r2, -2", "4e21feff00000000"),
    ("lock *(u64 *)(r1 + 0) += r2", "lock add [r1+0], r2", "db21000000000000"),
    (
        "r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)",
        "lock fetch_add [r1+0], r2",
        "db21000001000000",
    ),
    ("r0 = cmpxchg_64(r1 + 0, r0, r2)", "lock cmpxchg [r1+0], r2", "db210000f1000000"),
    ("w2 = xchg32_32(r1 - 8, w2)", "lock xchg32 [r1-8], r2", "c321f8ffe1000000"),
    (
        "r1 = 0x1122334455667788 ll",
        "lddw r1, 0x1122334455667788",
        "18010000887766550000000044332211",
    ),
    ("r1 = map[fd:5]", "lddw r1, map_fd 5", "18110000050000000000000000000000"),
    (
        "r1 = map[fd:5][0]+16",
        "lddw r1, map_value_fd 5, 16",
        "18210000050000000000000010000000",
    ),
    ("call 12", "call 0xc", "850000000c000000"),
    ("call pc+5", "call local +5", "8510000005000000"),
    ("call kfunc 7, 0", "call kfunc 0x7, 0", "8520000007000000"),
    ("callx r3", "callx r3", "8d03000000000000"),
    ("goto +3", "ja +3", "0500030000000000"),
    ("gotol +5", "ja32 +5", "0600000005000000"),
    ("may_goto +3", "may_goto +3", "e500030000000000"),
    ("r0 = *(u8 *)skb[23]", "ldabsb 0x17", "3000000017000000"),
    ("r0 = *(u16 *)skb[r7 + 2]", "ldindh r7, 0x2", "4870000002000000"),
    ("exit", "exit", "9500000000000000"),
]


@pytest.mark.parametrize(("clang", "ubpf", "hexadecimal"), ONE_OF_EACH, ids=lambda text: text)
def test_both_spellings_and_the_bytes(clang, ubpf, hexadecimal):
    program = decode(bytes.fromhex(hexadecimal))
    assert disassemble(program, CLANG).strip() == clang
    assert disassemble(program, UBPF).strip() == ubpf
    assert assemble(clang) == assemble(ubpf) == program


@pytest.mark.parametrize(
    ("alias", "usual"),
    [
        ("r0 = *(u16*)(r1)", "r0 = *(u16 *)(r1 + 0)"),
        ("r0=*(u16*)(r1+0xc)", "r0 = *(u16 *)(r1 + 12)"),
        ("w0 = *(u16 *)(r1 + 12)", "r0 = *(u16 *)(r1 + 12)"),
        ("*(u32 *)(r1 +4) = w2", "*(u32 *)(r1 + 4) = r2"),
        ("lock *(u32 *)(r1 +4) |= r2", "lock *(u32 *)(r1 + 4) |= w2"),
        ("r2 = atomic64_xchg((u64 *)(r1 +0), r2)", "r2 = xchg_64(r1 + 0, r2)"),
        (
            "r0 = atomic_cmpxchg((u32 *)(r1 +0), r0, r2)",
            "w0 = cmpxchg32_32(r1 + 0, w0, w2)",
        ),
        ("r1 = map_fd 5", "r1 = map[fd:5]"),
        ("ld_pseudo r1, 1, 5", "r1 = map[fd:5]"),
        ("  12: (18) r1 = 0x5", "r1 = 5 ll"),
        ("r1 = 0x123456789", "r1 = 0x123456789 ll"),
        ("  3: (15) if r1 == 0xffffffff goto pc+3", "if r1 == -1 goto +3"),
        ("4: (85) call bpf_map_lookup_elem#1", "call 1"),
        ("5: (05) goto pc-6", "goto -6"),
        ("w1 = 0xffffffff", "w1 = -1"),
        ("r1 = w2", "w1 = w2"),
        ("mov64 %r1, 0xffffffff", "r1 = -1"),
        ("ldxbsx r1, [r2]", "r1 = *(s8 *)(r2 + 0)"),
        ("stxxadddw [r1+8], r2", "lock *(u64 *)(r1 + 8) += r2"),
        ("r0 = *(u32 *)skb[r1 + 0]", "r0 = *(u32 *)skb[r1]"),
        ("exit ; done", "exit"),
        ("/* a\n b */ exit // done", "exit"),
        ("# first\nexit # done", "exit"),
        ("a: b: exit\ngoto a", "exit\ngoto -2"),
        ("a:\n\nexit\njeq r1, 3, a", "exit\nif r1 == 3 goto -2"),
    ],
)
def test_what_else_is_read(alias, usual):
    assert assemble(alias) == assemble(usual)


def test_a_wide_instruction_counts_as_two_slots():
    program = assemble("goto end\nr1 = 1 ll\nend: exit")
    assert program[0].offset == 2
    assert disassemble(program).startswith("    goto L3\n")


MISTAKES = [
    ("", "there is no instruction in the text"),
    ("exit\nlxdh r0, [r1]", "2:1: unknown instruction 'lxdh'", "hint: did you mean ldxh?"),
    ("r1 += w2", "1:7: 'w2' cannot stand here", "expected a number or a register"),
    ("r0 += 0xffffffff", "1:7: 0xffffffff is not between -2147483648 and 2147483647"),
    ("r0 = r11", "1:6: there is no register r11", "hint: there are r0 to r10"),
    ("r0 = -r1", "1:7: this must be r0, as before"),
    ("r0 = be16 r1", "1:11: this must be r0, as before"),
    ("if r0 > 5 gotoo x", "1:11: 'gotoo' cannot stand here", "hint: expected goto"),
    ("r0 = 5z", "1:6: '5z' is not a number"),
    ("r0 =", "1:5: something is missing here", "a number or a register"),
    ("r0 = 1 2", "1:8: '2' cannot stand here", "expected ll"),
    ("goto foo\nfo: exit", "1:6: there is no label 'foo'", "hint: did you mean fo?"),
    ("x: exit\nx: exit", "2:1: label 'x' is already on line 1"),
    ("goto x\nx:", "2:1: label 'x' stands before no instruction"),
    ("(b4) r0 = 1", "1:6: this is operation 18 or b7, not b4"),
    ("exit /* x", "1:6: this comment has no end"),
    ("r0 = *(u16 *)(r1 + 99999)", "+ 99999 is not between -32768 and 32767"),
    ("goto +40000", "+40000 is 40000 slots away, not between -32768", "hint: gotol goes farther"),
    ("r1 = map[id:5]", "1:10: 'id' cannot stand here", "expected fd or idx"),
    ("ld_pseudo r1, 1, 0x100000000", "0x100000000 is not between"),
    ("r1 = 0x10000000000000000 ll", "is not between -9223372036854775808"),
    ("r1 = " + "9" * 5000, "is not a number"),
    ("insn 1, 2, 3", "1:1: insn needs five numbers: code, dst, src, offset, imm"),
    ("insn 0x100, 0, 0, 0, 0", "1:6: code is 0x100, not between 0 and 255"),
    ("r0 = 1 \0", "cannot stand here"),
    ("äöü", "1:1: unknown instruction 'ä'"),
]


@pytest.mark.parametrize(
    ("text", "words"),
    [(text, words) for text, *words in MISTAKES],
    ids=lambda value: str(value)[:30],
)
def test_a_mistake_is_shown_where_it_stands(text, words):
    with pytest.raises(ProgramError) as caught:
        assemble(text)
    for word in words:
        assert word in str(caught.value)


def test_the_caret_stands_under_the_culprit_of_the_whole_text():
    with pytest.raises(ProgramError) as caught:
        assemble("r0 = 1\n  r1 += w2 ; add\nexit")
    assert str(caught.value).splitlines()[:3] == [
        "2:9: 'w2' cannot stand here",
        "      r1 += w2 ; add",
        "            ^^",
    ]


def test_no_text_is_a_traceback():
    rng = random.Random(SEED)
    words = (
        "r0 w1 r10 = += ( ) [ ] * u16 s32 skb goto if call 5 -7 0x1f ll lock : , exit x ; # /* \n"
    )
    texts = [disassemble(random_program(rng, 4), rng.choice((CLANG, UBPF))) for _ in range(100)]
    for index in range(3000):
        if index % 2:
            text = " ".join(rng.choices(words.split(" "), k=rng.randrange(1, 12)))
        else:
            pieces = list(rng.choice(texts))
            for _ in range(rng.randrange(1, 4)):
                pieces[rng.randrange(len(pieces))] = rng.choice("rw019+-*&()[]:;,# \n")
            text = "".join(pieces)
        try:
            program = assemble(text)
        except ProgramError:
            continue
        assert assemble(disassemble(program)) == program, f"{text}\n{rerun(__file__)}"
