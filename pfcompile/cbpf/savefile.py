"""The cBPF savefile: a program in a file, with where it came from.

**Draft.** This is revision 8 (July 2026) of a format that libpcap is working on; it may still
change, and files written today may not be readable later. All integers are big-endian, strings
have no terminator::

    0   4   magic A1 B2 C3 CB             12  4   snapshot length
    4   4   "cBPF"                        16  2   link type
    8   1   major version, 1              18  2   number of instructions n, 1 or more
    9   1   minor version, 1              20  8n  instructions: code u16, jt u8, jf u8, k u32
    10  2   dialect flags                 ...     entries: type u16, length u16, value
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import ROW_OF, Class, Instruction
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC: Final = b"\xa1\xb2\xc3\xcbcBPF"
MAJOR_VERSION: Final = 1
MINOR_VERSION: Final = 1

_HEADER: Final = struct.Struct(">8sBBHIHH")
_INSTRUCTION: Final = struct.Struct(">HBBI")
_ENTRY: Final = struct.Struct(">HH")
_NETMASK: Final = struct.Struct(">I")
_TIME: Final = struct.Struct(">Q")
_MAX_ENTRY: Final = 0xFFFF


class Dialect(IntFlag):
    """Which instructions a program's dialect allows beyond those of 1993; other bits reserved."""

    MOD = 1
    XOR = 2
    COP = 4
    COPX = 8
    RND = 16


class _EntryType(IntEnum):
    END = 0
    LINK_TYPE_NAME = 1
    EXPRESSION = 2
    OPTIMIZE = 3
    NETMASK = 4
    COMMENT = 5
    COMPILED_AT = 6


@dataclass(frozen=True, slots=True)
class Savefile:
    """What a savefile holds; None stands for an entry that is not there.

    Attributes:
        instructions: 1 to 65535, the last a `ret`.
        snaplen: What the program was compiled to return, 0 to 2**32 - 1.
        link_type: LINKTYPE_ value, 0 to 65535.
        dialect: The instruction set; Linux and libpcap have `mod` and `xor`.
        link_type_name: Its name, in ASCII.
        expression: The filter expression, in ASCII.
        optimize: Whether optimisation was asked for.
        netmask: IPv4 netmask as a number, 0 to 2**32 - 1.
        comment: Any text.
        compiled_at: Seconds since 1970, 0 to 2**64 - 1.
    """

    instructions: tuple[Instruction, ...]
    snaplen: int
    link_type: int
    dialect: Dialect = Dialect.MOD | Dialect.XOR
    link_type_name: str | None = None
    expression: str | None = None
    optimize: bool | None = None
    netmask: int | None = None
    comment: str | None = None
    compiled_at: int | None = None


def write(contents: Savefile) -> bytes:
    """Return the file's bytes, entries in the order of their types and then an end entry.

    Raises:
        ProgramError: Something does not fit: a number out of its range, a text too long or not
            ASCII where it must be, or a program that is empty or does not end in `ret`.
    """
    instructions = contents.instructions
    _require_ret(instructions)
    try:
        header = _HEADER.pack(
            MAGIC,
            MAJOR_VERSION,
            MINOR_VERSION,
            contents.dialect,
            contents.snaplen,
            contents.link_type,
            len(instructions),
        )
        body = b"".join(_INSTRUCTION.pack(*instruction) for instruction in instructions)
        entries = _entries(contents)
    except struct.error as error:
        raise ProgramError(f"a number does not fit its field in a savefile: {error}") from None
    return b"".join([header, body, *(_entry(kind, value) for kind, value in entries.items())])


