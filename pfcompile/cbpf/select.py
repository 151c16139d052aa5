"""Instructions for one block at a time: values brought into A and X with few loads.

What A, X and the scratch words hold is followed from block to block, so that a value that is there
on every way to a block is not loaded again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.cbpf.isa import SCRATCH_WORDS, Op
from pfcompile.errors import FilterError
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.values import (
    Ancillary,
    Arithmetic,
    Const,
    Load,
    Numbers,
    PacketLength,
    Value,
    Variable,
    const,
    variables,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.ir.graph import Test

_LOAD_ABSOLUTE: Final = {1: Op.LD_B_ABS, 2: Op.LD_H_ABS, 4: Op.LD_W_ABS}
_LOAD_INDEXED: Final = {1: Op.LD_B_IND, 2: Op.LD_H_IND, 4: Op.LD_W_IND}
_ALU: Final = {
    ArithmeticOp.ADD: (Op.ADD_K, Op.ADD_X),
    ArithmeticOp.SUB: (Op.SUB_K, Op.SUB_X),
    ArithmeticOp.MUL: (Op.MUL_K, Op.MUL_X),
    ArithmeticOp.DIV: (Op.DIV_K, Op.DIV_X),
    ArithmeticOp.MOD: (Op.MOD_K, Op.MOD_X),
    ArithmeticOp.AND: (Op.AND_K, Op.AND_X),
    ArithmeticOp.OR: (Op.OR_K, Op.OR_X),
    ArithmeticOp.XOR: (Op.XOR_K, Op.XOR_X),
    ArithmeticOp.LSH: (Op.LSH_K, Op.LSH_X),
    ArithmeticOp.RSH: (Op.RSH_K, Op.RSH_X),
}
_JUMP: Final = {
    Comparison.EQ: (Op.JEQ_K, Op.JEQ_X),
    Comparison.GT: (Op.JGT_K, Op.JGT_X),
    Comparison.GE: (Op.JGE_K, Op.JGE_X),
    Comparison.SET: (Op.JSET_K, Op.JSET_X),
}
COMMUTATIVE: Final = frozenset(
    {
        ArithmeticOp.ADD,
        ArithmeticOp.MUL,
        ArithmeticOp.AND,
        ArithmeticOp.OR,
        ArithmeticOp.XOR,
        Comparison.EQ,
        Comparison.SET,
    }
)
_LARGEST_SHIFT: Final = 31


class Step(NamedTuple):
    """An instruction that goes on to the next one."""

    op: Op
    k: int = 0


@dataclass(slots=True)
class State:
    """What the registers and scratch words are known to hold; None where nothing is known."""

    a: Value | None = None
    x: Value | None = None
    scratch: dict[int, Value] = field(default_factory=dict)

    def copy(self) -> State:
        """Return the same knowledge, to be changed on its own."""
        return State(self.a, self.x, dict(self.scratch))

    def restore(self, earlier: State) -> None:
        """Go back to what was known before."""
        self.a, self.x, self.scratch = earlier.a, earlier.x, dict(earlier.scratch)

    def meet(self, other: State) -> None:
        """Keep what holds here and in the `other` state."""
        if self.a is not other.a:
            self.a = None
        if self.x is not other.x:
            self.x = None
        self.scratch = {
            slot: value for slot, value in self.scratch.items() if other.scratch.get(slot) is value
        }

    def forget(self, variable: Variable) -> None:
        """Drop what depends on a variable that is about to change."""

        def stale(value: Value | None) -> bool:
            return value is not None and variable in variables(value)

        if stale(self.a):
            self.a = None
        if stale(self.x):
            self.x = None
        self.scratch = {slot: value for slot, value in self.scratch.items() if not stale(value)}

    def slot_of(self, value: Value) -> int | None:
        """Return a scratch word that holds `value`, or None."""
        return next((slot for slot, held in self.scratch.items() if held is value), None)


def header_length_offset(value: Value) -> int | None:
    """Return k where `value` is 4 * (byte k & 15), which X is loaded with at once."""
    match value:
        case Arithmetic(
            op=ArithmeticOp.LSH,
            left=Arithmetic(
                op=ArithmeticOp.AND,
                left=Load(size=1, base=None, offset=offset),
                right=Const(value=15),
            ),
            right=Const(value=2),
        ) if offset < ANCILLARY_BASE:
            return offset
        case _:
            return None


class Selector:
    """Writes the instructions of one block.

    Attributes:
        state: What the registers hold after the steps written so far.
        steps: The instructions.
    """

    def __init__(self, state: State, slots: Mapping[Variable, int]) -> None:
        self.state = state
        self.steps: list[Step] = []
        self._slots = slots
        self._in_use: set[int] = set()

    def _emit(self, op: Op, k: int = 0) -> None:
        self.steps.append(Step(op, k))

    def assign(self, variable: Variable, value: Value) -> None:
        """Set a variable: it stays in the register it was made in as well."""
        slot = self._slots[variable]
        # A scratch word may hold the variable that lived there before.
        in_x = self.state.x is value or (
            self.state.a is not value and self._goes_to_x_at_once(value)
        )
        if in_x:
            self.to_x(value)
        else:
            self.to_a(value)
        self.state.forget(variable)
        self._emit(Op.STX if in_x else Op.ST, slot)
        self.state.scratch[slot] = variable
        if in_x:
            self.state.x = variable
        else:
            self.state.a = variable

    def compare(self, test: Test) -> tuple[Op, int]:
        """Bring a test's operands into place and return its jump and constant."""
        immediate, indexed = _JUMP[test.op]
        if isinstance(test.right, Const):
            self.to_a(test.left)
            return immediate, test.right.value
        self._operands(test.op, test.left, test.right)
        return indexed, 0

    def to_a(self, value: Value) -> None:
        """Bring `value` into A; X may change."""
        state = self.state
        if state.a is value:
            return
        slot = state.slot_of(value)
        if state.x is value:
            self._emit(Op.TXA)
        elif slot is not None:
            self._emit(Op.LD_MEM, slot)
        elif header_length_offset(value) is not None:
            self.to_x(value)
            self._emit(Op.TXA)
        else:
            self._compute(value)
        state.a = value

    def to_x(self, value: Value) -> None:
        """Bring `value` into X; A may change."""
        state = self.state
        if state.x is value:
            return
        slot = state.slot_of(value)
        length_at = header_length_offset(value)
        if state.a is value:
            self._emit(Op.TAX)
        elif slot is not None:
            self._emit(Op.LDX_MEM, slot)
        elif length_at is not None:
            self._emit(Op.LDX_MSH, length_at)
        elif isinstance(value, Const):
            self._emit(Op.LDX_IMM, value.value)
        elif isinstance(value, PacketLength):
            self._emit(Op.LDX_LEN)
        else:
            self.to_a(value)
            self._emit(Op.TAX)
        state.x = value

    def _goes_to_x_at_once(self, value: Value) -> bool:
        """Whether X can be loaded with `value` while A stays as it is."""
        return (
            self.state.x is value
            or self.state.a is value
            or self.state.slot_of(value) is not None
            or header_length_offset(value) is not None
            or isinstance(value, Const | PacketLength)
        )

    def _keeps_x(self, value: Value, x: Value | None) -> bool:
        """Whether A can be loaded with `value` while X, which holds `x`, stays as it is.

        A is taken to hold nothing: it may have been used to bring `x` there.
        """
        if x is value or self.state.slot_of(value) is not None:
            return True
        match value:
            case Load(base=None, offset=offset):
                return offset < ANCILLARY_BASE
            case Load(base=base):
                return x is base
            case Const() | PacketLength() | Ancillary() | Variable():
                return True
            case Arithmetic(op=op, left=left, right=Const(value=k)) if _fits(op, k):
                return header_length_offset(value) is None and self._keeps_x(left, x)
            case Arithmetic(op=ArithmeticOp.SUB, left=Const(value=0), right=right):
                return self._keeps_x(right, x)
            case Arithmetic() | Numbers():
                return False

    def _compute(self, value: Value) -> None:
        """Bring a value that is nowhere yet into A."""
        match value:
            case Const(value=k):
                self._emit(Op.LD_IMM, k)
            case PacketLength():
                self._emit(Op.LD_LEN)
            case Ancillary(offset=offset, size=size):
                self._emit(_LOAD_ABSOLUTE[size], ANCILLARY_BASE + offset)
            case Load(size=size, base=None, offset=offset) if offset < ANCILLARY_BASE:
                self._emit(_LOAD_ABSOLUTE[size], offset)
            case Load(size=size, base=None, offset=offset):
                # As a constant this offset would mean the kernel's metadata.
                self.to_x(const(offset))
                self._emit(_LOAD_INDEXED[size])
            case Load(size=size, base=base, offset=offset):
                assert base is not None
                self.to_x(base)
                self._emit(_LOAD_INDEXED[size], offset)
            case Variable():
                self._emit(Op.LD_MEM, self._slots[value])
            case Arithmetic(op=ArithmeticOp.SUB, left=Const(value=0), right=right):
                self.to_a(right)
                self._emit(Op.NEG)
            case Arithmetic(op=op, left=left, right=Const(value=k)) if _fits(op, k):
                self.to_a(left)
                self._emit(_ALU[op][0], k)
            case Arithmetic(op=op, left=left, right=right):
                self._operands(op, left, right)
                self._emit(_ALU[op][1])
            case Numbers():
                raise AssertionError  # expanded by now

    def _operands(self, op: ArithmeticOp | Comparison, left: Value, right: Value) -> None:
        """Bring `left` into A and `right` into X, or the other way round where that is the same."""
        if op in COMMUTATIVE and self._better_swapped(left, right):
            left, right = right, left
        before, written = self.state.copy(), len(self.steps)
        self._directly(left, right)
        if self.state.a is left and self.state.x is right:
            return
        # One has displaced the other on its way: the right one waits in a scratch word.
        self.state.restore(before)
        del self.steps[written:]
        slot = self._free_slot()
        self._in_use.add(slot)
        self.to_a(right)
        self._emit(Op.ST, slot)
        self.state.scratch[slot] = right
        self.to_a(left)
        self._emit(Op.LDX_MEM, slot)
        self.state.x = right
        self._in_use.discard(slot)

    def _directly(self, left: Value, right: Value) -> None:
        """Bring both into place without a scratch word, if that is possible in this order."""
        state = self.state
        if left is right or (state.a is left and self._goes_to_x_at_once(right)):
            self.to_a(left)
            self.to_x(right)
        elif self._keeps_x(left, right) or (state.x is right and state.a is left):
            self.to_x(right)
            self.to_a(left)
        else:
            self.to_a(left)
            self.to_x(right)

    def _better_swapped(self, left: Value, right: Value) -> bool:
        """Whether the operands of a commutative operator are nearer at hand the other way round."""
        state = self.state
        if state.x is right or state.a is left:
            return False
        if state.x is left or state.a is right:
            return True
        if self._keeps_x(left, right):
            return False
        return self._keeps_x(right, left) or self._goes_to_x_at_once(left)

    def _free_slot(self) -> int:
        """Return a scratch word that nothing needs."""
        taken = self._in_use.union(self._slots.values())
        for slot in range(SCRATCH_WORDS):
            if slot not in taken:
                return slot
        message = "too many registers needed to evaluate expression"
        raise FilterError(
            message, hint=f"classic BPF has {SCRATCH_WORDS} scratch words; make it less nested"
        )


def _fits(op: ArithmeticOp, k: int) -> bool:
    """Whether the check takes `op #k`: no division by 0, no shift by more than 31."""
    if op in {ArithmeticOp.DIV, ArithmeticOp.MOD}:
        return k != 0
    if op in {ArithmeticOp.LSH, ArithmeticOp.RSH}:
        return k <= _LARGEST_SHIFT
    return True
