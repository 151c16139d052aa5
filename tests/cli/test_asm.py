"""`pfcompile asm`."""

from __future__ import annotations

import pytest

from pfcompile.cbpf import savefile
from pfcompile.compiler import compile as compile_text
from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.elf import read
from pfcompile.ebpf.isa import encode
from pfcompile.ebpf.reading import parse_program
from tests.cli.in_process import output, refused

CLASSIC = b"ldh [12]\njneq #0x800, drop\nret #-1\ndrop: ret #0\n"
CLANG = b"r0 = 0\nif r1 == 0 goto end\nr0 = 7\nend: exit\n"
UBPF = b"mov r0, 0\njeq r1, 0, end\nmov r0, 7\nend: exit\n"


def test_classic_assembly_is_told():
    lines = output("asm", stdin=CLASSIC.replace(b"-1", b"96")).decode().splitlines()
    assert lines[0] == "(000) ldh      [12]"
    assert output("asm", "--format", "decimal", stdin=b"ret #5\n") == b"1\n6 0 0 5\n"


@pytest.mark.parametrize("text", [CLANG, UBPF])
def test_extended_assembly_is_told(text):
    listing = output("asm", stdin=text).decode()
    assert parse_program(listing) == assemble(CLANG.decode())
    assert output("asm", "--format", "raw", stdin=text) == encode(assemble(CLANG.decode()))


def test_words_of_both():
    classic = output("asm", "--format", "decimal", stdin=b"ja x\nx: ret #0\n")
    assert classic == b"2\n5 0 0 0\n6 0 0 0\n"
    # Classic programs cannot jump backward, and so this is none.
    assert output("asm", "--format", "raw", stdin=b"x: ja x\n") == b"\x05\0\xff\xff\0\0\0\0"


def test_an_object_file(tmp_path):
    source, target = tmp_path / "x.s", tmp_path / "x.o"
    source.write_bytes(b"r0 = 2\nexit\n")
    output(
        "asm", source, "--target", "xdp", "--name", "let", "--license", "GPL",
        "--format", "elf", "-o", target,
    )  # fmt: skip
    program = read(target.read_bytes()).program()
    assert (program.name, program.target, program.program_type) == ("let", "xdp", 6)
    assert program.license == "GPL"
    assert program.instructions == assemble("r0 = 2\nexit")


def test_a_savefile_and_a_link_type():
    data = output("asm", "-y", "RAW", "--format", "savefile", stdin=b"ret #96\n")
    contents = savefile.read(data)
    assert (contents.link_type, contents.snaplen) == (101, 96)


def test_what_disasm_prints_is_read():
    program = compile_text("tcp port 80")
    listed = output("disasm", stdin=program.dump("decimal").encode())
    assert output("asm", "--format", "decimal", stdin=listed).decode() == program.dump("decimal")


@pytest.mark.parametrize(
    ("arguments", "stdin", "words", "status"),
    [
        ([], b"", "standard input: ", 1),
        ([], b"ldq [12]\n", "1:1: unknown", 1),
        ([], b"r0 = 1\nr0 ? 2\nexit\n", "2:4", 1),
        ([], b"\xff\0", "it is no text", 1),
        (["--format", "elf"], CLASSIC, "classic BPF, which has no format 'elf'", 2),
        (["--format", "iptables"], CLANG, "eBPF, which has no format 'iptables'", 2),
        (["--target", "xdp"], CLASSIC, "--target is for eBPF", 2),
        (["-y", "RAW"], CLANG, "-y is for classic BPF", 2),
        (["-y", "NO_SUCH"], CLASSIC, "NO_SUCH", 2),
        (["/no/such/file"], b"", "cannot be read: No such file", 1),
        (["--extended"], CLASSIC, "1:1", 1),
    ],
)
def test_mistakes(arguments, stdin, words, status):
    assert words in refused("asm", *arguments, stdin=stdin, status=status)
