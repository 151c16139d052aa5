"""What a program asks of packets: the values that it looks at, and with which numbers.

Guesses come from here. A piece of an expression is worth a try where the program asks for its
numbers in its places; a number is worth putting into a piece where the program compares with it
what that piece looks at.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Branch, Graph, Test
from pfcompile.ir.ranges import RangeList, complement, normal, within
from pfcompile.ir.values import Arithmetic, Const, Load, Numbers, Value, const, load
from pfcompile.passes.fold import binary, canonical, decide, upper_bound
from pfcompile.passes.group_tests import membership

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

_ADDRESS: Final = 4
"""Bytes of an IPv4 address: of what is shorter the program asks for no network."""

FEW: Final = 8
"""Parts of a set that are also tried alone."""


def tests_of(graph: Graph) -> Iterator[Test]:
    """Yield the tests of a graph, each once for every block that has it."""
    for block in graph.blocks:
        if isinstance(block, Branch):
            yield block.test


class Questions:
    """The tests of a program.

    Attributes:
        tests: All of them, each once.
    """

    def __init__(self, graphs: Iterable[Graph]) -> None:
        """Take the tests of some graphs that mean the same."""
        self.tests = tuple(dict.fromkeys(test for graph in graphs for test in tests_of(graph)))
        self._ranges: dict[Value, dict[RangeList, None]] = defaultdict(dict)
        self._bytes: dict[tuple[Value | None, int], set[tuple[int, int]]] = defaultdict(set)
        self._equal: list[tuple[Load, int, int]] = []
        for test in self.tests:
            found = membership(test)
            if found is not None:
                self._ranges[found[0]][found[1]] = None
            self._note_bytes(test)

    def _note_bytes(self, test: Test) -> None:
        loaded, mask = masked_load(test.left)
        if loaded is None:
            return
        if isinstance(test.right, Numbers):
            prefix = _prefix(test.right.ranges)
            if prefix is None:
                return
            mask, bits = prefix
        elif isinstance(test.right, Const) and test.op in {Comparison.EQ, Comparison.SET}:
            bits = test.right.value
        else:
            return
        if test.op is Comparison.SET:
            mask, bits = mask & bits, 0
        self._equal.append((loaded, mask, bits))
        for key, byte_mask, byte in _bytes_of(loaded, mask, bits):
            if byte_mask:
                self._bytes[key].add((byte_mask, byte))

    def sets(self, value: Value) -> tuple[RangeList, ...]:
        """Return the sets of numbers that the program may ask a value for, each not everything."""
        found: dict[RangeList, None] = dict(self._ranges.get(value, ()))
        if isinstance(value, Load):
            for number in self._inside_wider(value, WORD):
                found[(number, number),] = None
            if value.size == _ADDRESS:
                found.update(dict.fromkeys(self._beginning(value)))
        bound = upper_bound(value)
        singles = normal(pair for ranges in found for pair in ranges if pair[0] == pair[1])
        starts = sorted({start for ranges in found for pair in ranges for start in _edges(pair)})
        if singles:
            found[singles] = None
        for ranges in list(found):
            if len(ranges) <= FEW:
                found[complement(ranges, bound)] = None
                found.update(dict.fromkeys((pair,) for pair in ranges))
        if len(starts) <= FEW:
            for i, low in enumerate(starts):
                found.update(dict.fromkeys(((low, after - 1),) for after in starts[i + 1 :]))
        everything = ((0, bound),)
        clipped = (tuple((a, min(b, bound)) for a, b in ranges if a <= bound) for ranges in found)
        return tuple(dict.fromkeys(each for each in clipped if each and each != everything))

    def shared_sets(self, values: Sequence[Value]) -> tuple[RangeList, ...]:
        """Return the sets for any of some values, and of long ones only those for all of them."""
        sets = [dict.fromkeys(self.sets(value)) for value in values]
        return tuple(
            ranges
            for ranges in dict.fromkeys(ranges for each in sets for ranges in each)
            if len(ranges) <= FEW or all(ranges in each for each in sets)
        )

    def numbers(self, value: Value) -> tuple[int, ...]:
        """Return the single numbers that the program may compare a value, or part of it, with."""
        found = dict.fromkeys(
            pair[0] for ranges in self.sets(value) for pair in ranges if pair[0] == pair[1]
        )
        loaded, mask = masked_load(value)
        if loaded is not None:
            found.update(dict.fromkeys(self._inside_wider(loaded, mask)))
        return tuple(found)

    def masked_numbers(self, value: Value) -> tuple[tuple[int, int], ...]:
        """Return the pairs of a mask and the bits that the program may ask a load for."""
        return tuple((mask, k) for loaded, mask, k in self._equal if loaded is value)

    def known_byte(self, place: tuple[Value | None, int]) -> tuple[int, ...]:
        """Return the numbers that the program may ask a byte of a packet for, as a whole."""
        return tuple(sorted(byte for mask, byte in self._bytes.get(place, ()) if mask == 0xFF))

    def parts(self) -> Iterator[Test]:
        """Yield the tests of single bytes and pairs of bytes that tests under masks are made of."""
        whole = sum(mask == WORD for _, mask, _ in self._equal)
        for loaded, mask, bits in self._equal:
            if mask == WORD and (loaded.size == 1 or whole > FEW):
                continue
            for size in (1, 2):
                for start in range(0, loaded.size - size + 1, size):
                    shift = 8 * (loaded.size - start - size)
                    full = (1 << 8 * size) - 1
                    wanted = mask >> shift & full
                    if wanted == 0 or size == loaded.size:
                        continue
                    piece = load(size, loaded.base, loaded.offset + start)
                    value = binary(ArithmeticOp.AND, piece, const(wanted))
                    test = Test(Comparison.EQ, value, const(bits >> shift & wanted))
                    if decide(test) is None:
                        yield canonical(test)[0]

    def _beginning(self, value: Load) -> Iterator[RangeList]:
        """Yield the sets of numbers whose first bytes alone the program compares."""
        for size in range(1, value.size):
            shift = 8 * (value.size - size)
            narrow = load(size, value.base, value.offset) if size != 3 else None
            for ranges in () if narrow is None else self._ranges.get(narrow, ()):
                clipped = within(ranges, 0, (1 << 8 * size) - 1)
                yield tuple((low << shift, (high + 1 << shift) - 1) for low, high in clipped)

    def _inside_wider(self, value: Load, wanted: int) -> Iterator[int]:
        """Yield the numbers of a load, under a mask, inside one that the program compares."""
        wanted &= (1 << 8 * value.size) - 1
        for loaded, mask, bits in self._equal:
            start = value.offset - loaded.offset
            if loaded.base is not value.base or not 0 <= start <= loaded.size - value.size:
                continue
            shift = 8 * (loaded.size - start - value.size)
            if mask >> shift & wanted == wanted:
                yield bits >> shift & wanted

    def relevance(self, graph: Graph, common: AbstractSet[Test]) -> float:
        """Return which part of the tests of a graph the program seems to make too.

        Those that every graph has in its place are `common`, and say nothing.
        """
        tests = list(dict.fromkeys(tests_of(graph)))
        tests = [test for test in tests if test not in common] or tests
        return sum(map(self._asks, tests)) / len(tests) if tests else 0.0

    def asks_all(self, tests: Iterable[Test]) -> bool:
        """Return whether the program seems to make all of some tests."""
        return all(map(self._asks, tests))

    def _asks(self, test: Test) -> bool:
        if test in self.tests:
            return True
        found = membership(test)
        if found is not None:
            edges = {edge for pair in found[1] for edge in _edges(pair)}
            asked = self._ranges.get(found[0], ())
            if any(edges & set(_edges(pair)) for ranges in asked for pair in ranges):
                return True
        loaded, mask = masked_load(test.left)
        if loaded is None or not isinstance(test.right, Const):
            return False
        if test.op is Comparison.SET:
            pieces = _bytes_of(loaded, mask & test.right.value, 0)
            return any(
                mask & asked for key, mask, _ in pieces for asked, _ in self._bytes.get(key, ())
            )
        if test.op is not Comparison.EQ:
            return False
        return all(
            any(
                m & byte_mask and (b ^ byte) & m & byte_mask == 0
                for m, b in self._bytes.get(key, ())
            )
            for key, byte_mask, byte in _bytes_of(loaded, mask, test.right.value)
            if byte_mask
        )


def _prefix(ranges: RangeList) -> tuple[int, int] | None:
    """Return the mask and the bits of a range that is one block of numbers alike at the top."""
    if len(ranges) != 1:
        return None
    low, high = ranges[0]
    rest = low ^ high
    return None if rest & (rest + 1) or low & rest else (WORD & ~rest, low)


def _edges(pair: tuple[int, int]) -> tuple[int, int]:
    return pair[0], pair[1] + 1


def masked_load(value: Value) -> tuple[Load | None, int]:
    """Return a value as a load and the mask that is put on it."""
    match value:
        case Load():
            return value, WORD
        case Arithmetic(op=ArithmeticOp.AND, left=Load() as loaded, right=Const(value=mask)):
            return loaded, mask
        case _:
            return None, 0


def _bytes_of(
    loaded: Load, mask: int, bits: int
) -> Iterator[tuple[tuple[Value | None, int], int, int]]:
    """Yield each byte of a load: where it stands, its mask and its bits."""
    for i in range(loaded.size):
        shift = 8 * (loaded.size - 1 - i)
        yield (loaded.base, loaded.offset + i & WORD), mask >> shift & 0xFF, bits >> shift & 0xFF
