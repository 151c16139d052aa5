"""What comes of a decompilation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from pfcompile.facts import link_types

if TYPE_CHECKING:
    from collections.abc import Sequence


class Proof(Enum):
    """How an expression is known to mean what the program means; the value says it in words."""

    SOLVER = "z3"
    SETS = "a walk through both, set by set"
    NONE = "nothing"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What no expression can say.

    Attributes:
        what: It, in a few words.
        instructions: Where it stands in the program, in ascending order.
    """

    what: str
    instructions: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return it with the numbers of the instructions."""
        if not self.instructions:
            return self.what
        name = "instruction" if len(self.instructions) == 1 else "instructions"
        return f"{name} {_enumerated(self.instructions)}: {self.what}"


_MOST_NAMED = 8


def _enumerated(positions: Sequence[int]) -> str:
    shown = [str(position) for position in positions[:_MOST_NAMED]]
    if len(positions) > _MOST_NAMED:
        shown.append("...")
    return ", ".join(shown)


@dataclass(frozen=True, slots=True)
class Decompiled:
    """An expression for a program.

    Attributes:
        expression: The text; empty for a program that accepts everything, None where none was
            found.
        proof: How it is known to be equal to the program; NONE where it is not.
        reason: Why it is not, in a few words; empty where it is.
        obstacles: What in the program no expression can say.
        dlt: The link type (DLT value) that it is for.
        snaplen: What the program returns for a match: what to compile the expression with.
        netmask: The same for the netmask, or None where that does not matter.
        live: Whether it is to be compiled for a live capture on Linux.
        savefile: Whether it is to be compiled for the packets of a capture file.
        accepts_nothing: Whether the program accepts no packet, so that only an unoptimised
            compilation takes the expression.
    """

    expression: str | None
    proof: Proof
    reason: str
    obstacles: tuple[Obstacle, ...]
    dlt: int
    snaplen: int
    netmask: str | None = None
    live: bool = False
    savefile: bool = False
    accepts_nothing: bool = False

    @property
    def is_proved(self) -> bool:
        """Whether the expression is proved equal to the program."""
        return self.proof is not Proof.NONE

    @property
    def link_type(self) -> str:
        """The link type's name without `DLT_`, or its number where it has none."""
        row = link_types.by_dlt(self.dlt)
        return str(self.dlt) if row is None else row.name
