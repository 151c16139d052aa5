"""The machine: takes a program, and runs it as often as wanted.

Registers and stack frames are zeros at the start; stack frames again in every call of a function,
and the memory of one that has ended is gone. What R1 to R5 hold after a call is what they held
before; no program that the kernel takes can see it. Time counts in instructions.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ebpf.isa import R1, R2, R10, REGISTERS
from pfcompile.ebpf.machine.code import Code, Environment, Limits, Run
from pfcompile.ebpf.machine.faults import BudgetError, Fault, Leave, RunError
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.memory import FIRST_DECLARED_REGION, Memory
from pfcompile.ebpf.machine.starts import NoData
from pfcompile.ebpf.machine.steps import make_steps
from pfcompile.ebpf.structure import check_structure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.ebpf.isa import Instruction
    from pfcompile.ebpf.machine.code import Registers
    from pfcompile.ebpf.machine.contexts import Context
    from pfcompile.ebpf.machine.starts import Start

_USUAL_LIMITS: Final = Limits()
_NO_DATA: Final = NoData()


class Outcome(NamedTuple):
    """What a run came to.

    Attributes:
        result: R0 at the end, 0 to 2**64 - 1; the kernel looks at its low 32 bits.
        instructions: How many were run.
        context: What the program has left in its context, where it had one of the kernel's.
    """

    result: int
    instructions: int
    context: Context | None


class Machine:
    """A program made ready to run.

    Args:
        program: Any; it is checked first (`check_structure`).
        environment: What it can call and use; without one, the helpers of `HELPERS`.
        limits: How far a run may go.

    Raises:
        ProgramError: The program is not valid, or wants what is not in `environment`.
    """

    __slots__ = ("_environment", "_limits", "code")

    def __init__(
        self,
        program: Sequence[Instruction],
        environment: Environment | None = None,
        limits: Limits = _USUAL_LIMITS,
    ) -> None:
        self._environment = Environment(HELPERS) if environment is None else environment
        self._limits = limits
        rows = check_structure(program)
        steps = make_steps(program, rows, self._environment)
        slots = {steps[slot]: slot for slot, row in enumerate(rows) if row is not None}
        self.code = Code(steps, MappingProxyType(slots))

    def run(self, start: Start = _NO_DATA) -> int:
        """Return what the program returns, 0 to 2**64 - 1.

        Raises:
            RunError: It touched what is not its own, or called what is not there; names the
                instruction.
            BudgetError: It ran all the instructions that it may and did not end.
            ProgramError: `start` cannot be made.
        """
        return self.execute(start).result

    def execute(self, start: Start = _NO_DATA) -> Outcome:
        """Run the program and return what that came to; raises as `run` does."""
        registers, run = self.begin(start)
        step, count = self.code.steps[0], 0
        budget = self._limits.instructions
        try:
            for count in range(1, budget + 1):  # noqa: B007 - how far it came
                step = step(registers, run)
        except Leave as end:
            return Outcome(end.result, count, run.entry.context)
        except Fault as fault:
            raise RunError(run.slot_of(step), str(fault)) from None
        finally:
            run.close()
        raise BudgetError(run.slot_of(step), f"not done after {budget} instructions")

    def begin(self, start: Start = _NO_DATA) -> tuple[Registers, Run]:
        """Return the registers and the state of a run before its first step, `code.steps[0]`.

        Raises:
            ProgramError: `start` cannot be made.
        """
        memory = Memory()
        for number, data in enumerate(self._environment.regions):
            writable = not memoryview(data).readonly
            name = f"declared region {number}"
            memory.add(FIRST_DECLARED_REGION + number, name, data, writable=writable)
        entry = start.enter(memory)
        registers = [0] * REGISTERS
        registers[R1], registers[R2] = entry.r1, entry.r2
        registers[R10] = memory.push_frame()
        return registers, Run(self.code, self._environment, self._limits, memory, entry)
