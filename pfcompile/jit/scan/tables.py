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
executed where its outcome is not needed. Why each kind is sound:

`Compared`
    Is the definition, one range after the other.
`Row`
    The same for up to 8 ranges at once. A number n is in [low, high] if and only if n - low,
    modulo 2**32, is at most high - low; that is asked of signed numbers, after 2**31 is added to
    both sides, since not all machines compare unsigned ones. Places left over repeat a range.
`Bitmap`
    Holds a bit for each number from the lowest to the highest of the set. All others read the bit
    behind these, which is 0.
`Hash`
    Every number of the set lies in one of the (one or two) buckets of four that its products with
    the multipliers choose, so none is missed. All slots hold numbers of the set, those left over
    its first one, so whatever is found is in the set. A product's top bits always name a bucket.
`Ranked`
    Going up from 0, each place where a range begins or ends leads into the set or out of it: a
    number is in the set, if 0 is not, if and only if an odd number of such places are at or below
    it. They lie sorted in a tree of nodes of 16 (static B-trees; Khuong and Morin, "Array layouts
    for comparison-based searching", 2017). How many of a node's places are at or below the number
    says which of its 17 children to go on with. Instead of a place, the last number below it is
    there: what fills up a node, 2**32 - 1, is below none, so that every count has its child.
`RankedNumbers`
    The same count as the index of a table of what holds between two such places.
`Listed`
    A table by the number itself, the highest entry standing for all above.
`Either`, `Not`, `Shifted`
    Put these together. A range of numbers that begins and ends at multiples of 2**s is a range of
    what is left of them after a shift by s.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from functools import reduce
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, Final, Protocol

from pfcompile.ir.arithmetic import WORD
from pfcompile.ir.ranges import complement
from pfcompile.jit.scan.text import FALSE, TRUE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.ir.ranges import RangeList
    from pfcompile.jit.scan.text import Text

DECLARATIONS: Final = "declare i32 @llvm.ctpop.i32(i32)\n"
"""What a module with look-ups must declare; it becomes an instruction, or a few."""

ALIGNMENT: Final = 64
"""Tables begin at multiples of this, a cache line. Nothing but speed depends on it."""

_SIGN: Final = 1 << 31

_FEW_COMPARED: Final = 2
"""So many ranges are compared one after the other: a `Row` takes as long as two."""

_LONGEST_ROW: Final = 8
"""Ranges of a row. With 16, in vectors of 512 bits, a packet took 2 ns longer than with a hash,
in a scan with two look-ups."""

_NODE: Final = 16
"""Places in a node of a tree, which fill a cache line."""

_EVEN_BITS: Final = 0x55555555
_ODD_BITS: Final = 0xAAAAAAAA

_BUCKET: Final = 4
"""Numbers in a bucket: as many as every machine with vectors compares at once."""

_SMALL_BITMAP: Final = 8192
"""Bytes: for all numbers of 16 bits. Larger ones must be as small as what else there is."""

_HASHED: Final = 8
"""Bytes that a `Hash` takes for a number, about."""

_SMALL_LIST: Final = 4096
"""Entries that a `Listed` may have, however few ranges there are."""

_LARGEST_LIST: Final = 1 << 16
"""Entries that it may have instead of a tree of more than two layers."""

_SHORT: Final = 16
"""Ranges up to so long may be taken for single numbers."""

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
    if len(ranges) <= _LONGEST_ROW:
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
    two_nodes = _NODE * (_NODE + 2)
    if starts[-1] < _SMALL_LIST or (starts[-1] < _LARGEST_LIST and len(starts) > two_nodes):
        return Listed.of(starts, numbers)
    return RankedNumbers.of(starts, numbers)


def _table(ranges: RangeList) -> Table:
    """Return the quickest table for a set of more ranges than make a row."""
    span = ranges[-1][1] - ranges[0][0] + 1
    if span <= 8 * max(_SMALL_BITMAP, _HASHED * _comparisons(ranges)):
        return Bitmap.of(ranges)
    long = tuple(each for each in ranges if each[1] - each[0] >= _SHORT)
    if len(long) <= _LONGEST_ROW:
        short = (each for each in ranges if each[1] - each[0] < _SHORT)
        numbers = [number for low, high in short for number in range(low, high + 1)]
        table = Hash.of(numbers) if len(numbers) <= _BUCKET * len(ranges) else None
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


@dataclass(frozen=True, slots=True)
class Row:
    """Up to 8 ranges, compared all at once.

    Attributes:
        width: How many ranges there are, with some repeated: 4 or 8.
    """

    width: int
    data: bytes

    @classmethod
    def of(cls, ranges: RangeList) -> Row:
        """Return the row for 1 to 8 ranges."""
        width = next(width for width in (4, _LONGEST_ROW) if width >= len(ranges))
        ranges += ranges[:1] * (width - len(ranges))
        words = [(_SIGN - low) & WORD for low, _ in ranges]
        words += [(high - low) ^ _SIGN for low, high in ranges]
        return cls(width, array("I", words).tobytes())

    def write(self, text: Text, place: str, number: str) -> str:
        """Write the comparison."""
        vector = f"<{self.width} x i32>"
        addends = text.value(f"load {vector}, ptr {place}, align 4")
        lengths = text.value(f"getelementptr {vector}, ptr {place}, i64 1")
        lengths = text.value(f"load {vector}, ptr {lengths}, align 4")
        sums = text.value(f"add {vector} {_repeated(text, number, self.width)}, {addends}")
        inside = text.value(f"icmp sle {vector} {sums}, {lengths}")
        return _any(text, inside, self.width)


def _repeated(text: Text, number: str, width: int) -> str:
    """Return a vector of a number again and again."""
    vector = f"<{width} x i32>"
    first = text.value(f"insertelement {vector} poison, i32 {number}, i64 0")
    zeros = f"<{width} x i32> zeroinitializer"
    return text.value(f"shufflevector {vector} {first}, {vector} poison, {zeros}")


def _any(text: Text, bits: str, width: int) -> str:
    """Return whether any bit of a vector is set."""
    together = text.value(f"bitcast <{width} x i1> {bits} to i{width}")
    return text.value(f"icmp ne i{width} {together}, 0")


@dataclass(frozen=True, slots=True)
class Bitmap:
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
        if high < 8 * _SMALL_BITMAP:
            # Nothing is subtracted, and what is known to have 16 bits need not be compared.
            low, high = 0, 8 * _SMALL_BITMAP - 1
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


def _at_most(text: Text, number: str, most: int) -> str:
    """Return a number, or `most` where it is larger."""
    if text.most(number) <= most:
        return number
    inside = text.value(f"icmp ult i32 {number}, {most}")
    return text.value(f"select i1 {inside}, i32 {number}, i32 {most}", most=most)


@dataclass(frozen=True, slots=True)
class Hash:
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
        bits = _bits(len(numbers) / _BUCKET / _FULLEST_DOUBLE)
        for trial in range(2 * _TRIALS):
            one, other = next(multipliers), next(multipliers)
            slots = _buckets(numbers, bits + trial // _TRIALS, one, other)
            if slots is not None:
                return cls((one, other), bits + trial // _TRIALS, slots.tobytes())
        return None

    def write(self, text: Text, place: str, number: str) -> str:
        """Write the comparison with one bucket or two."""
        vector = f"<{_BUCKET} x i32>"
        repeated = _repeated(text, number, _BUCKET)
        found = ""
        for multiplier in self.multipliers:
            product = text.value(f"mul i32 {number}, {multiplier}")
            index = text.value(f"lshr i32 {product}, {32 - self.bits}")
            index = text.value(f"zext i32 {index} to i64")
            bucket = text.value(f"getelementptr [{_BUCKET} x i32], ptr {place}, i64 {index}")
            slots = text.value(f"load {vector}, ptr {bucket}, align 4")
            equal = text.value(f"icmp eq {vector} {slots}, {repeated}")
            found = text.value(f"or <{_BUCKET} x i1> {found}, {equal}") if found else equal
        return _any(text, found, _BUCKET)


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
    slots = array("I", numbers[:1]) * (_BUCKET << bits)
    used = bytearray(1 << bits)
    for number in numbers:
        bucket = (number * one & WORD) >> shift
        second = (number * other & WORD) >> shift
        if used[second] < used[bucket]:
            bucket = second
        homeless = number
        moves = 0
        while used[bucket] == _BUCKET:
            # Every bucket that it may be in is full: it takes the place of another.
            if moves == _MOST_MOVES or one == other:
                return None
            slot = _BUCKET * bucket + moves % _BUCKET
            homeless, slots[slot] = slots[slot], homeless
            bucket ^= (homeless * one & WORD) >> shift ^ (homeless * other & WORD) >> shift
            moves += 1
        slots[_BUCKET * bucket + used[bucket]] = homeless
        used[bucket] += 1
    return slots


@dataclass(frozen=True, slots=True)
class _Tree:
    """Places in ascending order, for how many are at or below a number.

    Attributes:
        layers: Where each layer of nodes begins in `data`, the root's first.
        data: The nodes: for each place the last number below it, less 2**31.
    """

    layers: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, places: Sequence[int]) -> _Tree:
        """Return the tree for some places, from 1 on."""
        layer = [place - 1 for place in places]
        beginnings = layer[::_NODE]
        layers = [_filled(layer, len(beginnings))]
        while len(beginnings) > 1:
            # A node tells its children apart by the beginnings of all but the first.
            layer = [each for index, each in enumerate(beginnings) if index % (_NODE + 1)]
            beginnings = beginnings[:: _NODE + 1]
            layers.append(_filled(layer, len(beginnings)))
        words, starts = array("I"), []
        for filled in reversed(layers):
            starts.append(4 * len(words))
            words += filled
        return cls(tuple(starts), words.tobytes())

    def write(self, text: Text, place: str, number: str) -> tuple[str, str]:
        """Write a search.

        Returns:
            The names of the last node's index, 64 bits, and of how many of its places are at or
            below the number, 32 bits.
        """
        vector = f"<{_NODE} x i32>"
        repeated = _repeated(text, text.value(f"xor i32 {number}, {_SIGN}"), _NODE)
        node = count = ""
        for start in self.layers:
            if count:
                child = text.value(f"zext i32 {count} to i64")
                node = text.value(f"mul i64 {node}, {_NODE + 1}") if node else "0"
                node = text.value(f"add i64 {node}, {child}")
            layer = text.value(f"getelementptr i8, ptr {place}, i64 {start}")
            node_place = text.value(f"getelementptr {vector}, ptr {layer}, i64 {node or 0}")
            below = text.value(f"load {vector}, ptr {node_place}, align 4")
            counted = text.value(f"icmp sgt {vector} {repeated}, {below}")
            counted = text.value(f"bitcast <{_NODE} x i1> {counted} to i{_NODE}")
            counted = text.value(f"zext i{_NODE} {counted} to i32")
            count = text.value(f"call i32 @llvm.ctpop.i32(i32 {counted})")
        return node or "0", count


def _filled(places: Sequence[int], nodes: int) -> array[int]:
    """Return so many nodes, with places that no number is above in those left over."""
    words = array("I", [each ^ _SIGN for each in places])
    words.extend([WORD ^ _SIGN] * (_NODE * nodes - len(words)))
    return words


@dataclass(frozen=True, slots=True)
class Ranked:
    """Any ranges, by how many of their ends are at or below a number.

    Attributes:
        tree: Where the ranges begin and where what is behind them begins.
        inside: Whether 0 is in the set.
    """

    tree: _Tree
    inside: bool

    @property
    def data(self) -> bytes:
        """The tree's bytes."""
        return self.tree.data

    @classmethod
    def of(cls, ranges: RangeList) -> Ranked:
        """Return the table for at least one range, but not for all numbers."""
        places = [place for low, high in ranges for place in (low, high + 1)]
        inside = places[0] == 0
        return cls(_Tree.of(places[inside : len(places) - (places[-1] > WORD)]), inside)

    def write(self, text: Text, place: str, number: str) -> str:
        """Write the search."""
        # Full nodes have an even number of places: the last one's count decides.
        _, count = self.tree.write(text, place, number)
        by_count = _EVEN_BITS if self.inside else _ODD_BITS
        return text.value(f"trunc i32 {text.value(f'lshr i32 {by_count}, {count}')} to i1")


@dataclass(frozen=True, slots=True)
class RankedNumbers:
    """Small numbers for ranges that cover all numbers.

    Attributes:
        tree: Where the ranges but the first begin.
        bits: The size of a small number.
        data: The tree and the small number of each range, in ascending order.
    """

    tree: _Tree
    bits: int
    data: bytes

    @classmethod
    def of(cls, starts: Sequence[int], numbers: array[int]) -> RankedNumbers:
        """Return the table for at least two ranges that begin at `starts`."""
        tree = _Tree.of(starts[1:])
        return cls(tree, 8 * numbers.itemsize, tree.data + numbers.tobytes())

    def write(self, text: Text, place: str, number: str) -> str:
        """Write the search and what follows from it."""
        node, count = self.tree.write(text, place, number)
        first = text.value(f"mul i64 {node}, {_NODE}")
        index = text.value(f"add i64 {first}, {text.value(f'zext i32 {count} to i64')}")
        numbers = text.value(f"getelementptr i8, ptr {place}, i64 {len(self.tree.data)}")
        return _entry(text, numbers, self.bits, index)


def _entry(text: Text, place: str, bits: int, index: str) -> str:
    """Return an entry of a table of 8 or 16 bits an entry, as 32 bits."""
    entry = text.load(bits, text.value(f"getelementptr i{bits}, ptr {place}, i64 {index}"))
    return text.value(f"zext i{bits} {entry} to i32", most=(1 << bits) - 1)


@dataclass(frozen=True, slots=True)
class Listed:
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
        return _entry(text, place, self.bits, index)


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
