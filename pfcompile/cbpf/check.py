"""What the kernel demands of a classic BPF program before it takes it.

The rules are those of bpf_check_classic() and its helpers in Linux (net/core/filter.c), found by
comparing verdicts: a program passes here exactly when SO_ATTACH_FILTER does not say EINVAL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import (
    MAX_INSTRUCTIONS,
    ROW_OF,
    SCRATCH_WORDS,
    Class,
    Instruction,
    Operand,
    Place,
    Row,
    ancillary_word,
    successors,
)
from pfcompile.cbpf.notation import describe
from pfcompile.errors import ProgramError
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from pfcompile.ir.arithmetic import ArithmeticOp

if TYPE_CHECKING:
    from collections.abc import Sequence

_DIVISIONS: Final = frozenset({ArithmeticOp.DIV, ArithmeticOp.MOD})
_SHIFTS: Final = frozenset({ArithmeticOp.LSH, ArithmeticOp.RSH})
_ALL_WORDS: Final = (1 << SCRATCH_WORDS) - 1
_WIDTHS: Final = Instruction(code=16, jt=8, jf=8, k=32)
"""Bits of each field of `struct sock_filter`."""


def check(instructions: Sequence[Instruction]) -> None:
    """Refuse a program that the kernel would refuse.

    Args:
        instructions: Any number of instructions with any fields.

    Raises:
        ProgramError: The program is not valid; names the instruction and what is wrong.
    """
    count = len(instructions)
    if count > MAX_INSTRUCTIONS:
        raise ProgramError(
            f"the program has {count} instructions, more than the {MAX_INSTRUCTIONS} "
            "that the kernel takes"
        )
    check_structure(instructions)
    check_scratch(instructions)


def check_structure(instructions: Sequence[Instruction]) -> None:
    """Check all but the length and the order of scratch stores and loads.

    That is enough to run a program safely.

    Raises:
        ProgramError: As for `check`.
    """
    count = len(instructions)
    if not instructions:
        raise ProgramError("the program has no instructions")
    for position, instruction in enumerate(instructions):
        if (reason := _structural_fault(position, instruction, count)) is not None:
            raise _refusal(position, instruction, reason)
    if ROW_OF[instructions[-1].code].instruction_class is not Class.RET:
        raise _refusal(count - 1, instructions[-1], "the last instruction is not ret")


def check_scratch(instructions: Sequence[Instruction]) -> None:
    """Check that every scratch word is stored before it is loaded, on every path.

    Like the kernel, this takes what follows a `ret` for reachable from it, so that a word stored
    on a jump's way only is refused where a `ret` without the store stands just above its target.

    Args:
        instructions: A program that `check_structure` has passed.

    Raises:
        ProgramError: A word can be loaded before it is stored.
    """
    # Jumps go forward only, so one walk sees every way to an instruction before it.
    stored_before = [_ALL_WORDS] * (len(instructions) + 1)
    stored_before[0] = 0
    for position, instruction in enumerate(instructions):
        row = ROW_OF[instruction.code]
        stored = stored_before[position]
        if row.reads & Place.M and not stored >> instruction.k & 1:
            reason = f"M[{instruction.k}] may be read before it is written"
            raise _refusal(position, instruction, reason)
        if row.writes & Place.M:
            stored |= 1 << instruction.k
        for successor in successors(position, instruction) or (position + 1,):
            stored_before[successor] &= stored


def _refusal(position: int, instruction: Instruction, reason: str) -> ProgramError:
    """Return the error for one instruction."""
    return ProgramError(f"instruction {position} ({describe(position, instruction)}): {reason}")


def _structural_fault(position: int, instruction: Instruction, count: int) -> str | None:
    """Return what is wrong with one instruction of a program of `count`, or None."""
    for name, value, width in zip(Instruction._fields, instruction, _WIDTHS, strict=True):
        if not 0 <= value < 1 << width:
            return f"{name} is {value}, which does not fit in {width} bits"
    row = ROW_OF.get(instruction.code)
    if row is None:
        return f"unknown operation 0x{instruction.code:02x}"
    if row.comparison is not None or row.operand is Operand.TARGET:
        farthest = max(successors(position, instruction))
        if farthest >= count:
            return f"jumps to instruction {farthest}, past the last one, {count - 1}"
    return _constant_fault(row, instruction)


def _constant_fault(row: Row, instruction: Instruction) -> str | None:
    """Return what is wrong with an instruction's `k`, or None."""
    k = instruction.k
    if row.operand is Operand.CONSTANT and row.arithmetic in _DIVISIONS and k == 0:
        return "division by zero"
    if row.operand is Operand.CONSTANT and row.arithmetic in _SHIFTS and k > 31:
        return f"shift by {k}, which is more than 31 bits"
    if row.operand is Operand.SCRATCH and k >= SCRATCH_WORDS:
        return f"there is no M[{k}]: scratch words go from 0 to {SCRATCH_WORDS - 1}"
    is_metadata = row.operand is Operand.ABSOLUTE and k >= ANCILLARY_BASE
    if is_metadata and ancillary_word(instruction) is None:
        return f"unknown metadata word SKF_AD_OFF + {k - ANCILLARY_BASE}"
    return None
