"""Programs that are given to a command: classic or extended, in whatever format.

Which of the two a program is, its format often says: object files are extended, savefiles classic.
Bare bytes are what they are valid as, assembly what assembles; where that is both, or neither, the
user must say.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pfcompile.cbpf import asm as classic_asm
from pfcompile.cbpf import reading as classic_reading
from pfcompile.cbpf import savefile
from pfcompile.cbpf.check import check_structure as check_classic
from pfcompile.cbpf.isa import Instruction as ClassicInstruction
from pfcompile.cbpf.isa import Op
from pfcompile.cbpf.listing import SOCK_FILTER
from pfcompile.ebpf import asm as extended_asm
from pfcompile.ebpf import reading as extended_reading
from pfcompile.ebpf.isa import Instruction, decode
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.ebpf.structure import check_structure as check_extended
from pfcompile.ebpf.translate.targets import TARGETS, find_form
from pfcompile.errors import ProgramError
from pfcompile.facts.link_types import dlt_of_linktype
from pfcompile.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.ebpf.elf import EbpfObject

STANDARD_INPUT: Final = "-"
ELF_MAGIC: Final = b"\x7fELF"
DLT_EN10MB: Final = 1


class Family(Enum):
    """The two kinds of programs."""

    CLASSIC = "classic"
    EXTENDED = "extended"


@dataclass(frozen=True, slots=True)
class Extended:
    """An extended program.

    Attributes:
        program: It.
        source: The object file that it comes from, or None.
    """

    program: EbpfProgram
    source: EbpfObject | None = None


Given = Program | Extended

family_options: Final = (
    click.option("--classic", "family", flag_value=Family.CLASSIC.value, help="It is classic BPF."),
    click.option("--extended", "family", flag_value=Family.EXTENDED.value, help="It is eBPF."),
)


def with_family(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which kind a program is."""
    for option in reversed(family_options):
        command = option(command)
    return command


