"""The ways through a classic program, from its first instruction to a return."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pfcompile.cbpf.isa import successors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction


class WayLengths(NamedTuple):
    """Instructions on the ways through a program, its return included.

    A load past the end of a packet, which ends a program as well, makes no way of its own.

    Attributes:
        shortest: On the shortest way, at least 1.
        longest: On the longest way.
    """

    shortest: int
    longest: int


def way_lengths(instructions: Sequence[Instruction]) -> WayLengths:
    """Return how many instructions a loop-free program executes at least and at most."""
    shortest, longest = [1] * len(instructions), [1] * len(instructions)
    for position in reversed(range(len(instructions))):
        after = successors(position, instructions[position])
        if after:
            shortest[position] = 1 + min([shortest[target] for target in after])
            longest[position] = 1 + max([longest[target] for target in after])
    return WayLengths(shortest[0], longest[0])
