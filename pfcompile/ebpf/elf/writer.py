"""Object files, as loaders take them: bpftool, `ip link`, `tc`, libbpf.

The sections of an XDP program with a map::

    xdp          the program                       .relxdp   where it refers to maps
    .text        functions that it calls, if any   .rel.text
    license      what it says of itself            .maps     a place for each map
    .BTF         what the maps are                 .symtab, .strtab

Source: System V ABI, chapter 4; libbpf's documentation; found by trying with bpftool and iproute2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from elftools.construct import Container

from pfcompile.ebpf.elf import sections
from pfcompile.ebpf.elf.descriptions import MAP_BYTES, describe
from pfcompile.ebpf.elf.format import EXECUTABLE, layouts
from pfcompile.ebpf.elf.functions import Piece, cut
from pfcompile.ebpf.isa import SLOT_BYTES, encode
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.ebpf.isa import ByteOrder
    from pfcompile.ebpf.maps.vocabulary import MapSpec
    from pfcompile.ebpf.program import EbpfProgram

_WRITABLE: Final = 0x1
_ALLOCATED: Final = 0x2
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER_BYTES: Final = 64
_DEFAULT_VISIBILITY: Final = Container(local=0, visibility="STV_DEFAULT")


@dataclass(slots=True)
class _Section:
    """A section that is being written; its number is its place in the list."""

    name: str
    data: bytes
    kind: str = "SHT_PROGBITS"
    flags: int = 0
    alignment: int = 1
    entry_size: int = 0
    link: int = 0
    info: int = 0


@dataclass(slots=True)
class _Symbol:
    """A symbol that is being written."""

    name: str
    kind: str
    section: int
    value: int = 0
    size: int = 0
    is_local: bool = False


class _Strings:
    """A string table; names follow each other, each ended by a zero."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0")

    def add(self, text: str) -> int:
        if not text:
            return 0
        offset = len(self.data)
        self.data += text.encode() + b"\0"
        return offset


def write(
    program: EbpfProgram,
    maps: Sequence[MapSpec] = (),
    contents: Mapping[int, bytes] | None = None,
    *,
    section: str | None = None,
    byte_order: ByteOrder = "little",
) -> bytes:
    """Return an object file that holds a program.

    Args:
        program: Its functions after the first one go to `.text`; its name is the symbol's.
        maps: The maps that it refers to by number (`map[idx:0]`, `map[fd:0]`), in that order.
        contents: Of the maps that hold variables, what these are at the start, by the map's
            number. Such a map's name must be that of a section: .rodata, .data or .bss.
        section: Where the program goes; None for what loaders expect of its target.
        byte_order: Of the machine that it is for.

    Raises:
        ProgramError: The program is not valid, refers to a map that is not in `maps`, or a name
            is none in C.
    """
    row = sections.section_of(program.target, program.flags)
    return _Writer(byte_order).write(program, maps, contents or {}, section or row.name)


