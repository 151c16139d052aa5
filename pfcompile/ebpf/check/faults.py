"""What the check says of a program that it cannot prove."""

from __future__ import annotations

from pfcompile.errors import ProgramError


class Unproved(Exception):  # noqa: N818 - never seen outside: the walk makes a refusal of it
    """What a rule raises that an instruction breaks, or may break."""


class CheckRefusal(ProgramError):  # noqa: N818 - the word for what verifiers do
    """A program that is not proved to be safe.

    Attributes:
        slot: The instruction, counted in slots from 0.
        reason: What it may do.
        registers: What is known of the registers there, a line each.
        path: How the program can get there: ranges of slots, and how it goes from one to the next.
    """

    def __init__(
        self, slot: int, text: str, reason: str, registers: tuple[str, ...], path: tuple[str, ...]
    ) -> None:
        lines = [
            f"instruction {slot} ({text}): {reason}",
            *(f"    {line}" for line in registers),
            *(f"    {'path:' if first else '     '} {line}" for first, line in _marked(path)),
        ]
        super().__init__("\n".join(lines))
        self.slot = slot
        self.reason = reason
        self.registers = registers
        self.path = path


def _marked(path: tuple[str, ...]) -> list[tuple[bool, str]]:
    return [(number == 0, line) for number, line in enumerate(path)]
