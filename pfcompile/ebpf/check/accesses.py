"""Loads, stores and atomic operations: whether they stay where they may, and what they give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from pfcompile.ebpf.check import stack
from pfcompile.ebpf.check.faults import Unproved
from pfcompile.ebpf.check.scalars import UNKNOWN, Scalar
from pfcompile.ebpf.check.subjects import Content, Subject
from pfcompile.ebpf.check.values import (
    BlockArea,
    ContextArea,
    MapArea,
    PacketArea,
    PacketEndArea,
    Pointer,
    StackArea,
    Unset,
    Value,
    describe,
)
from pfcompile.ebpf.isa import STACK_SIZE

if TYPE_CHECKING:
    from pfcompile.ebpf.check.states import State

_READS: Final = "reads"
_WRITES: Final = "writes"
_CHANGES: Final = "changes"


def load(state: State, subject: Subject, base: Value, offset: int, size: int) -> Value:
    """Return what `size` bytes at `base + offset` hold.

    Raises:
        Unproved: They may not be there, or may not have been written.
    """
    pointer = _pointer(subject, base, _READS, offset, size)
    match pointer.area:
        case ContextArea():
            return _load_context(state, subject, pointer, size)
        case StackArea(frame=frame):
            _inside_stack(subject, pointer, _READS, size)
            if pointer.least == pointer.most:
                return stack.load(state, frame, pointer.least, size)
            stack.require_written(state, frame, pointer.least, pointer.most + size)
        case _:
            require_memory(state, pointer, _READS, size)
    return stack.number_of_size(size)


def store(
    state: State, subject: Subject, base: Value, offset: int, size: int, value: Value
) -> State:
    """Return the state after a store of the low `size` bytes of `value`.

    Raises:
        Unproved: They may not be there, or not be for programs to write; or an address would get
            to where others can read it.
    """
    pointer = _pointer(subject, base, _WRITES, offset, size)
    match pointer.area:
        case StackArea(frame=frame):
            _inside_stack(subject, pointer, _WRITES, size)
            if pointer.least == pointer.most:
                return stack.store(state, frame, pointer.least, size, value)
            return stack.may_have_written(state, frame, pointer.least, pointer.most + size)
        case ContextArea():
            _store_context(subject, pointer, size)
        case _:
            require_memory(state, pointer, _WRITES, size)
            _require_writable(subject, pointer)
    if isinstance(value, Pointer):
        raise Unproved(f"writes an address ({describe(value)}) into the {pointer.area}")
    return state


def change(
    state: State, subject: Subject, base: Value, offset: int, size: int
) -> tuple[State, Scalar]:
    """Return the state after an atomic operation, and what it found.

    Raises:
        Unproved: As of `store`, or what it would change has never been written.
    """
    pointer = _pointer(subject, base, _CHANGES, offset, size)
    match pointer.area:
        case StackArea(frame=frame):
            _inside_stack(subject, pointer, _CHANGES, size)
            start, end = pointer.least, pointer.most + size
            stack.require_written(state, frame, start, end)
            return stack.may_have_written(state, frame, start, end), stack.number_of_size(size)
        case PacketArea() if subject.rules.is_kernel:
            raise Unproved("changes packet bytes by an atomic operation, which Linux refuses")
        case ContextArea():
            raise Unproved("changes the context by an atomic operation")
        case _:
            require_memory(state, pointer, _CHANGES, size)
            _require_writable(subject, pointer)
    return state, stack.number_of_size(size)


def require_read(state: State, subject: Subject, base: Value, most: int) -> None:
    """Check that a helper may read from `base` on.

    Args:
        state: Where.
        subject: What the program is checked for.
        base: The address.
        most: Bytes, at most.

    Raises:
        Unproved: It may not.
    """
    pointer = _pointer(subject, base, _READS, 0, most)
    if isinstance(pointer.area, StackArea):
        _inside_stack(subject, pointer, _READS, most, is_aligned=True)
        stack.require_written(state, pointer.area.frame, pointer.least, pointer.most + most)
    else:
        require_memory(state, pointer, _READS, most)


def require_written(state: State, subject: Subject, base: Value, size: int, most: int) -> State:
    """Check that a helper may write from `base` on; return the state after it did.

    Args:
        state: Where.
        subject: What the program is checked for.
        base: The address.
        size: Bytes, at least.
        most: Bytes, at most.

    Raises:
        Unproved: It may not.
    """
    pointer = _pointer(subject, base, _WRITES, 0, most)
    if not isinstance(pointer.area, StackArea):
        require_memory(state, pointer, _WRITES, most)
        _require_writable(subject, pointer)
        return state
    _inside_stack(subject, pointer, _WRITES, most, is_aligned=True)
    frame, start, end = pointer.area.frame, pointer.least, pointer.most + most
    if size == most and pointer.least == pointer.most:
        return stack.wrote(state, frame, start, end)
    # As Linux has it: where it is not known what gets written, all must have been before.
    stack.require_written(state, frame, start, end)
    return stack.may_have_written(state, frame, start, end)


def require_memory(state: State, pointer: Pointer, verb: str, size: int) -> None:
    """Check that `size` bytes at a pointer are inside a packet or a block.

    Raises:
        Unproved: They may not be.
    """
    match pointer.area:
        case PacketArea():
            reach = state.reach.get(pointer.identity, 0)
            if pointer.least < 0:
                raise Unproved(f"{verb} {_bytes(size)} up to {-pointer.least} before the packet")
            # Without a comparison nothing is known, not even of bytes before the pointer.
            if reach == 0 or pointer.fixed + size > reach:
                raise Unproved(
                    f"{verb} {_bytes(size)} at offset {pointer.fixed} of a packet pointer from "
                    f"which on only {_bytes(reach)} are known to be in the packet"
                )
        case BlockArea(size=limit):
            if pointer.least < 0 or pointer.most + size > limit:
                raise Unproved(
                    f"{verb} {_bytes(size)} at offset {_range(pointer)} of a {pointer.area}"
                )
        case ContextArea() | StackArea() | PacketEndArea() | MapArea():
            _refuse_area(pointer, verb)


def _refuse_area(pointer: Pointer, verb: str) -> NoReturn:
    raise Unproved(f"{verb} memory through {describe(pointer)}, which is no address of memory")


def _pointer(subject: Subject, base: Value, verb: str, offset: int, size: int) -> Pointer:
    """Return the pointer to what is accessed."""
    match base:
        case Unset():
            raise Unproved(f"{verb} {_bytes(size)} through a register that is not set")
        case Scalar():
            raise Unproved(f"{verb} {_bytes(size)} through a number ({describe(base)})")
        case Pointer(is_nullable=True):
            raise Unproved(f"{verb} {_bytes(size)} through a pointer that may be null")
        case Pointer():
            pointer = base.moved(offset)
            is_odd = isinstance(pointer.area, PacketArea) and pointer.fixed < 0
            if is_odd and subject.rules.is_kernel:
                raise Unproved(
                    f"{verb} {_bytes(size)} before a packet pointer, which Linux refuses"
                )
            return pointer


def _inside_stack(
    subject: Subject, pointer: Pointer, verb: str, size: int, *, is_aligned: bool = False
) -> None:
    if pointer.least < -STACK_SIZE or pointer.most + size > 0:
        raise Unproved(
            f"{verb} {_bytes(size)} at offset {_range(pointer)} of the {pointer.area}, "
            f"not all between {-STACK_SIZE} and -1"
        )
    if subject.rules.is_kernel and not is_aligned:
        bits = pointer.variable.bits
        if (pointer.fixed + bits.value) % size or bits.mask % size:
            raise Unproved(f"{verb} {_bytes(size)} of stack at {_range(pointer)}, not aligned")


def _require_writable(subject: Subject, pointer: Pointer) -> None:
    if isinstance(pointer.area, PacketArea) and not subject.is_packet_writable:
        raise Unproved(f"writes to the packet, which a {subject.name} program may only read")
    if isinstance(pointer.area, BlockArea) and pointer.area.is_read_only:
        raise Unproved(f"writes to the {pointer.area}, which programs may only read")


def _load_context(state: State, subject: Subject, pointer: Pointer, size: int) -> Value:
    offset = _context_offset(pointer, _READS)
    context = subject.context
    content = context and context.loads.get((offset, size))
    if context is None or content is None:
        raise Unproved(f"reads {_bytes(size)} at offset {offset} of the context: no field")
    if content is Content.NUMBER:
        return stack.number_of_size(size)
    if context.is_memory and not state.is_context_intact:
        return UNKNOWN
    return Pointer(PacketArea() if content is Content.PACKET else PacketEndArea())


def _store_context(subject: Subject, pointer: Pointer, size: int) -> None:
    offset = _context_offset(pointer, _WRITES)
    if subject.context is None or (offset, size) not in subject.context.stores:
        raise Unproved(
            f"writes {_bytes(size)} at offset {offset} of the context: no field to be written so"
        )


def _context_offset(pointer: Pointer, verb: str) -> int:
    if pointer.variable.constant != 0:
        raise Unproved(f"{verb} the context at an offset that varies: {_range(pointer)}")
    return pointer.fixed


def _bytes(count: int) -> str:
    return f"{count} byte{'' if count == 1 else 's'}"


def _range(pointer: Pointer) -> str:
    least, most = pointer.least, pointer.most
    return str(least) if least == most else f"{least} to {most}"
