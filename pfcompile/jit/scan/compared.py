"""Look-ups that compare a number with several at once: with all that there are, or with a few.

Why each kind is sound:

`Compared`
    Is the definition, one range after the other.
`Row`
    The same for up to 8 ranges at once. A number n is in [low, high] if and only if n - low,
    modulo 2**32, is at most high - low; that is asked of signed numbers, after 2**31 is added to
    both sides, since not all machines compare unsigned ones. Places left over repeat a range.
`Hash`
    Every number of the set lies in one of the (one or two) buckets of four that its products with
    the multipliers choose, so none is missed. All slots hold numbers of the set, those left over
    its first one, so whatever is found is in the set. A product's top bits always name a bucket.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from functools import reduce
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ir.arithmetic import WORD
from pfcompile.jit.scan.text import FALSE, TRUE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.ir.ranges import RangeList
    from pfcompile.jit.scan.text import Text

SIGN: Final = 1 << 31
"""Added to both sides of a comparison, it makes of an unsigned one a signed one."""

LONGEST_ROW: Final = 8
"""Ranges of a row. With 16, in vectors of 512 bits, a packet took 2 ns longer than with a hash,
in a scan with two look-ups."""

BUCKET: Final = 4
"""Numbers in a bucket: as many as every machine with vectors compares at once."""

_FULLEST_SINGLE: Final = 0.8
"""Numbers for each bucket that a table with one multiplier has at most: about a quarter of all
multipliers will do then, for as many numbers as there may be."""

_MOST_SINGLE: Final = 800
"""Numbers that such a table has at most: 16 KB. Larger ones would leave too little of a processor's
first cache, and take too many trials."""

_FULLEST_DOUBLE: Final = 0.8
"""The part of all slots that is taken at most, with two multipliers. Up to 0.97 would do, slowly
(Dietzfelbinger and Weidling, "Balanced allocation and dictionaries with tightly packed constant
size bins", 2007)."""

_TRIALS: Final = 8
"""Multipliers that are tried before the table is made larger."""

_MOST_MOVES: Final = 200
"""Numbers that are moved to make room for one, before other multipliers are tried."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A few ranges, compared one after the other."""

    ranges: RangeList
    data: bytes = field(default=b"", init=False)

    def write(self, text: Text, place: str, number: str) -> str:
        """Write the comparisons."""
        del place
        tests = (_between(text, number, low, high) for low, high in self.ranges)
        return reduce(text.either, tests, FALSE)


def _between(text: Text, number: str, low: int, high: int) -> str:
    if low == high:
        return text.value(f"icmp eq i32 {number}, {low}")
    if high - low == WORD:
        return TRUE
    if low:
        number = text.value(f"sub i32 {number}, {low}")
    return text.value(f"icmp ule i32 {number}, {high - low}")


class Row(NamedTuple):
    """Up to 8 ranges, compared all at once.

    Attributes:
        width: How many ranges there are, with some repeated: 4 or 8.
    """

    width: int
    data: bytes

    @classmethod
    def of(cls, ranges: RangeList) -> Row:
        """Return the row for 1 to 8 ranges."""
        width = next(width for width in (4, LONGEST_ROW) if width >= len(ranges))
        ranges += ranges[:1] * (width - len(ranges))
        words = [(SIGN - low) & WORD for low, _ in ranges]
        words += [(high - low) ^ SIGN for low, high in ranges]
        return cls(width, array("I", words).tobytes())

    def write(self, text: Text, place: str, number: str) -> str:
        """Write the comparison."""
        vector = f"<{self.width} x i32>"
        addends = text.value(f"load {vector}, ptr {place}, align 4")
        lengths = text.value(f"getelementptr {vector}, ptr {place}, i64 1")
        lengths = text.value(f"load {vector}, ptr {lengths}, align 4")
        sums = text.value(f"add {vector} {repeated_number(text, number, self.width)}, {addends}")
        inside = text.value(f"icmp sle {vector} {sums}, {lengths}")
        return _any(text, inside, self.width)


class Hash(NamedTuple):
    """Single numbers in buckets.

    Attributes:
        multipliers: One or two; each chooses a bucket.
        bits: The logarithm of the number of buckets.
    """

    multipliers: tuple[int, ...]
    bits: int
    data: bytes

    @classmethod
    def of(cls, numbers: Sequence[int]) -> Hash | None:
        """Return a table for distinct numbers, None where none is found."""
        multipliers = _multipliers()
        if len(numbers) <= _MOST_SINGLE:
            bits = _bits(len(numbers) / _FULLEST_SINGLE)
            for multiplier in islice(multipliers, _TRIALS):
                slots = _buckets(numbers, bits, multiplier, multiplier)
                if slots is not None:
                    return cls((multiplier,), bits, slots.tobytes())
        bits = _bits(len(numbers) / BUCKET / _FULLEST_DOUBLE)
        for trial in range(2 * _TRIALS):
            one, other = next(multipliers), next(multipliers)
            slots = _buckets(numbers, bits + trial // _TRIALS, one, other)
            if slots is not None:
                return cls((one, other), bits + trial // _TRIALS, slots.tobytes())
        return None

    def write(self, text: Text, place: str, number: str) -> str:
        """Write the comparison with one bucket or two."""
        vector = f"<{BUCKET} x i32>"
        repeated = repeated_number(text, number, BUCKET)
        found = ""
        for multiplier in self.multipliers:
            product = text.value(f"mul i32 {number}, {multiplier}")
            index = text.value(f"lshr i32 {product}, {32 - self.bits}")
            index = text.value(f"zext i32 {index} to i64")
            bucket = text.value(f"getelementptr [{BUCKET} x i32], ptr {place}, i64 {index}")
            slots = text.value(f"load {vector}, ptr {bucket}, align 4")
            equal = text.value(f"icmp eq {vector} {slots}, {repeated}")
            found = text.value(f"or <{BUCKET} x i1> {found}, {equal}") if found else equal
        return _any(text, found, BUCKET)


def _bits(buckets: float) -> int:
    """Return the logarithm of the least power of two that is as large, at least 2."""
    return max(1, (ceil(buckets) - 1).bit_length())


def _multipliers() -> Iterator[int]:
    """Return odd numbers that are the same every day, but have nothing else in common.

    Source: the generator of "Numerical Recipes", 2nd edition, section 7.1, `ranqd1`.
    """
    state = 0
    while True:
        state = (state * 1664525 + 1013904223) & WORD
        yield state | 1


def _buckets(numbers: Sequence[int], bits: int, one: int, other: int) -> array[int] | None:
    """Put numbers into buckets, each into one of its two; None where that fails."""
    shift = 32 - bits
    slots = array("I", numbers[:1]) * (BUCKET << bits)
    used = bytearray(1 << bits)
    for number in numbers:
        bucket = (number * one & WORD) >> shift
        second = (number * other & WORD) >> shift
        if used[second] < used[bucket]:
            bucket = second
        homeless = number
        moves = 0
        while used[bucket] == BUCKET:
            # Every bucket that it may be in is full: it takes the place of another.
            if moves == _MOST_MOVES or one == other:
                return None
            slot = BUCKET * bucket + moves % BUCKET
            homeless, slots[slot] = slots[slot], homeless
            bucket ^= (homeless * one & WORD) >> shift ^ (homeless * other & WORD) >> shift
            moves += 1
        slots[BUCKET * bucket + used[bucket]] = homeless
        used[bucket] += 1
    return slots


def repeated_number(text: Text, number: str, width: int) -> str:
    """Return a vector of a number again and again."""
    vector = f"<{width} x i32>"
    first = text.value(f"insertelement {vector} poison, i32 {number}, i64 0")
    zeros = f"<{width} x i32> zeroinitializer"
    return text.value(f"shufflevector {vector} {first}, {vector} poison, {zeros}")


def _any(text: Text, bits: str, width: int) -> str:
    """Return whether any bit of a vector is set."""
    together = text.value(f"bitcast <{width} x i1> {bits} to i{width}")
    return text.value(f"icmp ne i{width} {together}, 0")
