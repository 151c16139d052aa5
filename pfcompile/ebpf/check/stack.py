"""Reads and writes of stack frames, cell by cell.

A register that is stored whole comes back as it was; of anything else only is known that it has
been written.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from pfcompile.ebpf.check.faults import Unproved
from pfcompile.ebpf.check.scalars import UNKNOWN, Scalar, between, constant
from pfcompile.ebpf.check.states import CELL_BYTES, FULL, Cell, State, cell_of
from pfcompile.ebpf.check.transfer import operate
from pfcompile.ebpf.isa import Arithmetic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pfcompile.ebpf.check.values import Value


def load(state: State, frame: int, offset: int, size: int) -> Value:
    """Return what `size` bytes at `offset` of a frame hold.

    Args:
        state: Where.
        frame: The frame's number.
        offset: From its end, -512 to -size.
        size: 1, 2, 4 or 8.

    Raises:
        Unproved: A byte of it may not have been written.
    """
    require_written(state, frame, offset, offset + size)
    stack = state.frames[frame].stack
    at, byte = cell_of(offset)
    cell = stack[at]
    if byte == cell.start and cell.value is not None:
        if cell.size == size:
            return cell.value
        if isinstance(cell.value, Scalar) and size < cell.size:
            return operate(Arithmetic.AND, 64, cell.value, constant((1 << 8 * size) - 1))
    return number_of_size(size)


def number_of_size(size: int) -> Scalar:
    """Return all numbers of `size` bytes."""
    return UNKNOWN if size == CELL_BYTES else between(0, (1 << 8 * size) - 1)


def require_written(state: State, frame: int, start: int, end: int) -> None:
    """Check that the bytes from `start` to before `end` have been written.

    Raises:
        Unproved: One may not have been; names it.
    """
    stack = state.frames[frame].stack
    for at, mask in _cells(start, end):
        cell = stack.get(at)
        missing = mask & ~(0 if cell is None else cell.written)
        if missing:
            byte = (missing & -missing).bit_length() - 1
            place = (at - cell_of(0)[0]) * CELL_BYTES + byte
            raise Unproved(f"reads the stack at r10{place:+d}, where nothing has been written")


def store(state: State, frame: int, offset: int, size: int, value: Value) -> State:
    """Return the state after a store of the low `size` bytes of `value`."""
    stack = dict(state.frames[frame].stack)
    at, byte = cell_of(offset)
    if byte + size <= CELL_BYTES:
        kept = value
        if size < CELL_BYTES:
            kept = _truncated(value, size) if isinstance(value, Scalar) else number_of_size(size)
        written = ((1 << size) - 1) << byte
        old = stack.get(at)
        stack[at] = Cell(written | (0 if old is None else old.written), kept, size, byte)
        return _with_stack(state, frame, stack)
    return wrote(state, frame, offset, offset + size)


def wrote(state: State, frame: int, start: int, end: int) -> State:
    """Return the state after something was written from `start` to before `end`."""
    stack = dict(state.frames[frame].stack)
    for at, mask in _cells(start, end):
        old = stack.get(at)
        stack[at] = Cell(mask | (0 if old is None else old.written))
    return _with_stack(state, frame, stack)


def may_have_written(state: State, frame: int, start: int, end: int) -> State:
    """Return the state after some of the bytes from `start` to before `end` were written."""
    stack = dict(state.frames[frame].stack)
    for at, _ in _cells(start, end):
        if at in stack:
            stack[at] = Cell(stack[at].written)
    return _with_stack(state, frame, stack)


def _truncated(number: Scalar, size: int) -> Scalar:
    if number.wide.umax < 1 << 8 * size:
        return number
    return operate(Arithmetic.AND, 64, number.unlinked(), constant((1 << 8 * size) - 1))


def _with_stack(state: State, frame: int, stack: Mapping[int, Cell]) -> State:
    return state.with_frame(
        replace(state.frames[frame], stack=MappingProxyType(dict(stack))), frame
    )


def _cells(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the cells from `start` to before `end`, with a mask of the bytes in each."""
    place = start
    while place < end:
        at, byte = cell_of(place)
        count = min(CELL_BYTES - byte, end - place)
        yield at, FULL & ((1 << count) - 1) << byte
        place += count
