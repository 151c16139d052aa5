"""Programs read in every format: what is written is read back, and mistakes are explained."""

from __future__ import annotations

import random

import pytest

from pfcompile.cbpf import savefile
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.cbpf.listing import dump
from pfcompile.cbpf.reading import parse_program
from pfcompile.errors import ProgramError

from .random_programs import SEED, random_program, rerun_hint

TEXTS = ("tcpdump", "c", "decimal", "iptables", "asm", "json")
PROGRAM = (
    Instruction(Op.LD_H_ABS, 0, 0, 12),
    Instruction(Op.JEQ_K, 0, 1, 0x800),
    Instruction(Op.RET_K, 0, 0, 262144),
    Instruction(Op.RET_A, 0, 0, 0),
)


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_written_is_read_back(name: str) -> None:
    rng = random.Random(SEED)
    compared = 0
    for _ in range(200):
        program = random_program(rng)
        if name == "iptables" and len(program) > 64:
            continue
        text = dump(program, name)
        assert isinstance(text, str)
        hint = f"{text}\n{rerun_hint('test_reading.py')}"
        assert parse_program(text) == program, hint
        assert parse_program(text.replace("\n", "\r\n").encode()) == program, hint
        compared += 1
    assert compared > 100


def test_savefiles_are_read() -> None:
    data = savefile.write(savefile.Savefile(PROGRAM, 262144, 1, expression="ip"))
    assert parse_program(data) == PROGRAM


@pytest.mark.parametrize(
    "text",
    [
        # bpf_asm's output ends in a comma; blanks are free.
        "4,40 0 0 12,21 0 1 2048,6 0 0 262144,22 0 0 0,\n",
        " 4 , 40 0 0 12 , 21 0 1 2048 , 6 0 0 262144 , 22 0 0 0",
        "4\n40 0 0 12\n\n  21 0 1 2048\n6 0 0 262144\n22 0 0 0",
        "{0x28,0,0,12},{0x15,0,1,0x800},{6,0,0,0x40000},{0x16,0,0,0}",
        """/* ip */
        static const struct sock_filter code[4] = {
            { 0x28, 0, 0, 0x0000000c },  // the EtherType
            { 0x15, 0, 1, 0x00000800 },
            { 0x06, 0, 0, 0x00040000 },
            { 0x16, 0, 0, 0x00000000 },
        };""",
        "(000) ldh [12]\n(001) jeq #0x800 jt 2 jf 3\n(002) ret #262144\n(003) ret      \n",
        "(000) ldh [12]\n(001) jeq #2048 jt 2 jf 3\n(002) ret #0x40000\n(003) ret a\n",
        "; an assembler's text\n ldh [12]\n jne #0x800, no\n ret #262144\nno: ret a",
        "/* the same { } */ ldh [12]\n jne #0x800, no\n ret #262144\nno: ret a",
        (
            '[{"k": 12, "code": 40, "jt": 0, "jf": 0}, {"code": 21, "jt": 0, "jf": 1, "k": 2048},'
            '{"code": 6, "jt": 0, "jf": 0, "k": 262144}, {"code": 22, "jt": 0, "jf": 0, "k": 0}]'
        ),
    ],
)
def test_formats_are_told_apart(text: str) -> None:
    assert parse_program(text) == PROGRAM
    assert parse_program(b"\xef\xbb\xbf" + text.encode()) == PROGRAM


