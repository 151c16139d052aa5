"""`pfcompile disasm`: every form of a program is read and told."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from pfcompile.cbpf.asm import assemble as assemble_classic
from pfcompile.compiler import compile as compile_text
from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.elf import read, write
from pfcompile.ebpf.listing import FORMATS as EXTENDED_FORMATS
from pfcompile.ebpf.listing import dump
from pfcompile.ebpf.translate import translate
from pfcompile.program import FORMATS as CLASSIC_FORMATS
from tests.cli.in_process import output, refused, run
from tests.ebpf.llvm_objects import everything
from tests.generator.seed import SEED, rerun

CAPTURE = Path(__file__).parents[2] / "pcaps" / "ethernet.pcap"

CLASSIC = compile_text("tcp port 80 or vlan")
EXTENDED = translate(CLASSIC.instructions, "xdp")


def as_bytes(given):
    return given.encode() if isinstance(given, str) else given


@pytest.mark.parametrize(
    "name", ["tcpdump", "c", "decimal", "iptables", "asm", "json", "raw", "savefile"]
)
def test_classic_forms(name):
    text = output("disasm", stdin=as_bytes(CLASSIC.dump(name))).decode()
    assert assemble_classic(text) == CLASSIC.instructions


@pytest.mark.parametrize("name", ["asm", "listing", "c", "json", "raw", "elf"])
def test_extended_forms(name):
    text = output("disasm", stdin=as_bytes(dump(EXTENDED, name))).decode()
    assert assemble(text) == EXTENDED.instructions


def test_other_formats_and_syntax(tmp_path):
    file = tmp_path / "x.o"
    file.write_bytes(write(EXTENDED))
    assert output("disasm", "--format", "listing", file).decode() == dump(EXTENDED, "listing")
    ubpf = output("disasm", "--syntax", "ubpf", file).decode()
    assert "mov r6, r1" in ubpf
    assert assemble(ubpf) == EXTENDED.instructions
    numbers = CLASSIC.dump("decimal").encode()
    assert output("disasm", "--format", "tcpdump", stdin=numbers).decode() == CLASSIC.dump()


def test_programs_of_an_object(tmp_path):
    file = tmp_path / "x.o"
    file.write_bytes(everything())
    message = refused("disasm", file, status=1)
    assert "several programs, name one of: sum (xdp), remember (xdp)" in message
    text = output("disasm", "--program", "remember", file).decode()
    assert "r1 = map[idx:1]" in text
    # Its maps and variables go with it.
    data = output("disasm", "--program", "sum", "--format", "elf", file)
    again, original = read(data), read(everything())
    assert again.program() == original.program("sum")
    assert [each.spec() for each in again.maps] == [each.spec() for each in original.maps]


@pytest.mark.parametrize(
    ("arguments", "stdin", "words", "status"),
    [
        ([], b"", "standard input: ", 1),
        ([], b"\x7fELF", "header is cut short", 1),
        ([], b"\xff" * 12, "12 bytes are no program", 1),
        ([], b"\xff" * 16, "neither valid classic BPF nor eBPF: say --classic", 1),
        (["--classic"], write(EXTENDED), "an object file, which holds no classic program", 1),
        (["--extended"], CLASSIC.dump("savefile"), "a savefile, which holds no extended", 1),
        (["--program", "x"], b"ret #0\n", "only an object file has programs with names", 1),
        (["--format", "elf"], b"1\n6 0 0 0\n", "no format 'elf'", 2),
        (["--format", "sideways"], b"", "'sideways' is not one of", 2),
        (["/no/such/file"], b"", "cannot be read", 1),
    ],
)
def test_mistakes(arguments, stdin, words, status):
    assert words in refused("disasm", *arguments, stdin=stdin, status=status)


def test_a_flag_overrules_what_bytes_look_like():
    data = b"\xff" * 16
    assert output("disasm", "--classic", stdin=data).count(b"insn") == 2
    assert output("disasm", "--extended", stdin=data).count(b"insn") == 2


def test_whatever_a_file_holds_there_is_an_answer(tmp_path):
    rng = random.Random(SEED)
    forms = [as_bytes(CLASSIC.dump(name)) for name in CLASSIC_FORMATS if name != "iptables"]
    forms += [as_bytes(dump(EXTENDED, name)) for name in EXTENDED_FORMATS]
    file = tmp_path / "program"
    statuses = Counter()
    for _ in range(400):
        data = bytearray(rng.choice(forms))
        for _ in range(rng.choice((0, 1, 3, 20))):
            data[rng.randrange(len(data))] = rng.choice((0, 32, 0x7B, rng.randrange(256)))
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        file.write_bytes(data)
        command = rng.choice((["disasm"], ["asm"], ["check"], ["run", "-r", CAPTURE, "--count"]))
        done = run(*command, *rng.choice(([], ["--classic"], ["--extended"])), file)
        statuses[done.returncode] += 1
        where = f"{data.hex()} {command}\n{rerun(__file__)}"
        assert done.returncode in {0, 1}, where
        assert (done.returncode == 1) == done.stderr.startswith(b"pfcompile: "), where
    assert min(statuses[0], statuses[1]) > 40, statuses


def test_bare_bytes_of_both_kinds_are_told():
    texts = ("", "ip", "tcp port 80", "vlan and port 53", "ip[2:2] / ip[0] > 3", "len > 9", "icmp6")
    for text in texts:
        classic = compile_text(text)
        told = output("disasm", stdin=as_bytes(classic.dump("raw"))).decode()
        assert assemble_classic(told) == classic.instructions
        for target in ("xdp", "tc", "socket", "user"):
            program = translate(classic.instructions, target)
            told = output("disasm", stdin=program.to_bytes()).decode()
            assert assemble(told) == program.instructions
