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
