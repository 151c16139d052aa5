"""What a program reads before it has written it, and so must find as 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.cbpf.isa import ROW_OF, Instruction, Operand, Place, ancillary_word, successors

if TYPE_CHECKING:
    from collections.abc import Sequence

_REGISTERS: Final = (Place.A, Place.X)
_ALL: Final[frozenset[Place | int]] = frozenset((*_REGISTERS, *range(16)))


class Unset(NamedTuple):
    """What has to be set to 0 at the start.

    Attributes:
        a: Whether A.
        x: Whether X.
        scratch: Which scratch words. The kernel takes no program that reads one before it is
            written, but libpcap writes some.
    """

    a: bool
    x: bool
    scratch: tuple[int, ...]


def find_unset(instructions: Sequence[Instruction], *, keeps_a: bool) -> Unset:
    """Return what is read before it is written on some way from the start.

    Args:
        instructions: A valid program.
        keeps_a: Whether A is read to be kept, where X is set from the packet or to its length.
    """
    written: list[frozenset[Place | int]] = [_ALL] * (len(instructions) + 1)
    written[0] = frozenset()
    unset: set[Place | int] = set()
    for position, instruction in enumerate(instructions):
        unset |= _reads(instruction, keeps_a=keeps_a) - written[position]
        after = written[position] | _writes(instruction)
        for successor in successors(position, instruction):
            written[successor] &= after
    words = sorted(each for each in unset if isinstance(each, int))
    return Unset(Place.A in unset, Place.X in unset, tuple(words))


def _reads(instruction: Instruction, *, keeps_a: bool) -> set[Place | int]:
    row, word = ROW_OF[instruction.code], ancillary_word(instruction)
    places = row.reads if word is None else word.reads
    reads: set[Place | int] = {each for each in _REGISTERS if each in places}
    if Place.M in places:
        reads.add(instruction.k)
    if keeps_a and Place.X in row.writes and row.operand in {Operand.HEADER, Operand.LENGTH}:
        reads.add(Place.A)
    return reads


def _writes(instruction: Instruction) -> set[Place | int]:
    row = ROW_OF[instruction.code]
    writes: set[Place | int] = {each for each in _REGISTERS if each in row.writes}
    if Place.M in row.writes:
        writes.add(instruction.k)
    return writes
