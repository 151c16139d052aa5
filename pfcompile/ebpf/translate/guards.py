"""How long a packet must be, and where a program has to ask.

A load past the packet's end ends the program with "no match". So whoever stands at an instruction
from which every way to a match loads byte 33 may ask for 34 bytes at once: a shorter packet cannot
match whatever happens until then, since nothing but the verdict can be seen. Hence, from the last
instruction to the first, the length that a packet *needs* at least; from the first to the last, the
length that it *has* because it was asked for on every way there; and a guard wherever the need is
greater. One guard serves all loads of a block, and stands as far ahead as every way to a match
agrees, past ways that only lead to "no match".

Loads at `[x + k]` are gathered in groups instead: those of one block with the same X share an
address, and one guard from their lowest byte to their highest.

Loads that the kernel counts from the link or the network header need no length, since nobody knows
beforehand where these are.

Where no packet is long enough, or only `ret #0` follows, the need is `NEVER`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

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
from pfcompile.cbpf.notation import signed
from pfcompile.ebpf.isa import HEADER_OFFSETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NEVER: Final = 1 << 33
"""The need of what cannot end in a match: more than the longest offset."""

_MAX_SPAN: Final = 0x7FFF
"""Bytes that a group spans at most: its loads reach them by the 16-bit offset of an instruction."""


@dataclass(frozen=True, slots=True)
class Group:
    """Loads at `[x + k]` of one block between two changes of X.

    Attributes:
        first: The position of the first of them, where the guard stands.
        lowest: The lowest k, as a signed number.
        span: Bytes from there to behind the last one that is read.
    """

    first: int
    lowest: int
    span: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known about each position of a classic program.

    Attributes:
        needs: Bytes that a packet needs at least to match from there: 0 up, or `NEVER`.
        reached: Whether a packet that may still match can get there.
        guards: Where to ask for how many bytes.
        groups: The group of each load at `[x + k]`, by position.
        forgotten: Where ways join that have asked for different lengths, and the verifier is to
            forget them all; only where ways are kept alike.
    """

    needs: Sequence[int]
    reached: Sequence[bool]
    guards: Mapping[int, int]
    groups: Mapping[int, Group]
    forgotten: frozenset[int]


def is_from_header(instruction: Instruction) -> bool:
    """Tell whether the kernel counts a load's offset from the link or the network header.

    Source: linux/filter.h, SKF_LL_OFF and SKF_NET_OFF.
    """
    is_absolute = ROW_OF[instruction.code].operand in {Operand.ABSOLUTE, Operand.HEADER}
    return is_absolute and signed(instruction.k) in HEADER_OFFSETS


def plan(instructions: Sequence[Instruction], farthest: int, *, keep_ways_alike: bool) -> Plan:
    """Return where the guards of a valid classic program stand.

    Args:
        instructions: The program.
        farthest: No byte at this offset or behind can be read.
        keep_ways_alike: Whether the verifier must come out of all ways that join with the same
            knowledge of the length (see `disguises`).
    """
    needs = _needs(instructions, farthest)
    reached = [False] * len(instructions)
    has = [NEVER] * len(instructions)
    guards, forgotten = {}, set[int]()
    reached[0], has[0] = True, 0
    for position, instruction in enumerate(instructions):
        if not reached[position] or needs[position] >= NEVER:
            continue
        if needs[position] > has[position]:
            guards[position] = has[position] = needs[position]
        for successor in successors(position, instruction):
            if keep_ways_alike and reached[successor] and has[successor] != has[position]:
                forgotten.add(successor)
            reached[successor] = True
            has[successor] = 0 if successor in forgotten else min(has[successor], has[position])
    groups = dict(_groups(instructions, reached))
    return Plan(needs, reached, guards, groups, frozenset(forgotten))


def _needs(instructions: Sequence[Instruction], farthest: int) -> list[int]:
    needs = [0] * len(instructions)
    for position in reversed(range(len(instructions))):
        instruction = instructions[position]
        ways = successors(position, instruction)
        later = min((needs[way] for way in ways), default=0)
        needs[position] = max(_own_need(instruction, farthest), later)
    return needs


def _own_need(instruction: Instruction, farthest: int) -> int:
    row = ROW_OF[instruction.code]
    if row.op is Op.RET_K and instruction.k == 0:
        return NEVER
    if row.operand not in {Operand.ABSOLUTE, Operand.HEADER} or ancillary_word(instruction):
        return 0
    if is_from_header(instruction):
        return 0
    end = instruction.k + row.size
    return end if end <= farthest else NEVER


def _groups(
    instructions: Sequence[Instruction], reached: Sequence[bool]
) -> Iterator[tuple[int, Group]]:
    """Yield the position of each load at `[x + k]` that is reached, with its group."""
    entered = _entered(instructions)
    members: list[int] = []
    for position, instruction in enumerate(instructions):
        row = ROW_OF[instruction.code]
        if position in entered or not reached[position]:
            yield from _gathered(instructions, members)
            members = []
        if reached[position] and row.operand is Operand.INDIRECT:
            if _span(instructions, [*members, position]) > _MAX_SPAN:
                yield from _gathered(instructions, members)
                members = []
            members.append(position)
        # A metadata word may be a call, which leaves no address standing.
        if (
            row.writes & Place.X
            or row.instruction_class is Class.JMP
            or ancillary_word(instruction)
        ):
            yield from _gathered(instructions, members)
            members = []
    yield from _gathered(instructions, members)


def _entered(instructions: Sequence[Instruction]) -> set[int]:
    """Return the positions that jumps lead to."""
    return {
        way
        for position, instruction in enumerate(instructions)
        if ROW_OF[instruction.code].instruction_class is Class.JMP
        for way in successors(position, instruction)
    }


def _gathered(
    instructions: Sequence[Instruction], members: Sequence[int]
) -> Iterator[tuple[int, Group]]:
    if members:
        lowest = min(signed(instructions[position].k) for position in members)
        group = Group(members[0], lowest, _span(instructions, members))
        for position in members:
            yield position, group


def _span(instructions: Sequence[Instruction], members: Sequence[int]) -> int:
    loads = [instructions[position] for position in members]
    end = max(signed(load.k) + ROW_OF[load.code].size for load in loads)
    return end - min(signed(load.k) for load in loads)
