"""The tables of an ELF file: sections, symbols, relocations. The one door of pyelftools.

pyelftools knows how headers and entries are laid out, and both reading and writing use that. Its
classes for whole files are not used to read: they trust counts and sizes in a file, and a damaged
one can make them run for very long.

Source: System V ABI, chapters 4 (Object Files); the relocations of BPF in
Documentation/bpf/llvm_reloc.rst of Linux.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from elftools.common.exceptions import ELFError
from elftools.common.utils import struct_parse
from elftools.construct import ConstructError
from elftools.elf.structs import ELFStructs

from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.ebpf.isa import ByteOrder

MAGIC: Final = b"\x7fELF"
EXECUTABLE: Final = 0x4
"""SHF_EXECINSTR."""
_COMPRESSED: Final = 0x800
"""SHF_COMPRESSED."""
UNDEFINED: Final = 0
"""SHN_UNDEF."""
_MAX_BYTES: Final = 1 << 28
MAX_NAME: Final = 4096
"""Bytes of a name: symbols can share one, and so names could take more room than the file."""
_BYTE_ORDERS: Final[Mapping[int, ByteOrder]] = {1: "little", 2: "big"}
_CLASS_64: Final = 2
_IDENTIFICATION_BYTES: Final = 16


class Relocation(IntEnum):
    """The kinds of relocations that instructions have."""

    WIDE = 1
    """R_BPF_64_64: a 64-bit immediate load of a map, a variable or a function."""
    CALL = 10
    """R_BPF_64_32: a call of a function."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section.

    Attributes:
        index: Its number.
        name: Its name.
        kind: SHT_PROGBITS and so on, or the number of a kind that pyelftools has no name for.
        flags: SHF_*.
        size: Bytes; those of SHT_NOBITS are zeros that the file does not hold.
        data: What the file holds.
        link: The section that it refers to.
        info: The other one.
    """

    index: int
    name: str
    kind: str | int
    flags: int
    size: int
    data: bytes
    link: int
    info: int

    @property
    def is_code(self) -> bool:
        """Whether it holds instructions."""
        return self.kind == "SHT_PROGBITS" and bool(self.flags & EXECUTABLE)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol.

    Attributes:
        name: Its name; "" for one that stands for a section.
        kind: STT_FUNC and so on.
        is_local: Whether no other object sees it.
        section: The number of its section, 0 where it is not defined here, or a number that
            stands for something else, at least 0xFF00.
        value: Bytes into its section.
        size: Bytes; 0 where nobody said.
    """

    name: str
    kind: str | int
    is_local: bool
    section: int
    value: int
    size: int


@dataclass(frozen=True, slots=True)
class Place:
    """A relocation: what is to be put where.

    Attributes:
        offset: Bytes into the section that it is for.
        kind: A `Relocation`, or another number.
        symbol: What it refers to.
    """

    offset: int
    kind: int
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class Tables:
    """All that an object says of itself.

    Attributes:
        byte_order: Of its machine.
        sections: By number; number 0 is none.
        symbols: By number.
        relocations: By the number of the section that they are for.
    """

    byte_order: ByteOrder
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: Mapping[int, tuple[Place, ...]]

    def section(self, name: str) -> Section | None:
        """Return the first section of a name."""
        return next((each for each in self.sections if each.name == name), None)


@cache
def layouts(byte_order: ByteOrder) -> Any:
    """Return pyelftools' layouts of 64-bit headers and entries."""
    structs = ELFStructs(little_endian=byte_order == "little", elfclass=64)
    structs.create_basic_structs()
    structs.create_advanced_structs(e_machine="EM_BPF")
    return structs


def read_tables(data: bytes) -> Tables:
    """Return the tables of an object for BPF.

    Raises:
        ProgramError: It is no such object, or damaged; says where.
    """
    byte_order = _byte_order(data)
    reader = _Reader(data, byte_order)
    try:
        header = reader.parse("Elf_Ehdr", 0, "the header")
        if header.e_type != "ET_REL":
            raise ProgramError("ELF: it is not a relocatable object")
        if header.e_machine != "EM_BPF":
            raise ProgramError(f"ELF: it is for another machine ({header.e_machine}), not for BPF")
        sections = reader.sections(header)
        symbols = reader.symbols(sections)
        relocations = {
            section.info: reader.relocations(section, symbols)
            for section in sections
            if section.kind in {"SHT_REL", "SHT_RELA"} and reader.is_for_code(section, sections)
        }
    except (ELFError, ConstructError) as error:
        raise ProgramError(f"ELF: the file is damaged: {error}") from None
    return Tables(byte_order, sections, symbols, relocations)


def _byte_order(data: bytes) -> ByteOrder:
    if not data.startswith(MAGIC):
        raise ProgramError("ELF: it does not begin with 7F 45 4C 46")
    if len(data) > _MAX_BYTES:
        raise ProgramError(f"ELF: it has {len(data)} bytes, more than {_MAX_BYTES}")
    if len(data) < _IDENTIFICATION_BYTES:
        raise ProgramError("ELF: the header is cut short")
    byte_order = _BYTE_ORDERS.get(data[5])
    if data[4] != _CLASS_64 or byte_order is None:
        raise ProgramError("ELF: it is not a 64-bit object, as those for BPF are")
    return byte_order


