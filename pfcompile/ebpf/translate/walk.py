"""The walk over a classic program that writes its translation, instruction by instruction.

Every value is 32 bits wide, and the upper half of its register is 0. Jumps compare 32 bits, so that
constants from 2**31 up are not widened with their sign.
"""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final

from pfcompile.cbpf.isa import (
    ANCILLARY_WORDS,
    ROW_OF,
    Ancillary,
    Class,
    Instruction,
    Operand,
    Place,
    Row,
    ancillary_word,
    successors,
)
from pfcompile.cbpf.notation import describe, signed
from pfcompile.ebpf.isa import R0, R10, Arithmetic, Condition
from pfcompile.ebpf.translate import disguises, guards, start
from pfcompile.ebpf.translate.packets import WAYS, Indirect
from pfcompile.ebpf.translate.registers import (
    ARGUMENT,
    BOUND,
    CONTEXT,
    SCRATCH,
    A,
    X,
    scratch_offset,
)
from pfcompile.ebpf.translate.targets import Access
from pfcompile.errors import InternalError, ProgramError
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.ir.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pfcompile.ebpf.isa import Register
    from pfcompile.ebpf.translate.emission import Emission

_ARITHMETIC: Final[Mapping[ArithmeticOp, Arithmetic]] = MappingProxyType(
    {
        ArithmeticOp.ADD: Arithmetic.ADD,
        ArithmeticOp.SUB: Arithmetic.SUB,
        ArithmeticOp.MUL: Arithmetic.MUL,
        ArithmeticOp.DIV: Arithmetic.DIV,
        ArithmeticOp.MOD: Arithmetic.MOD,
        ArithmeticOp.AND: Arithmetic.AND,
        ArithmeticOp.OR: Arithmetic.OR,
        ArithmeticOp.XOR: Arithmetic.XOR,
        ArithmeticOp.LSH: Arithmetic.LSH,
        ArithmeticOp.RSH: Arithmetic.RSH,
    }
)
_DIVISIONS: Final = frozenset({ArithmeticOp.DIV, ArithmeticOp.MOD})

_CONDITIONS: Final[Mapping[Comparison, tuple[Condition, Condition | None]]] = MappingProxyType(
    {
        Comparison.EQ: (Condition.EQ, Condition.NE),
        Comparison.GT: (Condition.GT, Condition.LE),
        Comparison.GE: (Condition.GE, Condition.LT),
        Comparison.SET: (Condition.SET, None),
    }
)
"""The jump taken when a test holds, and the one taken when it does not, where there is one."""

_WORD_NAMES: Final[Mapping[Ancillary, str]] = MappingProxyType(
    {row.word: row.dump_name for row in ANCILLARY_WORDS}
)


