"""How the packets that two programs accept lie to each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from pfcompile.prove.proof import TIMEOUT_MS
from pfcompile.prove.question import Question
from pfcompile.prove.result import Undecided, Witness
from pfcompile.prove.verdicts import ALL_ACCEPT, DIFFER, ONLY_FIRST, ONLY_SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction


class Relation(Enum):
    """What two programs A and B can be to each other; the value is how it is said."""

    EQUAL = "equal"
    ALIKE = "alike"
    A_IMPLIES_B = "A implies B"
    B_IMPLIES_A = "B implies A"
    DISJOINT = "disjoint"
    NEITHER = "neither"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Related:
    """How two programs are related, decided for every packet that neither reads past the end of.

    Attributes:
        relation: `EQUAL` where they return the same; `ALIKE` where they accept the same packets
            and return different numbers for some; `DIFFERENT` where a packet shows that they are
            not equal and the time was too short to say more.
        witnesses: The packets that show it: one that only A accepts before one that only B
            accepts, as far as there are such; for `ALIKE` one that both accept.
        never: Whether the one that implies the other does so because it accepts nothing.
        gap: Why no more can be said, for `DIFFERENT`.
    """

    relation: Relation
    witnesses: tuple[Witness, ...] = ()
    never: bool = False
    gap: str | None = None


def relate(
    a: Sequence[Instruction],
    b: Sequence[Instruction],
    *,
    timeout_ms: int = TIMEOUT_MS,
    real_lengths: bool = False,
) -> Related | Undecided:
    """Say how `a` and `b` are related.

    Args:
        a: A classic program without loops, of any length.
        b: Another.
        timeout_ms: How long the solver may take in all, in milliseconds.
        real_lengths: Consider only packets whose wire length is at least their captured length,
            as in captures; otherwise the wire length is any 32-bit word.

    Raises:
        ProgramError: A program is not valid, or has a loop.
    """
    question = Question((a, b), timeout_ms=timeout_ms, real_lengths=real_lengths)
    found = question.find(DIFFER)
    if found is None:
        return Related(Relation.EQUAL)
    if isinstance(found, Undecided):
        return found
    # The packet that shows a difference mostly answers one of the next two questions.
    only_a, only_b = (
        found if side.shows(found.verdicts) else question.find(side)
        for side in (ONLY_FIRST, ONLY_SECOND)
    )
    witnesses = tuple(each for each in (only_a, only_b) if isinstance(each, Witness))
    match only_a, only_b:
        case (Undecided(reason), _) | (_, Undecided(reason)):
            return Related(Relation.DIFFERENT, witnesses or (found,), gap=reason)
        case None, None:
            return Related(Relation.ALIKE, (found,))
    common = question.find(ALL_ACCEPT)
    if only_a is None:
        return Related(Relation.A_IMPLIES_B, witnesses, never=common is None)
    if only_b is None:
        return Related(Relation.B_IMPLIES_A, witnesses, never=common is None)
    match common:
        case None:
            return Related(Relation.DISJOINT, witnesses)
        case Undecided(reason):
            return Related(Relation.DIFFERENT, witnesses, gap=reason)
        case Witness():
            return Related(Relation.NEITHER, witnesses)
