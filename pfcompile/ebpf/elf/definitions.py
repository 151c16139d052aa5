"""The maps of an object: those that it defines, and one for each section of variables.

Definitions are types in BTF. A number is the length of an array that a member points to, and a
type is the one that a member points to, as the macros of libbpf make them::

    struct { int (*type)[1]; int (*max_entries)[64]; unsigned *key; long *value; } seen;

Source: libbpf's documentation; `struct bpf_map_def` for the older way, numbers in a section `maps`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf import btf
from pfcompile.ebpf.elf import sections
from pfcompile.ebpf.maps.kinds import PAGE_BYTES, create
from pfcompile.ebpf.maps.vocabulary import MapFlag, MapSpec, MapType
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pfcompile.ebpf.elf.format import Section, Symbol, Tables
    from pfcompile.ebpf.maps.vocabulary import Map

MAX_DATA_BYTES: Final = 1 << 26
"""Of all variables: zeros take no room in a file, and so could be any number."""


@dataclass(frozen=True, slots=True)
class MapDefinition:
    """A map as an object defines it.

    Attributes:
        name: Its name; of variables, that of their section.
        type: BPF_MAP_TYPE_*, known here or not.
        key_size: Bytes of a key.
        value_size: Bytes of a value.
        max_entries: How many it holds; of a ring buffer, its bytes.
        flags: BPF_F_*.
        section: The number of its section.
        offset: Where in its section it is, in bytes.
        contents: What variables are at the start; None for other maps, which are empty.
    """

    name: str
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    section: int
    offset: int = 0
    contents: bytes | None = None

    def spec(self) -> MapSpec:
        """Return what a map of machines here is made from.

        Raises:
            ProgramError: They have no such kind of map.
        """
        try:
            kind = MapType(self.type)
        except ValueError:
            raise ProgramError(
                f"map {self.name}: maps of type {self.type} are not known here"
            ) from None
        entries = self.max_entries
        # As libbpf does: events for every CPU, of which there is one here; rings of whole pages.
        if kind is MapType.PERF_EVENT_ARRAY and entries == 0:
            entries = 1
        if kind is MapType.RINGBUF and entries:
            entries = max(PAGE_BYTES, 1 << (entries - 1).bit_length())
        return MapSpec(
            kind, self.key_size, self.value_size, entries, MapFlag(self.flags), self.name
        )

    def make(self) -> Map:
        """Return a new map, with what variables are at the start.

        Raises:
            ProgramError: There is no such kind of map here, or the kernel would not make it.
        """
        made = create(self.spec())
        if self.contents is not None:
            made.update(bytes(4), self.contents)
        return made


def find_maps(tables: Tables) -> tuple[MapDefinition, ...]:
    """Return the maps of an object, in the order in which programs number them.

    Raises:
        ProgramError: A definition is damaged, or is not in BTF.
    """
    return (*_defined(tables), *_defined_long_ago(tables), *_data(tables))


def _symbols_of(tables: Tables, section: Section) -> list[Symbol]:
    """Return the symbols in a section that have names, by where they are."""
    named = [
        symbol
        for symbol in tables.symbols
        if symbol.section == section.index
        and symbol.kind in {"STT_OBJECT", "STT_NOTYPE"}
        and symbol.name
    ]
    return sorted(named, key=lambda symbol: symbol.value)


def _defined(tables: Tables) -> Iterator[MapDefinition]:
    section = tables.section(sections.MAPS)
    if section is None or not section.size:
        return
    types = tables.section(sections.BTF)
    if types is None:
        raise ProgramError(
            f"ELF: there is no section {sections.BTF} to say what {sections.MAPS} is"
        )
    info = btf.decode(types.data)
    variables = {each.name: each for each in info.types if each.kind is btf.Kind.VAR}
    for symbol in _symbols_of(tables, section):
        variable = variables.get(symbol.name)
        if variable is None:
            raise ProgramError(f"BTF: there is no variable for the map {symbol.name}")
        yield _definition(info, variable, symbol)


_NUMBERS: Final = {
    "type": "type",
    "key_size": "key_size",
    "value_size": "value_size",
    "max_entries": "max_entries",
    "map_flags": "flags",
}
"""Members whose numbers matter here, and what they are in `MapDefinition`, in its order."""
_TYPES: Final = {"key": "key_size", "value": "value_size"}
"""Members whose types matter, for the size."""
_PASSED_OVER: Final = frozenset({"pinning", "numa_node", "map_extra"})
"""What says how a kernel is to keep a map. Any other member is refused, such as `values`."""


def _definition(info: btf.Btf, variable: btf.Type, symbol: Symbol) -> MapDefinition:
    name = variable.name
    shape = info.plain(variable.value)
    if shape.kind is not btf.Kind.STRUCT:
        raise ProgramError(f"map {name}: its definition is no struct")
    found: dict[str, int] = {}
    for member in shape.members:
        pointer = info.plain(member.numbers[0])
        if member.name in _PASSED_OVER:
            continue
        field = _NUMBERS.get(member.name) or _TYPES.get(member.name)
        if field is None:
            raise ProgramError(f"map {name}: '{member.name}' in its definition is not known here")
        if pointer.kind is not btf.Kind.PTR:
            raise ProgramError(f"map {name}: '{member.name}' in its definition is no pointer")
        if member.name in _TYPES:
            value = info.size(pointer.value)
        else:
            value = _length(info, pointer.value, name)
        if found.setdefault(field, value) != value:
            raise ProgramError(f"map {name}: {field} is {found[field]}, and also {value}")
    if "type" not in found:
        raise ProgramError(f"map {name}: its definition has no type")
    return _numbered([found.get(field, 0) for field in _NUMBERS.values()], symbol)


def _numbered(numbers: Sequence[int], symbol: Symbol) -> MapDefinition:
    """Return the definition that a symbol names, made of its numbers."""
    kind, key_size, value_size, entries, flags = numbers
    return MapDefinition(
        symbol.name, kind, key_size, value_size, entries, flags, symbol.section, symbol.value
    )


def _length(info: btf.Btf, number: int, name: str) -> int:
    array = info.plain(number)
    if array.kind is not btf.Kind.ARRAY:
        raise ProgramError(f"map {name}: a number in its definition is not told by an array")
    return array.extra[2]


_LEGACY: Final[Mapping[str, struct.Struct]] = {
    "little": struct.Struct("<5I"),
    "big": struct.Struct(">5I"),
}


def _defined_long_ago(tables: Tables) -> Iterator[MapDefinition]:
    section = tables.section(sections.LEGACY_MAPS)
    if section is None:
        return
    layout = _LEGACY[tables.byte_order]
    for symbol in _symbols_of(tables, section):
        if symbol.value + layout.size > len(section.data):
            raise ProgramError(f"map {symbol.name}: its definition is cut short")
        numbers = layout.unpack_from(section.data, symbol.value)
        yield _numbered(numbers, symbol)


def _data(tables: Tables) -> Iterator[MapDefinition]:
    found = [
        section
        for section in tables.sections
        if sections.is_data(section.name) and section.size and not section.is_code
    ]
    if sum(section.size for section in found) > MAX_DATA_BYTES:
        raise ProgramError(f"ELF: the variables have more than {MAX_DATA_BYTES} bytes")
    for section in found:
        variables = MapDefinition(
            section.name, MapType.ARRAY, 4, section.size, 1, 0, section.index,
            contents=section.data.ljust(section.size, b"\0"),
        )  # fmt: skip
        is_constant = section.name.startswith(sections.READ_ONLY_DATA)
        yield replace(variables, flags=MapFlag.RDONLY_PROG) if is_constant else variables
