"""`pfcompile ebpf EXPR`."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from pfcompile.compiler import compile as compile_text
from pfcompile.ebpf.elf import read
from pfcompile.ebpf.isa import Instruction, decode
from pfcompile.ebpf.reading import parse_program
from pfcompile.ebpf.translate import translate
from tests.cli.in_process import output, refused

COMMAND = [sys.executable, "-m", "pfcompile"]


def expected(text, target="xdp", **options):
    return translate(compile_text(text).instructions, target, **options)


def test_the_default_is_a_listing_for_xdp():
    lines = output("ebpf", "udp port 53").decode().splitlines()
    assert lines[0] == "   0: (bf) r6 = r1"
    assert parse_program("\n".join(lines)) == expected("udp port 53").instructions


@pytest.mark.parametrize("target", ["xdp", "tc", "socket", "user"])
def test_every_target_in_every_format(target, tmp_path):
    program = expected("icmp", target)
    for name in ("asm", "listing", "c", "json"):
        text = output("ebpf", "icmp", "--target", target, "--format", name).decode()
        assert parse_program(text) == program.instructions
    data = output("ebpf", "icmp", "--target", target, "--format", "raw")
    assert decode(data) == program.instructions
    file = tmp_path / "x.o"
    assert output("ebpf", "icmp", "--target", target, "--format", "elf", "-o", file) == b""
    assert read(file.read_bytes()).program() == program


def test_json_says_what_each_instruction_does():
    entries = json.loads(output("ebpf", "--format", "json", "ip"))
    assert entries[0] == {"code": 191, "dst": 6, "src": 1, "offset": 0, "imm": 0, "text": "r6 = r1"}


def test_verdicts_access_name_and_license(tmp_path):
    file = tmp_path / "x.o"
    output(
        "ebpf", "ip", "--match", "drop", "--no-match", "0x2", "--access", "helpers",
        "--name", "no_ip", "--license", "GPL", "--format", "elf", "-o", file,
    )  # fmt: skip
    found = read(file.read_bytes()).program()
    assert (found.name, found.license, found.flags) == ("no_ip", "GPL", 32)
    wanted = expected("ip", access="helpers", match="drop", no_match=2)
    assert found.instructions == wanted.instructions


def test_options_of_compiling(tmp_path):
    text = output("ebpf", "-y", "RAW", "-s", "96", "--target", "user", "-O", "ip").decode()
    program = compile_text("ip", "RAW", 96, optimize=False)
    assert parse_program(text) == translate(program.instructions, "user").instructions
    file = tmp_path / "filter"
    file.write_text("ip  # only\n")
    assert output("ebpf", "-F", file) == output("ebpf", "ip")
    assert b"-y" not in output("ebpf", "-m", "255.255.255.0", "ip", "broadcast")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tcp prot 80"], "1:5: can't parse filter expression"),
        (["--target", "moon", "ip"], "'moon' is not one of"),
        (["--match", "shot", "ip"], "'xdp' has no verdict 'shot'"),
        (["--access", "legacy", "ip"], "'xdp' cannot read packets by 'legacy'"),
        (["--no-match", "99999999999", "ip"], "does not fit 32 bits"),
        (["-y", "NO_SUCH", "ip"], "NO_SUCH"),
    ],
)
def test_mistakes(arguments, words):
    assert words in refused("ebpf", *arguments)


def test_failures(tmp_path):
    message = refused("ebpf", "--format", "elf", "--name", "a b", "ip", status=1)
    assert "'a b' is no name in C" in message
    message = refused("ebpf", "--format", "raw", "-o", tmp_path, "ip", status=1)
    assert "cannot be written: Is a directory" in message


def on_terminal(*arguments):
    """Run a command whose standard output is a terminal; return its status and its errors."""
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [*COMMAND, *arguments], stdout=theirs, stderr=subprocess.PIPE, check=False, timeout=60
        )
    finally:
        os.close(theirs)
        os.close(ours)
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("name", ["elf", "raw"])
def test_bytes_are_not_for_terminals(name):
    status, errors = on_terminal("ebpf", "--format", name, "ip")
    assert status == 2
    assert "not for a terminal: give -o FILE" in errors
    assert on_terminal("ebpf", "ip") == (0, "")


def test_a_full_disk():
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("there is no /dev/full")
    message = refused("ebpf", "--format", "elf", "-o", "/dev/full", "ip", status=1)
    assert "No space left" in message


def test_as_a_process():
    done = subprocess.run([*COMMAND, "ebpf", "ip"], capture_output=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == (output("ebpf", "ip"), b"")


def test_instructions_are_those_of_the_listing():
    program = expected("ip")
    assert all(isinstance(each, Instruction) for each in program.instructions)
    text = output("ebpf", "--format", "asm", "ip").decode()
    assert text.count("exit") == sum(each.code == 0x95 for each in program.instructions)
