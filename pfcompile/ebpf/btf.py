"""BTF, the type information of object files, read and written.

Types are numbered from 1 on, in order; 0 is `void`. Whatever refers to a type does it by number::

    [1] PTR '(anon)' type_id=3
    [2] INT 'int' size=4 ...

Source: Documentation/bpf/btf.rst of Linux; linux/btf.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.ebpf.isa import ByteOrder

MAGIC: Final = 0xEB9F
VERSION: Final = 1
VOID: Final = 0
"""The number of the type that is none."""

STATIC: Final = 0
GLOBAL: Final = 1
"""The linkage of variables and functions: BTF_VAR_*, BTF_FUNC_*."""

SIGNED: Final = 1
"""BTF_INT_SIGNED: the encoding of `int`, beside 0 for unsigned."""


class Kind(IntEnum):
    """The kinds of types: BTF_KIND_*."""

    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


@dataclass(frozen=True, slots=True)
class Row:
    """How a kind is laid out behind the 12 bytes that all have.

    Attributes:
        kind: Which.
        extra: 32-bit numbers that follow.
        members: 32-bit numbers of each member; 0 where there are no members.
        has_names: Whether the first of those is a name.
        has_size: Whether the third number of the 12 bytes is a size, and not a type.
    """

    kind: Kind
    extra: int = 0
    members: int = 0
    has_names: bool = False
    has_size: bool = False


ROWS: Final[Mapping[int, Row]] = MappingProxyType(
    {
        int(row.kind): row
        for row in (
            Row(Kind.INT, extra=1, has_size=True),
            Row(Kind.PTR),
            Row(Kind.ARRAY, extra=3),
            Row(Kind.STRUCT, members=3, has_names=True, has_size=True),
            Row(Kind.UNION, members=3, has_names=True, has_size=True),
            Row(Kind.ENUM, members=2, has_names=True, has_size=True),
            Row(Kind.FWD),
            Row(Kind.TYPEDEF),
            Row(Kind.VOLATILE),
            Row(Kind.CONST),
            Row(Kind.RESTRICT),
            Row(Kind.FUNC),
            Row(Kind.FUNC_PROTO, members=2, has_names=True),
            Row(Kind.VAR, extra=1),
            Row(Kind.DATASEC, members=3, has_size=True),
            Row(Kind.FLOAT, has_size=True),
            Row(Kind.DECL_TAG, extra=1),
            Row(Kind.TYPE_TAG),
            Row(Kind.ENUM64, members=3, has_names=True, has_size=True),
        )
    }
)
"""Every kind."""

_MODIFIERS: Final = frozenset(
    {Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG}
)
_POINTER_BYTES: Final = 8
MAX_NAME: Final = 4096
"""Bytes of a name: types can share one, and so names could take more room than the section."""
_MAX_DEPTH: Final = 32
"""MAX_RESOLVE_DEPTH, kernel/bpf/btf.c: how many types may be told by each other."""


@dataclass(frozen=True, slots=True)
class Member:
    """A part of a type: a field, a parameter, a value of an enumeration, a variable of a section.

    Attributes:
        numbers: What linux/btf.h has for it besides its name, 0 to 2**32 - 1: for a field the
            type and the offset in bits; for a parameter the type; for a variable of a section
            its type's number, offset and size in bytes.
        name: Its name; variables of sections have none here.
    """

    numbers: tuple[int, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Type:
    """A type.

    Attributes:
        kind: Its kind.
        name: Its name, or "".
        value: Its size in bytes, or the number of the type that it refers to; see `Row.has_size`.
        members: Its parts.
        extra: What a kind has besides: of INT the encoding and size in bits, of ARRAY the types
            of element and index and the number of elements, of VAR the linkage.
        linkage: Of FUNC: STATIC, GLOBAL or 2, extern.
        flag: The flag of STRUCT, UNION, FWD, ENUM and ENUM64.
    """

    kind: Kind
    name: str = ""
    value: int = 0
    members: tuple[Member, ...] = ()
    extra: tuple[int, ...] = ()
    linkage: int = 0
    flag: bool = False


@dataclass(frozen=True, slots=True)
class Btf:
    """All types of an object.

    Attributes:
        types: Number 1 and those after it.
    """

    types: tuple[Type, ...]

    def type(self, number: int) -> Type:
        """Return a type by its number.

        Raises:
            ProgramError: There is none; `void` is none.
        """
        if not 1 <= number <= len(self.types):
            raise ProgramError(f"BTF: there is no type {number}")
        return self.types[number - 1]

    def plain(self, number: int) -> Type:
        """Return a type without `const`, `volatile` and the like around it, and without its alias.

        Raises:
            ProgramError: There is none.
        """
        for _ in range(_MAX_DEPTH):
            found = self.type(number)
            if found.kind not in _MODIFIERS:
                return found
            number = found.value
        raise ProgramError(f"BTF: type {number} is told by itself")

    def size(self, number: int) -> int:
        """Return the bytes that a value of a type takes.

        Raises:
            ProgramError: It has no size, as functions have none.
        """
        count = 1
        for _ in range(_MAX_DEPTH):
            found = self.plain(number)
            if ROWS[found.kind].has_size:
                return count * found.value
            if found.kind is Kind.PTR:
                return count * _POINTER_BYTES
            if found.kind is not Kind.ARRAY:
                raise ProgramError(f"BTF: type {number} ({found.kind.name}) has no size")
            number, _, elements = found.extra
            count *= elements
        raise ProgramError(f"BTF: type {number} is told by itself")


_HEADER: Final = "HBBIIIII"
_COMMON: Final = "III"
_KIND_SHIFT: Final = 24
_KIND_MASK: Final = 0x1F
_FLAG: Final = 1 << 31
_MAX_MEMBERS: Final = 0xFFFF
_PREFIX: Final[Mapping[ByteOrder, str]] = MappingProxyType({"little": "<", "big": ">"})


def encode(types: Sequence[Type], byte_order: ByteOrder = "little") -> bytes:
    """Return the section `.BTF` that holds `types`.

    Raises:
        ProgramError: A number does not fit, or a type has more than 65,535 members.
    """
    strings = _Strings()
    prefix = _PREFIX[byte_order]
    try:
        body = b"".join(_encode(each, strings, prefix) for each in types)
        size = struct.calcsize(prefix + _HEADER)
        header = struct.pack(
            prefix + _HEADER, MAGIC, VERSION, 0, size, 0, len(body), len(body), len(strings.data)
        )
    except struct.error as error:
        raise ProgramError(f"BTF: a number does not fit its field: {error}") from None
    return header + body + strings.data


class _Strings:
    """The names, each once; the first is the empty one."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0")
        self._offsets = {"": 0}

    def offset(self, text: str) -> int:
        """Return where a name is."""
        offset = self._offsets.get(text)
        if offset is None:
            offset = self._offsets[text] = len(self.data)
            self.data += text.encode() + b"\0"
        return offset


