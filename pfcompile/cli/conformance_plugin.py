"""`pfcompile conformance-plugin`: run one eBPF program, as suites of conformance tests ask.

The program comes on standard input. R1 holds the address of MEMORY and R2 its length, or both 0
where there is none. R0 goes to standard output in base 16, with status 0; what keeps the program
from giving a result goes to standard error, with status 1, or 2 for bad usage.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol, cast

import click

from pfcompile.cli import common, programs, writing
from pfcompile.ebpf.isa import Instruction, decode
from pfcompile.ebpf.machine.code import Environment
from pfcompile.ebpf.machine.helpers import HELPERS, UNWIND
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import NoData, RawPacket
from pfcompile.errors import PfcompileError, ProgramError

if TYPE_CHECKING:
    from collections.abc import Sequence

NATIVE_MODULE: Final = "pfcompile.jit.conformance"
"""Has `run`, a `Runner`; not every installation has it."""
ELF_MODULE: Final = "pfcompile.ebpf.elf.conformance"
"""Has `load`, an `ElfReader`; not every installation has it."""


class Runner(Protocol):
    """What runs a program."""

    def __call__(
        self, program: Sequence[Instruction], memory: bytes, environment: Environment
    ) -> int:
        """Return R0 at the end, 0 to 2**64 - 1; raises PfcompileError where there is none."""


class ElfReader(Protocol):
    """What takes a program out of an object file."""

    def __call__(self, data: bytes) -> tuple[Sequence[Instruction], Environment]:
        """Return the program with its maps; raises ProgramError where there is none."""


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
    try:
        given = programs.read_bytes(programs.STANDARD_INPUT)
        program, own = _program(given, is_elf=elf)
        environment = replace(own, helpers={**own.helpers, UNWIND.number: UNWIND})
        run = _native_runner() if native else interpreted
        writing.write(f"{run(program, data, environment):x}\n", writing.STANDARD_OUTPUT)
    except PfcompileError as error:
        common.fail(error)


def interpreted(program: Sequence[Instruction], memory: bytes, environment: Environment) -> int:
    """Run a program in the interpreter; see `Runner`."""
    start = RawPacket(memory) if memory else NoData()
    return Machine(program, environment).run(start)


def _program(given: bytes, *, is_elf: bool) -> tuple[Sequence[Instruction], Environment]:
    """Return the program that standard input holds, with what it can call and use.

    Raises:
        ProgramError: There is none.
        UsageError: It is not in base 16.
    """
    if is_elf:
        if not _is_there(ELF_MODULE):
            raise ProgramError("--elf is not available: this pfcompile cannot read object files")
        load = cast("ElfReader", import_module(ELF_MODULE).load)
        is_as_it_is = given.startswith(programs.ELF_MAGIC)
        return load(given if is_as_it_is else _input_from_hex(given))
    return decode(_input_from_hex(given)), Environment(HELPERS)


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
