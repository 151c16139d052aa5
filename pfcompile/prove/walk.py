"""A classic program read as a formula: its verdict in terms of the packet.

Instructions are taken in order, which is an order of the graph because jumps only go forward. Every
one has the condition under which it is reached; where paths meet, each register that is still
wanted becomes a choice between its values. Every instruction is read once, so the formula grows
with the program and not with its number of paths.

What is decided here, as the language and libpcap's interpreter do, and where kernels differ:

* `X + k` wraps modulo 2**32 before it is compared with the captured length (as in a kernel);
* a shift by 32 or more gives 0 (a kernel shifts by the low five bits of X); it is noted;
* a division or modulus by zero ends the program with 0, an ordinary verdict;
* a load past the captured bytes ends it with 0 too, but proofs leave such packets out;
* an absolute load of one of the kernel's metadata words gives a free word, whatever the load's
  size: the same one each time, even for RANDOM. ALU_XOR_X is arithmetic. A search for a netlink
  attribute finds anything at all, but the same whenever A and X are the same terms;
* registers and scratch memory that were never written hold 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import (
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
from pfcompile.cbpf.liveness import REGISTERS, A, M, X, check_loop_free, wanted_registers
from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.prove.packet import Address, SymbolicPacket
from pfcompile.prove.words import (
    Condition,
    Word,
    arithmetic,
    at_most,
    both,
    choose,
    either,
    equal,
    negation,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Return:
    """One way in which a program ends.

    Attributes:
        reached: When it ends so.
        value: What it returns then.
    """

    reached: Condition
    value: Word


def read_program(program: Sequence[Instruction], packet: SymbolicPacket) -> list[Return]:
    """Return how `program` ends on `packet`; exactly one of the ways holds for any packet.

    Programs may be longer than a kernel takes.

    Raises:
        ProgramError: An operation or scratch word does not exist, a jump leads backward or past the
            end, or the program can run off its end.
    """
    return _Walk(program, packet).returns()


_SHIFTS: Final = frozenset({ArithmeticOp.LSH, ArithmeticOp.RSH})
WIDEST_SHIFT: Final = 31
"""The widest shift that libpcap's interpreter and a kernel do alike."""

_DIVIDES: Final = frozenset({ArithmeticOp.DIV, ArithmeticOp.MOD})


def _shares_a_bit(a: Word, b: Word) -> Condition:
    return negation(equal(arithmetic(ArithmeticOp.AND, a, b), 0))


_COMPARE: Final[Mapping[Comparison, Callable[[Word, Word], Condition]]] = {
    Comparison.EQ: equal,
    Comparison.GT: lambda a, b: negation(at_most(a, b)),
    Comparison.GE: lambda a, b: at_most(b, a),
    Comparison.SET: _shares_a_bit,
}


@dataclass(frozen=True, slots=True)
class _Arrival:
    """The registers on one way to an instruction, and when it is taken."""

    reached: Condition
    registers: tuple[Word, ...]

    def put(self, register: int, value: Word) -> _Arrival:
        """Return the same with another value in one register."""
        registers = list(self.registers)
        registers[register] = value
        return _Arrival(self.reached, tuple(registers))


_START: Final = _Arrival(reached=True, registers=(0,) * REGISTERS)


