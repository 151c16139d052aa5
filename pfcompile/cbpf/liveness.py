"""Which registers an instruction may still read from some place in a program on.

A register is a number here: A, X and the scratch words, one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import ROW_OF, SCRATCH_WORDS, Operand, Place, ancillary_word, successors
from pfcompile.errors import ProgramError
from pfcompile.ir.arithmetic import WORD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction

A: Final = 0
X: Final = 1
M: Final = 2
"""Of M[0]; those of the others follow."""

REGISTERS: Final = M + SCRATCH_WORDS


def wanted_registers(program: Sequence[Instruction]) -> list[frozenset[int]]:
    """Return for each instruction the registers whose values may still be read from there on.

    Args:
        program: Valid instructions without loops.
    """
    wanted: list[frozenset[int]] = [frozenset()] * len(program)
    for position in reversed(range(len(program))):
        instruction = program[position]
        row = ROW_OF[instruction.code]
        metadata = ancillary_word(instruction)
        reads = row.reads if metadata is None else metadata.reads
        after = frozenset[int]().union(*(wanted[s] for s in successors(position, instruction)))
        kept = after - _registers(row.writes, instruction.k)
        wanted[position] = kept | _registers(reads, instruction.k)
    return wanted


def check_loop_free(program: Sequence[Instruction]) -> None:
    """Refuse what cannot be read as a formula.

    Raises:
        ProgramError: It is not valid, or jumps backward or past its end.
    """
    if not program:
        raise ProgramError("the program has no instructions")
    for position, instruction in enumerate(program):
        row = ROW_OF.get(instruction.code)
        if row is None:
            raise ProgramError(f"instruction {position}: no such code {instruction.code:#x}")
        if row.operand is Operand.SCRATCH and instruction.k >= SCRATCH_WORDS:
            raise ProgramError(f"instruction {position}: there is no M[{instruction.k}]")
        for target in successors(position, instruction):
            # libpcap writes a jump backward, which only `protochain` needs, as a negative k.
            if target > WORD and target & WORD <= position:
                raise ProgramError(f"instruction {position} jumps backward: not loop-free")
            if target >= len(program):
                raise ProgramError(f"instruction {position} leads past the end of the program")


def _registers(places: Place, k: int) -> frozenset[int]:
    """Return the registers among `places`, M standing for the scratch word `k`."""
    numbers = {Place.A: A, Place.X: X, Place.M: M + k}
    return frozenset(number for place, number in numbers.items() if place in places)
