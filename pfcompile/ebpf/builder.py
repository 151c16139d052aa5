"""Programs made in Python, with labels.

::

    b = Builder()
    b.load(16, R2, R1, 12)
    b.jump_if(Condition.NE, R2, 0x800, "drop")
    b.mov(R0, 1)
    b.exit()
    b.label("drop")
    b.mov(R0, 0)
    b.exit()
    program = b.finish()

A `Register` where a value can stand is that register; any other number is a constant.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pfcompile.ebpf.isa import (
    R0,
    ROW_NAMED,
    Arithmetic,
    Atomic,
    Callee,
    Condition,
    Instruction,
    Key,
    Kind,
    Operand,
    Operation,
    Register,
    Row,
    Wide,
)
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST: Final = -0x8000_0000
_MOST: Final = 0x7FFF_FFFF
_WORD: Final = 0xFFFF_FFFF
_FARTHEST: Final = range(-0x8000, 0x8000)
"""Slots that an `offset` can span."""


class _Jump(NamedTuple):
    """A jump to a label that may not be placed yet."""

    slot: int
    row: Row
    label: str


class Builder:
    """A program being written, from its first instruction to its last.

    Every method that adds an instruction raises ProgramError where the instruction set has none
    such, or a number does not fit.
    """

    def __init__(self) -> None:
        self._program: list[Instruction] = []
        self._labels: dict[str, int] = {}
        self._jumps: list[_Jump] = []
        self._made = 0

    @property
    def slots(self) -> int:
        """Slots written until now: where the next instruction will stand."""
        return len(self._program)

    def label(self, name: str) -> Self:
        """Let `name` stand for the place of the next instruction.

        Raises:
            ProgramError: It stands for another place already.
        """
        if name in self._labels:
            raise ProgramError(f"label '{name}' is already at slot {self._labels[name]}")
        self._labels[name] = self.slots
        return self

    def new_label(self, stem: str = "label") -> str:
        """Return a label that no other call gives, to be placed by `label`."""
        self._made += 1
        return f"{stem}.{self._made}"

    def emit(self, *instructions: Instruction) -> Self:
        """Add finished instructions, as they are."""
        self._program.extend(instructions)
        return self

    def alu(
        self, op: Arithmetic, dst: Register, value: Register | int | None = None, width: int = 64
    ) -> Self:
        """Add an arithmetic operation; `value` is None for those that have one operand."""
        row = _row(Kind.ALU, op, width, _operand(value))
        return self._add(row, dst=dst, value=value)

    def mov(self, dst: Register, value: Register | int, width: int = 64) -> Self:
        """Set `dst` to a register or a constant; a constant takes as many slots as it needs.

        Args:
            dst: What is set.
            value: A register, or -2**63 to 2**64 - 1; with a width of 32, -2**31 to 2**32 - 1.
            width: 64, or 32 to clear the high half.
        """
        if isinstance(value, Register) or width != 64 or _LEAST <= value <= _MOST:
            return self.alu(Arithmetic.MOV, dst, value, width)
        if 0 <= value <= _WORD:
            # A 32-bit move clears the high half, and takes one slot less.
            return self.alu(Arithmetic.MOV, dst, value, 32)
        return self.wide(dst, value)

    def wide(self, dst: Register, value: int, what: Wide = Wide.VALUE) -> Self:
        """Add a 64-bit immediate load, of two slots.

        Args:
            dst: What is set.
            value: -2**63 to 2**64 - 1; what stands for something other than a number has its
                first number in the low 32 bits and its second, if any, in the high ones.
            what: What `value` stands for; for code, see `code_address`.
        """
        row = _row(Kind.WIDE, what, 64, Operand.IMMEDIATE)
        if not -(1 << 63) <= value < 1 << 64:
            raise ProgramError(f"{value} does not fit 64 bits")
        high = _signed(value >> 32)
        if row.high not in (None, high):
            raise ProgramError(f"{value} does not fit 32 bits")
        self._add(row, dst=dst, value=_signed(value))
        return self.emit(Instruction(0, imm=high))

    def code_address(self, dst: Register, label: str) -> Self:
        """Add a load of the address of a function of the program, of two slots."""
        row = _row(Kind.WIDE, Wide.CODE, 64, Operand.IMMEDIATE)
        self._add(row, dst=dst, label=label)
        return self.emit(Instruction(0))

    def load(
        self, width: int, dst: Register, base: Register, offset: int = 0, *, signed: bool = False
    ) -> Self:
        """Add a load of `width` bits (8, 16, 32, 64) at `base + offset`."""
        kind = Kind.LOAD_SIGNED if signed else Kind.LOAD
        row = _row(kind, None, width, Operand.NONE)
        return self._add(row, dst=dst, value=base, offset=offset)

    def store(self, width: int, base: Register, offset: int, value: Register | int) -> Self:
        """Add a store of `width` bits (8, 16, 32, 64) at `base + offset`."""
        row = _row(Kind.STORE, None, width, _operand(value))
        return self._add(row, dst=base, value=value, offset=offset)

    def atomic(self, op: Atomic, width: int, base: Register, offset: int, src: Register) -> Self:
        """Add an atomic operation on `width` bits (32, 64) at `base + offset`."""
        row = _row(Kind.ATOMIC, op, width, Operand.REGISTER)
        return self._add(row, dst=base, value=src, offset=offset)

    def packet(self, width: int, offset: int, index: Register | None = None) -> Self:
        """Add a legacy load of packet bytes to R0, at `index + offset`; needs the context in R6."""
        operand = Operand.IMMEDIATE if index is None else Operand.REGISTER
        row = _row(Kind.PACKET, None, width, operand)
        code = replace(_blank(row), src=int(index or 0))
        return self.emit(replace(code, imm=_constant(offset, width=32)))

    def jump(self, label: str) -> Self:
        """Add a jump; one that is too far for 16 bits becomes `gotol` of the fourth version."""
        return self._add(_GOTO, label=label)

    def jump_if(
        self, test: Condition, dst: Register, value: Register | int, label: str, width: int = 64
    ) -> Self:
        """Add a jump that is taken when `test` holds between `dst` and `value`."""
        row = _row(Kind.BRANCH, test, width, _operand(value))
        return self._add(row, dst=dst, value=value, label=label)

    def may_goto(self, label: str) -> Self:
        """Add a jump that the kernel takes when a loop has run often enough."""
        return self._add(_row(Kind.MAY_GOTO, None, 64, Operand.NONE), label=label)

    def call(self, helper: int) -> Self:
        """Add a call of a helper, by its number."""
        return self._add(_row(Kind.CALL, Callee.HELPER, 64, Operand.IMMEDIATE), value=helper)

    def call_local(self, label: str) -> Self:
        """Add a call of a function of the program."""
        return self._add(_row(Kind.CALL, Callee.LOCAL, 64, Operand.IMMEDIATE), label=label)

    def call_kfunc(self, btf: int, module: int = 0) -> Self:
        """Add a call of a kernel function, by its BTF number and its module's place."""
        row = _row(Kind.CALL, Callee.KFUNC, 64, Operand.IMMEDIATE)
        return self._add(row, value=btf, offset=module)

    def exit(self) -> Self:
        """Add an end: the verdict is in R0."""
        return self._add(_row(Kind.EXIT, None, 64, Operand.NONE))

    def finish(self) -> tuple[Instruction, ...]:
        """Return the program, its labels turned into distances.

        Raises:
            ProgramError: A label that is not placed, or one behind the last instruction; a
                conditional jump that spans more than 16 bits can tell.
        """
        program = list(self._program)
        for jump in self._jumps:
            target = self._labels.get(jump.label)
            if target is None:
                raise ProgramError(f"label '{jump.label}' is never placed")
            if target >= len(program):
                raise ProgramError(f"label '{jump.label}' stands before no instruction")
            distance = target - jump.slot - 1
            program[jump.slot] = _aimed(program, jump, distance)
        return tuple(program)

    def _add(
        self,
        row: Row,
        *,
        dst: Register = R0,
        value: Register | int | None = None,
        offset: int = 0,
        label: str | None = None,
    ) -> Self:
        instruction = replace(_blank(row), dst=int(dst))
        if isinstance(value, Register):
            instruction = replace(instruction, src=int(value))
        elif value is not None:
            instruction = replace(instruction, imm=_constant(value, width=row.width))
        if row.offset is None:
            if offset not in _FARTHEST:
                raise ProgramError(f"offset {offset} does not fit 16 bits")
            instruction = replace(instruction, offset=offset)
        if label is not None:
            self._jumps.append(_Jump(self.slots, row, label))
        return self.emit(instruction)


