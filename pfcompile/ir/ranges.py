"""Sets of unsigned words, as ranges in ascending order that neither overlap nor touch."""

from __future__ import annotations

from bisect import bisect_right
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
    gaps = []
    start = 0
    for low, high in ranges:
        if low > highest:
            break
        if start < low:
            gaps.append((start, low - 1))
        start = high + 1
    if start <= highest:
        gaps.append((start, highest))
    return tuple(gaps)


def within(ranges: RangeList, lowest: int, highest: int) -> RangeList:
    """Return the part of `ranges` that lies from `lowest` to `highest`."""
    return tuple(
        (max(low, lowest), min(high, highest))
        for low, high in ranges
        if low <= highest and high >= lowest
    )


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
