"""Conditional jumps: where they can go, and what is known there."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ebpf.check.comparisons import MIRRORED, compare
from pfcompile.ebpf.check.faults import Unproved
from pfcompile.ebpf.check.scalars import ZERO, Scalar
from pfcompile.ebpf.check.values import (
    PacketArea,
    PacketEndArea,
    Pointer,
    Unset,
    Value,
)
from pfcompile.ebpf.isa import Condition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.ebpf.check.states import State
    from pfcompile.ebpf.check.subjects import Rules


class Test(NamedTuple):
    """A conditional jump with its operands.

    Attributes:
        op: What it asks.
        width: 32 or 64.
        dst: The register in `dst`.
        src: The register in `src`, None where the second operand is a constant.
        a: What `dst` holds.
        b: The second operand.
    """

    op: Condition
    width: int
    dst: int
    src: int | None
    a: Value
    b: Value


class Ends(NamedTuple):
    """The states where a jump is taken, and where not; None where that never happens."""

    taken: State | None
    passed: State | None


def decide(state: State, rules: Rules, test: Test) -> Ends:
    """Return what is known on both ways of a conditional jump.

    Raises:
        Unproved: An operand is not set.
    """
    match test.a, test.b:
        case (Unset(), _) | (_, Unset()):
            raise Unproved("compares a register that is not set")
        case Scalar() as a, Scalar() as b:
            return _numbers(state, test, a, b)
        case Pointer() as a, Scalar(constant=0) if test.width == 64:
            return _null(state, test.op, a)
        case Scalar(constant=0), Pointer() as b if test.width == 64 and test.op in MIRRORED:
            return _null(state, MIRRORED[test.op], b)
        case Pointer() as a, Pointer() as b if test.width == 64:
            return _addresses(state, rules, test.op, a, b)
        case _:
            return Ends(state, state)


def _numbers(state: State, test: Test, a: Scalar, b: Scalar) -> Ends:
    if test.src == test.dst:
        b = a
    ways = compare(test.op, test.width, a, b)
    ends: list[State | None] = []
    for pair in ways:
        if pair is None:
            ends.append(None)
            continue
        narrowed = state.set(test.dst, pair[0]).linked(pair[0]) if pair[0] is not a else state
        if test.src is not None and test.src != test.dst and pair[1] is not b:
            narrowed = narrowed.set(test.src, pair[1]).linked(pair[1])
        ends.append(narrowed)
    return Ends(*ends)


def _null(state: State, op: Condition, pointer: Pointer) -> Ends:
    if op not in {Condition.EQ, Condition.NE}:
        return Ends(state, state)
    if pointer.is_nullable:
        null, other = _as_null(state, pointer.identity), _as_not_null(state, pointer.identity)
    elif pointer.is_moved:
        return Ends(state, state)
    else:
        null, other = None, state
    return Ends(null, other) if op is Condition.EQ else Ends(other, null)


def _as_null(state: State, identity: int) -> State:
    """Return the state in which what a call gave was null: there is nothing to give back."""
    known = state.mapped(lambda value: ZERO if _came_from(value, identity) else value)
    return replace(known, records=known.records - {identity})


def _as_not_null(state: State, identity: int) -> State:
    return state.mapped(
        lambda value: (
            replace(value, is_nullable=False)
            if isinstance(value, Pointer) and _came_from(value, identity)
            else value
        )
    )


def _came_from(value: Value, identity: int) -> bool:
    return isinstance(value, Pointer) and value.is_nullable and value.identity == identity


_INSIDE: Final[Mapping[Condition, tuple[bool, int]]] = MappingProxyType(
    {
        Condition.LE: (True, 0),
        Condition.LT: (True, 1),
        Condition.EQ: (True, 0),
        Condition.GT: (False, 0),
        Condition.GE: (False, 1),
        Condition.NE: (False, 0),
    }
)
"""Of a packet pointer compared with the packet's end: whether it is inside where the jump is taken
or where not, and how many bytes there are from it on to the end at least."""


def _addresses(state: State, rules: Rules, op: Condition, a: Pointer, b: Pointer) -> Ends:
    if isinstance(a.area, PacketEndArea) and isinstance(b.area, PacketArea) and op in MIRRORED:
        a, b, op = b, a, MIRRORED[op]
    is_asked = isinstance(a.area, PacketArea) and isinstance(b.area, PacketEndArea)
    row = _INSIDE.get(op)
    if row is None or not is_asked or not _is_near(rules, a):
        return Ends(state, state)
    when_taken, more = row
    proved = state.proved(a.identity, a.fixed + more)
    return Ends(proved, state) if when_taken else Ends(state, proved)


def _is_near(rules: Rules, pointer: Pointer) -> bool:
    """Tell whether an address cannot have wrapped around: then a comparison says what it seems."""
    most = pointer.variable.wide.umax
    limit = rules.farthest_packet
    return pointer.fixed >= 0 and most <= limit and most + pointer.fixed + 1 <= limit + 1
