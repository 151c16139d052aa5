"""Lists found again in a classic program: where A alone decides how it goes on.

Before, a list as a tree, or as one comparison after another::

    (001) ld       [26]
    (002) jgt      #0xa000007       jt 3    jf 6
    (003) jeq      #0xa000009       jt 9    jf 4
    (004) jeq      #0xa000008       jt 9    jf 5
    (005) ret      #0
    (006) jeq      #0xa000005       jt 9    jf 7
    (007) jeq      #0xa000007       jt 9    jf 8
    (008) ret      #0
    (009) ret      #262144
After::

    (001) ld       [26]
    (002) switch   9: {0xa000005, 0xa000007-0xa000009}, 8: all else
    (008) ret      #0
    (009) ret      #262144

A region is what can be reached from an instruction through comparisons of A with constants and
jumps. It changes nothing, so that the instruction by which it is left is a function of A, and
going straight there is the same. Returns of the same number are one exit: which of them ends the
program cannot be told.

Programs that nobody has optimised load A again before each comparison. That belongs to the region
if on every way to its beginning A has been computed by the same instructions from the packet, at a
constant offset: they would compute the same again, and a load that has succeeded does not fail.

All numbers go through a region together. A comparison with `jgt` cuts the ranges of numbers that
come to it in two. `jeq` takes one number out, which is then followed by itself; the ranges stay as
they are, and a number that has been taken out of a range before is no longer meant by it. So a
chain costs a step for each comparison, and so does a tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pfcompile.cbpf.isa import (
    ROW_OF,
    Class,
    Instruction,
    Op,
    Operand,
    Place,
    ancillary_word,
    successors,
)
from pfcompile.ir.arithmetic import WORD
from pfcompile.ir.ranges import normal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pfcompile.ir.ranges import RangeList

FEWEST: Final = 3
"""Comparisons that a look-up must replace: it takes as long as two."""

MOST_EXITS: Final = 1 << 16
"""More have no table."""

_COMPARISONS_AN_EXIT: Final = 4
"""After a look-up with many outcomes they must still be told apart: that is worth it where there
are much fewer than there were comparisons."""

_EFFORT: Final = 30
"""Steps taken for each instruction of a program before the search for regions ends. Lists take one
or two; only programs made for it would take more."""

_LONGEST_COMPUTATION: Final = 4
"""Instructions that are compared to find that A is computed again: a load and a mask are two."""

_JA, _JEQ, _JGT, _JGE = map(int, (Op.JA, Op.JEQ_K, Op.JGT_K, Op.JGE_K))
"""Numbers, since an enumeration's members take time to look up."""

_COMPARISONS: Final = frozenset({_JEQ, _JGT, _JGE})

_UNDERWAY: Final = -1
"""The exit of numbers that have not left yet."""

_Computed: TypeAlias = tuple[Instruction, ...]
"""Instructions from a load on that have computed what is in A; none where that is not known."""


class Switch(NamedTuple):
    """A region that one look-up can replace.

    Attributes:
        position: The instruction where it begins.
        exits: The instructions to go on with, all behind `position` and in ascending order, each
            with the numbers in A for which to go there; together these are all numbers, each once.
    """

    position: int
    exits: tuple[tuple[int, RangeList], ...]


def find_switches(instructions: Sequence[Instruction], fewest: int = FEWEST) -> dict[int, Switch]:
    """Return by position the regions worth a look-up that are reached once all are replaced.

    Args:
        instructions: A valid program.
        fewest: Comparisons that a region must have.
    """
    search = _Search(instructions, fewest)
    switches = {}
    # What is in A at each instruction that can be reached.
    computed: dict[int, _Computed] = {0: ()}
    for position, instruction in enumerate(instructions):
        if position not in computed:
            continue
        before = computed.pop(position)
        switch = search.switch(position, before)
        if switch is None:
            after = _computed_after(instruction, before)
            ways = successors(position, instruction)
        else:
            switches[position] = switch
            after = before
            ways = tuple(exit_ for exit_, _ in switch.exits)
        for way in ways:
            computed[way] = after if computed.get(way, after) == after else ()
    return switches