def _encode(each: Type, strings: _Strings, prefix: str) -> bytes:
    row = ROWS[each.kind]
    count = len(each.members) or each.linkage
    if count > _MAX_MEMBERS:
        raise ProgramError(f"BTF: type '{each.name}' has {count} members, more than {_MAX_MEMBERS}")
    info = each.kind << _KIND_SHIFT | count | (_FLAG if each.flag else 0)
    numbers = [strings.offset(each.name), info, each.value, *each.extra]
    for member in each.members:
        if row.has_names:
            numbers.append(strings.offset(member.name))
        numbers.extend(member.numbers)
    return struct.pack(f"{prefix}{len(numbers)}I", *numbers)


def decode(data: bytes) -> Btf:
    """Return the types in a section `.BTF`, of either byte order.

    Numbers of types are not followed: what refers to a type that is not there is found when it is
    asked for.

    Raises:
        ProgramError: It is no BTF, of another version, damaged, or has a kind that is not known.
    """
    prefix = next(
        (each for each in _PREFIX.values() if data[:2] == struct.pack(each + "H", MAGIC)), None
    )
    if prefix is None:
        raise ProgramError("BTF: it does not begin with the magic number 0xeb9f")
    if len(data) < struct.calcsize(prefix + _HEADER):
        raise ProgramError("BTF: the header is cut short")
    _, version, _, header, type_start, type_bytes, string_start, string_bytes = struct.unpack_from(
        prefix + _HEADER, data
    )
    if version != VERSION:
        raise ProgramError(f"BTF: version {version}; only {VERSION} is known")
    body = _part(data, header + type_start, type_bytes, "types")
    strings = _part(data, header + string_start, string_bytes, "names")
    return Btf(tuple(_Reader(body, strings, prefix).types()))


def _part(data: bytes, start: int, size: int, what: str) -> bytes:
    if start + size > len(data):
        raise ProgramError(f"BTF: the {what} end at byte {start + size} of {len(data)}")
    return data[start : start + size]


class _Reader:
    """The types of a section, one after the other."""

    def __init__(self, body: bytes, strings: bytes, prefix: str) -> None:
        self._body = body
        self._strings = strings
        self._prefix = prefix
        self._offset = 0

    def types(self) -> list[Type]:
        found = []
        while self._offset < len(self._body):
            found.append(self._type())
        return found

    def _numbers(self, count: int) -> tuple[int, ...]:
        end = self._offset + 4 * count
        if end > len(self._body):
            raise ProgramError(f"BTF: the types are cut short at byte {self._offset}")
        numbers: tuple[int, ...] = struct.unpack_from(
            f"{self._prefix}{count}I", self._body, self._offset
        )
        self._offset = end
        return numbers

    def _name(self, offset: int) -> str:
        end = self._strings.find(b"\0", offset, offset + MAX_NAME + 1)
        if offset >= len(self._strings) or end < 0:
            raise ProgramError(f"BTF: there is no name at byte {offset}, or too long a one")
        return self._strings[offset:end].decode("utf-8", "replace")

    def _type(self) -> Type:
        start = self._offset
        name, info, value = self._numbers(struct.calcsize("=" + _COMMON) // 4)
        row = ROWS.get(info >> _KIND_SHIFT & _KIND_MASK)
        if row is None:
            raise ProgramError(f"BTF: unknown kind of type at byte {start}")
        count = info & _MAX_MEMBERS
        extra = self._numbers(row.extra)
        members = []
        if row.members:
            for _ in range(count):
                numbers = self._numbers(row.members)
                named = row.has_names
                members.append(
                    Member(numbers[1:], self._name(numbers[0])) if named else Member(numbers)
                )
        linkage = count if row.kind is Kind.FUNC else 0
        return Type(
            row.kind, self._name(name), value, tuple(members), extra, linkage, bool(info & _FLAG)
        )
