"""What each kind of instruction does to a state."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ebpf.arithmetic import MASK32, MASK64, immediate
from pfcompile.ebpf.check import accesses, stack
from pfcompile.ebpf.check.branches import Test, decide
from pfcompile.ebpf.check.calls import call_helper
from pfcompile.ebpf.check.faults import Unproved
from pfcompile.ebpf.check.pointers import calculate
from pfcompile.ebpf.check.scalars import UNKNOWN, ZERO, Scalar, constant
from pfcompile.ebpf.check.transfer import operate
from pfcompile.ebpf.check.values import (
    UNSET,
    BlockArea,
    ContextArea,
    MapArea,
    Pointer,
    Unset,
    Value,
    describe,
    value_of,
)
from pfcompile.ebpf.isa import (
    ARGUMENTS,
    MAX_CALL_FRAMES,
    R0,
    R6,
    Arithmetic,
    Atomic,
    Callee,
    Condition,
    Kind,
    Operand,
    Wide,
    wide_value,
)
from pfcompile.ebpf.maps.vocabulary import MapType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pfcompile.ebpf.check.flow import Flow
    from pfcompile.ebpf.check.states import State
    from pfcompile.ebpf.check.subjects import Subject
    from pfcompile.ebpf.isa import Instruction, Row
    from pfcompile.ebpf.maps.vocabulary import MapSpec


class Next(NamedTuple):
    """A way on from an instruction.

    Attributes:
        slot: Where to.
        state: What is known there.
        how: How it goes there, where that is not simply on.
        is_counted: Whether the machine counts how often this way is gone, and ends that.
    """

    slot: int
    state: State
    how: str = ""
    is_counted: bool = False


class Place(NamedTuple):
    """An instruction about to run.

    Attributes:
        flow: The program.
        subject: What it is checked for.
        slot: Where the instruction is.
        instruction: It.
        row: Its row.
        state: What is known before it.
    """

    flow: Flow
    subject: Subject
    slot: int
    instruction: Instruction
    row: Row
    state: State

    def on(self, state: State) -> Sequence[Next]:
        """Return the way to the next instruction."""
        return (Next(self.slot + self.row.slots, state),)

    @property
    def dst(self) -> Value:
        """What the register in `dst` holds."""
        return self.state.get(self.instruction.dst)

    @property
    def src(self) -> Value:
        """What the register in `src` holds."""
        return self.state.get(self.instruction.src)

    @property
    def size(self) -> int:
        """Bytes of a memory access."""
        return self.row.width // 8


ACCESSES: Final = frozenset(
    {Kind.LOAD, Kind.LOAD_SIGNED, Kind.STORE, Kind.ATOMIC, Kind.PACKET, Kind.CALL}
)
"""What must be proved before it runs without checks."""

_MAY_WRITE: Final = frozenset({Kind.STORE, Kind.ATOMIC, Kind.CALL})


def step(place: Place) -> Sequence[Next]:
    """Return the ways on from an instruction; none where the program or this way ends.

    Raises:
        Unproved: The instruction may do what it may not.
    """
    return _STEPS[place.row.kind](place)


def unproved_step(place: Place) -> Sequence[Next]:
    """Return the ways on from an instruction that is stopped at run time if it does harm."""
    state, row = place.state, place.row
    if row.operation in {Callee.LOCAL, Callee.REGISTER} or row.kind is Kind.EXIT:
        return ()
    if row.kind in _MAY_WRITE:
        state = state.without_kept_values()
    if row.kind is Kind.CALL:
        # It may have given a record back.
        state = state.mapped(lambda value: UNSET if _is_record(value) else value)
    if row.kind is Kind.BRANCH:
        return (
            Next(place.slot + 1, state, "not taken"),
            Next(place.flow.target(place.slot), state, "taken"),
        )
    return place.on(state.unset(row.writes.of(place.instruction), UNKNOWN))


def _is_record(value: Value) -> bool:
    return isinstance(value, Pointer) and isinstance(value.area, BlockArea) and value.area.is_record


def _arithmetic(place: Place) -> Sequence[Next]:
    row, instruction, state = place.row, place.instruction, place.state
    operation = row.operation
    assert isinstance(operation, Arithmetic)
    a = place.dst if row.reads.dst else ZERO
    match row.operand:
        case Operand.IMMEDIATE:
            if place.subject.rules.is_kernel:
                _require_useful(operation, row.width, instruction.imm)
            b: Value = constant(immediate(instruction.imm))
        case Operand.REGISTER:
            if operation is Arithmetic.MOV:
                state = _with_link(state, instruction.src)
            b = state.get(instruction.src)
        case Operand.NONE:
            b = ZERO
    result, state = calculate(state, place.subject.rules, operation, row.width, a, b)
    return place.on(state.set(instruction.dst, result))


_SHIFTS: Final = frozenset({Arithmetic.LSH, Arithmetic.RSH, Arithmetic.ARSH})
_DIVISIONS: Final = frozenset({Arithmetic.DIV, Arithmetic.MOD, Arithmetic.SDIV, Arithmetic.SMOD})


def _require_useful(operation: Arithmetic, width: int, imm: int) -> None:
    """Refuse constants that Linux refuses, though RFC 9669 says what they do."""
    if operation in _SHIFTS and not 0 <= imm < width:
        raise Unproved(f"shifts {width} bits by {imm}, which Linux refuses")
    if operation in _DIVISIONS and imm == 0:
        raise Unproved("divides by a constant 0, which Linux refuses")


def _with_link(state: State, register: int) -> State:
    """Return the state in which what a register holds can be known as equal to its copies."""
    value = state.get(register)
    if not isinstance(value, Scalar) or value.link or value.constant is not None:
        return state
    link, state = state.new_identity()
    return state.set(register, replace(value, link=link))


def _load(place: Place) -> Sequence[Next]:
    instruction = place.instruction
    value = accesses.load(place.state, place.subject, place.src, instruction.offset, place.size)
    return place.on(place.state.set(instruction.dst, value))


_EXTENSIONS: Final[Mapping[int, Arithmetic]] = MappingProxyType(
    {8: Arithmetic.MOVSX8, 16: Arithmetic.MOVSX16, 32: Arithmetic.MOVSX32}
)


def _load_signed(place: Place) -> Sequence[Next]:
    instruction = place.instruction
    value = accesses.load(place.state, place.subject, place.src, instruction.offset, place.size)
    number = value if isinstance(value, Scalar) else UNKNOWN
    extended = operate(_EXTENSIONS[place.row.width], 64, ZERO, number)
    return place.on(place.state.set(instruction.dst, extended))


def _store(place: Place) -> Sequence[Next]:
    instruction = place.instruction
    is_register = place.row.operand is Operand.REGISTER
    value = place.src if is_register else constant(immediate(instruction.imm))
    if isinstance(value, Unset):
        raise Unproved(f"stores r{instruction.src}, which is not set")
    return place.on(
        accesses.store(place.state, place.subject, place.dst, instruction.offset, place.size, value)
    )


def _atomic(place: Place) -> Sequence[Next]:
    row, instruction, state = place.row, place.instruction, place.state
    operation = row.operation
    assert isinstance(operation, Atomic)
    _require_number(place.state, instruction.src)
    if operation is Atomic.CMPXCHG:
        _require_number(place.state, R0)
    state, old = accesses.change(state, place.subject, place.dst, instruction.offset, place.size)
    for register in row.writes.of(instruction):
        state = state.set(register, old)
    return place.on(state)


def _require_number(state: State, register: int) -> None:
    value = state.get(register)
    if not isinstance(value, Scalar):
        raise Unproved(f"r{register} is {describe(value)}, where a number is wanted")


def _jump(place: Place) -> Sequence[Next]:
    return (Next(place.flow.target(place.slot), place.state, "jump"),)


def _bounded_jump(place: Place) -> Sequence[Next]:
    # The count starts again in every call, so that it bounds only what the program itself does.
    is_counted = place.state.depth == 0
    return (
        Next(place.flow.target(place.slot), place.state, "jump"),
        Next(place.slot + 1, place.state, is_counted=is_counted),
    )


def _branch(place: Place) -> Sequence[Next]:
    row, instruction = place.row, place.instruction
    assert isinstance(row.operation, Condition)
    is_register = row.operand is Operand.REGISTER
    test = Test(
        row.operation,
        row.width,
        instruction.dst,
        instruction.src if is_register else None,
        place.dst,
        place.src if is_register else constant(immediate(instruction.imm)),
    )
    ends = decide(place.state, place.subject.rules, test)
    ways = []
    if ends.taken is not None:
        ways.append(Next(place.flow.target(place.slot), ends.taken, "taken"))
    if ends.passed is not None:
        ways.append(Next(place.slot + 1, ends.passed, "not taken"))
    return ways


def _exit(place: Place) -> Sequence[Next]:
    state = place.state
    back = state.frame.returns_to
    if back is not None:
        return (Next(back, state.leave(), "return"),)
    result = state.get(R0)
    if not isinstance(result, Scalar):
        raise Unproved(f"returns r0, which is {describe(result)}, where a number is wanted")
    if state.owes_record:
        raise Unproved("ends with a record of a ring buffer that is not given back")
    return ()


def _load_packet(place: Place) -> Sequence[Next]:
    subject, state = place.subject, place.state
    if not subject.has_packet_loads:
        raise Unproved(f"a {subject.name} program has no legacy packet loads")
    context = subject.context
    held = state.get(R6)
    if context is not None and not context.is_memory:
        is_context = isinstance(held, Pointer) and isinstance(held.area, ContextArea)
        if not is_context or (isinstance(held, Pointer) and held.is_moved):
            raise Unproved(f"needs the context in r6, which is {describe(held)}")
    if place.row.operand is Operand.REGISTER:
        _require_number(state, place.instruction.src)
    if state.owes_record:
        raise Unproved("may end the program with a record of a ring buffer not given back")
    return place.on(state.unset(ARGUMENTS).set(R0, stack.number_of_size(place.size)))


def _call(place: Place) -> Sequence[Next]:
    callee = place.row.operation
    assert isinstance(callee, Callee)
    return _CALLS[callee](place)


def _call_helper(place: Place) -> Sequence[Next]:
    number = place.instruction.imm & MASK32
    return place.on(call_helper(place.state, place.subject, number))


def _call_local(place: Place) -> Sequence[Next]:
    if len(place.state.frames) == MAX_CALL_FRAMES:
        raise Unproved(f"calls go deeper than {MAX_CALL_FRAMES} functions")
    target = place.flow.target(place.slot)
    return (Next(target, place.state.enter(target, place.slot + 1), "call"),)


def _call_unknown(_: Place) -> Sequence[Next]:
    raise Unproved("calls what the check does not know")


def _wide(place: Place) -> Sequence[Next]:
    instruction = place.instruction
    value = wide_value(instruction, place.flow.program[place.slot + 1])
    wide = place.row.operation
    assert isinstance(wide, Wide)
    return place.on(place.state.set(instruction.dst, _WIDES[wide](place.subject, value)))


def _map_of(subject: Subject, value: int) -> MapSpec:
    spec = subject.maps.get(value & MASK32)
    if spec is None:
        raise Unproved(f"there is no map {value & MASK32}")
    return spec


def _map_value(subject: Subject, value: int) -> Value:
    spec, offset = _map_of(subject, value), value >> 32
    if spec.type is not MapType.ARRAY or spec.max_entries != 1 or offset >= spec.value_size:
        raise Unproved("takes the address of what is no value of an array of one")
    return Pointer(value_of(spec), offset)


def _variable(subject: Subject, value: int) -> Value:
    number = value & MASK32
    size = subject.variables.get(number)
    if size is None:
        raise Unproved(f"there is no variable {number}")
    return Pointer(BlockArea(size, f"variable {number}"))


def _code(_subject: Subject, _value: int) -> Value:
    raise Unproved("takes the address of a function")


_WIDES: Final[Mapping[Wide, Callable[[Subject, int], Value]]] = MappingProxyType(
    {
        Wide.VALUE: lambda _, value: constant(value & MASK64),
        Wide.MAP_FD: lambda subject, value: Pointer(MapArea(_map_of(subject, value))),
        Wide.MAP_INDEX: lambda subject, value: Pointer(MapArea(_map_of(subject, value))),
        Wide.MAP_VALUE_FD: _map_value,
        Wide.MAP_VALUE_INDEX: _map_value,
        Wide.VARIABLE: _variable,
        Wide.CODE: _code,
    }
)

_CALLS: Final[Mapping[Callee, Callable[[Place], Sequence[Next]]]] = MappingProxyType(
    {
        Callee.HELPER: _call_helper,
        Callee.LOCAL: _call_local,
        Callee.KFUNC: _call_unknown,
        Callee.REGISTER: _call_unknown,
    }
)

_STEPS: Final[Mapping[Kind, Callable[[Place], Sequence[Next]]]] = MappingProxyType(
    {
        Kind.ALU: _arithmetic,
        Kind.LOAD: _load,
        Kind.LOAD_SIGNED: _load_signed,
        Kind.STORE: _store,
        Kind.ATOMIC: _atomic,
        Kind.WIDE: _wide,
        Kind.PACKET: _load_packet,
        Kind.JUMP: _jump,
        Kind.BRANCH: _branch,
        Kind.MAY_GOTO: _bounded_jump,
        Kind.CALL: _call,
        Kind.EXIT: _exit,
    }
)
