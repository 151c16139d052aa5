"""A program made of an object's functions: calls and references put right.

The function that was asked for comes first, then all that it calls, each once. Calls get their
distances; maps and variables are told by the map's number in the object (`map[idx:0]`).

Source: Documentation/bpf/llvm_reloc.rst of Linux; RFC 9669, sections 4.3.2 and 5.4.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.elf.format import UNDEFINED, Relocation
from pfcompile.ebpf.isa import (
    MAX_INSTRUCTIONS,
    SLOT_BYTES,
    Callee,
    Instruction,
    Kind,
    Wide,
    decode,
    row_of,
)
from pfcompile.ebpf.structure import target_of
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pfcompile.ebpf.elf.definitions import MapDefinition
    from pfcompile.ebpf.elf.format import Place, Section, Symbol, Tables
    from pfcompile.ebpf.isa import Row

_WORD: Final = 1 << 32
_HALF_WORD: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class Function:
    """A function in an object.

    Attributes:
        name: Its name, or that of its section, where that has no symbols.
        section: The number of its section.
        start: The slot in its section where it begins.
        end: The slot behind its last.
        is_local: Whether no other object sees it.
    """

    name: str
    section: int
    start: int
    end: int
    is_local: bool = False

    @property
    def place(self) -> tuple[int, int]:
        """Return its section and its first slot; a function with two names has only one."""
        return self.section, self.start


def find_functions(tables: Tables) -> tuple[Function, ...]:
    """Return the functions of an object, by section and place.

    A section of code without symbols is one function.

    Raises:
        ProgramError: A function is not inside its section, or not made of whole slots.
    """
    found: list[Function] = []
    for section in tables.sections:
        if section.is_code and section.size:
            found.extend(_functions_of(tables, section))
    return tuple(found)


def _functions_of(tables: Tables, section: Section) -> Iterator[Function]:
    if section.size % SLOT_BYTES:
        raise ProgramError(f"ELF: {section.name} has {section.size} bytes, not whole instructions")
    symbols = [
        symbol
        for symbol in tables.symbols
        if symbol.section == section.index and symbol.kind == "STT_FUNC"
    ]
    if not symbols:
        yield Function(section.name, section.index, 0, section.size // SLOT_BYTES)
        return
    starts = sorted({symbol.value for symbol in symbols})
    for symbol in sorted(symbols, key=lambda symbol: symbol.value):
        following = bisect_right(starts, symbol.value)
        # Assemblers leave the size out unless they are told.
        until = starts[following] if following < len(starts) else section.size
        end = symbol.value + symbol.size if symbol.size else until
        if symbol.value % SLOT_BYTES or end % SLOT_BYTES or not symbol.value < end <= section.size:
            raise ProgramError(
                f"ELF: function {symbol.name} from byte {symbol.value} to {end} of {section.name} "
                f"is not inside its {section.size} bytes, in whole instructions"
            )
        yield Function(
            symbol.name,
            section.index,
            symbol.value // SLOT_BYTES,
            end // SLOT_BYTES,
            symbol.is_local,
        )


class Linker:
    """Makes programs of an object's functions.

    Args:
        tables: The object.
        functions: All of its functions.
        maps: All of its maps, in the order of their numbers.
    """

    def __init__(
        self, tables: Tables, functions: Sequence[Function], maps: Sequence[MapDefinition]
    ) -> None:
        self._tables = tables
        self._functions = {each.place: each for each in functions}
        self._maps = {(each.section, each.offset): number for number, each in enumerate(maps)}
        self._data = {
            each.section: number for number, each in enumerate(maps) if each.contents is not None
        }

    def link(self, entry: Function) -> tuple[Instruction, ...]:
        """Return the program that begins with a function.

        Raises:
            ProgramError: It refers to something that is not in the object, or not as programs for
                BPF do; or the program is too long.
        """
        program: list[Instruction] = []
        starts: dict[Function, int] = {}
        references: list[tuple[int, Function]] = []
        waiting = [entry]
        while waiting:
            function = waiting.pop(0)
            if function in starts:
                continue
            starts[function] = len(program)
            body = _Body(self, function, self._tables)
            references += [(len(program) + slot, callee) for slot, callee in body.references]
            waiting += [callee for _, callee in body.references]
            program += body.instructions
            if len(program) > MAX_INSTRUCTIONS:
                raise ProgramError(
                    f"{entry.name} and what it calls have more than {MAX_INSTRUCTIONS} instructions"
                )
        for slot, callee in references:
            program[slot] = replace(program[slot], imm=starts[callee] - slot - 1)
        return tuple(program)

    def referred_to(self) -> frozenset[tuple[int, int]]:
        """Return the places of functions that another function calls or takes the address of.

        Raises:
            ProgramError: As of `link`.
        """
        return frozenset(
            callee.place
            for function in self._functions.values()
            for _, callee in _Body(self, function, self._tables).references
            if callee != function
        )

    def function_at(self, section: int, slot: int) -> Function | None:
        """Return the function that begins at a slot of a section."""
        return self._functions.get((section, slot))

    def map_at(self, section: int, offset: int) -> int | None:
        """Return the number of the map that is defined at a byte of a section."""
        return self._maps.get((section, offset))

    def variables_of(self, section: int) -> int | None:
        """Return the number of the map that holds a section's variables."""
        return self._data.get(section)


