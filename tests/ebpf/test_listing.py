"""The formats of programs, written and read back."""

from __future__ import annotations

import random
import shutil
import subprocess
from dataclasses import replace

import pytest

from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.elf import read
from pfcompile.ebpf.isa import ROWS, Instruction, decode
from pfcompile.ebpf.listing import FORMATS, dump
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.ebpf.reading import parse_program
from pfcompile.errors import ProgramError
from tests.ebpf.random_instructions import random_program
from tests.generator.seed import SEED, rerun

TEXT_FORMATS = ["asm", "listing", "c", "json"]
SMALL = EbpfProgram(
    assemble("r1 = 0x100000002 ll\nif r1 > 5 goto +1\ncall 7\nw0 = -2147483648\nexit"), "xdp", 6
)


def test_a_listing():
    assert dump(SMALL, "listing") == (
        "   0: (18) r1 = 0x100000002 ll\n"
        "   2: (25) if r1 > 5 goto pc+1\n"
        "   3: (85) call 7\n"
        "   4: (b4) w0 = -2147483648\n"
        "   5: (95) exit\n"
    )


def test_an_array_in_c():
    lines = dump(SMALL, "c").splitlines()
    assert lines[2] == '/* xdp, prog_type 6, license "Dual MIT/GPL" */'
    assert lines[3] == "static const struct bpf_insn pfcompile[] = {"
    assert lines[4] == (
        "\t{ .code = 0x18, .dst_reg = 1, .src_reg = 0, .off = 0, .imm = 2 },"
        "\t/* r1 = 0x100000002 ll */"
    )
    assert lines[5] == "\t{ .code = 0x00, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 1 },"
    assert "(-2147483647 - 1)" in lines[8]


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_what_is_written_is_read_back(name):
    rng = random.Random(f"{SEED} {name}")
    rows = list(ROWS)
    for _ in range(150):
        program = tuple(random_program(rng, rng.randint(1, 40), rows))
        text = dump(EbpfProgram(program, "user"), name)
        assert parse_program(text) == program, f"{text}\n{rerun(__file__)}"


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_what_is_no_instruction_is_written_and_read_back(name):
    rng = random.Random(f"{SEED} {name} any")
    for _ in range(150):
        program = decode(rng.randbytes(8 * rng.randint(1, 20)))
        text = dump(EbpfProgram(program, "user"), name)
        assert parse_program(text) == program, f"{text}\n{rerun(__file__)}"


def test_jumps_to_themselves():
    program = assemble("x: goto x\ny: call y\nz: if r1 == r2 goto z\nw: gotol w")
    text = dump(EbpfProgram(program, "user"), "listing")
    assert [line.split(") ", 1)[1] for line in text.splitlines()] == [
        "goto pc-1", "call pc-1", "if r1 == r2 goto pc-1", "gotol pc-1",
    ]  # fmt: skip
    assert parse_program(text) == program


def test_bytes():
    assert decode(dump(SMALL, "raw")) == SMALL.instructions
    assert read(dump(SMALL, "elf")).program() == SMALL
    with pytest.raises(ProgramError, match="unknown format 'pdf'; there are: asm"):
        dump(SMALL, "pdf")
    assert set(FORMATS) == {*TEXT_FORMATS, "raw", "elf"}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_a_c_compiler_makes_the_same_bytes_of_it(tmp_path):
    rng = random.Random(SEED)
    program = EbpfProgram(tuple(random_program(rng, 300, list(ROWS))), "user", name="made")
    source = dump(program, "c")
    main = (
        "#include <stdio.h>\nint main(void) { return fwrite(made, sizeof made, 1, stdout) != 1; }\n"
    )
    (tmp_path / "made.c").write_text(source + main)
    subprocess.run(
        ["gcc", "-Wall", "-Wextra", "-Werror", "-o", "made", "made.c"], cwd=tmp_path, check=True
    )
    output = subprocess.run([tmp_path / "made"], capture_output=True, check=True).stdout
    assert output == program.to_bytes(), rerun(__file__)


@pytest.mark.parametrize("name", ["", "1a", "int", "_Bool x", "a-b", "nullptr", "linux", "é"])
def test_what_cannot_be_an_array_s_name_in_c(name):
    with pytest.raises(ProgramError, match="is no name in C"):
        dump(replace(SMALL, name=name), "c")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("name", ["a", "_9", "INT", "loop.cold", ".text"])
@pytest.mark.parametrize("text", ["a*/b", "/*/", "*/*", "*//*/**/", 'x" \n*/ int y; /*', "\\"])
def test_no_license_ends_the_comment(name, text, tmp_path):
    program = replace(SMALL, name=name, license=text)
    source = dump(program, "c")
    assert parse_program(source) == SMALL.instructions
    gcc = ["gcc", "-Wall", "-Wextra", "-Werror", "-Wno-unused", "-fsyntax-only", "-x", "c", "-"]
    done = subprocess.run(gcc, input=source, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ 0xb7, 0, 0, 0, 1 },\n{ 0x95, 0, 0, 0, 0 }", "r0 = 1\nexit"),
        (
            (
                "#include <linux/bpf.h>\nstruct bpf_insn p[2] = {{ 0xb7, BPF_REG_0, 0, 0, 1 },"
                "{ .code = 0x95 } /* the end */ };"
            ),
            "r0 = 1\nexit",
        ),
        ('[{"code": 183, "dst": 1, "src": 0, "offset": 0, "imm": 4294967295}]', "r1 = -1"),
        ("0: (b7) r0 = 1\r\n1: (95) exit\r\n", "r0 = 1\nexit"),
    ],
)
def test_what_others_write(text, expected):
    assert parse_program(text) == assemble(expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("[]", "empty"),
        ("{ 0xb7, 0, 0, 0 }", "expected five numbers"),
        ("{ 0xb7, 0, 0, 0, 1, 2 }", "expected code"),
        ("{ 0xb7, 16, 0, 0, 1 }", "dst_reg is from 0 to 15"),
        ("{ .code = 1, .code = 2 }", "expected code"),
        ("{ .what = 1 }", "expected code"),
        ("{ 0xb7, 0, 0, 0, 1 }; more", "expected {"),
        ("[1]", "instruction 0: not an object"),
        ('[{"code": 183, "dst": true, "src": 0, "offset": 0, "imm": 0}]', '"dst" must be'),
        ('[{"code": 183, "dst": 1, "src": 0, "offset": 40000, "imm": 0}]', '"offset" must be'),
        ("[{", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[" + "1" * 10_000 + "]", "far too long"),
        ("r0 = r11", "r11"),
    ],
)
def test_mistakes(text, words):
    with pytest.raises(ProgramError) as caught:
        parse_program(text)
    assert words in str(caught.value)


def test_random_text_is_refused_or_read():
    rng = random.Random(SEED)
    alphabet = '[]{}",.:=-+ \n0123456789abcdefrxcodeimsrdt()*/'
    for _ in range(2000):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randrange(60)))
        try:
            program = parse_program(rng.choice(("", "[", "{", "[{")) + text)
        except ProgramError:
            continue
        assert all(isinstance(each, Instruction) for each in program), rerun(__file__)
