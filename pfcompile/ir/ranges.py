"""Sets of unsigned words, as ranges in ascending order that neither overlap nor touch."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.ir.arithmetic import WORD

if TYPE_CHECKING:
    from collections.abc import Iterable

RangeList: TypeAlias = tuple[tuple[int, int], ...]
"""First and last number of each range."""

EVERYTHING: Final[RangeList] = ((0, WORD),)


def normal(ranges: Iterable[tuple[int, int]]) -> RangeList:
    """Return the union of any ranges; a range whose first number is above its last is empty."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if low > high:
            continue
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: RangeList, highest: int = WORD) -> RangeList:
    """Return the numbers from 0 to `highest` that are in none of `ranges`."""
    if not ranges or ranges[0][0] > highest:
        return ((0, highest),)
    if ranges[-1][1] > highest:
        ranges = within(ranges, 0, highest)
    gaps = [(before[1] + 1, after[0] - 1) for before, after in pairwise(ranges)]
    if ranges[0][0]:
        gaps.insert(0, (0, ranges[0][0] - 1))
    if ranges[-1][1] < highest:
        gaps.append((ranges[-1][1] + 1, highest))
    return tuple(gaps)


def within(ranges: RangeList, lowest: int, highest: int) -> RangeList:
    """Return the part of `ranges` that lies from `lowest` to `highest`, the greater of the two."""
    first = bisect_left(ranges, (lowest,))
    if first and ranges[first - 1][1] >= lowest:
        first -= 1
    part = ranges[first : bisect_right(ranges, (highest, WORD + 1))]
    if part and part[0][0] < lowest:
        part = ((lowest, part[0][1]), *part[1:])
    if part and part[-1][1] > highest:
        part = (*part[:-1], (part[-1][0], highest))
    return part


def contains(ranges: RangeList, number: int) -> bool:
    """Return whether `number` is in one of `ranges`."""
    index = bisect_right(ranges, (number, WORD + 1)) - 1
    return index >= 0 and ranges[index][1] >= number


def prefix_range(value: int, mask: int) -> tuple[int, int] | None:
    """Return the numbers x with `x & mask == value`, None where they are not one range.

    They are where the mask's bits are all at the top.
    """
    rest = ~mask & WORD
    if rest & (rest + 1) or value & rest:
        return None
    return value, value | rest