def read_bytes(file: str) -> bytes:
    """Return what a file, or "-" for standard input, holds.

    Raises:
        ProgramError: It cannot be read.
    """
    if file == STANDARD_INPUT and sys.stdin is None:
        raise ProgramError("standard input is closed")
    try:
        return sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()
    except OSError as error:
        raise ProgramError(f"{shown(file)}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the name
        raise ProgramError(f"{shown(file)}: cannot be read: {error}") from error


def shown(file: str) -> str:
    """Return what errors call a file."""
    return "standard input" if file == STANDARD_INPUT else file


def read_program(
    file: str, family: str | None = None, *, name: str | None = None, target: str | None = None
) -> Given:
    """Return the program that a file holds.

    Args:
        file: Its name, or "-" for standard input.
        family: "classic" or "extended"; None where the file must tell.
        name: Of an object file's programs, which one: its function's or its section's name.
        target: What an extended program is for; None for what the object says, else "user".

    Raises:
        ProgramError: The file cannot be read, holds no program, or one of another kind or for
            another target.
    """
    data = read_bytes(file)
    try:
        return _from_bytes(data, None if family is None else Family(family), name, target)
    except ProgramError as error:
        raise ProgramError(f"{shown(file)}: {error}") from error


def assemble(text: str, family: str | None = None) -> Given:
    """Return the program that a text in assembly spells.

    Raises:
        ProgramError: The text has a mistake, or is good as both kinds.
    """
    return _assembled(
        text,
        None if family is None else Family(family),
        classic_asm.assemble,
        extended_asm.assemble,
    )


def classic(instructions: tuple[ClassicInstruction, ...], dlt: int = DLT_EN10MB) -> Program:
    """Return a classic program that nothing is known of but its instructions and link type."""
    snaplen = max((each.k for each in instructions if each.code == Op.RET_K), default=0)
    return Program(instructions, dlt, snaplen)


def extended(instructions: tuple[Instruction, ...]) -> Extended:
    """Return an extended program that nothing is known of but its instructions."""
    return Extended(EbpfProgram(instructions, "user"))


def _from_bytes(data: bytes, family: Family | None, name: str | None, target: str | None) -> Given:
    if data.startswith(ELF_MAGIC):
        _refuse_other(family, Family.EXTENDED, "an object file")
        given: Given = _from_object(data, name)
    elif name is not None:
        raise ProgramError("only an object file has programs with names")
    elif data[:4] == savefile.MAGIC[:4]:
        _refuse_other(family, Family.CLASSIC, "a savefile")
        contents = savefile.read(data)
        given = classic(contents.instructions, dlt_of_linktype(contents.link_type))
    elif (text := _text(data)) is None:
        given = _from_raw(data, family)
    else:
        given = _from_text(text, family)
    if target is None:
        return given
    if isinstance(given, Program):
        raise ProgramError("a classic program is for no target: --target is for eBPF")
    _refuse_other_target(given, target)
    kind = find_form(target).target.program_type if target in TARGETS else None
    return replace(given, program=replace(given.program, target=target, program_type=kind))


def _refuse_other(family: Family | None, found: Family, what: str) -> None:
    if family is not None and family is not found:
        raise ProgramError(f"it is {what}, which holds no {family.value} program")


def _refuse_other_target(given: Extended, target: str) -> None:
    """Refuse a target that contradicts an object: its context has not the form of the other's."""
    found = given.program
    is_told = given.source is not None and found.program_type is not None
    if is_told and found.target != target:
        raise ProgramError(f"its section says that it is for {found.target}, not for {target}")


def _from_object(data: bytes, name: str | None) -> Extended:
    from pfcompile.ebpf.elf import read  # noqa: PLC0415 - loads pyelftools

    source = read(data)
    return Extended(source.program(name), source)


def _text(data: bytes) -> str | None:
    """Return what text bytes are, or None."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _is_valid(check: Callable[[], object]) -> bool:
    try:
        check()
    except ProgramError:
        return False
    return True


def _from_raw(data: bytes, family: Family | None) -> Given:
    if not data or len(data) % SOCK_FILTER.size:
        raise ProgramError(
            f"{len(data)} bytes are no program: neither text, an object file nor a savefile, and "
            f"no whole number of instructions, which have {SOCK_FILTER.size} bytes each"
        )
    as_classic = tuple(ClassicInstruction(*fields) for fields in SOCK_FILTER.iter_unpack(data))
    as_extended = decode(data)
    if family is None:
        valid = []
        if _is_valid(lambda: check_classic(as_classic)):
            valid.append(Family.CLASSIC)
        if _is_valid(lambda: check_extended(as_extended)):
            valid.append(Family.EXTENDED)
        if len(valid) != 1:
            both = "both classic BPF and" if valid else "neither valid classic BPF nor"
            raise ProgramError(f"it is {both} eBPF: say --classic or --extended")
        family = valid[0]
    return classic(as_classic) if family is Family.CLASSIC else extended(as_extended)


_LOOKS: Final = (
    (re.compile(r"\s*\([0-9]+\)\s"), Family.CLASSIC),
    (re.compile(r"\s*[0-9]+\s*(?:,|\n)"), Family.CLASSIC),
    (re.compile(r"\s*[0-9]+: *\([0-9a-fA-F]{2}\)"), Family.EXTENDED),
    (re.compile(r'\s*\[\s*\{[^}]*"(?:jt|jf)"'), Family.CLASSIC),
    (re.compile(r'\s*\[\s*\{[^}]*"dst"'), Family.EXTENDED),
    (re.compile(r"[^{}]*\bstruct\s+sock_filter\b"), Family.CLASSIC),
    (re.compile(r"[^{}]*\bstruct\s+bpf_insn\b"), Family.EXTENDED),
    (re.compile(r"\s*(?:\{\s*)?\{(?:[^,}]*,){3}[^,}]*\}"), Family.CLASSIC),
    (re.compile(r"\s*(?:\{\s*)?\{(?:[^,}]*,){4}[^,}]*\}"), Family.EXTENDED),
)
"""How texts begin that are of one family; all others may be either."""


def _from_text(text: str, family: Family | None) -> Given:
    if family is None:
        family = next((found for look, found in _LOOKS if look.match(text)), None)
    return _assembled(text, family, classic_reading.parse_program, extended_reading.parse_program)


_EXTENDED_WORDS: Final = re.compile(r"\b(?:[rw](?:10|[0-9])|exit|call|goto|lddw)\b")


def _assembled(
    text: str,
    family: Family | None,
    read_classic: Callable[[str], tuple[ClassicInstruction, ...]],
    read_extended: Callable[[str], tuple[Instruction, ...]],
) -> Given:
    if family is Family.CLASSIC:
        return classic(read_classic(text))
    if family is Family.EXTENDED:
        return extended(read_extended(text))
    found: list[Given] = []
    errors: dict[Family, ProgramError] = {}
    try:
        found.append(classic(read_classic(text)))
    except ProgramError as error:
        errors[Family.CLASSIC] = error
    try:
        found.append(extended(read_extended(text)))
    except ProgramError as error:
        errors[Family.EXTENDED] = error
    if len(found) == 1:
        return found[0]
    if found:
        raise ProgramError("it is both classic BPF and eBPF: say --classic or --extended")
    likely = Family.EXTENDED if _EXTENDED_WORDS.search(text) else Family.CLASSIC
    raise errors[likely]
