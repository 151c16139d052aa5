"""Whether a number is in a set, or in which of several, as one look-up in native code.

Before, with 3,000 numbers after one another or as a tree, half of whose branches are mispredicted::

    %v1 = icmp eq i32 %a, 167837701
    br i1 %v1, label %found, label %n2
    ...
After::

    %v1 = mul i32 %a, 1013904223
    %v2 = lshr i32 %v1, 22
    %v3 = zext i32 %v2 to i64
    %v4 = getelementptr [4 x i32], ptr %tables, i64 %v3
    %v5 = load <4 x i32>, ptr %v4, align 4
    %v6 = icmp eq <4 x i32> %v5, %all.a
    ...

A look-up is one straight line: it branches nowhere, calls nothing, needs no constant but those in
its instructions, and reads only its own table, whatever 32 bits it is asked for, so that it may be
executed where its outcome is not needed. Why each kind is sound is said where it is: `compared`,
`indexed` and `ranked`.

`Either`, `Not` and `Shifted` put these together. A range of numbers that begins and ends at
multiples of 2**s is a range of what is left of them after a shift by s.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from pfcompile.ir.arithmetic import WORD
from pfcompile.ir.ranges import complement
from pfcompile.jit.scan.compared import BUCKET, LONGEST_ROW, Compared, Hash, Row
from pfcompile.jit.scan.indexed import SMALL_BITMAP, Bitmap, Listed
from pfcompile.jit.scan.ranked import NODE, Ranked, RankedNumbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.ir.ranges import RangeList
    from pfcompile.jit.scan.text import Text

ALIGNMENT: Final = 64
"""Tables begin at multiples of this, a cache line. Nothing but speed depends on it."""

_FEW_COMPARED: Final = 2
"""So many ranges are compared one after the other: a `Row` takes as long as two."""

_HASHED: Final = 8
"""Bytes that a `Hash` takes for a number, about."""

_SMALL_LIST: Final = 4096
"""Entries that a `Listed` may have, however few ranges there are."""

_LARGEST_LIST: Final = 1 << 16
"""Entries that it may have instead of a tree of more than two layers."""

_SHORT: Final = 16
"""Ranges up to so long may be taken for single numbers."""


class Table(Protocol):
    """A set of numbers, or a function that gives each number a small one."""

    @property
    def data(self) -> bytes:
        """The bytes that its look-ups read, in the machine's byte order."""

    def write(self, text: Text, place: str, number: str) -> str:
        """Write a look-up and return the name of its outcome.

        The outcome is a bit where the table is a set, else 32 bits.

        Args:
            text: Where it is written.
            place: Pointer to `data`.
            number: What is looked up, 32 bits.
        """


class Tables:
    """The tables of a scan, one behind the other in one piece of memory.

    The same table is there once, however often it is asked for.
    """

    def __init__(self, start: str) -> None:
        """Begin without tables.

        Args:
            start: The name of the pointer to where `data` will lie, at a multiple of `ALIGNMENT`.
        """
        self._start = start
        self._data = bytearray()
        self._placed: dict[object, tuple[Table, int]] = {}

    @property
    def data(self) -> bytes:
        """The tables of all look-ups written so far."""
        return bytes(self._data)

    def member(self, text: Text, number: str, ranges: RangeList) -> str:
        """Write whether a number is in a set, and return the name of the bit."""
        if ranges not in self._placed:
            self._placed[ranges] = self._put(choose(ranges))
        return self._look_up(text, number, *self._placed[ranges])

    def which(self, text: Text, number: str, sets: Sequence[RangeList]) -> str:
        """Write in which of some sets a number is, and return the name of the set's index.

        Args:
            text: Where it is written.
            number: What is looked up, 32 bits.
            sets: At most 65,536; each number is in exactly one.
        """
        key = tuple(sets)
        if key not in self._placed:
            self._placed[key] = self._put(choose_numbers(key))
        return self._look_up(text, number, *self._placed[key])

    def _put(self, table: Table) -> tuple[Table, int]:
        offset = len(self._data)
        self._data += _aligned(table.data)
        return table, offset

    def _look_up(self, text: Text, number: str, table: Table, offset: int) -> str:
        place = self._start
        if offset and table.data:
            place = text.value(f"getelementptr i8, ptr {place}, i64 {offset}")
        return table.write(text, place, number)


