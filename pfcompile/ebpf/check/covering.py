"""Comparing states of the same place: whether one allows all that another does, and joining them.

Identities and links are only names, and the same thing may have another in each state. So both
walks match names while they go, and a name that would have to match two others does not fit.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from pfcompile.ebpf.check.scalars import Scalar, constant, widen
from pfcompile.ebpf.check.states import (
    FIRST_IDENTITY,
    LENGTH_LINK,
    Cell,
    Frame,
    State,
)
from pfcompile.ebpf.check.transfer import operate
from pfcompile.ebpf.check.values import UNSET, PacketArea, Pointer, Unset, Value
from pfcompile.ebpf.isa import Arithmetic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NOTHING = Cell(0)


def covers(old: State, new: State) -> bool:
    """Tell whether everything that can be in `new` can be in `old`: then it is proved already.

    Both stand at the same instruction, with the same calls open.
    """
    if old.is_context_intact and not new.is_context_intact:
        return False
    if len(old.records) != len(new.records) or (new.is_record_lost and not old.is_record_lost):
        return False
    matching = _Matching(old, new)
    return all(
        matching.covers_frame(ours, theirs)
        for ours, theirs in zip(old.frames, new.frames, strict=True)
    )


class _Matching:
    """The names of one state matched with those of another."""

    def __init__(self, old: State, new: State) -> None:
        self._old = old
        self._new = new
        self._names = {0: 0, LENGTH_LINK: LENGTH_LINK}
        self._nameless = 0

    def covers_frame(self, old: Frame, new: Frame) -> bool:
        for ours, theirs in zip(old.registers, new.registers, strict=True):
            if ours is not UNSET and not self._covers(ours, theirs):
                return False
        return all(
            self._covers_cell(cell, new.stack.get(at, _NOTHING)) for at, cell in old.stack.items()
        )

    def _covers_cell(self, old: Cell, new: Cell) -> bool:
        if old.written & ~new.written:
            return False
        if old.value is None:
            return True
        if new.value is None or (old.size, old.start) != (new.size, new.start):
            return False
        return self._covers(old.value, new.value)

    def _covers(self, old: Value, new: Value) -> bool:
        match old, new:
            case Unset(), _:
                return True
            case Scalar(), Scalar():
                return old.covers(new) and (not old.link or self._is_link(old.link, new.link))
            case Pointer(), Pointer():
                return (
                    old.area == new.area
                    and old.fixed == new.fixed
                    and old.is_nullable == new.is_nullable
                    and old.variable.covers(new.variable)
                    and self._is_named(old.identity, new.identity)
                    and self._reaches(old, new)
                    and (old.identity in self._old.records) == (new.identity in self._new.records)
                )
            case _:
                return False

    def _is_link(self, old: int, new: int) -> bool:
        if not new and old != LENGTH_LINK:
            # A number that equals no other: fine, if this is the first with the link.
            self._nameless -= 1
            new = self._nameless
        return self._is_named(old, new)

    def _is_named(self, old: int, new: int) -> bool:
        return self._names.setdefault(old, new) == new

    def _reaches(self, old: Pointer, new: Pointer) -> bool:
        if not isinstance(old.area, PacketArea):
            return True
        reach = self._old.reach.get(old.identity, 0)
        return self._new.reach.get(new.identity, 0) >= reach


def join(old: State, new: State, merge: Callable[[Scalar, Scalar], Scalar]) -> State:
    """Return a state in which everything can be that can be in either.

    Args:
        old: A state.
        new: Another of the same instruction, with the same calls open.
        merge: Gives the numbers of both from those of either: `unite` or `widen`.
    """
    joining = _Joining(old, new, merge)
    frames = tuple(
        joining.frame(ours, theirs) for ours, theirs in zip(old.frames, new.frames, strict=True)
    )
    return joining.state(frames)


class _Joining:
    """Two states becoming one; each pair of names becomes a new name."""

    def __init__(self, old: State, new: State, merge: Callable[[Scalar, Scalar], Scalar]) -> None:
        self._old = old
        self._new = new
        self._merge = merge
        self._names: dict[tuple[int, int, int], int] = {
            (0, 0, 0): 0,
            (LENGTH_LINK, LENGTH_LINK, 0): LENGTH_LINK,
        }
        self._reach: dict[int, int] = {}
        self._records: set[int] = set()

    def state(self, frames: tuple[Frame, ...]) -> State:
        """Return the state with these frames."""
        self._name_reach(0, 0, 0)
        old, new = self._old, self._new
        is_unmatched = max(len(old.records), len(new.records)) > len(self._records)
        return State(
            frames,
            MappingProxyType(self._reach),
            frozenset(self._records),
            old.is_record_lost or new.is_record_lost or is_unmatched,
            FIRST_IDENTITY + len(self._names),
            old.is_context_intact and new.is_context_intact,
        )

    def frame(self, old: Frame, new: Frame) -> Frame:
        """Return one frame of both."""
        registers = tuple(
            self._value(ours, theirs)
            for ours, theirs in zip(old.registers, new.registers, strict=True)
        )
        stack = {
            at: self._cell(old.stack[at], new.stack[at])
            for at in sorted(old.stack.keys() & new.stack.keys())
        }
        return replace(old, registers=registers, stack=MappingProxyType(stack))

    def _cell(self, old: Cell, new: Cell) -> Cell:
        written = old.written & new.written
        is_same_place = (old.size, old.start) == (new.size, new.start)
        if old.value is None or new.value is None or not is_same_place:
            return Cell(written)
        value = self._value(old.value, new.value)
        return Cell(written) if value is UNSET else Cell(written, value, old.size, old.start)

    def _value(self, old: Value, new: Value) -> Value:
        match old, new:
            case Scalar(), Scalar():
                joined = self._merge(old, new)
                if not old.link or not new.link or joined.constant is not None:
                    return joined
                return replace(joined, link=self._name(old.link, new.link, 0))
            case Pointer(), Pointer() if old.area == new.area:
                return self._pointer(old, new)
            case _:
                return UNSET

    def _pointer(self, old: Pointer, new: Pointer) -> Value:
        if (old.identity in self._old.records) != (new.identity in self._new.records):
            return UNSET
        apart = new.fixed - old.fixed
        theirs = new.variable
        if apart:
            shift = constant(apart & (1 << 64) - 1)
            theirs = operate(Arithmetic.ADD, 64, theirs, shift)
        variable = self._merge(old.variable, theirs)
        if isinstance(old.area, PacketArea):
            identity = self._name_reach(old.identity, new.identity, apart)
        else:
            identity = self._name(old.identity, new.identity, 0)
        if old.identity in self._old.records:
            self._records.add(identity)
        nullable = old.is_nullable or new.is_nullable
        return Pointer(old.area, old.fixed, variable, identity, nullable)

    def _name_reach(self, old: int, new: int, apart: int) -> int:
        identity = self._name(old, new, apart)
        ours, theirs = self._old.reach.get(old, 0), self._new.reach.get(new, 0) - apart
        # In a loop that moves the pointer it would shrink byte by byte.
        is_given_up = self._merge is widen and theirs < ours
        reach = 0 if is_given_up else min(ours, theirs)
        if reach > 0:
            self._reach[identity] = reach
        return identity

    def _name(self, old: int, new: int, apart: int) -> int:
        return self._names.setdefault((old, new, apart), FIRST_IDENTITY + len(self._names))


def without(state: State, live: Mapping[int, frozenset[int]], slot: int) -> State:
    """Return the state without the registers that nothing reads any more.

    Args:
        state: At `slot`.
        live: By slot, the registers that may be read before they are written.
        slot: The instruction.
    """
    places = [frame.returns_to for frame in state.frames[1:] if frame.returns_to is not None] + [
        slot
    ]
    frames = tuple(
        replace(
            frame,
            registers=tuple(
                value if number in live[place] else UNSET
                for number, value in enumerate(frame.registers)
            ),
        )
        for frame, place in zip(state.frames, places, strict=True)
    )
    state = replace(state, frames=frames)
    if not state.records:
        return state
    held = {value.identity for value in state.values() if isinstance(value, Pointer)}
    is_lost = state.is_record_lost or not state.records <= held
    return replace(state, records=state.records & held, is_record_lost=is_lost)
