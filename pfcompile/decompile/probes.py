"""Where a primitive has a number of its own: learnt by lowering it with one and looking for it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from pfcompile.decompile.meanings import meaning
from pfcompile.decompile.questions import tests_of
from pfcompile.decompile.reading import LONGEST_PACKET
from pfcompile.errors import FilterError, ProgramError
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.values import Const, Load, parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.decompile.words import Head
    from pfcompile.ir.graph import Graph, Test
    from pfcompile.ir.values import Value
    from pfcompile.lower.context import Options

Level: TypeAlias = tuple[str, ...]
"""The encapsulations to the left of a place in an expression."""


@lru_cache(4096)
def meant(text: str, options: Options, level: Level) -> Graph | None:
    """Return what a piece means behind some encapsulations, None where that is nothing.

    Nor is it anything where it may end the whole filter.
    """
    try:
        graph = meaning(text, options, level) if text else None
    except (FilterError, ProgramError):
        return None
    return None if graph is None or any(map(_is_impossible, tests_of(graph))) else graph


def _is_impossible(test: Test) -> bool:
    """Return whether no packet is long enough for a test, so that it ends the filter."""
    waiting = [test.left, test.right]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Load) and value.base is None and value.offset > LONGEST_PACKET:
            return True
        waiting += parts(value)
    return False


_UNLIKE = ("arp", "ip multicast", "ip6 multicast")


@lru_cache(256)
def common_tests(options: Options, level: Level) -> frozenset[Test]:
    """Return the tests that pieces of all kinds make behind some encapsulations.

    They find out where headers begin, or are those of a tunnel.
    """
    graphs = [meant(text, options, level) for text in _UNLIKE]
    tests = [frozenset(tests_of(graph)) for graph in graphs if graph is not None]
    return frozenset.intersection(*tests) if len(tests) > 1 else frozenset()


def _constants(text: str, options: Options, level: Level) -> dict[Value, tuple[int, ...]]:
    """Return what a piece compares for equality, and with which numbers."""
    graph = meant(text, options, level)
    found: dict[Value, tuple[int, ...]] = {}
    for test in () if graph is None else tests_of(graph):
        if test.op is Comparison.EQ and isinstance(test.right, Const):
            found[test.left] = (*found.get(test.left, ()), test.right.value)
    return found


@lru_cache(1024)
def probed(text: str, number: int, options: Options, level: Level) -> tuple[Value, ...]:
    """Return what a piece compares with a number that stands in it."""
    return tuple(left for left, ks in _constants(text, options, level).items() if number in ks)


class Decoder:
    """From the word that a packet has to the number that a primitive is written with."""

    def __init__(self, all_ones: int, word: int, images: Sequence[int]) -> None:
        self._all_ones = all_ones
        self._word = word
        self._images = images

    def __call__(self, word: int) -> int | None:
        """Return the number, None where a primitive never asks for this word."""
        zeros = self._word ^ word
        number = self._all_ones
        for i, image in enumerate(self._images):
            if image and zeros & image == image:
                number ^= 1 << i
                zeros ^= image
        return None if zeros else number


@lru_cache(1024)
def places(head: Head, options: Options, level: Level) -> tuple[tuple[Value, Decoder], ...]:
    """Return where a number stands that is written behind a head, and how to read it there."""
    all_ones = (1 << head.bits) - 1
    flipped = [_constants(head.write(all_ones ^ 1), options, level)]
    found = []
    for place, numbers in _constants(head.write(all_ones), options, level).items():
        word = numbers[0]
        if all_ones in numbers and all_ones ^ 1 in flipped[0].get(place, ()):
            # As it is written.
            word, images = all_ones, [1 << i for i in range(head.bits)]
        elif len(numbers) > 1:
            continue
        else:
            flipped += [
                _constants(head.write(all_ones ^ 1 << i), options, level)
                for i in range(len(flipped), head.bits)
            ]
            images = [word ^ each.get(place, (word,))[0] for each in flipped]
        if any(images):
            found.append((place, Decoder(all_ones, word, images)))
    return tuple(found)