def choose(ranges: RangeList) -> Table:
    """Return the quickest table for a set that is not larger than it need be."""
    if len(ranges) <= _FEW_COMPARED:
        return Compared(ranges)
    if 2 * sum(high - low + 1 for low, high in ranges) > WORD + 1:
        return Not(choose(complement(ranges)))
    if len(ranges) <= LONGEST_ROW:
        return Row.of(ranges)
    shift = _common_shift(ranges)
    if shift:
        shifted = tuple((low >> shift, high >> shift) for low, high in ranges)
        if _comparisons(shifted) + 1 < _comparisons(ranges):
            return Shifted(_table(shifted), shift)
    return _table(ranges)


def choose_numbers(sets: Sequence[RangeList]) -> Table:
    """Return the quickest table for which of some sets a number is in.

    Args:
        sets: At most 65,536; each number is in exactly one.
    """
    pieces = sorted((low, index) for index, ranges in enumerate(sets) for low, _ in ranges)
    starts = [low for low, _ in pieces]
    numbers = array("B" if len(sets) <= 256 else "H", [index for _, index in pieces])
    two_nodes = NODE * (NODE + 2)
    if starts[-1] < _SMALL_LIST or (starts[-1] < _LARGEST_LIST and len(starts) > two_nodes):
        return Listed.of(starts, numbers)
    return RankedNumbers.of(starts, numbers)


def _table(ranges: RangeList) -> Table:
    """Return the quickest table for a set of more ranges than make a row."""
    span = ranges[-1][1] - ranges[0][0] + 1
    if span <= 8 * max(SMALL_BITMAP, _HASHED * _comparisons(ranges)):
        return Bitmap.of(ranges)
    long = tuple(each for each in ranges if each[1] - each[0] >= _SHORT)
    if len(long) <= LONGEST_ROW:
        short = (each for each in ranges if each[1] - each[0] < _SHORT)
        numbers = [number for low, high in short for number in range(low, high + 1)]
        table = Hash.of(numbers) if len(numbers) <= BUCKET * len(ranges) else None
        if table is not None:
            if not long:
                return table
            return Either(table, Row.of(long) if len(long) > _FEW_COMPARED else Compared(long))
    return Ranked.of(ranges)


def _common_shift(ranges: RangeList) -> int:
    """Return how many bits no range needs, where it begins or behind its end."""
    edges = 1 << 31
    for low, high in ranges:
        edges |= low | high + 1
    return (edges & -edges).bit_length() - 1


def _comparisons(ranges: RangeList) -> int:
    return sum(1 if low == high else 2 for low, high in ranges)


@dataclass(frozen=True, slots=True)
class Either:
    """A set of what is in one table or in the other."""

    one: Table
    other: Table

    @property
    def data(self) -> bytes:
        """The bytes of both."""
        return _aligned(self.one.data) + self.other.data

    def write(self, text: Text, place: str, number: str) -> str:
        """Write both look-ups."""
        behind = len(_aligned(self.one.data))
        other_place = text.value(f"getelementptr i8, ptr {place}, i64 {behind}")
        one = self.one.write(text, place, number)
        return text.either(one, self.other.write(text, other_place, number))


def _aligned(data: bytes) -> bytes:
    """Return a table's bytes and what must be left free in front of the next."""
    return data + bytes(-len(data) % ALIGNMENT)


@dataclass(frozen=True, slots=True)
class Not:
    """A set of what is not in another."""

    table: Table

    @property
    def data(self) -> bytes:
        """The bytes of the other's table."""
        return self.table.data

    def write(self, text: Text, place: str, number: str) -> str:
        """Write the opposite of the other's look-up."""
        return text.not_(self.table.write(text, place, number))


@dataclass(frozen=True, slots=True)
class Shifted:
    """A set of numbers that are in another once their low bits are gone."""

    table: Table
    shift: int

    @property
    def data(self) -> bytes:
        """The bytes of the other's table."""
        return self.table.data

    def write(self, text: Text, place: str, number: str) -> str:
        """Write the other's look-up of the shifted number."""
        rest = text.value(f"lshr i32 {number}, {self.shift}", most=text.most(number) >> self.shift)
        return self.table.write(text, place, rest)
