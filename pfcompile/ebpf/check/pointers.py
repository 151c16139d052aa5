"""Arithmetic on values, of which pointers take part in addition and subtraction only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pfcompile.ebpf.arithmetic import signed
from pfcompile.ebpf.check.faults import Unproved
from pfcompile.ebpf.check.scalars import UNKNOWN, Scalar
from pfcompile.ebpf.check.states import LENGTH_LINK
from pfcompile.ebpf.check.transfer import operate
from pfcompile.ebpf.check.values import (
    MapArea,
    PacketArea,
    PacketEndArea,
    Pointer,
    StackArea,
    Unset,
    Value,
    describe,
)
from pfcompile.ebpf.isa import Arithmetic

if TYPE_CHECKING:
    from pfcompile.ebpf.check.states import State
    from pfcompile.ebpf.check.subjects import Rules


def calculate(
    state: State, rules: Rules, op: Arithmetic, width: int, a: Value, b: Value
) -> tuple[Value, State]:
    """Return what `op` leaves in its destination, and the state with what identity that took.

    Raises:
        Unproved: An operand is not set, or a pointer may end up far outside its area.
    """
    if isinstance(a, Unset) or isinstance(b, Unset):
        raise Unproved("computes with a register that is not set")
    if isinstance(a, Scalar) and isinstance(b, Scalar):
        return operate(op, width, a, b), state
    if width == 64:
        if op is Arithmetic.MOV:
            return b, state
        if op is Arithmetic.ADD and isinstance(a, Pointer) and isinstance(b, Scalar):
            return _moved(state, rules, a, b)
        if op is Arithmetic.ADD and isinstance(b, Pointer) and isinstance(a, Scalar):
            return _moved(state, rules, b, a)
        if op is Arithmetic.SUB and isinstance(a, Pointer) and isinstance(b, Scalar):
            if rules.is_kernel and isinstance(a.area, StackArea):
                raise Unproved("subtracts from a stack pointer, which Linux refuses")
            return _moved(state, rules, a, operate(Arithmetic.NEG, 64, b, b))
        if op is Arithmetic.SUB and isinstance(a, Pointer) and isinstance(b, Pointer):
            return _distance(a, b), state
    pointer = a if isinstance(a, Pointer) else b
    raise Unproved(f"does {width}-bit {op.value} on an address ({describe(pointer)})")


def _distance(a: Pointer, b: Pointer) -> Scalar:
    if {type(a.area), type(b.area)} <= {PacketArea, PacketEndArea} or a.area == b.area:
        return UNKNOWN
    raise Unproved(f"subtracts {describe(b)} from {describe(a)}: they have nothing in common")


def _moved(state: State, rules: Rules, pointer: Pointer, by: Scalar) -> tuple[Value, State]:
    """Return a pointer to `by` bytes farther, `by` read as signed."""
    if pointer.is_nullable:
        raise Unproved("moves a pointer that may be null")
    is_packet = isinstance(pointer.area, PacketArea)
    if by.link == LENGTH_LINK and is_packet and not pointer.is_moved:
        return Pointer(PacketEndArea()), state
    if isinstance(pointer.area, MapArea | PacketEndArea):
        raise Unproved(f"moves a pointer that cannot be moved ({describe(pointer)})")
    step = by.constant
    if step is not None:
        moved = pointer.moved(signed(step, 64))
    else:
        limit = rules.farthest_pointer
        if by.wide.smin < -limit or by.wide.smax > limit:
            raise Unproved(f"moves a pointer by a number without near bounds ({describe(by)})")
        variable = operate(Arithmetic.ADD, 64, pointer.variable, by)
        moved = replace(pointer, variable=variable.unlinked())
        if is_packet:
            identity, state = state.new_identity()
            moved = replace(moved, identity=identity)
    if moved.least < -rules.farthest_pointer or moved.most > rules.farthest_pointer:
        raise Unproved(f"moves a pointer too far away ({describe(moved)})")
    return moved, state
