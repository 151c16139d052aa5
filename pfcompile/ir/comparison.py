"""The comparisons of a test."""

from __future__ import annotations

from enum import Enum


class Comparison(Enum):
    """The tests of classic BPF, all unsigned; SET is "has a bit in common with".

    IN is membership in a set of numbers, which becomes several instructions at the end.
    """

    EQ = "=="
    GT = ">"
    GE = ">="
    SET = "&"
    IN = "in"

    # Members are single objects; Enum would hash their names anew each time.
    __hash__ = object.__hash__


def holds(op: Comparison, a: int, b: int) -> bool:
    """Return whether `a op b`, both unsigned words."""
    match op:
        case Comparison.EQ:
            return a == b
        case Comparison.GT:
            return a > b
        case Comparison.GE:
            return a >= b
        case Comparison.SET:
            return a & b != 0
        case Comparison.IN:
            raise AssertionError  # compares with a set, not a number
