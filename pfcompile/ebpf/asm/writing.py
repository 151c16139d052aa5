"""The disassembler: instructions to text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.asm.clang import CLANG
from pfcompile.ebpf.asm.forms import Field
from pfcompile.ebpf.isa import FREE, Instruction, Kind, Row, row_of, wide_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.ebpf.asm.forms import Syntax

RAW: Final = "insn"
"""The statement that gives a slot's five fields as numbers: for what no syntax has words for."""

_WORD: Final = 0xFFFF_FFFF
_NO_SECOND: Final = Instruction(0)


def disassemble(program: Sequence[Instruction], syntax: Syntax = CLANG) -> str:
    """Return `program` as text, one instruction a line, labels `L<slot>` where jumps lead.

    `assemble` gives the same instructions back, whatever they are: what is unknown, or has a value
    in a field that it does not use, is written as `insn code, dst, src, offset, imm`. A jump out of
    the program, or into the middle of an instruction, has a number of slots for its target.
    """
    rows = _rows(program)
    targets = {
        target
        for slot, row in rows.items()
        if (target := _target(slot, row, program[slot])) in rows
    }
    width = max((len(f"L{target}: ") for target in targets if target is not None), default=0)
    lines = []
    for slot, row in rows.items():
        label = f"L{slot}: " if slot in targets else ""
        statement = _statement(program, slot, row, targets, syntax)
        lines.append(f"{label:<{width}}{statement}\n")
    return "".join(lines)


def _rows(program: Sequence[Instruction]) -> Mapping[int, Row | None]:
    """Return the row of each instruction that is not a second slot, by its slot."""
    rows: dict[int, Row | None] = {}
    slot = 0
    while slot < len(program):
        row = row_of(program[slot])
        if row is not None and row.kind is Kind.WIDE and not _is_whole(program, slot, row):
            row = None
        rows[slot] = row
        slot += 1 if row is None else row.slots
    return rows


def _is_whole(program: Sequence[Instruction], slot: int, row: Row) -> bool:
    """Tell whether the slot after a wide instruction's first is a second one."""
    if slot + 1 == len(program):
        return False
    second = program[slot + 1]
    return second == Instruction(0, imm=second.imm) and row.high in (FREE, second.imm)


def _target(slot: int, row: Row | None, instruction: Instruction) -> int | None:
    """Return the slot that a jump leads to."""
    if row is None or row.target is None:
        return None
    distance: int = getattr(instruction, row.target)
    return slot + 1 + distance


def _statement(
    program: Sequence[Instruction],
    slot: int,
    row: Row | None,
    targets: set[int | None],
    syntax: Syntax,
) -> str:
    first = program[slot]
    if row is None:
        return f"{RAW} 0x{first.code:02x}, {first.dst}, {first.src}, {first.offset}, {first.imm}"
    second = program[slot + 1] if row.kind is Kind.WIDE else _NO_SECOND
    distance = 0 if row.target is None else getattr(first, row.target)
    target = slot + 1 + distance
    label = f"L{target}" if target in targets else None
    return syntax.forms[row].written(
        {
            Field.DST: f"r{first.dst}",
            Field.SRC: f"r{first.src}",
            Field.DST32: f"w{first.dst}",
            Field.SRC32: f"w{first.src}",
            Field.OFFSET: syntax.offset(first.offset),
            Field.IMM: syntax.number(first.imm),
            Field.BITS: syntax.number(first.imm),
            Field.DISPLACEMENT: f" {syntax.offset(first.imm)}" if first.imm else "",
            Field.LOW: str(first.imm & _WORD),
            Field.HIGH: f"{second.imm & _WORD:+d}",
            Field.SECOND: str(second.imm & _WORD),
            Field.WIDE: f"0x{wide_value(first, second):x}",
            Field.TARGET: label or f"{distance:+d}",
            Field.CALLEE: label or f"pc{distance:+d}",
            Field.INDEX: str(first.offset),
        }
    )