@dataclass(slots=True)
class _Walk:
    program: Sequence[Instruction]
    packet: SymbolicPacket
    _arrivals: dict[int, list[_Arrival]] = field(default_factory=dict)
    _ends: list[Return] = field(default_factory=list)

    def returns(self) -> list[Return]:
        check_loop_free(self.program)
        wanted = wanted_registers(self.program)
        self._arrivals[0] = [_START]
        for position, instruction in enumerate(self.program):
            arrivals = self._arrivals.pop(position, None)
            if arrivals is not None:
                here = _meet(arrivals, wanted[position])
                self._step(position, instruction, here)
        return self._ends

    def _step(self, position: int, instruction: Instruction, here: _Arrival) -> None:
        row = ROW_OF[instruction.code]
        match row.instruction_class:
            case Class.RET:
                self._ends.append(Return(here.reached, _operand(row, instruction, here)))
            case Class.JMP if row.comparison is None:
                self._go(successors(position, instruction)[0], here)
            case Class.JMP:
                self._branch(position, instruction, here)
            case Class.ALU if row.arithmetic is not None:
                right = _operand(row, instruction, here)
                if row.arithmetic in _SHIFTS and row.operand is Operand.INDEX:
                    self._note_shift(right, here)
                self._compute(position, row.arithmetic, right, here)
            case _:
                register, value = self._move(row, instruction, here)
                self._go(position + 1, here.put(register, value))

    def _go(self, target: int, arrival: _Arrival) -> None:
        if arrival.reached is not False:
            self._arrivals.setdefault(target, []).append(arrival)

    def _branch(self, position: int, instruction: Instruction, here: _Arrival) -> None:
        row = ROW_OF[instruction.code]
        yes, no = successors(position, instruction)
        if yes == no or row.comparison is None:
            self._go(yes, here)
            return
        right = _operand(row, instruction, here)
        holds = _COMPARE[row.comparison](here.registers[A], right)
        self._go(yes, _Arrival(both(here.reached, holds), here.registers))
        self._go(no, _Arrival(both(here.reached, negation(holds)), here.registers))

    def _note_shift(self, amount: Word, here: _Arrival) -> None:
        far = both(here.reached, negation(at_most(amount, WIDEST_SHIFT)))
        if far is not False:
            self.packet.far_shifts.append(far)

    def _compute(self, position: int, op: ArithmeticOp, right: Word, here: _Arrival) -> None:
        if op in _DIVIDES:
            by_zero = equal(right, 0)
            ends = both(here.reached, by_zero)
            if ends is not False:
                self._ends.append(Return(ends, 0))
            here = _Arrival(both(here.reached, negation(by_zero)), here.registers)
        self._go(position + 1, here.put(A, arithmetic(op, here.registers[A], right)))

    def _move(self, row: Row, instruction: Instruction, here: _Arrival) -> tuple[int, Word]:
        """Return the register that an instruction without jumps writes, and what it writes."""
        a, x = here.registers[A], here.registers[X]
        k = instruction.k
        match row.instruction_class:
            case Class.LD:
                return A, self._loaded(row, instruction, here)
            case Class.LDX:
                return X, self._loaded(row, instruction, here)
            case Class.ST:
                return M + k, a
            case Class.STX:
                return M + k, x
            case Class.MISC:
                return (X, a) if Place.X in row.writes else (A, x)
            case _:
                # Of the arithmetic, only the negation has no operator.
                return A, arithmetic(ArithmeticOp.SUB, 0, a)

    def _loaded(self, row: Row, instruction: Instruction, here: _Arrival) -> Word:
        match row.operand:
            case Operand.ABSOLUTE:
                metadata = ancillary_word(instruction)
                if metadata is not None:
                    return self._metadata(metadata.word, metadata.reads, here)
                return self.packet.load(here.reached, Address(0, instruction.k), row.size)
            case Operand.INDIRECT:
                base, displacement = split(here.registers[X])
                address = Address(base, displacement + instruction.k & WORD)
                return self.packet.load(here.reached, address, row.size)
            case Operand.HEADER:
                first = self.packet.load(here.reached, Address(0, instruction.k), row.size)
                words = arithmetic(ArithmeticOp.AND, first, 0xF)
                return arithmetic(ArithmeticOp.MUL, words, 4)
            case Operand.LENGTH:
                return self.packet.wire_length
            case _:
                return _operand(row, instruction, here)

    def _metadata(self, word: Ancillary, reads: Place, here: _Arrival) -> Word:
        a, x = here.registers[A], here.registers[X]
        if word is Ancillary.ALU_XOR_X:
            return arithmetic(ArithmeticOp.XOR, a, x)
        if Place.PACKET in reads:
            return self.packet.search(word, a, x)
        return self.packet.metadata(word)


def _operand(row: Row, instruction: Instruction, here: _Arrival) -> Word:
    """Return an operand that is a constant, a register or a scratch word."""
    match row.operand:
        case Operand.INDEX:
            return here.registers[X]
        case Operand.ACCUMULATOR:
            return here.registers[A]
        case Operand.SCRATCH:
            return here.registers[M + instruction.k]
        case _:
            return instruction.k


def _meet(arrivals: list[_Arrival], wanted: frozenset[int]) -> _Arrival:
    """Return the one state that stands for all ways to an instruction.

    A register that no later instruction reads becomes 0, so that no choice is built for it.
    """
    first, *others = arrivals
    registers: list[Word] = [0] * REGISTERS
    for register in wanted:
        value = first.registers[register]
        for other in others:
            # No packet comes on two ways at once, so their order does not matter.
            value = choose(other.reached, other.registers[register], value)
        registers[register] = value
    return _Arrival(either([arrival.reached for arrival in arrivals]), tuple(registers))
