"""`pfcompile conformance-plugin`."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType

import pytest
from click.testing import CliRunner

from pfcompile.cli import conformance_plugin
from pfcompile.cli.commands import group
from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.isa import encode
from pfcompile.ebpf.machine.code import Environment
from tests.ebpf.llvm_objects import EVERYTHING_MAPS, LICENSE, Maps, compiled

WITH_ALL = compiled(
    LICENSE
    + """
@step = dso_local constant i64 5, align 8
@total = internal global i64 0, align 8
define i64 @main(ptr %memory, i64 %length) {
  %key = alloca i32
  store volatile i32 1, ptr %key
  %found = call ptr inttoptr (i64 1 to ptr)(ptr @counts, ptr %key)
  %missing = icmp eq ptr %found, null
  br i1 %missing, label %none, label %some
some:
  %step = load volatile i64, ptr @step
  store volatile i64 %step, ptr @total
  store volatile i64 %length, ptr %found
  %total = load volatile i64, ptr @total
  %counted = load volatile i64, ptr %found
  %sum = add i64 %total, %counted
  ret i64 %sum
none:
  ret i64 0
}
""",
    Maps(**EVERYTHING_MAPS),
)
"""A map, a constant and a variable; returns 5 and the memory's length."""


def run(text, *arguments):
    program = text if isinstance(text, bytes) else encode(assemble(text)).hex().encode()
    done = CliRunner().invoke(group, ["conformance-plugin", *arguments], input=program)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


@pytest.mark.parametrize(
    ("text", "memory", "result"),
    [
        ("r0 = 0\nexit", (), "0"),
        ("r0 = -1\nexit", (), "ffffffffffffffff"),
        ("r0 = *(u16 *)(r1 + 1)\nexit", ("01 0a ff",), "ff0a"),
        ("r0 = *(u16 *)(r1 + 1)\nexit", ("01", "0A", "FF"), "ff0a"),
        ("*(u8 *)(r1 + 0) = 5\nr0 = r2\nexit", ("010aff",), "3"),
        ("r0 = r1\nr0 |= r2\nexit", (), "0"),
        ("r0 = r1\nr0 |= r2\nexit", ("",), "0"),
    ],
)
@pytest.mark.parametrize("option", [(), ("--interpret",)])
def test_results(text, memory, result, option):
    done = run(text, *memory, *option)
    assert (done.stdout, done.stderr, done.exit_code) == (f"{result}\n", "", 0)


def test_the_program_may_have_blanks():
    assert run(b" b7 00 0000\n 2a000000\n95 00000000000000 \n").stdout == "2a\n"


def test_helper_5_ends_the_program_from_any_depth():
    assert run("r1 = 7\ncall 5\nr0 = 2\nexit").stdout == "7\n"
    assert run("r1 = 0\ncall pc+2\nr0 = 2\nexit\ncall 5\nr0 = 3\nexit").stdout == "0\n"


@pytest.mark.parametrize(
    ("text", "memory", "message"),
    [
        ("r0 = *(u8 *)(r1 + 3)\nexit", "01 02 03", "instruction 0: reads 1 byte at offset 3"),
        ("r0 = 0\ngoto -1", "", "instruction 1: not done after 1000000 instructions"),
        (b"95", "", "instruction 0 is cut off"),
        (b"", "", "the program has no instructions"),
        (b"9500000001000000", "", "instruction 0 (code 0x95): this instruction has no form"),
    ],
)
def test_failures(text, memory, message):
    done = run(text, memory)
    assert done.stdout == ""
    assert done.stderr.startswith(f"pfcompile: {message}")
    assert done.exit_code == 1


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (b"9500zz", (), "the program on standard input is not base-16 bytes"),
        (b"\xff\xfe", (), "the program on standard input is not base-16 bytes"),
        (b"950", (), "the program on standard input is not base-16 bytes"),
        ("exit", ("0x12",), "MEMORY is not base-16 bytes"),
        ("exit", ("--native", "--interpret"), "not both"),
    ],
)
def test_wrong_usage(text, arguments, message):
    done = run(text, *arguments)
    assert done.stdout == ""
    assert message in done.stderr
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("option", "module"),
    [("--native", conformance_plugin.NATIVE_MODULE), ("--elf", conformance_plugin.ELF_MODULE)],
)
def test_what_is_not_installed(option, module, monkeypatch):
    monkeypatch.setattr(conformance_plugin, "_is_there", lambda _: False)
    done = run("r0 = 0\nexit", option)
    assert (done.stdout, done.exit_code) == ("", 1)
    assert done.stderr.startswith(f"pfcompile: {option} is not available")


def test_other_ways_are_plugged_in(monkeypatch):
    native, elf = (
        ModuleType(name)
        for name in (conformance_plugin.NATIVE_MODULE, conformance_plugin.ELF_MODULE)
    )
    native.run = lambda program, memory, _: len(program) << 8 | len(memory)
    elf.load = lambda data: (assemble("exit\n" * (len(data) - 4)), Environment({}))
    monkeypatch.setattr(conformance_plugin, "_is_there", lambda _: True)
    monkeypatch.setitem(sys.modules, native.__name__, native)
    monkeypatch.setitem(sys.modules, elf.__name__, elf)
    assert run("r0 = 0\nexit", "aa bb cc", "--native").stdout == "203\n"
    for given in (b"\x7fELF12345", b"7f454c463132333435"):
        assert run(given, "--native", "--elf").stdout == "500\n"


@pytest.mark.parametrize("engine", ["--native", "--interpret"])
def test_an_object_has_its_maps_and_variables(engine):
    for given in (WITH_ALL, WITH_ALL.hex().encode()):
        done = run(given, "aa bb cc", "--elf", engine)
        assert (done.stdout, done.stderr, done.exit_code) == ("8\n", "", 0)


@pytest.mark.parametrize("engine", ["--native", "--interpret"])
def test_helper_5_ends_an_object_s_program_too(engine):
    code = """
define i64 @main() {
  %x = call i64 inttoptr (i64 5 to ptr)(i64 7)
  ret i64 2
}
"""
    assert run(compiled(code), "--elf", engine).stdout == "7\n"


@pytest.mark.parametrize(
    ("redirection", "words"),
    [(">&-", b"standard output is closed"), ("<&-", b"standard input is closed")],
)
def test_closed_streams_are_said(redirection, words):
    command = ["sh", "-c", f'"$@" {redirection}', "sh", sys.executable, "-m", "pfcompile"]
    done = subprocess.run(
        [*command, "conformance-plugin"],
        input=b"9500000000000000", capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"pfcompile: " + words + b"\n"


def test_modules_are_looked_for_without_loading_them():
    assert conformance_plugin._is_there("pfcompile.cli.filter")
    assert not conformance_plugin._is_there("pfcompile.nowhere.filter")
    assert find_spec("pfcompile.nowhere") is None
