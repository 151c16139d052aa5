"""How a state was reached, and what a refusal says of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.asm import disassemble
from pfcompile.ebpf.check.faults import CheckRefusal
from pfcompile.ebpf.check.states import CELL_BYTES, FULL, State
from pfcompile.ebpf.check.values import Unset, describe
from pfcompile.ebpf.isa import STACK_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.ebpf.check.flow import Flow

_SHOWN_LEGS: Final = 12
"""Legs of a long path that are shown: the last ones."""


@dataclass(frozen=True, slots=True)
class Trail:
    """A path, told from its end: the legs that were gone without a turn.

    Attributes:
        start: The first slot of the last leg.
        before: The path up to there, None at the program's start.
        end: The last slot of the leg before.
        how: How it went from there to `start`.
    """

    start: int
    before: Trail | None = None
    end: int = 0
    how: str = ""


def refusal(flow: Flow, slot: int, reason: str, state: State | None, trail: Trail) -> CheckRefusal:
    """Return the error for an instruction, with the state there and the path to it.

    Args:
        flow: The program.
        slot: The instruction.
        reason: What is wrong with it.
        state: What is known there; None where nothing gets there.
        trail: How it is reached.
    """
    row = flow.row(slot)
    text = disassemble(flow.program[slot : slot + row.slots]).strip()
    if state is None:
        return CheckRefusal(slot, text, reason, (), ())
    return CheckRefusal(slot, text, reason, tuple(_held(state)), tuple(_legs(trail, slot)))


def _held(state: State) -> Iterator[str]:
    """Yield what the registers and the stack of the running call hold, a line each."""
    for number, value in enumerate(state.frame.registers):
        if not isinstance(value, Unset):
            yield f"r{number} = {describe(value)}"
    for at, cell in sorted(state.frame.stack.items()):
        place = f"[r10{at * CELL_BYTES + cell.start - STACK_SIZE:+d}]"
        if cell.value is not None:
            size = "" if cell.size == CELL_BYTES else f" ({cell.size} bytes)"
            yield f"{place} = {describe(cell.value)}{size}"
        elif cell.written:
            parts = "written" if cell.written == FULL else f"bytes {cell.written:08b} written"
            yield f"{place} = {parts}"


def _legs(trail: Trail, slot: int) -> list[str]:
    legs: list[str] = []
    end, leg = slot, trail
    left_out = 0
    while True:
        span = str(end) if leg.start == end else f"{leg.start}-{end}"
        if len(legs) < _SHOWN_LEGS:
            legs.append(f"{span} ({leg.how})" if leg.how else span)
        else:
            left_out += 1
        if leg.before is None:
            break
        end, leg = leg.end, leg.before
    if left_out:
        legs.append(f"... {left_out} more before")
    return legs[::-1]
