"""The machine run step by step, each of its states held against those that the check had there."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from pfcompile.ebpf.arithmetic import MASK64, signed
from pfcompile.ebpf.check.scalars import Scalar
from pfcompile.ebpf.check.states import CELL_BYTES
from pfcompile.ebpf.check.values import (
    BlockArea,
    ContextArea,
    MapArea,
    PacketArea,
    PacketEndArea,
    Pointer,
    StackArea,
    Unset,
)  # fmt: skip
from pfcompile.ebpf.machine.faults import Fault, Leave
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.memory import (
    CONTEXT_ADDRESS,
    FIRST_DYNAMIC_REGION,
    FIRST_FRAME_REGION,
    PACKET_ADDRESS,
    PACKET_REGION,
    REGION_BITS,
)  # fmt: skip

if TYPE_CHECKING:
    from pfcompile.ebpf.check.states import State


class Observed:
    """The states that a check had, by slot and by how many calls were open."""

    def __init__(self) -> None:
        self.states: defaultdict[tuple[int, int], list[State]] = defaultdict(list)
        self.matched: defaultdict[tuple[int, int], int] = defaultdict(lambda: -1)

    def __call__(self, slot: int, state: State) -> None:
        self.states[slot, len(state.frames)].append(state)


class Stopped(NamedTuple):
    """A fault: where, and what."""

    slot: int
    reason: str


class EscapedError(AssertionError):
    """The machine is in a state that the check did not expect."""


def run_observed(program, environment, start, observed: Observed, budget: int):
    """Run a program; return None at its end, or where it was stopped.

    Raises:
        EscapedError: A state of the machine lies in none of the check's.
    """
    machine = Machine(program, environment)
    registers, run = machine.begin(start)
    step = machine.code.steps[0]
    try:
        for _ in range(budget):
            slot = machine.code.slots[step]
            _compare(slot, registers, run, observed)
            step = step(registers, run)
    except Leave:
        return None
    except Fault as fault:
        return Stopped(slot, str(fault))
    finally:
        run.close()
    return Stopped(-1, f"not done after {budget} steps")


def _compare(slot, registers, run, observed) -> None:
    depth = len(run._frames) + 1
    saved = [list(frame.registers) for frame in run._frames]
    known = observed.states.get((slot, depth), [])
    reasons = []
    # From after the one that held last time: loops go through them in order.
    first = observed.matched[slot, depth] + 1
    for index in (*range(first, len(known)), *range(first)):
        if index >= len(known):
            continue
        reason = _why_outside(known[index], registers, saved, run)
        if reason is None:
            observed.matched[slot, depth] = index
            return
        reasons.append(reason)
    raise EscapedError(f"slot {slot}, {depth} calls: {reasons[:5] or 'never expected there'}")


def _why_outside(state, registers, saved, run):
    meaning = Meaning(state, run)
    for number, (held, value) in enumerate(zip(state.frame.registers, registers, strict=True)):
        reason = meaning.why_not(held, value)
        if reason:
            return f"r{number}: {reason}"
    for frame, values in zip(state.frames[:-1], saved, strict=True):
        for held, value in zip(frame.registers[6:], values, strict=True):
            reason = meaning.why_not(held, value)
            if reason:
                return f"of a caller: {reason}"
    for number, frame in enumerate(state.frames):
        stack = run.memory.readable[FIRST_FRAME_REGION + number]
        for at, cell in frame.stack.items():
            if cell.value is not None:
                first = at * CELL_BYTES + cell.start
                part = stack[first : first + cell.size]
                reason = meaning.why_not(cell.value, int.from_bytes(part, "little"))
                if reason:
                    return f"stack cell {at}: {reason}"
    return None


class Meaning:
    """Whether numbers are what a state says, all with the same names for the same things."""

    def __init__(self, state, run) -> None:
        self.state = state
        self.run = run
        self.links: dict[int, int] = {}
        self.identities: dict[int, int] = {}
        self.size = len(run.memory.readable.get(PACKET_REGION, b""))

    def why_not(self, held, value):
        match held:
            case Unset():
                return None
            case Scalar():
                if not held.contains(value):
                    return f"{value:#x} is not in {held}"
                if held.link and self.links.setdefault(held.link, value) != value:
                    return f"{value:#x} is not the other number with link {held.link}"
                return None
            case Pointer():
                return self._why_no_pointer(held, value)

    def _why_no_pointer(self, held, value):
        if held.is_nullable and value == 0:
            return None
        base = self._base(held.area, value)
        if base is None:
            return f"{value:#x} is no address of {held.area}"
        varies = signed(value - base - held.fixed & MASK64, 64)
        if not held.variable.contains(varies & MASK64):
            return f"{value:#x} is {varies} away from {held}"
        if isinstance(held.area, PacketArea):
            if self.identities.setdefault(held.identity, varies) != varies:
                return f"{varies} is not the variable part of the others with {held}"
            reach = self.state.reach.get(held.identity, 0)
            if reach > 0 and varies + reach > self.size:
                return f"{reach} bytes from {varies} are not in a packet of {self.size}"
        elif held.identity and self.identities.setdefault(held.identity, base) != base:
            return f"{base:#x} is not the block of the others with {held}"
        return None

    def _base(self, area, value):
        match area:
            case ContextArea():
                return CONTEXT_ADDRESS
            case StackArea(frame=frame):
                return (FIRST_FRAME_REGION + frame << REGION_BITS) + 512
            case PacketArea():
                return PACKET_ADDRESS
            case PacketEndArea():
                return PACKET_ADDRESS + self.size
            case MapArea(spec=spec):
                found = [each for each in self.run._maps if each.spec == spec]
                return self.run._addresses_of_maps[id(found[0])] if found else None
            case BlockArea(size=size):
                # A pointer can be moved a little to before its block.
                region = value + 0x1000_0000 >> REGION_BITS
                block = self.run.memory.readable.get(region)
                known = region >= FIRST_DYNAMIC_REGION and block is not None and len(block) == size
                return region << REGION_BITS if known else None
