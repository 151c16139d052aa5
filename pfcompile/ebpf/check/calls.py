"""Calls of helpers: whether their arguments are what they ask for, and what they leave."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, assert_never

from pfcompile.ebpf.check import accesses, stack
from pfcompile.ebpf.check.faults import Unproved
from pfcompile.ebpf.check.scalars import UNKNOWN, Scalar
from pfcompile.ebpf.check.signatures import Argument, Result, Signature
from pfcompile.ebpf.check.values import (
    UNSET,
    BlockArea,
    ContextArea,
    MapArea,
    Pointer,
    StackArea,
    Unset,
    Value,
    describe,
    value_of,
)
from pfcompile.ebpf.isa import ARGUMENTS, R0, R1
from pfcompile.ebpf.maps.vocabulary import MapType

if TYPE_CHECKING:
    from pfcompile.ebpf.check.states import State
    from pfcompile.ebpf.check.subjects import Subject
    from pfcompile.ebpf.maps.vocabulary import MapSpec

_ARRAYS: Final = frozenset({MapType.ARRAY, MapType.PERCPU_ARRAY})
"""Types that have a value for every index."""


def call_helper(state: State, subject: Subject, number: int) -> State:
    """Return the state after a call of a helper.

    Raises:
        Unproved: There is no such helper, or an argument is not what it takes.
    """
    signature = subject.helpers.get(number)
    if signature is None:
        raise Unproved(f"calls helper {number}, which is not known")
    return _Call(state, subject, signature).after()


class _Call:
    """One call, its arguments looked at from the first to the last."""

    def __init__(self, state: State, subject: Subject, signature: Signature) -> None:
        self._state = state
        self._subject = subject
        self._signature = signature
        self._map: MapSpec | None = None
        self._size = 0
        self._is_there = False

    def after(self) -> State:
        """Return the state after the call."""
        signature = self._signature
        if signature.may_leave and self._state.owes_record:
            raise Unproved(f"{signature.name} may end the program with a record not given back")
        for position, argument in enumerate(signature.arguments):
            register = R1 + position
            try:
                self._look_at(argument, register, self._state.get(register))
            except Unproved as unproved:
                raise Unproved(f"{signature.name}: r{register}: {unproved}") from None
        return self._with_result(self._state.unset(ARGUMENTS))

    def _look_at(self, argument: Argument, register: int, value: Value) -> None:
        if isinstance(value, Unset):
            raise Unproved(f"is not set, where {argument.value} is wanted")
        match argument:
            case Argument.NUMBER:
                if not isinstance(value, Scalar):
                    self._refuse(argument, value)
            case Argument.READ | Argument.WRITTEN:
                if isinstance(value, Scalar):
                    self._refuse(argument, value)
            case Argument.CONTEXT:
                self._look_at_context(argument, value)
            case Argument.MAP:
                self._look_at_map(argument, value)
            case Argument.KEY | Argument.VALUE:
                assert self._map is not None
                is_key = argument is Argument.KEY
                size = self._map.key_size if is_key else self._map.value_size
                accesses.require_read(self._state, self._subject, value, size)
                self._is_there = is_key and self._has_value(self._map, value)
            case Argument.SIZE | Argument.SIZE_OR_ZERO:
                self._look_at_size(argument, register, value)
            case Argument.RECORD_SIZE:
                size_value = value.constant if isinstance(value, Scalar) else None
                if size_value is None:
                    self._refuse(argument, value)
                else:
                    self._size = size_value
            case Argument.RECORD:
                self._look_at_record(argument, value)
            case _:
                assert_never(argument)

    def _has_value(self, spec: MapSpec, key: Value) -> bool:
        """Tell whether a map has a value for what `key` points to, whatever was done to it."""
        if spec.type not in _ARRAYS or not isinstance(key, Pointer):
            return False
        if not isinstance(key.area, StackArea) or key.least != key.most:
            return False
        index = stack.load(self._state, key.area.frame, key.least, spec.key_size)
        return isinstance(index, Scalar) and index.wide.umax < spec.max_entries

    def _refuse(self, argument: Argument, value: Value) -> None:
        raise Unproved(f"is {describe(value)}, where {argument.value} is wanted")

    def _look_at_context(self, argument: Argument, value: Value) -> None:
        context = self._subject.context
        is_context = isinstance(value, Pointer) and isinstance(value.area, ContextArea)
        if not is_context or (isinstance(value, Pointer) and value.is_moved):
            self._refuse(argument, value)
        if context is None or context.name not in self._signature.contexts:
            wanted = " or ".join(sorted(self._signature.contexts))
            raise Unproved(f"must be a {wanted}, which a {self._subject.name} program has not")

    def _look_at_map(self, argument: Argument, value: Value) -> None:
        if not isinstance(value, Pointer) or not isinstance(value.area, MapArea):
            self._refuse(argument, value)
            return
        self._map = value.area.spec
        if self._map.type not in self._signature.maps:
            raise Unproved(f"is a map of the type {self._map.type.name}, which it does not take")

    def _look_at_size(self, argument: Argument, register: int, value: Value) -> None:
        if not isinstance(value, Scalar):
            self._refuse(argument, value)
            return
        least, most = value.wide.umin, value.wide.umax
        if most > self._subject.rules.farthest_pointer:
            self._refuse(argument, value)
        if least == 0 and argument is Argument.SIZE:
            raise Unproved("is a size that may be 0")
        if most == 0:
            return
        memory = self._state.get(register - 1)
        kind = self._signature.arguments[register - 1 - R1]
        if kind is Argument.READ:
            accesses.require_read(self._state, self._subject, memory, most)
        else:
            self._state = accesses.require_written(self._state, self._subject, memory, least, most)

    def _look_at_record(self, argument: Argument, value: Value) -> None:
        is_record = (
            isinstance(value, Pointer)
            and isinstance(value.area, BlockArea)
            and value.area.is_record
            and value.identity in self._state.records
            and not value.is_moved
            and not value.is_nullable
        )
        if not is_record or not isinstance(value, Pointer):
            self._refuse(argument, value)
            return
        gone = value.identity
        state = self._state.mapped(
            lambda each: UNSET if isinstance(each, Pointer) and each.identity == gone else each
        )
        self._state = replace(state, records=state.records - {gone})

    def _with_result(self, state: State) -> State:
        match self._signature.result:
            case Result.NUMBER:
                return state.set(R0, UNKNOWN)
            case Result.VALUE_OR_NULL:
                assert self._map is not None
                area = value_of(self._map)
                identity, state = state.new_identity()
            case Result.RECORD_OR_NULL:
                area = BlockArea(self._size, "record", is_record=True)
                identity, state = state.new_identity()
                state = replace(state, records=state.records | {identity})
        is_nullable = not self._is_there
        return state.set(R0, Pointer(area, identity=identity, is_nullable=is_nullable))
