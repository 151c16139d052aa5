"""Look-ups that take the number itself for the place in a table.

Why each kind is sound:

`Bitmap`
    Holds a bit for each number from the lowest to the highest of the set. All others read the bit
    behind these, which is 0.
`Listed`
    A table by the number itself, the highest entry standing for all above.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ir.arithmetic import WORD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.ir.ranges import RangeList
    from pfcompile.jit.scan.text import Text

SMALL_BITMAP: Final = 8192
"""Bytes: for all numbers of 16 bits. Larger ones must be as small as what else there is."""


class Bitmap(NamedTuple):
    """A bit for each number from `low` on, and a 0 behind the last.

    Attributes:
        low: The number of the first bit.
        span: How many numbers have bits.
    """

    low: int
    span: int
    data: bytes

    @classmethod
    def of(cls, ranges: RangeList) -> Bitmap:
        """Return the bitmap of a set."""
        low, high = ranges[0][0], ranges[-1][1]
        if high < 8 * SMALL_BITMAP:
            # Nothing is subtracted, and what is known to have 16 bits need not be compared.
            low, high = 0, 8 * SMALL_BITMAP - 1
        span = high - low + 1
        words = array("I", bytes(4 * (span // 32 + 1)))
        for first, last in ranges:
            begin, end = first - low, last - low
            word, last_word = begin // 32, end // 32
            from_begin, to_end = WORD << begin % 32 & WORD, WORD >> 31 - end % 32
            if word == last_word:
                words[word] |= from_begin & to_end
                continue
            words[word] |= from_begin
            words[last_word] |= to_end
            words[word + 1 : last_word] = array("I", [WORD]) * (last_word - word - 1)
        return cls(low, span, words.tobytes())

    def write(self, text: Text, place: str, number: str) -> str:
        """Write the look-up of a bit."""
        if self.low:
            number = text.value(f"sub i32 {number}, {self.low}")
        number = _at_most(text, number, self.span)
        index = text.value(f"zext i32 {text.value(f'lshr i32 {number}, 5')} to i64")
        word = text.load(32, text.value(f"getelementptr i32, ptr {place}, i64 {index}"))
        bit = text.value(f"and i32 {number}, 31")
        return text.value(f"trunc i32 {text.value(f'lshr i32 {word}, {bit}')} to i1")


class Listed(NamedTuple):
    """A small number for each number up to some; the last one for all above.

    Attributes:
        highest: The number of the last entry.
        bits: The size of an entry.
    """

    highest: int
    bits: int
    data: bytes

    @classmethod
    def of(cls, starts: Sequence[int], numbers: array[int]) -> Listed:
        """Return the table for ranges that begin at `starts`, 0 first, and cover all numbers."""
        entries = array(numbers.typecode)
        for number, start, end in zip(numbers, starts, [*starts[1:], starts[-1] + 1], strict=True):
            entries += array(numbers.typecode, [number]) * (end - start)
        return cls(starts[-1], 8 * numbers.itemsize, entries.tobytes())

    def write(self, text: Text, place: str, number: str) -> str:
        """Write the look-up of an entry."""
        index = text.value(f"zext i32 {_at_most(text, number, self.highest)} to i64")
        return load_entry(text, place, self.bits, index)


def _at_most(text: Text, number: str, most: int) -> str:
    """Return a number, or `most` where it is larger."""
    if text.most(number) <= most:
        return number
    inside = text.value(f"icmp ult i32 {number}, {most}")
    return text.value(f"select i1 {inside}, i32 {number}, i32 {most}", most=most)


def load_entry(text: Text, place: str, bits: int, index: str) -> str:
    """Return an entry of a table of 8 or 16 bits an entry, as 32 bits."""
    entry = text.load(bits, text.value(f"getelementptr i{bits}, ptr {place}, i64 {index}"))
    return text.value(f"zext i{bits} {entry} to i32", most=(1 << bits) - 1)
