"""What a program must be before any machine takes it: whole instructions, and jumps to them.

This is less than a verifier asks for: it says nothing of what registers hold. What passes here can
be run by a machine that checks its memory accesses and counts its instructions.

Source: RFC 9669, sections 3 to 5; like Linux, it refuses writes to R10 and a last instruction
that goes on to the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.isa import (
    FREE,
    MAX_INSTRUCTIONS,
    R10,
    REGISTERS,
    ROWS_OF_CODE,
    Instruction,
    Kind,
    Row,
    row_of,
)
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Sequence

_RANGES: Final = (
    ("code", 0, 0xFF),
    ("dst", 0, 0xF),
    ("src", 0, 0xF),
    ("offset", -0x8000, 0x7FFF),
    ("imm", -0x8000_0000, 0x7FFF_FFFF),
)
"""The fields of `struct bpf_insn`, and the least and the most that each holds."""

_LAST: Final = frozenset({Kind.EXIT, Kind.JUMP})
"""What can stand at the end of a program: it never goes on to the next instruction."""


def check_structure(program: Sequence[Instruction]) -> tuple[Row | None, ...]:
    """Refuse a program with something that is no instruction, or a way out of it.

    Args:
        program: Its slots, of which a 64-bit immediate load takes two.

    Returns:
        The row of every slot; None for the second slot of a 64-bit immediate load.

    Raises:
        ProgramError: The program is not valid; names the instruction by its slot, from 0.
    """
    if not program:
        raise ProgramError("the program has no instructions")
    if len(program) > MAX_INSTRUCTIONS:
        raise ProgramError(
            f"the program has {len(program)} instructions, more than {MAX_INSTRUCTIONS}"
        )
    rows = _rows(program)
    for slot, (instruction, row) in enumerate(zip(program, rows, strict=True)):
        if row is None:
            continue
        if R10 in row.writes.of(instruction):
            raise _refusal(slot, instruction, "writes to r10, which can only be read")
        target = target_of(slot, instruction, row)
        if target is not None:
            _check_target(slot, instruction, target, rows)
    last = next(slot for slot in reversed(range(len(rows))) if rows[slot] is not None)
    row = rows[last]
    if row is None or row.kind not in _LAST:
        raise _refusal(last, program[last], "the last instruction is neither exit nor a jump")
    return rows


def target_of(slot: int, instruction: Instruction, row: Row) -> int | None:
    """Return the slot that an instruction jumps to, calls or takes the address of, if any.

    Args:
        slot: Where `instruction` is.
        instruction: Of any kind.
        row: Its row.

    Returns:
        A slot, not checked to be in the program.
    """
    if row.target is None:
        return None
    distance = instruction.offset if row.target == "offset" else instruction.imm
    return slot + 1 + distance


def _rows(program: Sequence[Instruction]) -> tuple[Row | None, ...]:
    """Return the row of every slot; raises ProgramError where there is none."""
    rows: list[Row | None] = []
    for slot, instruction in enumerate(program):
        for name, least, most in _RANGES:
            value = getattr(instruction, name)
            if not least <= value <= most:
                raise _refusal(
                    slot, instruction, f"{name} is {value}, not between {least} and {most}"
                )
        before = rows[-1] if rows else None
        if before is not None and before.slots > 1:
            _check_second_half(slot, instruction, before)
            rows.append(None)
            continue
        row = row_of(instruction)
        if row is None:
            raise _refusal(slot, instruction, _why_no_row(instruction))
        if row.slots > 1 and slot + 1 == len(program):
            raise _refusal(slot, instruction, "the second half of the 64-bit load is missing")
        rows.append(row)
    return tuple(rows)


def _check_second_half(slot: int, instruction: Instruction, first: Row) -> None:
    unused = (instruction.code, instruction.dst, instruction.src, instruction.offset)
    if any(unused) or first.high not in (FREE, instruction.imm):
        raise _refusal(
            slot, instruction, "the second half of a 64-bit load has something in an unused field"
        )


def _why_no_row(instruction: Instruction) -> str:
    rows = ROWS_OF_CODE.get(instruction.code)
    if rows is None:
        return "there is no such instruction"
    for name in ("dst", "src"):
        number = getattr(instruction, name)
        if number >= REGISTERS and any(getattr(row, name) is FREE for row in rows):
            return f"there is no register r{number}"
    wrong = [
        name
        for name in ("dst", "src", "offset", "imm")
        if not any(getattr(row, name) in (FREE, getattr(instruction, name)) for row in rows)
    ]
    fields = ", ".join(f"{name} {getattr(instruction, name)}" for name in wrong or ("src", "imm"))
    return f"this instruction has no form with {fields}"


def _check_target(
    slot: int, instruction: Instruction, target: int, rows: Sequence[Row | None]
) -> None:
    if not 0 <= target < len(rows):
        raise _refusal(
            slot, instruction, f"goes to instruction {target}, outside the program of {len(rows)}"
        )
    if rows[target] is None:
        raise _refusal(
            slot, instruction, f"goes to instruction {target}, the second half of a 64-bit load"
        )


def _refusal(slot: int, instruction: Instruction, reason: str) -> ProgramError:
    return ProgramError(f"instruction {slot} (code 0x{instruction.code:02x}): {reason}")
