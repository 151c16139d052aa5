"""A classic program as a decision graph: what it tests, in terms of the packet alone.

The program is run with unknown packet bytes. What A, X and the scratch words hold becomes a value
of loads and arithmetic, so that of registers, reloads and their order nothing is left. Where ways
meet with other values in a register that is still wanted, they go on apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.cbpf.isa import (
    ROW_OF,
    Ancillary,
    Class,
    Instruction,
    Op,
    Operand,
    Place,
    Row,
    ancillary_word,
    counts_from_header,
    successors,
)
from pfcompile.cbpf.liveness import REGISTERS, A, M, X, check_loop_free, wanted_registers
from pfcompile.decompile.growth import Fork, Move, Step, grow
from pfcompile.decompile.ordering import ordered_test
from pfcompile.errors import ProgramError
from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Accept, Reject, Test
from pfcompile.ir.ranges import within
from pfcompile.ir.values import (
    Arithmetic,
    Const,
    Value,
    ancillary,
    const,
    load,
    load_at,
    numbers,
    packet_length,
)
from pfcompile.passes.fold import binary, canonical, decide
from pfcompile.passes.group_tests import membership

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.ir.graph import Graph

_Registers: TypeAlias = tuple[Value, ...]
_State: TypeAlias = tuple[int, _Registers]

_ZERO: Final = const(0)

LONGEST_PACKET: Final = 2**31 - 1
"""Bytes; a snapshot length is a signed 32-bit number."""
_DIVISIONS: Final = frozenset({ArithmeticOp.DIV, ArithmeticOp.MOD})


def read_graph(instructions: Sequence[Instruction]) -> Graph:
    """Return the graph that accepts what the program returns anything but 0 for.

    Raises:
        ProgramError: It is not valid, jumps backward, looks for netlink attributes, or has too many
            ways through it.
    """
    check_loop_free(instructions)
    reader = _Reader(instructions, wanted_registers(instructions))
    return grow(reader.state(0, (_ZERO,) * REGISTERS), reader.move)


def as_run(instructions: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """Return a program that says what loads do for which no packet is long enough: they end it.

    Some link types have offsets that libpcap never sets; programs for them load from there. Proofs
    leave packets out that a load runs past the end of, and here those would be all.
    """
    return tuple(_RETURN_0 if _is_impossible(one) else one for one in instructions)


_RETURN_0: Final = Instruction(Op.RET_K, 0, 0, 0)


def _is_impossible(instruction: Instruction) -> bool:
    row = ROW_OF.get(instruction.code)
    if row is None or row.operand not in {Operand.ABSOLUTE, Operand.HEADER}:
        return False
    if ancillary_word(instruction) is not None or counts_from_header(instruction):
        return False
    return instruction.k + row.size > LONGEST_PACKET


@dataclass(frozen=True, slots=True)
class _Reader:
    program: Sequence[Instruction]
    wanted: Sequence[frozenset[int]]

    def state(self, position: int, registers: _Registers) -> _State:
        """Return the state at an instruction; what nothing reads any more does not count."""
        wanted = self.wanted[position]
        kept = tuple(value if number in wanted else _ZERO for number, value in enumerate(registers))
        return position, kept

    def move(self, state: _State) -> Move:
        """Return what the instruction does."""
        position, registers = state
        if position < 0:
            return Accept() if state == _ACCEPT else Reject()
        instruction = self.program[position]
        row = ROW_OF[instruction.code]
        match row.instruction_class:
            case Class.RET:
                return _end(self._operand(row, instruction, registers))
            case Class.JMP if row.comparison is None:
                return Step(self.state(successors(position, instruction)[0], registers))
            case Class.JMP:
                yes, no = (self.state(s, registers) for s in successors(position, instruction))
                right = self._operand(row, instruction, registers)
                assert row.comparison is not None
                return fork(Test(row.comparison, registers[A], right), yes, no)
            case Class.ST | Class.STX:
                source = A if row.instruction_class is Class.ST else X
                return self._put(state, M + instruction.k, registers[source])
            case Class.MISC if Place.X in row.writes:
                return self._put(state, X, registers[A])
            case Class.MISC:
                return self._put(state, A, registers[X])
            case Class.ALU if row.arithmetic is None:
                return self._put(state, A, binary(ArithmeticOp.SUB, _ZERO, registers[A]))
            case Class.ALU:
                right = self._operand(row, instruction, registers)
                assert row.arithmetic is not None
                if row.arithmetic in _DIVISIONS and right is _ZERO:
                    return Reject()
                return self._put(state, A, binary(row.arithmetic, registers[A], right))
            case _:
                target = A if row.instruction_class is Class.LD else X
                return self._put(state, target, self._loaded(position, row, registers))

    def _put(self, state: _State, register: int, value: Value) -> Step:
        position, registers = state
        changed = (*registers[:register], value, *registers[register + 1 :])
        return Step(self.state(position + 1, changed))

    def _loaded(self, position: int, row: Row, registers: _Registers) -> Value:
        instruction = self.program[position]
        match row.operand:
            case Operand.ABSOLUTE:
                metadata = ancillary_word(instruction)
                if metadata is None:
                    return load(row.size, None, instruction.k)
                if metadata.word is Ancillary.ALU_XOR_X:
                    return binary(ArithmeticOp.XOR, registers[A], registers[X])
                if Place.PACKET in metadata.reads:
                    raise ProgramError(
                        f"instruction {position} looks for a netlink attribute, for which "
                        "expressions have no word"
                    )
                return ancillary(metadata.word, row.size)
            case Operand.INDIRECT:
                return load_at(
                    row.size, binary(ArithmeticOp.ADD, registers[X], const(instruction.k))
                )
            case Operand.HEADER:
                words = binary(ArithmeticOp.AND, load(1, None, instruction.k), const(0xF))
                return binary(ArithmeticOp.LSH, words, const(2))
            case Operand.LENGTH:
                return packet_length()
            case _:
                return self._operand(row, instruction, registers)

    def _operand(self, row: Row, instruction: Instruction, registers: _Registers) -> Value:
        match row.operand:
            case Operand.INDEX:
                return registers[X]
            case Operand.ACCUMULATOR:
                return registers[A]
            case Operand.SCRATCH:
                return registers[M + instruction.k]
            case _:
                return const(instruction.k)


def fork(test: Test, yes: object, no: object) -> Move:
    """Return the move of a test of simple values, written in the one way to write it."""
    test = ordered_test(test)
    if test.may_end:
        return Fork(test, yes, no)
    match test:
        case Test(
            op=Comparison.EQ,
            left=Arithmetic(op=ArithmeticOp.SUB, left=Const(value=a), right=value),
            right=Const(value=k),
        ):
            test = Test(Comparison.EQ, value, const(a - k))
        case Test(left=Arithmetic(op=ArithmeticOp.RSH, left=value, right=Const(value=k))) if k < 32:
            test = _unshifted(test, value, k)
    outcome = decide(test)
    if outcome is None:
        test, swapped = canonical(test)
        if swapped:
            yes, no = no, yes
        outcome = decide(test)
    if outcome is not None:
        return Step(yes if outcome else no)
    return Fork(test, yes, no)


def _unshifted(test: Test, value: Value, shift: int) -> Test:
    """Return a test of `value >> shift` as one of `value`, where it asks for a set."""
    found = membership(test)
    if found is None:
        return test
    inside = within(found[1], 0, WORD >> shift)
    ranges = ((low << shift, (high + 1 << shift) - 1) for low, high in inside)
    return Test(Comparison.IN, value, numbers(ranges))


def _end(value: Value) -> Move:
    """Return how a program ends that returns `value`: anything but 0 accepts."""
    return fork(Test(Comparison.EQ, value, _ZERO), _REJECT, _ACCEPT)


_ACCEPT: Final[_State] = (-1, ())
_REJECT: Final[_State] = (-2, ())
"""Where programs end."""
