"""How the packets that two programs accept lie to each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Unpack

from pfcompile.prove.question import Limits, Question
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
        never: Whether the one that implies the other does so because it accepts nothing, not even
            a packet that the other reads past the end of.
        uncut: Whether `EQUAL`, `ALIKE` or an implication is known only of packets that neither
            reads past the end of; else it holds wherever a packet's captured bytes end.
        far_shifts: Whether a program may shift by 32 or more. That gives 0 here, as in libpcap; a
            kernel shifts by the low five bits of the amount, so that it may not relate them so.
        gap: Why no more can be said, for `DIFFERENT`.
    """

    relation: Relation
    witnesses: tuple[Witness, ...] = ()
    never: bool = False
    uncut: bool = False
    far_shifts: bool = False
    gap: str | None = None


def relate(
    a: Sequence[Instruction], b: Sequence[Instruction], **limits: Unpack[Limits]
) -> Related | Undecided:
    """Say how `a` and `b` are related.

    Args:
        a: A classic program without loops, of any length.
        b: Another.
        **limits: As in `Limits`.

    Raises:
        ProgramError: A program is not valid, or has a loop.
    """
    question = Question((a, b), **limits)
    related = _related(question)
    if isinstance(related, Undecided):
        return related
    return replace(related, far_shifts=question.may_shift_far())


def _related(question: Question) -> Related | Undecided:
    found = question.find(DIFFER)
    if found is None:
        return Related(Relation.EQUAL, uncut=not question.is_known_never(DIFFER))
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
            uncut = not all(map(question.is_known_never, (ONLY_FIRST, ONLY_SECOND)))
            return Related(Relation.ALIKE, (found,), uncut=uncut)
    common = question.find(ALL_ACCEPT)
    for one_sided, absent, side in (
        (Relation.A_IMPLIES_B, only_a, ONLY_FIRST),
        (Relation.B_IMPLIES_A, only_b, ONLY_SECOND),
    ):
        if absent is None:
            uncut = not question.is_known_never(side)
            # Whatever it took would be taken by both or, perhaps cut off, by it alone.
            never = common is None and not uncut
            return Related(one_sided, witnesses, never=never, uncut=uncut)
    match common:
        case None:
            return Related(Relation.DISJOINT, witnesses)
        case Undecided(reason):
            return Related(Relation.DIFFERENT, witnesses, gap=reason)
        case Witness():
            return Related(Relation.NEITHER, witnesses)