def read(data: bytes) -> Savefile:
    """Return what a savefile holds. Entries of unknown types are skipped.

    Raises:
        ProgramError: `data` is not a savefile, has another major version, is cut short, or
            contradicts the format; says at which byte where that helps.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise ProgramError("not a cBPF savefile: it does not begin with A1 B2 C3 CB and cBPF")
    _require(data, 0, _HEADER.size, "the header")
    _, major, _, flags, snaplen, link_type, count = _HEADER.unpack_from(data)
    if major != MAJOR_VERSION:
        raise ProgramError(f"the savefile has major version {major}; only {MAJOR_VERSION} is known")
    end = _HEADER.size + count * _INSTRUCTION.size
    _require(data, _HEADER.size, end, f"the {count} instructions")
    raw = _INSTRUCTION.iter_unpack(data[_HEADER.size : end])
    instructions = tuple(Instruction(*fields) for fields in raw)
    _require_ret(instructions)
    values = _read_entries(data, end)
    return Savefile(
        instructions,
        snaplen,
        link_type,
        Dialect(flags),
        _text(values, _EntryType.LINK_TYPE_NAME, "ascii"),
        _text(values, _EntryType.EXPRESSION, "ascii"),
        _truth(values, _EntryType.OPTIMIZE),
        _number(values, _EntryType.NETMASK, _NETMASK),
        _text(values, _EntryType.COMMENT, "utf-8"),
        _number(values, _EntryType.COMPILED_AT, _TIME),
    )


def _require_ret(instructions: tuple[Instruction, ...]) -> None:
    if not instructions:
        raise ProgramError("a savefile holds at least one instruction")
    row = ROW_OF.get(instructions[-1].code)
    if row is None or row.instruction_class is not Class.RET:
        raise ProgramError("the last instruction of a savefile must be ret")


def _require(data: bytes, start: int, end: int, what: str) -> None:
    """Refuse a file that ends before `end`, where `what` from `start` on would be whole."""
    if len(data) < end:
        raise ProgramError(
            f"the savefile is cut short: {what} from byte {start} should end at byte {end}, "
            f"and the file has {len(data)}"
        )


def _entries(contents: Savefile) -> dict[_EntryType, bytes]:
    """Return the values of the entries that `contents` has, the end entry last.

    Raises:
        struct.error: A number is out of its range.
    """
    values = {
        _EntryType.LINK_TYPE_NAME: _encoded("link type's name", contents.link_type_name, "ascii"),
        _EntryType.EXPRESSION: _encoded("expression", contents.expression, "ascii"),
        _EntryType.OPTIMIZE: None if contents.optimize is None else bytes([contents.optimize]),
        _EntryType.NETMASK: None if contents.netmask is None else _NETMASK.pack(contents.netmask),
        _EntryType.COMMENT: _encoded("comment", contents.comment, "utf-8"),
        _EntryType.COMPILED_AT: (
            None if contents.compiled_at is None else _TIME.pack(contents.compiled_at)
        ),
    }
    present = {kind: value for kind, value in values.items() if value is not None}
    return present | {_EntryType.END: b""}


def _encoded(what: str, text: str | None, encoding: str) -> bytes | None:
    if text is None:
        return None
    try:
        value = text.encode(encoding)
    except UnicodeEncodeError as error:
        raise ProgramError(
            f"the {what} has {text[error.start]!r}, which a savefile cannot hold there"
        ) from None
    if len(value) > _MAX_ENTRY:
        raise ProgramError(f"the {what} has {len(value)} bytes; a savefile holds {_MAX_ENTRY}")
    return value


def _entry(kind: _EntryType, value: bytes) -> bytes:
    return _ENTRY.pack(kind, len(value)) + value


def _read_entries(data: bytes, offset: int) -> dict[int, bytes]:
    """Return the values of all entries from `offset` on by their types, known or not."""
    values: dict[int, bytes] = {}
    while offset < len(data):
        start, value_start = offset, offset + _ENTRY.size
        _require(data, start, value_start, "an entry's head")
        kind, length = _ENTRY.unpack_from(data, start)
        offset = value_start + length
        _require(data, start, offset, f"an entry of type {kind}")
        if kind in values:
            raise ProgramError(f"savefile, byte {start}: a second entry of type {kind}")
        values[kind] = data[value_start:offset]
        if kind == _EntryType.END:
            if length or offset < len(data):
                raise ProgramError(f"savefile, byte {start}: something follows the end")
            break
    return values


def _text(values: Mapping[int, bytes], kind: _EntryType, encoding: str) -> str | None:
    if (value := values.get(kind)) is None:
        return None
    try:
        return value.decode(encoding)
    except UnicodeDecodeError:
        raise ProgramError(f"savefile: the entry of type {kind} is not {encoding} text") from None


def _truth(values: Mapping[int, bytes], kind: _EntryType) -> bool | None:
    if (value := values.get(kind)) is None:
        return None
    if value not in {b"\0", b"\1"}:
        raise ProgramError(f"savefile: the entry of type {kind} must be one byte, 0 or 1")
    return value == b"\1"


def _number(values: Mapping[int, bytes], kind: _EntryType, form: struct.Struct) -> int | None:
    if (value := values.get(kind)) is None:
        return None
    if len(value) != form.size:
        raise ProgramError(
            f"savefile: the entry of type {kind} has {len(value)} bytes, not {form.size}"
        )
    number: int = form.unpack(value)[0]
    return number