class _Body:
    """One function's instructions, and the functions that they refer to by their slots in it."""

    def __init__(self, linker: Linker, function: Function, tables: Tables) -> None:
        self._linker = linker
        self._function = function
        self._tables = tables
        self._section = tables.sections[function.section]
        start, end = function.start * SLOT_BYTES, function.end * SLOT_BYTES
        self.instructions = list(decode(self._section.data[start:end], tables.byte_order))
        self.references: list[tuple[int, Function]] = []
        self._relocate(self._places(start, end))

    def _places(self, start: int, end: int) -> Mapping[int, Place]:
        """Return the relocations inside the function by their slots in it."""
        places = {}
        for place in self._tables.relocations.get(self._function.section, ()):
            if start <= place.offset < end:
                slot, rest = divmod(place.offset - start, SLOT_BYTES)
                if rest:
                    raise self._refusal(slot, "a relocation inside an instruction")
                places[slot] = place
        return places

    def _relocate(self, places: Mapping[int, Place]) -> None:
        left = dict(places)
        slot = 0
        while slot < len(self.instructions):
            row = row_of(self.instructions[slot])
            place = left.pop(slot, None)
            if place is not None:
                self._apply(slot, row, place)
            elif row is not None:
                self._keep(slot, row)
            slot += 1 if row is None else row.slots
        if left:
            raise self._refusal(min(left), "a relocation in the second half of an instruction")

    def _keep(self, slot: int, row: Row) -> None:
        """See to an instruction without a relocation: where it goes must come along."""
        target = target_of(slot, self.instructions[slot], row)
        if target is None or 0 <= target < len(self.instructions):
            return
        if row.operation not in {Callee.LOCAL, Wide.CODE}:
            raise self._refusal(slot, f"leaves the function {self._function.name} by a jump")
        self._refer(slot, self._function.section, self._function.start + target)

    def _apply(self, slot: int, row: Row | None, place: Place) -> None:
        symbol = place.symbol
        if symbol.section == UNDEFINED:
            raise self._refusal(slot, f"refers to '{symbol.name}', which is not in the object")
        if place.kind == Relocation.CALL and row is not None and row.operation is Callee.LOCAL:
            self._refer(slot, symbol.section, self._slot_of(slot, symbol, 1))
        elif place.kind == Relocation.WIDE and row is not None and row.kind is Kind.WIDE:
            if slot + 1 == len(self.instructions):
                raise self._refusal(slot, "the second half of the 64-bit load is missing")
            self._load(slot, symbol)
        else:
            raise self._refusal(slot, f"has a relocation of kind {place.kind}, which is not for it")

    def _slot_of(self, slot: int, symbol: Symbol, behind: int) -> int:
        """Return the slot of its section that a reference leads to: the symbol's, moved by imm."""
        at, rest = divmod(symbol.value, SLOT_BYTES)
        if rest:
            raise self._refusal(slot, f"refers to '{symbol.name}' inside an instruction")
        return at + self.instructions[slot].imm + behind

    def _refer(self, slot: int, section: int, target: int) -> None:
        function = self._linker.function_at(section, target)
        if function is None:
            raise self._refusal(slot, "calls something that is no function of the object")
        self.references.append((slot, function))

    def _load(self, slot: int, symbol: Symbol) -> None:
        """Make a 64-bit load one of a map, a variable or a function."""
        first = self.instructions[slot]
        # What is added to the symbol stands in the instruction.
        offset = symbol.value + first.imm
        map_number = self._linker.map_at(symbol.section, offset)
        variables = self._linker.variables_of(symbol.section)
        if variables is not None:
            self._put(slot, Wide.MAP_VALUE_INDEX, variables, offset)
        elif map_number is not None:
            self._put(slot, Wide.MAP_INDEX, map_number, 0)
        elif symbol.section < len(self._tables.sections) and (
            self._tables.sections[symbol.section].is_code
        ):
            at, rest = divmod(offset, SLOT_BYTES)
            if rest:
                raise self._refusal(slot, f"refers to '{symbol.name}' inside an instruction")
            self._put(slot, Wide.CODE, 0, 0)
            self._refer(slot, symbol.section, at)
        else:
            raise self._refusal(
                slot, f"refers to '{symbol.name}', which is no map, variable or function"
            )

    def _put(self, slot: int, wide: Wide, number: int, high: int) -> None:
        if not -_HALF_WORD <= high < _WORD:
            raise self._refusal(slot, "refers to something too far away")
        signed = (high + _HALF_WORD) % _WORD - _HALF_WORD
        first = self.instructions[slot]
        self.instructions[slot] = replace(first, src=wide.value, offset=0, imm=number)
        self.instructions[slot + 1] = Instruction(0, imm=signed)

    def _refusal(self, slot: int, reason: str) -> ProgramError:
        return ProgramError(f"{self._function.name}, instruction {slot}: {reason}")