@dataclass(slots=True)
class _Writer:
    """An object that is being put together."""

    byte_order: ByteOrder
    sections: list[_Section] = field(default_factory=lambda: [_Section("", b"", "SHT_NULL")])
    symbols: list[_Symbol] = field(default_factory=lambda: [_Symbol("", "STT_NOTYPE", 0)])

    def write(
        self,
        program: EbpfProgram,
        maps: Sequence[MapSpec],
        contents: Mapping[int, bytes],
        section: str,
    ) -> bytes:
        _check_names(program, maps, contents)
        pieces = cut(program.instructions)
        functions = self._add_functions(program, pieces, section)
        self._add("license", program.license.encode() + b"\0", flags=_WRITABLE | _ALLOCATED)
        places = self._add_maps(maps, contents)
        self._add_relocations(pieces, functions, places)
        described = [spec for number, spec in enumerate(maps) if number not in contents]
        self._add(sections.BTF, describe(program, described, self.byte_order), alignment=4)
        return self._file()

    def _add(self, name: str, data: bytes, **details: Any) -> int:
        self.sections.append(_Section(name, data, **details))
        return len(self.sections) - 1

    def _add_functions(
        self, program: EbpfProgram, pieces: Sequence[Piece], section: str
    ) -> list[_Symbol]:
        """Put the functions into their sections; return their symbols."""
        symbols = []
        numbers: dict[str, int] = {}
        for number, piece in enumerate(pieces):
            name = sections.TEXT if number else section
            code = encode(piece.instructions, self.byte_order)
            if name not in numbers:
                flags = _ALLOCATED | EXECUTABLE
                numbers[name] = self._add(name, b"", flags=flags, alignment=SLOT_BYTES)
            home = self.sections[numbers[name]]
            symbol = _Symbol(
                f"{program.name}_{number}" if number else program.name, "STT_FUNC",
                numbers[name], len(home.data), len(code), is_local=number > 0,
            )  # fmt: skip
            home.data += code
            symbols.append(symbol)
        self.symbols += symbols
        return symbols

    def _add_maps(
        self, maps: Sequence[MapSpec], contents: Mapping[int, bytes]
    ) -> dict[int, _Symbol]:
        """Make places for maps, and sections for variables; return their symbols by number."""
        places: dict[int, _Symbol] = {}
        defined = [number for number in range(len(maps)) if number not in contents]
        if defined:
            data = bytes(MAP_BYTES * len(defined))
            home = self._add(sections.MAPS, data, flags=_WRITABLE | _ALLOCATED, alignment=8)
            for place, number in enumerate(defined):
                places[number] = _Symbol(
                    _map_name(maps[number], number), "STT_OBJECT", home,
                    place * MAP_BYTES, MAP_BYTES,
                )  # fmt: skip
        for number, data in contents.items():
            name = maps[number].name
            is_constant = name.startswith(sections.READ_ONLY_DATA)
            flags = _ALLOCATED if is_constant else _WRITABLE | _ALLOCATED
            kind = "SHT_NOBITS" if _is_zeros(name) else "SHT_PROGBITS"
            home = self._add(name, data, kind=kind, flags=flags, alignment=8)
            places[number] = _Symbol("", "STT_SECTION", home, is_local=True)
        self.symbols += places.values()
        return places

    def _add_relocations(
        self, pieces: Sequence[Piece], functions: list[_Symbol], places: Mapping[int, _Symbol]
    ) -> None:
        self.symbols.sort(key=lambda symbol: bool(symbol.name) and not symbol.is_local)
        found: dict[int, list[bytes]] = {}
        layout = layouts(self.byte_order).Elf_Rel
        for piece, function in zip(pieces, functions, strict=True):
            for reference in piece.references:
                if reference.function is not None:
                    symbol = functions[reference.function]
                elif reference.map is not None and reference.map in places:
                    symbol = places[reference.map]
                else:
                    raise ProgramError(
                        f"the program refers to map {reference.map}, and there are {len(places)}"
                    )
                number = next(n for n, each in enumerate(self.symbols) if each is symbol)
                entry = Container(
                    r_offset=function.value + reference.slot * SLOT_BYTES,
                    r_info=number << 32 | reference.kind,
                    r_info_sym=number,
                    r_info_type=int(reference.kind),
                )
                found.setdefault(function.section, []).append(layout.build(entry))
        for home, entries in found.items():
            self._add(
                f".rel{self.sections[home].name}", b"".join(entries), kind="SHT_REL",
                alignment=8, entry_size=layout.sizeof(), info=home,
            )  # fmt: skip

    def _file(self) -> bytes:
        """Return the file: header, sections, section headers."""
        form = layouts(self.byte_order)
        strings = _Strings()
        symbols = b"".join(form.Elf_Sym.build(_symbol(each, strings)) for each in self.symbols)
        locals_ = sum(each.is_local or not each.name for each in self.symbols)
        table = self._add(
            ".symtab", symbols, kind="SHT_SYMTAB",
            alignment=8, entry_size=form.Elf_Sym.sizeof(), info=locals_,
        )  # fmt: skip
        names = self._add(".strtab", b"", kind="SHT_STRTAB")
        self.sections[table].link = names
        offsets = [strings.add(each.name) for each in self.sections]
        self.sections[names].data = bytes(strings.data)
        body, headers = bytearray(_HEADER_BYTES), []
        for each, name in zip(self.sections, offsets, strict=True):
            if each.kind == "SHT_REL":
                each.link = table
            body += bytes(-len(body) % each.alignment)
            headers.append(form.Elf_Shdr.build(_header(each, name, len(body))))
            body += b"" if each.kind == "SHT_NOBITS" else each.data
        body += bytes(-len(body) % SLOT_BYTES)
        start = form.Elf_Ehdr.build(
            _file_header(self.byte_order, len(body), len(headers), names, form)
        )
        return b"".join((start, body[len(start) :], *headers))


