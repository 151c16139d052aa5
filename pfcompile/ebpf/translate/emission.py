"""A translation under way: the builder, the way out, and numbers that are no packet bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, assert_never

from pfcompile.ebpf.builder import Builder
from pfcompile.ebpf.isa import (
    R0,
    R10,
    ROW_NAMED,
    Arithmetic,
    Condition,
    Instruction,
    Key,
    Kind,
    Operand,
)
from pfcompile.ebpf.translate.registers import (
    ARGUMENT,
    CONTEXT,
    DATA,
    DATA_END,
    DISGUISE,
    KEPT_A,
    SCRATCH,
    UNKNOWN_ZERO,
    A,
)
from pfcompile.ebpf.translate.targets import Call, Constant, Extent, Field

if TYPE_CHECKING:
    from pfcompile.ebpf.isa import Register
    from pfcompile.ebpf.translate.targets import Form, Source
    from pfcompile.ebpf.translate.verdicts import Verdicts

_ISLAND_REACH: Final = 4_000
"""Slots after which an exit is put between two instructions. A conditional jump spans 32767, but
only once the kernel has replaced some slots by up to seven (LD_ABS and LD_IND, and some fields of
the context)."""

_FAR: Final = 1_000
"""Classic instructions from which on a jump is a `gotol`; they become 20 slots or so at most."""


_GOTO: Final = ROW_NAMED[Key(Kind.JUMP, None, 64, Operand.NONE)]
_GOTOL: Final = ROW_NAMED[Key(Kind.JUMP, None, 32, Operand.NONE)]


@dataclass
class Emission:
    """The program so far.

    Attributes:
        form: What it is for.
        verdicts: What it returns.
        builder: Where instructions go.
    """

    form: Form
    verdicts: Verdicts
    builder: Builder = field(default_factory=Builder)
    _far: list[int] = field(default_factory=list)
    _exit: str | None = None
    _exit_wanted_at: int = 0

    def finish(self) -> tuple[Instruction, ...]:
        """Return the program, once all of it is there."""
        program = list(self.builder.finish())
        for slot in self._far:
            if program[slot].code == _GOTO.code:
                program[slot] = Instruction(_GOTOL.code, imm=program[slot].offset)
        return tuple(program)

    def jump(self, label: str, skipped: int) -> None:
        """Add a jump over `skipped` classic instructions.

        The builder knows how far it is now, but not how far it will be in the kernel.
        """
        if skipped >= _FAR:
            self._far.append(self.builder.slots)
        self.builder.jump(label)

    def no_match(self) -> str:
        """Return the label to jump to with "no match"; a conditional jump from here reaches it."""
        if self._exit is None:
            self._exit = self.builder.new_label("no_match")
            self._exit_wanted_at = self.builder.slots
        return self._exit

    def put_island(self, *, falls_through: bool) -> None:
        """Put an exit here if the first jump to it is getting too long.

        To be called between any two classic instructions.

        Args:
            falls_through: Whether what is above goes on here, and so has to go around.
        """
        if self._exit is None or self.builder.slots - self._exit_wanted_at < _ISLAND_REACH:
            return
        if not falls_through:
            # A jump that nothing leads to would be dead code, which the verifier refuses.
            self.put_exit()
            return
        around = self.builder.new_label("around")
        self.builder.jump(around)
        self.put_exit()
        self.builder.label(around)

    def put_exit(self) -> None:
        """Put the exit with "no match" here, if there are jumps to it."""
        if self._exit is not None:
            self.builder.label(self._exit)
            self.builder.mov(R0, self.verdicts.no_match, 32).exit()
            self._exit = None

    def leave_if_zero(self, register: Register) -> None:
        """Add a jump to "no match" for a word that is 0."""
        self.builder.jump_if(Condition.EQ, register, 0, self.no_match(), 32)

    def keep_a(self, dst: Register) -> None:
        """Save A from a call whose result goes to `dst`; not with direct access."""
        if dst is not A:
            self.builder.mov(KEPT_A, A)

    def give_back_a(self, dst: Register) -> None:
        """Undo `keep_a`."""
        if dst is not A:
            self.builder.mov(A, KEPT_A)

    def prepare_disguises(self) -> None:
        """Add what `disguise` needs, before A is set: the length, XORed with itself.

        Its copy has lost what the verifier knew about it, that both are the same included.
        """
        b = self.builder
        self.fetch(A, self.form.length)
        b.store(32, R10, DISGUISE, A).load(32, SCRATCH, R10, DISGUISE)
        b.alu(Arithmetic.XOR, A, SCRATCH, 32)
        b.store(64, R10, UNKNOWN_ZERO, A)

    def disguise(self, dst: Register, src: Register) -> Register:
        """Copy a word so that the verifier knows nothing about the copy; return where it is.

        A word that it knows to be 0 it would remember on the stack at any place; hence the XOR.
        """
        b = self.builder
        b.load(64, dst, R10, UNKNOWN_ZERO).alu(Arithmetic.XOR, dst, src, 32)
        b.store(32, R10, DISGUISE, dst).load(32, dst, R10, DISGUISE)
        return dst

    def fetch(self, dst: Register, source: Source) -> None:
        """Set A or X to a number that is no packet byte."""
        b = self.builder
        match source:
            case Field(offset, width):
                b.load(width, dst, CONTEXT, offset)
                if source.is_swapped:
                    b.alu(Arithmetic.BE16, dst)
                if source.is_never_zero:
                    self.leave_if_zero(dst)
            case Constant(value):
                b.mov(dst, value, 32)
            case Extent():
                b.mov(dst, DATA_END).alu(Arithmetic.SUB, dst, DATA)
            case Call(helper, takes_context):
                self.keep_a(dst)
                if takes_context:
                    b.mov(ARGUMENT, CONTEXT)
                b.call(helper)
                if dst is not R0:
                    b.mov(dst, R0, 32)
                self.give_back_a(dst)
            case _:
                assert_never(source)