def _computed_after(instruction: Instruction, before: _Computed) -> _Computed:
    """Return what is in A after an instruction."""
    row = ROW_OF[instruction.code]
    if Place.A not in row.writes:
        return before
    if row.operand is Operand.ABSOLUTE and ancillary_word(instruction) is None:
        return (instruction,)
    by_constant = row.instruction_class is Class.ALU and row.operand is not Operand.INDEX
    if 0 < len(before) < _LONGEST_COMPUTATION and by_constant:
        return (*before, instruction)
    return ()


class _Region(NamedTuple):
    """What can be reached from an instruction by comparing A with constants.

    Attributes:
        start: Where it begins.
        ways: For each instruction of it where a test that holds leads, and one that does not.
        exits: The instructions by which it is left, and for each the equal one to go on with.
    """

    start: int
    ways: dict[int, tuple[int, int]]
    exits: dict[int, int]


class _Search:
    """The search for regions in one program."""

    def __init__(self, instructions: Sequence[Instruction], fewest: int) -> None:
        self._instructions = instructions
        self._fewest = fewest
        self._effort = _EFFORT * len(instructions)
        # The last of all that are equal: it lies behind every region that ends with one of them.
        self._returns = {
            instruction: position
            for position, instruction in enumerate(instructions)
            if instruction.code & 7 == Class.RET
        }

    def switch(self, position: int, computed: _Computed) -> Switch | None:
        """Return the region that begins at an instruction, None if it is not worth a look-up."""
        if self._effort < 0 or self._instructions[position].code not in _COMPARISONS:
            return None
        region = self._region(position, computed)
        if region is None:
            return None
        numbers = _Numbers(region)
        self._effort = numbers.follow(self._instructions, self._effort)
        if self._effort < 0:
            return None
        exits = numbers.exits()
        return Switch(position, exits) if len(exits) > 1 else None

    def _region(self, start: int, computed: _Computed) -> _Region | None:
        """Return the region that begins at an instruction, None if it is not worth a look-up."""
        instructions = self._instructions
        region = _Region(start, {}, {})
        comparisons = 0
        waiting = [start]
        while waiting:
            position = waiting.pop()
            if position in region.ways:
                continue
            instruction = instructions[position]
            code, jt, jf, k = instruction
            if code in _COMPARISONS:
                comparisons += 1
                ways = position + 1 + jt, position + 1 + jf
            elif code == _JA:
                ways = position + 1 + k, position + 1 + k
            elif self._repeats(position, computed):
                ways = position + len(computed), position + len(computed)
            else:
                region.exits[position] = self._returns.get(instruction, position)
                continue
            region.ways[position] = ways
            waiting += ways
        self._effort -= len(region.ways)
        exits = len(set(region.exits.values()))
        worth = comparisons >= self._fewest and (
            exits <= 2 or comparisons >= _COMPARISONS_AN_EXIT * exits <= MOST_EXITS
        )
        return region if worth else None

    def _repeats(self, position: int, computed: _Computed) -> bool:
        """Return whether the instructions from here on compute what is in A already."""
        if not computed or self._instructions[position] != computed[0]:
            return False
        return tuple(self._instructions[position : position + len(computed)]) == computed