def test_libpcaps_unknown_load_of_the_length_is_read() -> None:
    program = parse_program("(000) unimp    0x81\n(001) ret      #0\n")
    assert program[0] == Instruction(Op.LDX_LEN, 0, 0, 0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "the program is empty"),
        (" \n", "the program is empty"),
        (b"\xff\xfe", "the program is neither text nor a cBPF savefile"),
        (b"ret #0\0", "the program is neither text nor a cBPF savefile"),
        (
            "(000) ldh [12]\n(002) ret #0",
            "2:2: expected instruction 1 here\n    (002) ret #0\n     ^^^",
        ),
        ("(000)", "1:1: not a line of a tcpdump -d listing\n    (000)\n    ^^^^^"),
        (
            "(000) ldh 12",
            "1:11: there is no instruction 'ldh 12'\n    (000) ldh 12\n" + 14 * " " + "^^",
        ),
        ("(000) ld [foo]", "1:10: unknown name 'foo'\n    (000) ld [foo]\n             ^^^^^"),
        ("(000) jeq x", "1:1: jeq needs jt and jf\n    (000) jeq x\n    ^^^^^^^^^^^"),
        (
            "(000) tax jt 1 jf 2",
            f"1:1: tax has no jt and jf\n    (000) tax jt 1 jf 2\n    {19 * '^'}",
        ),
        (
            "(000) jeq x jt 0 jf 2",
            f"1:1: jeq cannot jump from 0 to 0\n    (000) jeq x jt 0 jf 2\n    {21 * '^'}",
        ),
        (
            "(000) unimp 0x99",
            (
                "1:13: tcpdump did not know the instruction 0x99\n    (000) unimp 0x99\n"
                "                ^^^^"
            ),
        ),
        (
            "{ 0x28, 0, 0 },",
            "1:3: expected four numbers: code, jt, jf, k\n    { 0x28, 0, 0 },\n      ^^^^^^^^^^",
        ),
        ("{1, 2, 256, 4}", "1:8: jf is at most 255\n    {1, 2, 256, 4}\n           ^^^"),
        ("{1, 2, q, 4}", "1:8: 'q' is not a number\n    {1, 2, q, 4}\n           ^"),
        (
            "{1, 2, 3, 4}, oops",
            "1:15: expected { code, jt, jf, k }\n    {1, 2, 3, 4}, oops\n                  ^^^^",
        ),
        (
            "int a[] = {{1,2,3,4},",
            "1:22: expected { code, jt, jf, k }\n    int a[] = {{1,2,3,4},\n" + 25 * " " + "^",
        ),
        ("2\n6 0 0 0", "1:1: says 2 instructions, but 1 follow\n    2\n    ^"),
        ("1,6 0 0", "1:3: expected four numbers: code, jt, jf, k\n    1,6 0 0\n      ^^^^^"),
        ("[", "1:2: not JSON: Expecting value\n    [\n     ^"),
        ("[1]", "JSON, instruction 0: not an object"),
        ("[{}]", 'JSON, instruction 0: "code" must be a number from 0 to 65535'),
        (
            '[{"code": 6, "jt": true, "jf": 0, "k": 0}]',
            'JSON, instruction 0: "jt" must be a number from 0 to 255',
        ),
        ("[" * 100_000, "the JSON text is nested too deeply for a program"),
        (f"[{'9' * 5000}]", "the JSON text has a number that is far too long"),
    ],
)
def test_messages(source: str | bytes, message: str) -> None:
    with pytest.raises(ProgramError) as caught:
        parse_program(source)
    assert str(caught.value) == message


def test_damaged_texts_are_program_errors_or_programs() -> None:
    """Whatever is read, nothing but `ProgramError` comes out, and a program has proper fields."""
    rng = random.Random(SEED)
    outcomes = {True: 0, False: 0}
    limits = Instruction(0xFFFF, 0xFF, 0xFF, 0xFFFFFFFF)
    for _ in range(3000):
        program = random_program(rng)[:20] + PROGRAM
        text = str(dump(program, rng.choice(TEXTS)))
        for _ in range(rng.randint(1, 2)):
            place = rng.randrange(len(text))
            junk = rng.choice(
                ("", "0", "x", ",", "9" * 5000, "[", "]", "{", "\n", ":", " ", "é", "٣")
            )
            text = text[:place] + junk + text[place + rng.randint(0, 2) :]
        try:
            read = parse_program(text)
        except ProgramError:
            outcomes[False] += 1
            continue
        outcomes[True] += 1
        for instruction in read:
            pairs = zip(instruction, limits, strict=True)
            assert all(0 <= value <= most for value, most in pairs), text[:2000]
    assert min(outcomes.values()) > 200, outcomes