class Walk:
    """One translation of one program."""

    def __init__(self, instructions: Sequence[Instruction], emission: Emission) -> None:
        """Plan the guards.

        Args:
            instructions: A valid classic program.
            emission: Where the translation goes; empty.
        """
        self._program = instructions
        self._emission = emission
        self._builder = emission.builder
        self._packets = WAYS[emission.form.access](emission)
        verified = emission.form.target.program_type is not None
        self._has_disguises = verified and disguises.has_many_ways(instructions)
        self._mixed = disguises.find_mixed(instructions) if self._has_disguises else []
        self._plan = guards.plan(
            instructions, emission.form.farthest, keep_ways_alike=self._has_disguises
        )
        self._position = 0
        self._falls_through = True
        self._sources: list[tuple[int, int | None]] = []

    def write(self) -> None:
        """Write all of the program.

        Raises:
            ProgramError: It loads a metadata word that the target has not, or from a header that
                only the kernel finds.
        """
        self._note_source(None)
        self._begin()
        for position, instruction in enumerate(self._program):
            if not self._plan.reached[position]:
                continue
            if self._is_hopeless(position):
                if self._falls_through:
                    self._builder.jump(self._emission.no_match())
                self._falls_through = False
                continue
            self._note_source(None)
            self._emission.put_island(falls_through=self._falls_through)
            self._note_source(position)
            self._builder.label(_label(position))
            if position in self._plan.forgotten:
                self._packets.forget()
            if position in self._plan.guards:
                self._packets.guard(self._plan.guards[position])
            self._position, self._falls_through = position, True
            row = ROW_OF[instruction.code]
            self._WRITERS[row.instruction_class, row.operand](self, row, instruction)
        self._note_source(None)
        self._emission.put_exit()
        self._note_source(None)

    def sources(self) -> tuple[int | None, ...]:
        """Return for each slot the classic instruction that it is for.

        None for what is for the whole program: its start, and its ways out with "no match".
        """
        return tuple(
            source
            for (start, source), (end, _) in pairwise(self._sources)
            for _ in range(start, end)
        )

    def _note_source(self, position: int | None) -> None:
        """Note that what is written from here on is for `position`."""
        self._sources.append((self._builder.slots, position))

    def _begin(self) -> None:
        b = self._builder
        keeps_a = self._emission.form.access is not Access.DIRECT
        unset = start.find_unset(self._program, keeps_a=keeps_a)
        b.mov(CONTEXT, ARGUMENT)
        self._packets.begin()
        if self._has_disguises:
            self._emission.prepare_disguises()
        if unset.a:
            b.mov(A, 0, 32)
        if unset.x:
            b.mov(X, 0, 32)
        for word in unset.scratch:
            b.store(64, R10, scratch_offset(word), 0)

    def _is_hopeless(self, position: int) -> bool:
        return self._plan.needs[position] >= guards.NEVER

    def _load_absolute(self, row: Row, instruction: Instruction) -> None:
        word = ancillary_word(instruction)
        if word is None:
            self._load_packet(A, row, instruction)
        elif word.word is Ancillary.ALU_XOR_X:
            self._builder.alu(Arithmetic.XOR, A, X, 32)
        else:
            self._load_metadata(word.word, instruction)

    def _load_packet(self, dst: Register, row: Row, instruction: Instruction) -> None:
        if guards.is_from_header(instruction) and not self._packets.reaches_headers:
            raise ProgramError(
                f"instruction {self._position} ({describe(self._position, instruction)}): "
                "the kernel counts this offset from the link or the network header, which can only "
                "be kept by the access 'legacy' (at 'socket' and 'tc') with 0 for no match"
            )
        self._packets.load(dst, instruction.k, 8 * row.size)

    def _load_metadata(self, word: Ancillary, instruction: Instruction) -> None:
        target = self._emission.form.target
        source = target.words.get(word)
        if source is None:
            names = ", ".join(_WORD_NAMES[each] for each in sorted(target.words)) or "none"
            raise ProgramError(
                f"instruction {self._position} ({describe(self._position, instruction)}): "
                f"the metadata word '{_WORD_NAMES[word]}' is not to be had at '{target.name}', "
                f"only: {names}"
            )
        self._emission.fetch(A, source)

    def _load_indirect(self, row: Row, instruction: Instruction) -> None:
        group = self._plan.groups[self._position]
        self._packets.load_indirect(
            Indirect(
                k=signed(instruction.k),
                width=8 * row.size,
                group=group,
                is_first=self._position == group.first,
                is_disguised=self._is_mixed(Place.X),
            )
        )

    def _load_constant(self, row: Row, instruction: Instruction) -> None:
        self._builder.mov(_written(row), instruction.k, 32)

    def _load_scratch(self, row: Row, instruction: Instruction) -> None:
        self._builder.load(64, _written(row), R10, scratch_offset(instruction.k))

    def _load_length(self, row: Row, _: Instruction) -> None:
        self._emission.fetch(_written(row), self._emission.form.length)

    def _load_header_length(self, row: Row, instruction: Instruction) -> None:
        self._load_packet(X, row, instruction)
        self._builder.alu(Arithmetic.AND, X, 0x0F, 32).alu(Arithmetic.LSH, X, 2, 32)

    def _store(self, row: Row, instruction: Instruction) -> None:
        register = A if Place.A in row.reads else X
        self._builder.store(64, R10, scratch_offset(instruction.k), register)

    def _operate(self, row: Row, instruction: Instruction) -> None:
        if row.arithmetic is None:
            raise InternalError(f"the row of {row.op.name} lacks its arithmetic")
        operand = X if row.operand is Operand.INDEX else instruction.k
        if operand is X and row.arithmetic in _DIVISIONS:
            self._emission.leave_if_zero(self._shown(X))
        self._builder.alu(_ARITHMETIC[row.arithmetic], A, operand, 32)

    def _negate(self, _row: Row, _instruction: Instruction) -> None:
        self._builder.alu(Arithmetic.NEG, A, None, 32)

    def _jump(self, _: Row, instruction: Instruction) -> None:
        (way,) = successors(self._position, instruction)
        self._go_on_at(way)

    def _branch(self, row: Row, instruction: Instruction) -> None:
        if row.comparison is None:
            raise InternalError(f"the row of {row.op.name} lacks its comparison")
        yes, no = successors(self._position, instruction)
        operand: Register | int = instruction.k
        holds, fails = _CONDITIONS[row.comparison]
        if self._target(yes) == self._target(no):
            self._go_on_at(yes)
            return
        if row.operand is Operand.INDEX:
            operand = self._shown(X)
        a = self._shown(A)
        if self._is_next(yes) and fails is not None:
            self._builder.jump_if(fails, a, operand, self._target(no), 32)
        else:
            self._builder.jump_if(holds, a, operand, self._target(yes), 32)
            self._go_on_at(no)

    def _return_constant(self, _: Row, instruction: Instruction) -> None:
        match = self._emission.verdicts.match
        self._builder.mov(R0, instruction.k if match is None else match, 32).exit()
        self._falls_through = False

    def _return_accumulator(self, _row: Row, _instruction: Instruction) -> None:
        verdicts = self._emission.verdicts
        if verdicts.match is not None or verdicts.no_match != 0:
            self._emission.leave_if_zero(self._shown(A))
        if verdicts.match is not None:
            self._builder.mov(R0, verdicts.match, 32)
        self._builder.exit()
        self._falls_through = False

    def _transfer(self, row: Row, _: Instruction) -> None:
        dst = _written(row)
        self._builder.mov(dst, A if dst is X else X, 32)

    def _is_mixed(self, place: Place) -> bool:
        """Tell whether a register is to be disguised where it is compared or indexed with."""
        return self._has_disguises and place in self._mixed[self._position]

    def _shown(self, register: Register) -> Register:
        """Return A or X as it is to be compared, or its disguise."""
        place, disguise = (Place.A, SCRATCH) if register is A else (Place.X, BOUND)
        if not self._is_mixed(place):
            return register
        return self._emission.disguise(disguise, register)

    def _is_next(self, position: int) -> bool:
        """Tell whether what is written next is the translation of `position`."""
        return position == self._position + 1 and not self._is_hopeless(position)

    def _target(self, position: int) -> str:
        """Return the label to jump to instead of to a position of the classic program."""
        if self._is_hopeless(position):
            return self._emission.no_match()
        return _label(position)

    def _go_on_at(self, position: int) -> None:
        if not self._is_next(position):
            self._emission.jump(self._target(position), position - self._position)
            self._falls_through = False

    _WRITERS: ClassVar[Mapping[tuple[Class, Operand], Callable[[Walk, Row, Instruction], None]]] = (
        MappingProxyType(
            {
                (Class.LD, Operand.ABSOLUTE): _load_absolute,
                (Class.LD, Operand.INDIRECT): _load_indirect,
                (Class.LD, Operand.CONSTANT): _load_constant,
                (Class.LD, Operand.SCRATCH): _load_scratch,
                (Class.LD, Operand.LENGTH): _load_length,
                (Class.LDX, Operand.CONSTANT): _load_constant,
                (Class.LDX, Operand.SCRATCH): _load_scratch,
                (Class.LDX, Operand.LENGTH): _load_length,
                (Class.LDX, Operand.HEADER): _load_header_length,
                (Class.ST, Operand.SCRATCH): _store,
                (Class.STX, Operand.SCRATCH): _store,
                (Class.ALU, Operand.CONSTANT): _operate,
                (Class.ALU, Operand.INDEX): _operate,
                (Class.ALU, Operand.NONE): _negate,
                (Class.JMP, Operand.TARGET): _jump,
                (Class.JMP, Operand.CONSTANT): _branch,
                (Class.JMP, Operand.INDEX): _branch,
                (Class.RET, Operand.CONSTANT): _return_constant,
                (Class.RET, Operand.ACCUMULATOR): _return_accumulator,
                (Class.MISC, Operand.NONE): _transfer,
            }
        )
    )
    """How each kind of operation is written; a row's class and operand name its kind."""


def _label(position: int) -> str:
    return f"at.{position}"


def _written(row: Row) -> Register:
    return X if Place.X in row.writes else A