def _row(kind: Kind, operation: Operation | None, width: int, operand: Operand) -> Row:
    row = ROW_NAMED.get(Key(kind, operation, width, operand))
    if row is None:
        named = kind.value if operation is None else operation.name.lower()
        raise ProgramError(f"there is no {width}-bit {named} with {operand.value} operand")
    return row


_GOTO: Final = _row(Kind.JUMP, None, 64, Operand.NONE)
_GOTOL: Final = _row(Kind.JUMP, None, 32, Operand.NONE)


def _operand(value: Register | int | None) -> Operand:
    if value is None:
        return Operand.NONE
    return Operand.REGISTER if isinstance(value, Register) else Operand.IMMEDIATE


def _blank(row: Row) -> Instruction:
    """Return the instruction of `row` with 0 for its operands."""
    return Instruction(row.code, row.dst or 0, row.src or 0, row.offset or 0, row.imm or 0)


def _constant(value: int, *, width: int) -> int:
    """Return a constant as an instruction holds it.

    Operations of at most 32 bits take it as signed or unsigned; wider ones would change it.
    """
    most = _MOST if width > 32 else _WORD
    if not _LEAST <= value <= most:
        raise ProgramError(f"{value} does not fit 32 bits: {_LEAST} to {most}")
    return _signed(value)


def _signed(value: int) -> int:
    """Return the low 32 bits as a signed number."""
    return ((value & _WORD) ^ 0x8000_0000) - 0x8000_0000


def _aimed(program: Sequence[Instruction], jump: _Jump, distance: int) -> Instruction:
    """Return a jump with its distance filled in."""
    instruction = program[jump.slot]
    if jump.row.target == "imm":
        return replace(instruction, imm=distance)
    if distance in _FARTHEST:
        return replace(instruction, offset=distance)
    if jump.row is _GOTO:
        return replace(_blank(_GOTOL), imm=distance)
    raise ProgramError(
        f"slot {jump.slot}: '{jump.label}' is {distance} slots away; a conditional jump spans "
        f"{_FARTHEST.start} to {_FARTHEST.stop - 1}"
    )
