"""`pfcompile conformance-plugin`: run one eBPF program, as suites of conformance tests ask.

The program comes on standard input. R1 holds the address of MEMORY and R2 its length, or both 0
where there is none. R0 goes to standard output in base 16, with status 0; what keeps the program
from giving a result goes to standard error, with status 1, or 2 for bad usage.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol, cast

import click

from pfcompile.cli import common
from pfcompile.ebpf.isa import Instruction, decode
from pfcompile.ebpf.machine.code import Environment, Limits
from pfcompile.ebpf.machine.helpers import HELPERS, UNWIND
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import NoData, RawPacket
from pfcompile.errors import PfcompileError, ProgramError

if TYPE_CHECKING:
    from collections.abc import Sequence

ELF_MAGIC: Final = b"\x7fELF"

NATIVE_MODULE: Final = "pfcompile.jit.conformance"
"""Has `run`, a `Runner`; not every installation has it."""
ELF_MODULE: Final = "pfcompile.ebpf.elf.conformance"
"""Has `program_of`, an `ElfReader`; not every installation has it."""


class Runner(Protocol):
    """What runs a program."""

    def __call__(self, program: Sequence[Instruction], memory: bytes) -> int:
        """Return R0 at the end, 0 to 2**64 - 1; raises PfcompileError where there is none."""


class ElfReader(Protocol):
    """What takes a program out of an object file."""

    def __call__(self, data: bytes) -> Sequence[Instruction]:
        """Return the program; raises ProgramError where there is none."""


@click.command("conformance-plugin")
@click.option("--native", is_flag=True, help="Run it as native code.")
@click.option("--interpret", is_flag=True, help="Run it in the interpreter (the default).")
@click.option("--elf", is_flag=True, help="The program is an object file, not bare instructions.")
@click.argument("memory", nargs=-1)
def command(native: bool, interpret: bool, elf: bool, memory: tuple[str, ...]) -> None:
    """Run the eBPF program on standard input and print R0 in base 16.

    The program, and MEMORY, are base-16 bytes; blanks do not matter. With --elf the program is an
    object file, in base 16 or as it is.
    """
    if native and interpret:
        raise click.UsageError("a program is run natively or interpreted, not both")
    data = _from_hex("MEMORY", "".join(memory))
    given = sys.stdin.buffer.read()
    try:
        program = _program(given, is_elf=elf)
        result = _native_runner()(program, data) if native else interpreted(program, data)
    except PfcompileError as error:
        common.fail(error)
    click.echo(f"{result:x}")


def interpreted(program: Sequence[Instruction], memory: bytes) -> int:
    """Run a program in the interpreter; see `Runner`."""
    environment = Environment({**HELPERS, UNWIND.number: UNWIND})
    start = RawPacket(memory) if memory else NoData()
    return Machine(program, environment, Limits()).run(start)


def _program(given: bytes, *, is_elf: bool) -> Sequence[Instruction]:
    """Return the program that standard input holds; raises ProgramError where it holds none."""
    if is_elf:
        if not _is_there(ELF_MODULE):
            raise ProgramError("--elf is not available: this pfcompile cannot read object files")
        read = cast("ElfReader", import_module(ELF_MODULE).program_of)
        return read(given if given.startswith(ELF_MAGIC) else _input_from_hex(given))
    return decode(_input_from_hex(given))


def _native_runner() -> Runner:
    """Return what runs a program natively; raises ProgramError where there is nothing."""
    if not _is_there(NATIVE_MODULE):
        raise ProgramError("--native is not available: this pfcompile has no native code")
    return cast("Runner", import_module(NATIVE_MODULE).run)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False


def _input_from_hex(given: bytes) -> bytes:
    return _from_hex("the program on standard input", given.decode("latin-1"))


def _from_hex(what: str, text: str) -> bytes:
    """Return the bytes that a text says; raises UsageError where it is not in base 16."""
    try:
        return bytes.fromhex("".join(text.split()))
    except ValueError as error:
        raise click.UsageError(f"{what} is not base-16 bytes: {error}") from error
