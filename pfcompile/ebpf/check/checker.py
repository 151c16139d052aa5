"""The check: refuses a program that is not proved to be safe, or tells what of it is proved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, assert_never

from pfcompile.ebpf.check.flow import Flow, find_flow
from pfcompile.ebpf.check.scalars import ZERO, between
from pfcompile.ebpf.check.states import LENGTH_LINK, State, first_state
from pfcompile.ebpf.check.steps import ACCESSES
from pfcompile.ebpf.check.subjects import Beginning, Subject
from pfcompile.ebpf.check.trails import Trail, refusal
from pfcompile.ebpf.check.values import UNSET, ContextArea, PacketArea, Pointer
from pfcompile.ebpf.check.walk import Observer, TooMuchError, Walk
from pfcompile.ebpf.isa import Callee, Instruction
from pfcompile.ebpf.structure import check_structure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BUDGET: Final = 50_000
"""Steps that following every way by itself may take, a few seconds. The kernel has a million."""
_JOINING_BUDGET: Final = 200_000
"""Steps for joined states, of which there are few for each instruction."""
_LONGEST_PACKET: Final = 0x7FFF_FFFF


@dataclass(frozen=True, slots=True)
class Checked:
    """What is proved of a program.

    Attributes:
        proved: Slots of loads, stores, atomic operations and calls of helpers that run safely
            without checks whenever they are reached; of those that nothing reaches nothing is said.
        unproved: The other ones that are reached, and whatever else may do what it may not: why.
        terminates: Whether every run comes to an end.
        stack: Bytes of stack of all functions in each other at most, each rounded up to 32.
        steps: Instructions that were looked at, as often as they were.
    """

    proved: frozenset[int]
    unproved: Mapping[int, str]
    terminates: bool
    stack: int
    steps: int


def check(
    program: Sequence[Instruction],
    subject: Subject,
    *,
    budget: int = BUDGET,
    observe: Observer | None = None,
) -> Checked:
    """Refuse a program that is not proved to run safely, and to an end, on every packet.

    Args:
        program: Its slots.
        subject: How it starts, what it finds there, and what it may not do.
        budget: Steps before states that meet are joined.
        observe: Called with the slot and the state before each step; those of a walk that was
            given up come first.

    Raises:
        CheckRefusal: Something is not proved: names the instruction, the state and the path there.
        ProgramError: The program is not valid at all (`check_structure`).
    """
    flow = find_flow(program, check_structure(program))
    if subject.rules.is_kernel:
        _refuse_dead_code(flow)
    walk = _walk(flow, subject, budget, observe, is_strict=True)
    circle = walk.circle()
    if circle:
        node = circle[0]
        slots = ", ".join(str(each.slot) for each in circle)
        reason = f"from here the program may go around in a loop without end, through {slots}"
        raise refusal(flow, node.slot, reason, node.state, node.trail)
    checked = _checked(flow, walk, terminates=True)
    if checked.stack > subject.rules.total_stack:
        raise refusal(
            flow, 0,
            f"functions that call each other use {checked.stack} bytes of stack, more than "
            f"{subject.rules.total_stack}",
            None, Trail(0),
        )  # fmt: skip
    return checked


def analyse(
    program: Sequence[Instruction],
    subject: Subject,
    *,
    budget: int = BUDGET,
    observe: Observer | None = None,
) -> Checked:
    """Return what is proved of a program whose unproved accesses are checked when it runs.

    A check that fails is taken to end the program. What a program reads before it has set it can be
    any number.

    Args:
        program: Its slots.
        subject: How it starts, what it finds there, and what it may not do.
        budget: Steps before states that meet are joined.
        observe: As of `check`.

    Raises:
        ProgramError: The program is not valid at all (`check_structure`).
    """
    flow = find_flow(program, check_structure(program))
    if any(row is not None and row.operation is Callee.REGISTER for row in flow.rows):
        # It may go anywhere.
        return _NOTHING_PROVED
    try:
        walk = _walk(flow, subject, budget, observe, is_strict=False)
    except TooMuchError:
        return _NOTHING_PROVED
    return _checked(flow, walk, terminates=not walk.circle())


_NOTHING_PROVED: Final = Checked(
    frozenset(), MappingProxyType({}), terminates=False, stack=0, steps=0
)


def _walk(
    flow: Flow, subject: Subject, budget: int, observe: Observer | None, *, is_strict: bool
) -> Walk:
    """Follow every way by itself, or where that is too much, joined."""
    start = _start(subject)
    walk = Walk(flow, subject, budget, is_strict=is_strict, is_joining=False, observe=observe)
    try:
        walk.run(start)
    except TooMuchError:
        walk = Walk(
            flow, subject, _JOINING_BUDGET, is_strict=is_strict, is_joining=True, observe=observe
        )
        try:
            walk.run(start)
        except TooMuchError:
            if is_strict:
                reason = f"not all ways from here could be followed in {_JOINING_BUDGET} steps"
                raise refusal(flow, 0, reason, start, Trail(0)) from None
            raise
    return walk


def _start(subject: Subject) -> State:
    match subject.beginning:
        case Beginning.NOTHING:
            return first_state(ZERO, ZERO)
        case Beginning.CONTEXT:
            # In R2 is the length of our own contexts; the kernel sets nothing.
            return first_state(Pointer(ContextArea()), UNSET)
        case Beginning.PACKET:
            length = between(0, _LONGEST_PACKET)
            return first_state(Pointer(PacketArea()), replace(length, link=LENGTH_LINK))
        case _:
            assert_never(subject.beginning)


def _refuse_dead_code(flow: Flow) -> None:
    for slot, row in enumerate(flow.rows):
        if row is not None and slot not in flow.reached:
            raise refusal(flow, slot, "nothing reaches it, which Linux refuses", None, Trail(0))


def _checked(flow: Flow, walk: Walk, *, terminates: bool) -> Checked:
    accesses = {slot for slot in walk.reached if flow.row(slot).kind in ACCESSES}
    return Checked(
        frozenset(accesses - walk.unproved.keys()),
        MappingProxyType(dict(walk.unproved)),
        terminates,
        walk.deepest_stack(),
        walk.steps,
    )
