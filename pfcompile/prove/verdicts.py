"""What can be asked about the verdicts of some programs on one packet, as rows.

Each is told twice: as a formula over the ends of the programs, for the solver, and over the numbers
that the programs return, for a packet that the solver has found.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final

from pfcompile.prove.solver import z3
from pfcompile.prove.words import Condition, Word, both, choose, either, equal, negation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pfcompile.prove.walk import Return


@dataclass(frozen=True, slots=True)
class VerdictTest:
    """A property of what each program returns.

    Attributes:
        formula: When it holds, from the ways in which each program ends.
        shows: Whether it holds, from what each program returned.
    """

    formula: Callable[[Sequence[Sequence[Return]]], Condition]
    shows: Callable[[Sequence[int]], bool]


def _accepts(ends: Sequence[Return]) -> Condition:
    """Return when a program that ends in one of `ends` returns anything but 0."""
    return either([both(end.reached, negation(equal(end.value, 0))) for end in ends])


def _differ(first: Sequence[Return], second: Sequence[Return]) -> Condition:
    """Return when two programs return different words."""
    by_value, other_by_value = _by_value(first), _by_value(second)
    if by_value is None or other_by_value is None:
        return negation(equal(_value(first), _value(second)))
    # Every end returns a known word: two conditions a word are easier than words of 32 bits.
    # Exactly one end is reached, so when all other words agree, so does 0.
    return either(
        [
            _exclusive(either(by_value.get(value, [])), either(other_by_value.get(value, [])))
            for value in sorted({*by_value, *other_by_value} - {0})
        ]
    )


def _by_value(ends: Sequence[Return]) -> dict[int, list[Condition]] | None:
    """Return when each word is returned, or None if one of them is not known."""
    found: dict[int, list[Condition]] = {}
    for end in ends:
        if not isinstance(end.value, int):
            return None
        found.setdefault(end.value, []).append(end.reached)
    return found


def _value(ends: Sequence[Return]) -> Word:
    value: Word = 0
    for end in ends:
        value = choose(end.reached, end.value, value)
    return value


def _exclusive(a: Condition, b: Condition) -> Condition:
    """Return when one of the two holds and the other does not."""
    if isinstance(a, bool):
        return negation(b) if a else b
    if isinstance(b, bool):
        return negation(a) if b else a
    return False if a.eq(b) else z3.Xor(a, b)


def _only(which: int) -> VerdictTest:
    """Return the test whether one of two programs accepts and the other does not."""
    other = 1 - which
    return VerdictTest(
        lambda ends: both(_accepts(ends[which]), negation(_accepts(ends[other]))),
        lambda verdicts: verdicts[which] != 0 == verdicts[other],
    )


DIFFER: Final = VerdictTest(
    lambda ends: _differ(ends[0], ends[1]), lambda verdicts: verdicts[0] != verdicts[1]
)
"""Two programs return different words."""

ONLY_FIRST: Final = _only(0)
"""The first of two programs accepts, the second does not."""

ONLY_SECOND: Final = _only(1)
"""The second of two programs accepts, the first does not."""

ALL_ACCEPT: Final = VerdictTest(lambda ends: reduce(both, map(_accepts, ends)), all)
"""Every program accepts."""
