"""Look-ups that count, in a tree, how many places are at or below a number.

Why each kind is sound:

`Ranked`
    Going up from 0, each place where a range begins or ends leads into the set or out of it: a
    number is in the set, if 0 is not, if and only if an odd number of such places are at or below
    it. They lie sorted in a tree of nodes of 16 (static B-trees; Khuong and Morin, "Array layouts
    for comparison-based searching", 2017). How many of a node's places are at or below the number
    says which of its 17 children to go on with. Instead of a place, the last number below it is
    there: what fills up a node, 2**32 - 1, is below none, so that every count has its child.
`RankedNumbers`
    The same count as the index of a table of what holds between two such places.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ir.arithmetic import WORD
from pfcompile.jit.scan.compared import SIGN, repeated_number
from pfcompile.jit.scan.indexed import load_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.ir.ranges import RangeList
    from pfcompile.jit.scan.text import Text

DECLARATIONS: Final = "declare i32 @llvm.ctpop.i32(i32)\n"
"""What a module with look-ups must declare; it becomes an instruction, or a few."""

NODE: Final = 16
"""Places in a node of a tree, which fill a cache line."""

_EVEN_BITS: Final = 0x55555555
_ODD_BITS: Final = 0xAAAAAAAA


class _Tree(NamedTuple):
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
        beginnings = layer[::NODE]
        layers = [_filled(layer, len(beginnings))]
        while len(beginnings) > 1:
            # A node tells its children apart by the beginnings of all but the first.
            layer = [each for index, each in enumerate(beginnings) if index % (NODE + 1)]
            beginnings = beginnings[:: NODE + 1]
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
        vector = f"<{NODE} x i32>"
        repeated = repeated_number(text, text.value(f"xor i32 {number}, {SIGN}"), NODE)
        node = count = ""
        for start in self.layers:
            if count:
                child = text.value(f"zext i32 {count} to i64")
                node = text.value(f"mul i64 {node}, {NODE + 1}") if node else "0"
                node = text.value(f"add i64 {node}, {child}")
            layer = text.value(f"getelementptr i8, ptr {place}, i64 {start}")
            node_place = text.value(f"getelementptr {vector}, ptr {layer}, i64 {node or 0}")
            below = text.value(f"load {vector}, ptr {node_place}, align 4")
            counted = text.value(f"icmp sgt {vector} {repeated}, {below}")
            counted = text.value(f"bitcast <{NODE} x i1> {counted} to i{NODE}")
            counted = text.value(f"zext i{NODE} {counted} to i32")
            count = text.value(f"call i32 @llvm.ctpop.i32(i32 {counted})")
        return node or "0", count


def _filled(places: Sequence[int], nodes: int) -> array[int]:
    """Return so many nodes, with places that no number is above in those left over."""
    words = array("I", [each ^ SIGN for each in places])
    words.extend([WORD ^ SIGN] * (NODE * nodes - len(words)))
    return words


class Ranked(NamedTuple):
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


class RankedNumbers(NamedTuple):
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
        first = text.value(f"mul i64 {node}, {NODE}")
        index = text.value(f"add i64 {first}, {text.value(f'zext i32 {count} to i64')}")
        numbers = text.value(f"getelementptr i8, ptr {place}, i64 {len(self.tree.data)}")
        return load_entry(text, numbers, self.bits, index)
