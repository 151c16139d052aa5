"""What steps are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from pfcompile.ebpf.structure import target_of
from pfcompile.errors import InternalError, ProgramError

if TYPE_CHECKING:
    from pfcompile.ebpf.isa import Instruction, Row
    from pfcompile.ebpf.machine.code import Environment, Registers, Run, Step


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a step is made from.

    Attributes:
        slot: Where the instruction is.
        instruction: It.
        row: Its row.
        second: The slot after it, which a 64-bit immediate load needs.
        then: The step after it.
        steps: All steps by slot. Those before this one's are not there yet.
        environment: What the program can call and use.
    """

    slot: int
    instruction: Instruction
    row: Row
    second: Instruction | None
    then: Step
    steps: list[Step]
    environment: Environment

    @property
    def target(self) -> int:
        """The slot that it goes to or speaks of; every such row says it."""
        target = target_of(self.slot, self.instruction, self.row)
        if target is None:
            raise InternalError(f"{self.row.kind.value} without a target")
        return target

    def refuse(self, reason: str) -> NoReturn:
        """Raise the error for a program that cannot run here."""
        code = f"code 0x{self.instruction.code:02x}"
        raise ProgramError(f"instruction {self.slot} ({code}): {reason}")


def never_reached(_registers: Registers, _run: Run) -> Step:
    """Stand where no instruction begins."""
    raise InternalError("a checked program ran past its end")


def set_constant(dst: int, value: int, then: Step) -> Step:
    """Make a step that sets a register."""

    def step(registers: Registers, _run: Run) -> Step:
        registers[dst] = value
        return then

    return step
