"""Everything that is known at one place of one way through a program."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.check.scalars import Scalar
from pfcompile.ebpf.check.values import UNSET, Pointer, StackArea, Value
from pfcompile.ebpf.isa import R6, R10, REGISTERS, STACK_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CELL_BYTES: Final = 8
"""A cell is where a register can be kept: eight bytes of stack, aligned."""
FULL: Final = (1 << CELL_BYTES) - 1

LENGTH_LINK: Final = 1
"""The link of numbers that are the packet's length."""
FIRST_IDENTITY: Final = 2


@dataclass(frozen=True, slots=True)
class Cell:
    """Eight bytes of stack.

    Attributes:
        written: Which of them have been, a bit each, the lowest for the lowest address.
        value: What some of them hold together, None where that is not known.
        size: How many those are: 1, 2, 4 or 8.
        start: The first of those.
    """

    written: int
    value: Value | None = None
    size: int = CELL_BYTES
    start: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """A call of a function, or the program itself.

    Attributes:
        registers: R0 to R10.
        stack: Cells that have been written to, by number: cell 0 is at R10 - 512.
        returns_to: The slot to go on with; None for the program itself.
        entry: The slot where the function begins.
    """

    registers: tuple[Value, ...]
    stack: Mapping[int, Cell] = field(default_factory=lambda: MappingProxyType({}))
    returns_to: int | None = None
    entry: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """What holds when an instruction is about to run.

    Attributes:
        frames: The calls in each other, the running one last.
        reach: By the identity of packet pointers: how many bytes from there are in the packet.
        records: Identities of reserved records that have to be given back.
        is_record_lost: Whether there may be one that no pointer leads to any more.
        next_identity: The first identity, or link, that is not in use.
        is_context_intact: Whether no store could have changed the pointers in a context that is
            plain memory.
    """

    frames: tuple[Frame, ...]
    reach: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    records: frozenset[int] = frozenset()
    is_record_lost: bool = False
    next_identity: int = FIRST_IDENTITY
    is_context_intact: bool = True

    @property
    def frame(self) -> Frame:
        """The running call."""
        return self.frames[-1]

    @property
    def depth(self) -> int:
        """How many calls of functions are open, 0 in the program itself."""
        return len(self.frames) - 1

    @property
    def owes_record(self) -> bool:
        """Whether there may be a record that has to be given back."""
        return bool(self.records) or self.is_record_lost

    def get(self, register: int) -> Value:
        """Return what a register holds."""
        return self.frames[-1].registers[register]

    def set(self, register: int, value: Value) -> State:
        """Return the state with a register set."""
        registers = self.frames[-1].registers
        return self.with_registers((*registers[:register], value, *registers[register + 1 :]))

    def unset(self, registers: frozenset[int], value: Value = UNSET) -> State:
        """Return the state with some registers unset, or all set to `value`."""
        return self.with_registers(
            tuple(
                value if number in registers else held
                for number, held in enumerate(self.frame.registers)
            )
        )

    def with_registers(self, registers: tuple[Value, ...]) -> State:
        """Return the state with other registers in the running call."""
        return self.with_frame(replace(self.frames[-1], registers=registers))

    def with_frame(self, frame: Frame, number: int = -1) -> State:
        """Return the state with one frame replaced."""
        frames = list(self.frames)
        frames[number] = frame
        return replace(self, frames=tuple(frames))

    def new_identity(self) -> tuple[int, State]:
        """Return an identity that nothing has, and the state in which it is in use."""
        return self.next_identity, replace(self, next_identity=self.next_identity + 1)

    def proved(self, identity: int, size: int) -> State:
        """Return the state in which `size` bytes from a packet pointer on are in the packet."""
        if self.reach.get(identity, 0) >= size:
            return self
        return replace(self, reach=MappingProxyType({**self.reach, identity: size}))

    def values(self) -> Iterator[Value]:
        """Yield what all registers and stacks hold."""
        for frame in self.frames:
            yield from frame.registers
            for cell in frame.stack.values():
                if cell.value is not None:
                    yield cell.value

    def mapped(self, change: Callable[[Value], Value]) -> State:
        """Return the state with `change` made to every value in registers and on stacks."""
        return replace(self, frames=tuple(_mapped(frame, change) for frame in self.frames))

    def linked(self, number: Scalar) -> State:
        """Return the state in which everything with the same link has been narrowed alike."""
        state = self
        if number.link == LENGTH_LINK:
            state = state.proved(0, number.wide.umin)
        if not number.link:
            return state
        return state.mapped(
            lambda value: (
                number if isinstance(value, Scalar) and value.link == number.link else value
            )
        )

    def enter(self, target: int, returns_to: int) -> State:
        """Return the state at the start of a called function."""
        registers = list(self.frame.registers)
        registers[0] = UNSET
        registers[R6:R10] = [UNSET] * (R10 - R6)
        registers[R10] = Pointer(StackArea(len(self.frames)))
        called = Frame(tuple(registers), returns_to=returns_to, entry=target)
        return replace(self, frames=(*self.frames, called))

    def leave(self) -> State:
        """Return the state after a called function has ended; pointers to its stack are gone."""
        ended, caller = self.frames[-1], self.frames[-2]
        registers = (ended.registers[0], *[UNSET] * (R6 - 1), *caller.registers[R6:])
        area = StackArea(self.depth)
        back = replace(self, frames=(*self.frames[:-2], replace(caller, registers=registers)))
        return back.mapped(
            lambda value: UNSET if isinstance(value, Pointer) and value.area == area else value
        )

    def without_kept_values(self) -> State:
        """Return the state after a store that may have hit any stack, or the context."""
        frames = tuple(
            replace(
                frame,
                stack=MappingProxyType(
                    {at: Cell(cell.written) for at, cell in frame.stack.items()}
                ),
            )
            for frame in self.frames
        )
        return replace(self, frames=frames, is_context_intact=False)


def first_state(r1: Value, r2: Value) -> State:
    """Return the state in which a program begins, with what R1 and R2 hold."""
    registers: list[Value] = [UNSET] * REGISTERS
    registers[1], registers[2] = r1, r2
    registers[R10] = Pointer(StackArea(0))
    return State((Frame(tuple(registers)),))


def cell_of(offset: int) -> tuple[int, int]:
    """Return the cell, and the byte in it, of an offset from the end of a frame: -512 to -1."""
    return divmod(offset + STACK_SIZE, CELL_BYTES)


def _mapped(frame: Frame, change: Callable[[Value], Value]) -> Frame:
    registers = tuple(change(value) for value in frame.registers)
    stack: dict[int, Cell] | None = None
    for at, cell in frame.stack.items():
        if cell.value is None:
            continue
        changed = change(cell.value)
        if changed is not cell.value:
            stack = dict(frame.stack) if stack is None else stack
            stack[at] = Cell(0) if changed is UNSET else replace(cell, value=changed)
    if stack is None:
        return replace(frame, registers=registers)
    return replace(frame, registers=registers, stack=MappingProxyType(stack))