_NOT_HELD: Final = frozenset({"SHT_NULL", "SHT_NOBITS"})
"""Kinds of sections that take no room in a file."""


class _Reader:
    """Reads entries out of a file, and none past its end."""

    def __init__(self, data: bytes, byte_order: ByteOrder) -> None:
        self._data = data
        self._stream = io.BytesIO(data)
        self._layouts = layouts(byte_order)

    def parse(self, layout: str, offset: int, what: str) -> Any:
        form = getattr(self._layouts, layout)
        if offset + form.sizeof() > len(self._data):
            raise ProgramError(f"ELF: {what} at byte {offset} runs over the end of the file")
        return struct_parse(form, self._stream, offset)

    def sections(self, header: Any) -> tuple[Section, ...]:
        count, size = header.e_shnum, self._layouts.Elf_Shdr.sizeof()
        if header.e_shentsize != size:
            raise ProgramError(f"ELF: section headers have {header.e_shentsize} bytes, not {size}")
        entries = [
            self.parse(
                "Elf_Shdr", header.e_shoff + number * size, f"the header of section {number}"
            )
            for number in range(count)
        ]
        if not header.e_shstrndx < count:
            raise ProgramError(f"ELF: there is no section {header.e_shstrndx} with names")
        held = [each for each in entries if each.sh_type not in _NOT_HELD]
        # Sections do not overlap; where they do, a small file could take up all memory.
        if sum(each.sh_size for each in held) > len(self._data):
            raise ProgramError("ELF: the sections hold more than the file")
        names = self._contents(header.e_shstrndx, entries[header.e_shstrndx])
        return tuple(
            Section(
                number,
                _string(names, entry.sh_name, f"section {number}"),
                entry.sh_type,
                entry.sh_flags,
                entry.sh_size,
                self._contents(number, entry),
                entry.sh_link,
                entry.sh_info,
            )
            for number, entry in enumerate(entries)
        )

    def _contents(self, number: int, entry: Any) -> bytes:
        if entry.sh_type in _NOT_HELD:
            return b""
        if entry.sh_flags & _COMPRESSED:
            raise ProgramError(f"ELF: section {number} is compressed")
        start, end = entry.sh_offset, entry.sh_offset + entry.sh_size
        if end > len(self._data):
            raise ProgramError(f"ELF: section {number} runs over the end of the file")
        return self._data[start:end]

    def _entries(self, layout: str, section: Section) -> list[Any]:
        """Return the entries of a table that a section is."""
        form = getattr(self._layouts, layout)
        size = form.sizeof()
        if len(section.data) % size:
            raise ProgramError(f"ELF: section {section.name} is no table of {size}-byte entries")
        stream = io.BytesIO(section.data)
        return [struct_parse(form, stream, at) for at in range(0, len(section.data), size)]

    def symbols(self, sections: tuple[Section, ...]) -> tuple[Symbol, ...]:
        table = next((each for each in sections if each.kind == "SHT_SYMTAB"), None)
        if table is None:
            return ()
        if not table.link < len(sections):
            raise ProgramError(f"ELF: there is no section {table.link} with names of symbols")
        names = sections[table.link].data
        return tuple(
            Symbol(
                _string(names, entry.st_name, f"symbol {number}"),
                entry.st_info.type,
                entry.st_info.bind == "STB_LOCAL",
                _section_number(entry.st_shndx),
                entry.st_value,
                entry.st_size,
            )
            for number, entry in enumerate(self._entries("Elf_Sym", table))
        )

    def is_for_code(self, section: Section, sections: tuple[Section, ...]) -> bool:
        if not section.info < len(sections):
            raise ProgramError(
                f"ELF: {section.name} is for section {section.info}, and there is none"
            )
        return sections[section.info].is_code

    def relocations(self, section: Section, symbols: tuple[Symbol, ...]) -> tuple[Place, ...]:
        if section.kind != "SHT_REL":
            raise ProgramError(f"ELF: {section.name}: relocations with addends are not for BPF")
        places = []
        for entry in self._entries("Elf_Rel", section):
            if not entry.r_info_sym < len(symbols):
                raise ProgramError(f"ELF: {section.name}: there is no symbol {entry.r_info_sym}")
            places.append(Place(entry.r_offset, entry.r_info_type, symbols[entry.r_info_sym]))
        return tuple(places)


_SPECIAL_SECTIONS: Final[Mapping[str, int]] = {
    "SHN_UNDEF": UNDEFINED,
    "SHN_ABS": 0xFFF1,
    "SHN_COMMON": 0xFFF2,
}
_RESERVED: Final = 0xFF00


def _section_number(given: str | int) -> int:
    """Return a number for what pyelftools may give a name."""
    return given if isinstance(given, int) else _SPECIAL_SECTIONS.get(given, _RESERVED)


def _string(strings: bytes, offset: int, what: str) -> str:
    end = strings.find(b"\0", offset, offset + MAX_NAME + 1)
    if end < 0:
        raise ProgramError(
            f"ELF: the name of {what} is not there, or has more than {MAX_NAME} bytes"
        )
    return strings[offset:end].decode("utf-8", "replace")
