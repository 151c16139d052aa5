"""A program as text or bytes, in the formats that other tools print and take.

Only "elf" checks the program: in the others, what is unknown is listed as unknown.

Sources: bpftool-prog(8) for the listing; linux/bpf.h for `struct bpf_insn`.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.asm import disassemble
from pfcompile.ebpf.isa import Instruction, Kind, row_of
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pfcompile.ebpf.program import EbpfProgram

_C_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_C_KEYWORDS: Final = frozenset(
    {
        "alignas", "alignof", "asm", "auto", "bool", "break", "case", "char", "const",
        "constexpr", "continue", "default", "do", "double", "else", "enum", "extern", "false",
        "float", "for", "goto", "if", "inline", "int", "long", "nullptr", "register", "restrict",
        "return", "short", "signed", "sizeof", "static", "static_assert", "struct", "switch",
        "thread_local", "true", "typedef", "typeof", "typeof_unqual", "union", "unsigned", "void",
        "volatile", "while", "linux", "unix",
    }
)  # fmt: skip
"""Words that name nothing in C23, section 6.4.1, or that GCC's own dialect gives a meaning."""
_DISTANCE: Final = re.compile(r"\b(gotol?|may_goto) (?=[+-])")


def dump(program: EbpfProgram, format: str) -> str | bytes:  # noqa: A002 - as in `Program.dump`
    """Return a program in a format of `FORMATS`.

    Args:
        program: Any; only for "elf" it must be valid.
        format: "asm" (clang's syntax, with labels), "listing" (as `bpftool prog dump xlated`),
            "c" (an array of `struct bpf_insn`), "elf" (an object file for loaders), "raw" (8 bytes
            an instruction, little-endian) or "json".

    Returns:
        Bytes for "elf" and "raw", text for all others.

    Raises:
        ProgramError: There is no such format; or what `c` or `elf.write` raises.
    """
    writer = FORMATS.get(format)
    if writer is None:
        raise ProgramError(f"unknown format '{format}'; there are: {', '.join(FORMATS)}")
    return writer(program)


def listing(program: EbpfProgram) -> str:
    """Return one line an instruction: its slot, its code, and what it does.

    Departure: bpftool leaves the blanks around an offset (`r1 +12`) and numbers helpers by name.
    """
    return "".join(
        f"{slot:4d}: ({first.code:02x}) {text}\n"
        for slot, first, text in _described(program.instructions)
    )


def asm(program: EbpfProgram) -> str:
    """Return the program in clang's syntax, which the assembler reads back."""
    return disassemble(program.instructions)


def c(program: EbpfProgram) -> str:
    """Return C that compiles: an array of `struct bpf_insn`, as bpf(2) takes it.

    Raises:
        ProgramError: The program's name is none in C.
    """
    # The kernel's names may have dots, as have those of functions that compilers split.
    name = program.name.replace(".", "_")
    if _C_NAME.fullmatch(name) is None or name in _C_KEYWORDS:
        raise ProgramError(f"'{program.name}' is no name in C, as an array has one")
    texts = {slot: text for slot, _, text in _described(program.instructions)}
    kind = "" if program.program_type is None else f", prog_type {program.program_type}"
    lines = [
        "#include <linux/bpf.h>\n",
        f"/* {program.target}{kind}, license {_in_comment(json.dumps(program.license))} */",
        f"static const struct bpf_insn {name}[] = {{",
    ]
    for slot, each in enumerate(program.instructions):
        comment = f"\t/* {texts[slot]} */" if slot in texts else ""
        lines.append(
            f"\t{{ .code = 0x{each.code:02x}, .dst_reg = {each.dst}, .src_reg = {each.src}, "
            f".off = {each.offset}, .imm = {_c_number(each.imm)} }},{comment}"
        )
    return "\n".join((*lines, "};\n"))


def as_json(program: EbpfProgram) -> str:
    """Return a JSON list with an object a slot: code, dst, src, offset, imm, and its text."""
    texts = {slot: text for slot, _, text in _described(program.instructions)}
    objects = (
        json.dumps({**asdict(each), "text": texts.get(slot, "")})
        for slot, each in enumerate(program.instructions)
    )
    return "[\n" + ",\n".join(f"  {text}" for text in objects) + "\n]\n"


def raw(program: EbpfProgram) -> bytes:
    """Return 8 bytes a slot, as the kernel holds them on a little-endian machine."""
    return program.to_bytes()


def elf(program: EbpfProgram) -> bytes:
    """Return an object file; see `pfcompile.ebpf.elf`."""
    from pfcompile.ebpf.elf import write  # noqa: PLC0415 - loads pyelftools

    return write(program)


def _in_comment(text: str) -> str:
    # The second replacement makes no end of a comment: each slash has its blank by then.
    return text.replace("*/", "* /").replace("/*", "/ *")


def _c_number(value: int) -> str:
    # In C, -2147483648 is the negative of a number that does not fit.
    return f"(-{-value - 1} - 1)" if value == -(1 << 31) else str(value)


def _described(program: Sequence[Instruction]) -> Iterator[tuple[int, Instruction, str]]:
    """Yield the slot, the first slot's fields and the text of every instruction."""
    slot = 0
    while slot < len(program):
        row = row_of(program[slot])
        slots = 2 if row is not None and row.kind is Kind.WIDE else 1
        # Alone, an instruction has no labels to name, so that distances are numbers.
        text = disassemble(program[slot : slot + slots]).splitlines()
        yield slot, program[slot], _with_distance(text[0])
        # What has no second slot after all is listed as two.
        slot += slots if len(text) == 1 else 1


def _with_distance(text: str) -> str:
    """Return a statement with `pc` before a distance, and no label."""
    label, separator, statement = text.partition(": ")
    if separator and label == "L0":
        # It jumps to itself, and so had a label after all.
        text = statement.strip().replace("call L0", "call pc-1").replace("L0", "-1")
    return _DISTANCE.sub(r"\1 pc", text.strip())


FORMATS: Final[Mapping[str, Callable[[EbpfProgram], str | bytes]]] = MappingProxyType(
    {"asm": asm, "listing": listing, "c": c, "elf": elf, "raw": raw, "json": as_json}
)
"""The formats by name."""
