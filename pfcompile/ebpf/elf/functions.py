"""A program cut into its functions, as object files hold them.

Loaders want what is called in `.text`, each function with a symbol, and calls as relocations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.elf.format import Relocation
from pfcompile.ebpf.isa import Callee, Instruction, Kind, Wide
from pfcompile.ebpf.structure import check_structure, target_of
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.ebpf.isa import Row

_MAPS: Final = frozenset({Wide.MAP_FD, Wide.MAP_INDEX})
_VARIABLES: Final = frozenset({Wide.MAP_VALUE_FD, Wide.MAP_VALUE_INDEX})
_CALLS: Final = frozenset({Callee.LOCAL, Wide.CODE})


@dataclass(frozen=True, slots=True)
class Reference:
    """What an instruction refers to.

    Attributes:
        slot: The instruction, counted in its function.
        kind: How.
        map: The number of a map, or None.
        function: The number of a function, or None.
    """

    slot: int
    kind: Relocation
    map: int | None = None
    function: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A function: its instructions, as they stand in an object, and what they refer to."""

    instructions: tuple[Instruction, ...]
    references: tuple[Reference, ...]


def cut(program: Sequence[Instruction]) -> tuple[Piece, ...]:
    """Return the functions of a program; the first is the one that it begins with.

    Raises:
        ProgramError: The program is not valid, or jumps from one function into another.
    """
    rows = check_structure(program)
    calls = {
        slot: target
        for slot, row in enumerate(rows)
        if row is not None
        and row.operation in _CALLS
        and (target := target_of(slot, program[slot], row)) is not None
    }
    starts = sorted({0, *calls.values()})
    ends = [*starts[1:], len(program)]
    numbers = {start: number for number, start in enumerate(starts)}
    pieces = []
    for start, end in zip(starts, ends, strict=True):
        instructions, references = list(program[start:end]), []
        for slot in range(start, end):
            row = rows[slot]
            if row is None:
                continue
            reference = _reference(program[slot], row, slot - start)
            if slot in calls:
                reference = replace(reference, function=numbers[calls[slot]])
            elif row.target is not None:
                _check_jump(slot, program[slot], row, start, end)
            if reference.map is not None or reference.function is not None:
                references.append(reference)
                _clear(instructions, slot - start, row)
        pieces.append(Piece(tuple(instructions), tuple(references)))
    return tuple(pieces)


def _reference(instruction: Instruction, row: Row, slot: int) -> Reference:
    kind = Relocation.WIDE if row.kind is Kind.WIDE else Relocation.CALL
    refers = row.operation in _MAPS or row.operation in _VARIABLES
    return Reference(slot, kind, map=instruction.imm if refers else None)


def _clear(instructions: list[Instruction], slot: int, row: Row) -> None:
    """Leave in an instruction what is added to its symbol: clang's way."""
    first = instructions[slot]
    if row.kind is Kind.CALL:
        instructions[slot] = replace(first, imm=-1)
        return
    offset = instructions[slot + 1].imm if row.operation in _VARIABLES else 0
    instructions[slot] = replace(first, src=Wide.VALUE.value, imm=offset)
    instructions[slot + 1] = Instruction(0)


def _check_jump(slot: int, instruction: Instruction, row: Row, start: int, end: int) -> None:
    target = target_of(slot, instruction, row)
    if target is not None and not start <= target < end:
        raise ProgramError(
            f"instruction {slot}: jumps to instruction {target}, in another function"
        )
