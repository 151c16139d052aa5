"""Ranges of numbers: what is cut out of them and what lies between is what the numbers say."""

from __future__ import annotations

import random

from pfcompile.ir.arithmetic import WORD
from pfcompile.ir.ranges import complement, normal, within
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/ir/test_ranges.py")
CASES = 5000
HIGHEST = 24


def numbers(ranges: tuple[tuple[int, int], ...]) -> set[int]:
    return {number for low, high in ranges for number in range(low, high + 1)}


def test_parts_and_gaps_of_random_ranges() -> None:
    rng = random.Random(f"ranges-{SEED}")
    emptied = cut = 0
    for case in range(CASES):
        point = [rng.randrange(HIGHEST) for _ in range(2 * rng.randrange(6))]
        ranges = normal(zip(point[::2], point[1::2], strict=True))
        lowest, highest = sorted((rng.randrange(HIGHEST), rng.randrange(HIGHEST)))
        part = within(ranges, lowest, highest)
        assert part == normal(part), (case, RERUN)
        assert numbers(part) == numbers(ranges) & set(range(lowest, highest + 1)), (case, RERUN)
        gaps = complement(ranges, highest)
        assert gaps == normal(gaps), (case, RERUN)
        assert numbers(gaps) == set(range(highest + 1)) - numbers(ranges), (case, RERUN)
        emptied += not part
        cut += bool(part) and part != ranges
    assert min(emptied, cut) > CASES // 10


def test_gaps_reach_to_the_last_word() -> None:
    assert complement(()) == ((0, WORD),)
    assert complement(((0, WORD),)) == ()
    assert complement(((1, 1), (WORD, WORD))) == ((0, 0), (2, WORD - 1))
