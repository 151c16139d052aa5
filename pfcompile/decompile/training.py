"""Samples to begin with, and more of the kind that was missing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from pfcompile.decompile.samples import Sample, Samples
from pfcompile.ir.values import Load, parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.ir.graph import Graph, Test
    from pfcompile.ir.values import Value

_WALKS: Final = 120
_NEIGHBOURS: Final = 120
_MOST_PIECES: Final = 400
_LIKE_A_COUNTEREXAMPLE: Final = 12

_SHORTEST: Final = 1024
_LONGEST: Final = 1 << 17
_SLACK: Final = 256
"""Bytes of a sample: at least, at most, and behind the farthest load at a known offset."""


class Training:
    """The samples of one decompilation; the same program gets the same.

    Attributes:
        samples: They.
    """

    def __init__(self, graph: Graph, tests: Sequence[Test], pieces: Sequence[Graph]) -> None:
        """Make packets that lead a program, and then the pieces, down ways chosen by chance.

        Args:
            graph: The program's.
            tests: All that it makes.
            pieces: What pieces of expressions mean.
        """
        self.samples = Samples()
        self._length = _length(tests)
        self._tests = tests
        self._rng = random.Random(len(graph))  # noqa: S311 - no secret hangs on it
        packets = self.samples.packets
        for _ in range(_WALKS):
            sample = Sample(bytearray(self._length))
            sample.lead(graph, self._rng)
            packets.append(sample)
        for piece in pieces[:_MOST_PIECES]:
            sample = self._rng.choice(packets).copy()
            sample.lead(piece, self._rng)
            packets.append(sample)
        for _ in range(_NEIGHBOURS):
            packets.append(self._neighbour(self._rng.choice(packets)))

    def learn(self, packet: bytes, wire_length: int, metadata: Mapping[int, int]) -> None:
        """Add a packet that was judged wrongly, and others that differ from it in little."""
        data = bytearray(packet[:_LONGEST].ljust(self._length, b"\0"))
        sample = Sample(data, wire_length, dict(metadata))
        self.samples.packets.append(sample)
        for _ in range(_LIKE_A_COUNTEREXAMPLE):
            self.samples.packets.append(self._neighbour(sample))

    def _neighbour(self, sample: Sample) -> Sample:
        """Return a packet that differs in the outcome of one test or two."""
        changed = sample.copy()
        for _ in range(self._rng.randint(1, 2) if self._tests else 0):
            test = self._rng.choice(self._tests)
            changed.settle(test, self._rng.random() < 0.5, self._rng)
        return changed


def _length(tests: Sequence[Test]) -> int:
    """Return how long samples are to be."""
    farthest = 0
    waiting: list[Value] = [side for test in tests for side in (test.left, test.right)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Load) and value.offset < _LONGEST:
            farthest = max(farthest, value.offset)
        waiting += parts(value)
    return min(max(farthest + _SLACK, _SHORTEST), _LONGEST)
