"""Many values of several words each, such as IPv6 addresses, told apart word by word.

All values that begin alike share the tests of that beginning, and a packet's cost grows with the
logarithm of their number: among many beginnings the right one is found by halving.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.ir.ranges import contains, normal
from pfcompile.lower.formula import FALSE, TRUE, Formula, above, member, one_of_two

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pfcompile.ir.values import Value

Pattern: TypeAlias = tuple[tuple[int, int], ...]
"""What a value's words may be, first and last number of each: single numbers, and at the end
perhaps a range, behind which anything may stand."""

_Case: TypeAlias = tuple[int, int, Formula]
"""First and last number of a word, and what must hold of the words behind it."""

_LONGEST_ROW: Final = 3
"""Groups of cases that are tried one after the other."""


def any_of(words: Sequence[Value], patterns: Iterable[Pattern]) -> Formula:
    """Return whether `words`, the first the most significant, fit any of `patterns`."""
    # Sorted, equal beginnings stand together.
    return _trie(words, sorted(set(patterns)))


def _trie(words: Sequence[Value], patterns: Sequence[Pattern]) -> Formula:
    """Return the test for some distinct patterns in ascending order."""
    if not all(patterns):
        return TRUE  # One of them ends here: anything may stand behind it.
    word, behind = words[0], words[1:]
    whole = normal(first for first, *rest in patterns if not rest)
    tails: dict[tuple[Pattern, ...], Formula] = {}
    cases: list[_Case] = [(low, high, TRUE) for low, high in whole]
    for (low, high), group in groupby(patterns, key=lambda pattern: pattern[0]):
        if contains(whole, low):
            continue
        tail = tuple(pattern[1:] for pattern in group)
        if tail not in tails:
            tails[tail] = _trie(behind, tail)
        cases.append((low, high, tails[tail]))
    cases.sort(key=lambda case: case[0])
    return _choice(word, cases)


def _choice(word: Value, cases: Sequence[_Case]) -> Formula:
    """Return the test for disjoint cases in ascending order."""
    # By object: formulas of equal tails are one object, and comparing long ones takes time.
    groups: dict[int, tuple[Formula, list[tuple[int, int]]]] = {}
    for low, high, below in cases:
        groups.setdefault(id(below), (below, []))[1].append((low, high))
    if len(groups) > _LONGEST_ROW:
        middle = len(cases) // 2
        pivot = cases[middle - 1][1]
        return one_of_two(
            above(word, pivot), _choice(word, cases[middle:]), _choice(word, cases[:middle])
        )
    found: Formula = FALSE
    for below, ranges in reversed(groups.values()):
        found = one_of_two(member(word, ranges), below, found)
    return found
