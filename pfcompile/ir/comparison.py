"""The comparisons of classic BPF."""

from __future__ import annotations

from enum import Enum


class Comparison(Enum):
    """The tests of classic BPF, all unsigned; SET is "has a bit in common with"."""

    EQ = "=="
    GT = ">"
    GE = ">="
    SET = "&"
