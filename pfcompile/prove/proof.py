"""The questions that are asked most, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from pfcompile.prove.question import Limits, Question
from pfcompile.prove.result import Different, Equal, Holds, Undecided, Witness
from pfcompile.prove.verdicts import ALL_ACCEPT, DIFFER, ONLY_FIRST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.prove.verdicts import VerdictTest


def prove(
    a: Sequence[Instruction], b: Sequence[Instruction], **limits: Unpack[Limits]
) -> Equal | Different | Undecided:
    """Say whether `a` and `b` return the same on every packet that neither reads past the end of.

    What the words of a program mean here is told at the top of `walk`.

    Args:
        a: A classic program without loops, of any length.
        b: Another.
        **limits: As in `Limits`.

    Raises:
        ProgramError: A program is not valid, or has a loop.
    """
    match Question((a, b), **limits).find(DIFFER):
        case None:
            return Equal()
        case Undecided() as answer:
            return answer
        case Witness(packet, wire_length, verdicts, ancillary):
            first, second = verdicts
            return Different(packet, wire_length, (first, second), ancillary)


def implies(
    a: Sequence[Instruction], b: Sequence[Instruction], **limits: Unpack[Limits]
) -> Holds | Witness | Undecided:
    """As `prove`, whether `b` accepts all that `a` accepts; else a packet that only `a` accepts."""
    return _never(ONLY_FIRST, Question((a, b), **limits))


def disjoint(
    a: Sequence[Instruction], b: Sequence[Instruction], **limits: Unpack[Limits]
) -> Holds | Witness | Undecided:
    """As `prove`, whether no packet is accepted by both; else one that is."""
    return _never(ALL_ACCEPT, Question((a, b), **limits))


def satisfiable(a: Sequence[Instruction], **limits: Unpack[Limits]) -> Witness | Undecided | None:
    """As `prove`, a packet that `a` accepts, or None when there is none."""
    return Question((a,), **limits).find(ALL_ACCEPT)


def _never(unwanted: VerdictTest, question: Question) -> Holds | Witness | Undecided:
    """Say whether no packet has unwanted verdicts."""
    answer = question.find(unwanted)
    return Holds() if answer is None else answer