def _check_names(
    program: EbpfProgram, maps: Sequence[MapSpec], contents: Mapping[int, bytes]
) -> None:
    for number, spec in enumerate(maps):
        name = _map_name(spec, number)
        if number in contents and not sections.is_data(name):
            raise ProgramError(f"map {name}: variables are in a section .rodata, .data or .bss")
        if _is_zeros(name) and any(contents.get(number, b"")):
            raise ProgramError(f"map {name}: variables there are zeros at the start")
        if number not in contents and _NAME.fullmatch(name) is None:
            raise ProgramError(f"map {name}: the name is none in C")
    if _NAME.fullmatch(program.name) is None:
        raise ProgramError(f"'{program.name}' is no name in C, as a program in an object has one")
    if len({_map_name(spec, number) for number, spec in enumerate(maps)}) < len(maps):
        raise ProgramError("two maps have the same name")


def _is_zeros(name: str) -> bool:
    """Tell whether a section's variables are zeros, which the file does not hold."""
    return name.split(".")[1:2] == ["bss"]


def _map_name(spec: MapSpec, number: int) -> str:
    return spec.name or f"map{number}"


def _symbol(symbol: _Symbol, strings: _Strings) -> Container:
    is_local = symbol.is_local or not symbol.name
    return Container(
        st_name=strings.add(symbol.name),
        st_info=Container(bind="STB_LOCAL" if is_local else "STB_GLOBAL", type=symbol.kind),
        st_other=_DEFAULT_VISIBILITY,
        st_shndx=symbol.section,
        st_value=symbol.value,
        st_size=symbol.size,
    )


def _header(section: _Section, name: int, offset: int) -> Container:
    is_null = section.kind == "SHT_NULL"
    return Container(
        sh_name=name,
        sh_type=section.kind,
        sh_flags=section.flags,
        sh_addr=0,
        sh_offset=0 if is_null else offset,
        sh_size=len(section.data),
        sh_link=section.link,
        sh_info=section.info,
        sh_addralign=0 if is_null else section.alignment,
        sh_entsize=section.entry_size,
    )


def _file_header(
    byte_order: ByteOrder, headers_at: int, count: int, names: int, form: Any
) -> Container:
    return Container(
        e_ident=Container(
            EI_MAG=list(b"\x7fELF"),
            EI_CLASS="ELFCLASS64",
            EI_DATA="ELFDATA2LSB" if byte_order == "little" else "ELFDATA2MSB",
            EI_VERSION="EV_CURRENT",
            EI_OSABI="ELFOSABI_SYSV",
            EI_ABIVERSION=0,
        ),
        e_type="ET_REL",
        e_machine="EM_BPF",
        e_version="EV_CURRENT",
        e_entry=0,
        e_phoff=0,
        e_shoff=headers_at,
        e_flags=0,
        e_ehsize=_HEADER_BYTES,
        e_phentsize=0,
        e_phnum=0,
        e_shentsize=form.Elf_Shdr.sizeof(),
        e_shnum=count,
        e_shstrndx=names,
    )
