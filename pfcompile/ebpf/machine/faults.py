"""What ends a program: faults, and otherwise `Leave`."""

from __future__ import annotations

from pfcompile.errors import ProgramError


class RunError(ProgramError):
    """A program did something at run time that it may not do, and was stopped.

    Attributes:
        slot: The instruction, counted in slots from 0.
        reason: What it did.
    """

    def __init__(self, slot: int, reason: str) -> None:
        super().__init__(f"instruction {slot}: {reason}")
        self.slot = slot
        self.reason = reason


class BudgetError(RunError):
    """A program was stopped because it had run all the instructions that it was given."""


class Fault(Exception):  # noqa: N818 - never seen outside: the machine makes a RunError of it
    """What a step or a helper raises; whoever runs it knows which instruction that was."""


class Leave(Exception):  # noqa: N818 - not an error
    """The program ends here.

    Attributes:
        result: What it returns.
    """

    def __init__(self, result: int) -> None:
        super().__init__(result)
        self.result = result
