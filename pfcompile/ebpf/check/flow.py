"""The ways between the instructions of a program, and what registers are still read on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.isa import R10, Callee, Kind
from pfcompile.ebpf.structure import target_of
from pfcompile.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pfcompile.ebpf.isa import Instruction, Row

_GOES_ON: Final[frozenset[Kind]] = frozenset(Kind) - {Kind.JUMP, Kind.EXIT}
"""What may go on with the next instruction."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A program that has passed `check_structure`, with its ways.

    Attributes:
        program: Its slots.
        rows: The row of each, None for second halves.
        meetings: Slots that ways meet at: all loops go through one.
        live: By slot, the registers that may be read before they are written.
        reached: Slots that there is a way to, whatever registers hold.
    """

    program: Sequence[Instruction]
    rows: Sequence[Row | None]
    meetings: frozenset[int]
    live: Mapping[int, frozenset[int]]
    reached: frozenset[int]

    def row(self, slot: int) -> Row:
        """Return the row of an instruction."""
        row = self.rows[slot]
        if row is None:
            raise InternalError(f"slot {slot} is the second half of an instruction")
        return row

    def target(self, slot: int) -> int:
        """Return the slot that a jump or a call goes to."""
        target = target_of(slot, self.program[slot], self.row(slot))
        if target is None:
            raise InternalError(f"instruction {slot} goes nowhere")
        return target


def find_flow(program: Sequence[Instruction], rows: Sequence[Row | None]) -> Flow:
    """Return the ways of a program.

    Args:
        program: What `check_structure` has passed.
        rows: What it gave.
    """
    ways = {
        slot: tuple(_ways(slot, program[slot], row))
        for slot, row in enumerate(rows)
        if row is not None
    }
    callees = {
        slot: target
        for slot, row in enumerate(rows)
        if row is not None
        and row.operation is Callee.LOCAL
        and (target := target_of(slot, program[slot], row)) is not None
    }
    incoming = [0] * len(program)
    incoming[0] = 1
    for follows in (*ways.values(), *((target,) for target in callees.values())):
        for target in set(follows):
            incoming[target] += 1
    returns = {way for slot in callees for way in ways[slot]}
    meetings = {slot for slot, count in enumerate(incoming) if count > 1} | returns
    return Flow(
        program, rows, frozenset(meetings), _live(program, rows, ways), _reached(ways, callees)
    )


def _ways(slot: int, instruction: Instruction, row: Row) -> Iterator[int]:
    """Yield where an instruction can go on in its own function."""
    if row.kind in _GOES_ON:
        yield slot + row.slots
    if row.kind in {Kind.JUMP, Kind.BRANCH, Kind.MAY_GOTO}:
        target = target_of(slot, instruction, row)
        assert target is not None
        yield target


def _reached(ways: Mapping[int, tuple[int, ...]], callees: Mapping[int, int]) -> frozenset[int]:
    reached: set[int] = set()
    waiting = [0]
    while waiting:
        slot = waiting.pop()
        if slot not in reached and slot in ways:
            reached.add(slot)
            waiting += ways[slot]
            if slot in callees:
                waiting.append(callees[slot])
    return frozenset(reached)


def _live(
    program: Sequence[Instruction],
    rows: Sequence[Row | None],
    ways: Mapping[int, tuple[int, ...]],
) -> Mapping[int, frozenset[int]]:
    """Go from the ends to the starts until nothing changes."""
    frame = frozenset({int(R10)})
    live = dict.fromkeys(ways, frame)
    earlier: dict[int, set[int]] = {slot: set() for slot in ways}
    for slot, follows in ways.items():
        for way in follows:
            if way in earlier:
                earlier[way].add(slot)
    waiting = set(ways)
    while waiting:
        # From the last on, since most ways lead forward.
        slot = max(waiting)
        waiting.discard(slot)
        row = rows[slot]
        assert row is not None
        after: frozenset[int] = frame.union(*(live.get(way, frame) for way in ways[slot]))
        instruction = program[slot]
        before = after - row.writes.of(instruction) | row.reads.of(instruction)
        if before != live[slot]:
            live[slot] = before
            waiting |= earlier[slot]
    return live
