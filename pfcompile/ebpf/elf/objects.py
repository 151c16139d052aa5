"""Object files as programs and maps."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.elf import sections
from pfcompile.ebpf.elf.definitions import MapDefinition, find_maps
from pfcompile.ebpf.elf.format import read_tables
from pfcompile.ebpf.elf.linking import Function, Linker, find_functions
from pfcompile.ebpf.machine.code import Environment
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.ebpf.elf.format import Tables
    from pfcompile.ebpf.isa import ByteOrder
    from pfcompile.ebpf.maps.vocabulary import Map

MAX_NAME: Final = 15
"""BPF_OBJ_NAME_LEN, linux/bpf.h, without the zero at its end."""
MAIN: Final = "main"
"""The function where a program begins that is not for a kernel, as in C."""
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_.]")


@dataclass(frozen=True, slots=True)
class Entry:
    """A program of an object, before it is linked.

    Attributes:
        name: Its function's name.
        section: Its section's name.
        target: What it is for: "xdp", "tc", "socket" or "user", which is anything else.
        function: Where it is.
    """

    name: str
    section: str
    target: str
    function: Function


@dataclass(frozen=True)
class EbpfObject:
    """An object file.

    Attributes:
        byte_order: Of the machine that it is for.
        license: What it says of itself; "" where it says nothing.
        maps: Its maps; programs tell them by their numbers in here. Variables are in maps, too.
        programs: What can be run, by name.
    """

    byte_order: ByteOrder
    license: str
    maps: tuple[MapDefinition, ...]
    programs: Mapping[str, Entry]
    _linker: Linker = field(repr=False, compare=False)

    def entry(self, name: str | None = None) -> Entry:
        """Return a program by its function's name, or by its section's where that has only one.

        Of several functions in `.text`, one can be meant: `main`, else the only one that no other
        refers to.

        Args:
            name: None where there is only one program.

        Raises:
            ProgramError: There is no such program, or several.
        """
        entries = list(self.programs.values())
        if name is not None:
            if name in self.programs:
                return self.programs[name]
            entries = [entry for entry in entries if entry.section == name]
        if len(entries) > 1 and all(entry.section == sections.TEXT for entry in entries):
            entries = self._meant(entries) or entries
        if len(entries) == 1:
            return entries[0]
        names = ", ".join(f"{entry.name} ({entry.section})" for entry in self.programs.values())
        if not self.programs:
            raise ProgramError("the object has no programs")
        if name is None:
            raise ProgramError(f"the object has several programs, name one of: {names}")
        several = "several programs in" if entries else "no program or section"
        raise ProgramError(f"the object has {several} '{name}'; it has: {names}")

    def _meant(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the functions where a run can be meant to begin."""
        mains = [entry for entry in entries if entry.name == MAIN]
        if mains:
            return mains
        referred_to = self._linker.referred_to()
        return [entry for entry in entries if entry.function.place not in referred_to]

    def program(self, name: str | None = None) -> EbpfProgram:
        """Return a program with all that it calls; see `entry` for its name.

        Raises:
            ProgramError: There is no such program, or it refers to what is not in the object.
        """
        entry = self.entry(name)
        row = sections.find_section(entry.section)
        return EbpfProgram(
            self._linker.link(entry.function),
            entry.target,
            None if row is None else row.program_type,
            0 if row is None else row.flags,
            self.license,
            _NOT_IN_NAMES.sub("_", entry.name)[:MAX_NAME],
        )

    def make_maps(self) -> Mapping[int, Map]:
        """Return new maps, by the numbers that programs tell them by.

        Raises:
            ProgramError: A map is of a kind that machines here have not, or cannot be made.
        """
        return {number: definition.make() for number, definition in enumerate(self.maps)}

    def environment(self) -> Environment:
        """Return what a machine needs to run programs of this object, with new maps.

        Raises:
            ProgramError: A map cannot be made, or the object is for a big-endian machine, which
                the machine here is not.
        """
        if self.byte_order != "little":
            raise ProgramError(
                "the object is for a big-endian machine; here they are little-endian"
            )
        return Environment(HELPERS, maps=self.make_maps())


def read(data: bytes, section: str | None = None) -> EbpfObject:
    """Return the programs and maps of an object file, as clang or `write` make them.

    CO-RE relocations are not done: fields are where they were when the object was compiled.

    Args:
        data: The file.
        section: Look only for programs in this section.

    Raises:
        ProgramError: It is no object for BPF, damaged, or has no such section with programs.
    """
    tables = read_tables(data)
    functions = find_functions(tables)
    maps = find_maps(tables)
    entries = _entries(tables, functions, section)
    if section is not None and not entries:
        raise ProgramError(f"the object has no section '{section}' with programs")
    return EbpfObject(
        tables.byte_order,
        _license(tables),
        maps,
        MappingProxyType(entries),
        Linker(tables, functions, maps),
    )


def _entries(
    tables: Tables, functions: Sequence[Function], section: str | None
) -> dict[str, Entry]:
    """Return what can be run: functions in `.text` are there to be called, unless all are."""
    found = []
    for function in functions:
        name = tables.sections[function.section].name
        row = sections.find_section(name)
        target = "user" if row is None else row.target
        found.append(Entry(function.name, name, target, function))
    if section is not None:
        found = [entry for entry in found if entry.section == section]
    elif any(entry.section != sections.TEXT for entry in found):
        found = [entry for entry in found if entry.section != sections.TEXT]
    seen = [entry for entry in found if not entry.function.is_local]
    return {entry.name: entry for entry in seen or found}


def _license(tables: Tables) -> str:
    section = tables.section(sections.LICENSE)
    if section is None:
        return ""
    return section.data.split(b"\0")[0].decode("utf-8", "replace")
