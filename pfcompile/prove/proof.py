"""The questions that are asked most, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.prove.question import Question
from pfcompile.prove.result import Different, Equal, Holds, Undecided, Witness
from pfcompile.prove.verdicts import ALL_ACCEPT, DIFFER, ONLY_FIRST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.prove.verdicts import VerdictTest

TIMEOUT_MS: Final = 5000


def prove(
    a: Sequence[Instruction],
    b: Sequence[Instruction],
    *,
    timeout_ms: int = TIMEOUT_MS,
    real_lengths: bool = False,
) -> Equal | Different | Undecided:
    """Say whether `a` and `b` return the same on every packet that neither reads past the end of.

    What the words of a program mean here is told at the top of `walk`.

    Args:
        a: A classic program without loops, of any length.
        b: Another.
        timeout_ms: How long the solver may take, in milliseconds.
        real_lengths: Consider only packets whose wire length is at least their captured length,
            as in captures; otherwise the wire length is any 32-bit word.

    Raises:
        ProgramError: A program is not valid, or has a loop.
    """
    question = Question((a, b), timeout_ms=timeout_ms, real_lengths=real_lengths)
    match question.find(DIFFER):
        case None:
            return Equal()
        case Undecided() as answer:
            return answer
        case Witness(packet, wire_length, verdicts, ancillary):
            first, second = verdicts
            return Different(packet, wire_length, (first, second), ancillary)


def implies(
    a: Sequence[Instruction],
    b: Sequence[Instruction],
    *,
    timeout_ms: int = TIMEOUT_MS,
    real_lengths: bool = False,
) -> Holds | Witness | Undecided:
    """Say whether `b` accepts whatever `a` accepts; a witness is a packet that only `a` accepts.

    Arguments and errors are those of `prove`.
    """
    return _never(ONLY_FIRST, Question((a, b), timeout_ms=timeout_ms, real_lengths=real_lengths))


def disjoint(
    a: Sequence[Instruction],
    b: Sequence[Instruction],
    *,
    timeout_ms: int = TIMEOUT_MS,
    real_lengths: bool = False,
) -> Holds | Witness | Undecided:
    """Say whether no packet is accepted by both; a witness is one that is.

    Arguments and errors are those of `prove`.
    """
    return _never(ALL_ACCEPT, Question((a, b), timeout_ms=timeout_ms, real_lengths=real_lengths))


def satisfiable(
    a: Sequence[Instruction], *, timeout_ms: int = TIMEOUT_MS, real_lengths: bool = False
) -> Witness | Undecided | None:
    """Return a packet that `a` accepts, or None when there is none.

    Arguments and errors are those of `prove`.
    """
    return Question((a,), timeout_ms=timeout_ms, real_lengths=real_lengths).find(ALL_ACCEPT)


def _never(unwanted: VerdictTest, question: Question) -> Holds | Witness | Undecided:
    """Say whether no packet has unwanted verdicts."""
    answer = question.find(unwanted)
    return Holds() if answer is None else answer