class _Numbers:
    """All numbers on their way through a region."""

    def __init__(self, region: _Region) -> None:
        self._region = region
        # Where a test will ask for them: ranges, and numbers that have been taken out of ranges.
        self._ranges: dict[int, list[tuple[int, int]]] = {region.start: [(0, WORD)]}
        self._singles: dict[int, set[int]] = {}
        # Ranges that have left, and by which exit.
        self._left: list[tuple[int, int, int]] = []
        # Numbers that have been taken out of ranges, and by which exit they have left.
        self._taken: dict[int, int] = {}

    def follow(self, instructions: Sequence[Instruction], effort: int) -> int:
        """Let all numbers go through the region.

        Returns:
            What is left of `effort`; if that is negative, the numbers have not all come through.
        """
        # Jumps lead forward: this is an order in which all ways to a place come before it.
        for position, (then, otherwise) in sorted(self._region.ways.items()):
            code, _, _, k = instructions[position]
            if position in self._singles:
                effort -= self._follow_singles(position, code, k)
            ranges = self._ranges.pop(position, None)
            if ranges is None:
                continue
            if len(ranges) > 1:
                ranges = list(normal(ranges))
            effort -= len(ranges)
            if effort < 0:
                break
            if then == otherwise:
                self._send(then, ranges)
            elif code == _JEQ:
                if k not in self._taken and _meant(ranges, k):
                    self._taken[k] = _UNDERWAY
                    self._send_singles(then, {k})
                self._send(otherwise, ranges)
            else:
                above, below = _cut(ranges, k + 1 if code == _JGT else k)
                self._send(then, above)
                self._send(otherwise, below)
        return effort

    def _send(self, position: int, ranges: list[tuple[int, int]]) -> None:
        way = self._region.exits.get(position)
        if way is not None:
            for low, high in ranges:
                self._left.append((low, high, way))
        elif position in self._ranges:
            self._ranges[position] += ranges
        elif ranges:
            self._ranges[position] = ranges

    def _follow_singles(self, position: int, code: int, k: int) -> int:
        """Let single numbers go on from an instruction, and return what that has cost."""
        numbers = self._singles.pop(position)
        cost = 1
        then, otherwise = self._region.ways[position]
        if code == _JEQ:
            found = numbers & {k}
        else:
            cost = len(numbers)
            least = k + 1 if code == _JGT else k
            found = {number for number in numbers if number >= least}
        numbers -= found
        self._send_singles(then, found)
        self._send_singles(otherwise, numbers)
        return cost

    def _send_singles(self, position: int, numbers: set[int]) -> None:
        way = self._region.exits.get(position)
        if way is not None:
            for number in numbers:
                self._taken[number] = way
        elif position in self._singles:
            self._singles[position] |= numbers
        elif numbers:
            self._singles[position] = numbers

    def exits(self) -> tuple[tuple[int, RangeList], ...]:
        """Return the exits and the numbers that have left there, once all have been followed."""
        starts: dict[int, int] = {}
        taken = sorted(self._taken)
        self._left.sort()
        index = 0
        for _, high, way in self._left:
            while index < len(taken) and taken[index] <= high:
                starts[taken[index] + 1] = way
                index += 1
        starts.pop(WORD + 1, None)
        starts.update((low, way) for low, _, way in self._left)
        starts.update(self._taken)
        return _grouped(starts)


def _meant(ranges: Iterable[tuple[int, int]], number: int) -> bool:
    for low, high in ranges:  # noqa: SIM110 - most often there is one: a generator takes longer
        if low <= number <= high:
            return True
    return False


def _cut(
    ranges: Iterable[tuple[int, int]], least: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the parts of ranges from a number on and below it."""
    above, below = [], []
    for low, high in ranges:
        if low >= least:
            above.append((low, high))
        elif high < least:
            below.append((low, high))
        else:
            above.append((least, high))
            below.append((low, least - 1))
    return above, below


def _grouped(starts: dict[int, int]) -> tuple[tuple[int, RangeList], ...]:
    """Return the ranges of numbers that go each way, given from which number on one does."""
    ranges: dict[int, list[tuple[int, int]]] = {way: [] for way in sorted(set(starts.values()))}
    first, current = 0, starts[0]
    for start in sorted(starts):
        way = starts[start]
        if way != current:
            ranges[current].append((first, start - 1))
            first, current = start, way
    ranges[current].append((first, WORD))
    return tuple((way, tuple(some)) for way, some in ranges.items())
