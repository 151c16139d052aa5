"""Read an eBPF program from text, in any of the formats that `listing` writes.

Formats are told apart by how they begin. Object files and bare bytes are no text: see
`pfcompile.ebpf.elf.read` and `pfcompile.ebpf.isa.decode`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.cbpf.notation import fault
from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.isa import Instruction
from pfcompile.errors import ProgramError, Span

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Field(NamedTuple):
    """A field of an instruction: its name here, in C, and what it holds."""

    name: str
    in_c: str
    least: int
    most: int


_FIELDS: Final = (
    _Field("code", "code", 0, 0xFF),
    _Field("dst", "dst_reg", 0, 0xF),
    _Field("src", "src_reg", 0, 0xF),
    _Field("offset", "off", -0x8000, 0x7FFF),
    _Field("imm", "imm", -0x8000_0000, 0xFFFF_FFFF),
)

_C_COMMENT: Final = re.compile(r"/\*.*?\*/|//[^\n]*|^[ \t]*#[^\n]*", re.DOTALL | re.MULTILINE)
_C_START: Final = re.compile(r"\s*(?:\{|(?:\w+\s+)+\w+\s*\[[^]]*\]\s*=)")
_C_DECLARATION: Final = re.compile(r"[^{}=]*=\s*\{")
_C_ENTRY: Final = re.compile(r"\s*\{([^{}]*)\}\s*,?")
_C_END: Final = re.compile(r"\s*(?:\}\s*;?\s*)?")
_C_VALUE: Final = re.compile(
    r"\s*(?:\.(?P<name>\w+)\s*=)?\s*(?P<value>[-+]?(?:0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})"
    r"|BPF_REG_(?P<register>10|[0-9])|\(-2147483647 - 1\))\s*"
)
_JSON_START: Final = re.compile(r"\s*\[")


def parse_program(text: str) -> tuple[Instruction, ...]:
    """Return the program in `text`, which is not checked.

    Args:
        text: A JSON list; an array of `struct bpf_insn` in C, or its bare entries; or assembly in
            either syntax, of which a listing of bpftool is one.

    Raises:
        ProgramError: It is none of these, or has a mistake; draws the place.
    """
    text = text.replace("\r\n", "\n")
    if not text.strip():
        raise ProgramError("the program is empty")
    if _JSON_START.match(text):
        return _read_json(text)
    bare = _C_COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    if _C_START.match(bare):
        return _read_c(text, bare)
    return assemble(text)


def _read_c(text: str, bare: str) -> tuple[Instruction, ...]:
    declaration = _C_DECLARATION.match(bare)
    place = 0 if declaration is None else declaration.end()
    instructions = []
    while (entry := _C_ENTRY.match(bare, place)) is not None:
        instructions.append(_read_entry(text, entry))
        place = entry.end()
    if not instructions or _C_END.fullmatch(bare, place) is None:
        end = len(bare.rstrip())
        span = Span(min(place, end), end)
        raise fault("expected { code, dst_reg, src_reg, off, imm }", text, span)
    return tuple(instructions)


def _read_entry(text: str, entry: re.Match[str]) -> Instruction:
    """Read one initialiser, by place or by name; what is not named is 0, as in C."""
    values: dict[str, int] = {}
    start = entry.start(1)
    parts = entry[1].rstrip().removesuffix(",").split(",")
    for position, part in enumerate(parts):
        span = Span(start, start + len(part))
        start += len(part) + 1
        match = _C_VALUE.fullmatch(part)
        field = _field_of(match, position)
        if match is None or field is None or field.name in values:
            raise fault("expected code, dst_reg, src_reg, off, imm", text, span)
        value = _c_value(match)
        if not field.least <= value <= field.most:
            message = f"{field.in_c} is from {field.least} to {field.most}"
            raise fault(message, text, span)
        values[field.name] = value
    if len(values) < len(_FIELDS) and "." not in entry[1]:
        raise fault("expected five numbers", text, Span(*entry.span(1)))
    return _instruction(values)


def _field_of(match: re.Match[str] | None, position: int) -> _Field | None:
    if match is None:
        return None
    if match["name"] is None:
        return _FIELDS[position] if position < len(_FIELDS) else None
    return next((field for field in _FIELDS if field.in_c == match["name"]), None)


def _c_value(match: re.Match[str]) -> int:
    if match["register"] is not None:
        return int(match["register"])
    written = match["value"]
    return -(1 << 31) if written.startswith("(") else int(written, 16 if "x" in written else 10)


def _read_json(text: str) -> tuple[Instruction, ...]:
    """Read a list of objects; members that are no fields are not looked at."""
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise fault(f"not JSON: {error.msg}", text, Span(error.pos, error.pos)) from None
    except ValueError:
        # Python's own limit on the digits of a number.
        raise ProgramError("the JSON text has a number that is far too long") from None
    except RecursionError:
        raise ProgramError("the JSON text is nested too deeply for a program") from None
    if not entries:
        raise ProgramError("the program is empty")
    return tuple(_from_json(position, entry) for position, entry in enumerate(entries))


def _from_json(position: int, entry: object) -> Instruction:
    if not isinstance(entry, dict):
        raise ProgramError(f"JSON, instruction {position}: not an object")
    values = {}
    for field in _FIELDS:
        value = entry.get(field.name)
        # A bool is an int to Python, but not to whoever wrote the file.
        if (
            not isinstance(value, int)
            or isinstance(value, bool)
            or not field.least <= value <= field.most
        ):
            raise ProgramError(
                f'JSON, instruction {position}: "{field.name}" must be a number from '
                f"{field.least} to {field.most}"
            )
        values[field.name] = value
    return _instruction(values)


def _instruction(values: Mapping[str, int]) -> Instruction:
    imm = values.get("imm", 0)
    signed = (imm & 0xFFFF_FFFF ^ 0x8000_0000) - 0x8000_0000
    return Instruction(**{"code": 0, **values, "imm": signed})
