"""Run classic BPF programs on packets, as the Linux kernel does.

A program is decoded once, into threaded code: one closure an instruction, which does its work and
returns the closure to go on with. Jumps only go forward, so building them from the last
instruction to the first gives each the closures of its successors ready-made.

Where libpcap's bpf_filter() gives another answer:

* a shift by X looks at the low five bits of X here; there a shift by 32 or more gives 0;
* the offset `[x + k]` is taken modulo 2**32 here; there a sum over 2**32 - 1 ends the program;
* metadata loads give what the caller says here; there only the VLAN words can be known.

Where the kernel gives another answer: without a device, its loads of IFINDEX and HATYPE end the
program with whatever A holds, so that a filter may accept by accident; here they end it with 0.

All end with 0, "no match", on a load outside the packet and on a division by X = 0. The kernel
also reads relative to the network or link-layer header from the offsets SKF_NET_OFF and
SKF_LL_OFF; a packet in memory has no such marks, so these count as outside the packet here.
"""

from __future__ import annotations

import operator
import struct
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.cbpf.check import check_structure
from pfcompile.cbpf.isa import (
    ROW_OF,
    SCRATCH_WORDS,
    Ancillary,
    Class,
    Instruction,
    Operand,
    Place,
    Row,
    ancillary_word,
    successors,
)
from pfcompile.cbpf.netlink import find_attribute, find_nested_attribute
from pfcompile.errors import InternalError
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from pfcompile.ir.arithmetic import WORD, ArithmeticOp, alu
from pfcompile.ir.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Packet: TypeAlias = bytes | bytearray | memoryview
Step: TypeAlias = "Callable[[State], Step | None]"

_BIG_ENDIAN: Final = MappingProxyType({1: ">B", 2: ">H", 4: ">I"})
_COMPARE: Final[Mapping[Comparison, Callable[[int, int], int]]] = MappingProxyType(
    {
        Comparison.EQ: operator.eq,
        Comparison.GT: operator.gt,
        Comparison.GE: operator.ge,
        Comparison.SET: operator.and_,
    }
)
_NO_METADATA: Final[Mapping[int, int]] = MappingProxyType({})
_SHIFTS: Final = frozenset({ArithmeticOp.LSH, ArithmeticOp.RSH})


class State:
    """The registers of one run."""

    __slots__ = ("a", "metadata", "packet", "result", "scratch", "wire_length", "x")

    def __init__(self, packet: Packet, wire_length: int, metadata: Mapping[int, int]) -> None:
        self.packet = packet
        self.wire_length = wire_length
        self.metadata = metadata
        self.a = 0
        self.x = 0
        self.scratch = [0] * SCRATCH_WORDS
        self.result = 0


class Machine:
    """A program made ready to run on many packets; `prepare` makes one."""

    __slots__ = ("_first",)

    def __init__(self, first: Step) -> None:
        self._first = first

    def __call__(
        self,
        packet: Packet,
        wire_length: int | None = None,
        ancillary: Mapping[int, int] | None = None,
    ) -> int:
        """Return what the program returns for `packet`: 0 to 2**32 - 1, 0 for "no match".

        Args:
            packet: The captured bytes.
            wire_length: The packet's length before it was cut; `len(packet)` when None.
            ancillary: Metadata words by offset from SKF_AD_OFF (`isa.Ancillary`), each 0 to
                2**32 - 1. Loading one that is missing ends the program with 0.
        """
        state = State(
            packet,
            len(packet) if wire_length is None else wire_length,
            _NO_METADATA if ancillary is None else ancillary,
        )
        step: Step | None = self._first
        while step is not None:
            step = step(state)
        return state.result


def run(
    instructions: Sequence[Instruction],
    packet: Packet,
    wire_length: int | None = None,
    ancillary: Mapping[int, int] | None = None,
) -> int:
    """Run a program once; see `Machine` for the arguments, `prepare` for the errors.

    To run one program on many packets, `prepare` it once.
    """
    return prepare(instructions)(packet, wire_length, ancillary)


def prepare(instructions: Sequence[Instruction]) -> Machine:
    """Return `instructions` as a callable machine.

    A scratch word that is read before it is written is 0 (the kernel refuses such a program, but
    libpcap writes some).

    Raises:
        ProgramError: The program is not valid (`check_structure`).
    """
    check_structure(instructions)
    steps: list[Step] = [_past_the_end] * (len(instructions) + 1)
    for position in reversed(range(len(instructions))):
        instruction = instructions[position]
        row = ROW_OF[instruction.code]
        ways = successors(position, instruction) or (len(instructions),)
        decoded = _Decoded(row, instruction, steps[ways[0]], steps[ways[-1]])
        steps[position] = _MAKERS[row.instruction_class, row.operand](decoded)
    return Machine(steps[0])


def single_steps(
    instructions: Sequence[Instruction],
) -> tuple[Callable[[State], int | None], ...]:
    """Return for each instruction a function that runs it alone and says which comes next.

    They are the steps of a `Machine`, for whoever looks at a `State` in between. None is the end:
    the program returns `state.result`.

    Raises:
        ProgramError: The program is not valid (`check_structure`).
    """
    check_structure(instructions)
    return tuple(_single_step(*each) for each in enumerate(instructions))


def _single_step(position: int, instruction: Instruction) -> Callable[[State], int | None]:
    row = ROW_OF[instruction.code]
    ways = successors(position, instruction) or (position,)
    if row.operand is Operand.TARGET:
        # In threaded code a jump is no step but the one that it leads to.
        return lambda _: ways[0]

    def then(_: State) -> None:
        """Stand for what follows; it is never run."""

    def otherwise(_: State) -> None:
        """Stand for what follows a test that fails."""

    made = _MAKERS[row.instruction_class, row.operand](_Decoded(row, instruction, then, otherwise))

    def step(state: State) -> int | None:
        after = made(state)
        if after is None:
            return None
        return ways[0] if after is then else ways[-1]

    return step


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What a step is made from; `then` follows it, and `otherwise` where its test fails."""

    row: Row
    instruction: Instruction
    then: Step
    otherwise: Step

    @property
    def arithmetic(self) -> ArithmeticOp:
        """What an operation on A with a constant or X computes; every such row says it."""
        if self.row.arithmetic is None:
            raise InternalError(f"the row of {self.row.op.name} lacks its arithmetic")
        return self.row.arithmetic

    @property
    def comparison(self) -> Comparison:
        """What a conditional jump tests; every such row says it."""
        if self.row.comparison is None:
            raise InternalError(f"the row of {self.row.op.name} lacks its comparison")
        return self.row.comparison


def _past_the_end(_: State) -> Step | None:
    raise InternalError("a checked program ran past its end")


def _load_absolute(decoded: _Decoded) -> Step:
    k, then = decoded.instruction.k, decoded.then
    word = ancillary_word(decoded.instruction)
    if word is not None:
        return _METADATA.get(word.word, _load_metadata)(decoded)
    unpack = struct.Struct(_BIG_ENDIAN[decoded.row.size]).unpack_from

    def step(state: State) -> Step | None:
        try:
            (state.a,) = unpack(state.packet, k)
        except struct.error:
            return None
        return then

    return step


def _load_indirect(decoded: _Decoded) -> Step:
    k, then = decoded.instruction.k, decoded.then
    unpack = struct.Struct(_BIG_ENDIAN[decoded.row.size]).unpack_from

    def step(state: State) -> Step | None:
        try:
            (state.a,) = unpack(state.packet, (state.x + k) & WORD)
        except struct.error:
            return None
        return then

    return step


def _load_metadata(decoded: _Decoded) -> Step:
    then, offset = decoded.then, decoded.instruction.k - ANCILLARY_BASE

    def step(state: State) -> Step | None:
        value = state.metadata.get(offset)
        if value is None:
            return None
        state.a = value & WORD
        return then

    return step


def _exclusive_or_index(decoded: _Decoded) -> Step:
    then = decoded.then

    def step(state: State) -> Step:
        state.a ^= state.x
        return then

    return step


def _search_attribute(find: Callable[[Packet, int, int], int]) -> Callable[[_Decoded], Step]:
    """Return the maker of a step that sets A to where `find` sees attribute X from byte A on."""

    def make(decoded: _Decoded) -> Step:
        then = decoded.then

        def step(state: State) -> Step:
            state.a = find(state.packet, state.a, state.x)
            return then

        return step

    return make


def _load_accumulator_constant(decoded: _Decoded) -> Step:
    k, then = decoded.instruction.k, decoded.then

    def step(state: State) -> Step:
        state.a = k
        return then

    return step


def _load_accumulator_scratch(decoded: _Decoded) -> Step:
    k, then = decoded.instruction.k, decoded.then

    def step(state: State) -> Step:
        state.a = state.scratch[k]
        return then

    return step


def _load_accumulator_length(decoded: _Decoded) -> Step:
    then = decoded.then

    def step(state: State) -> Step:
        state.a = state.wire_length & WORD
        return then

    return step


def _load_index_constant(decoded: _Decoded) -> Step:
    k, then = decoded.instruction.k, decoded.then

    def step(state: State) -> Step:
        state.x = k
        return then

    return step


def _load_index_scratch(decoded: _Decoded) -> Step:
    k, then = decoded.instruction.k, decoded.then

    def step(state: State) -> Step:
        state.x = state.scratch[k]
        return then

    return step


def _load_index_length(decoded: _Decoded) -> Step:
    then = decoded.then

    def step(state: State) -> Step:
        state.x = state.wire_length & WORD
        return then

    return step


def _load_header_length(decoded: _Decoded) -> Step:
    k, then = decoded.instruction.k, decoded.then

    def step(state: State) -> Step | None:
        try:
            state.x = (state.packet[k] & 0x0F) << 2
        except IndexError:
            return None
        return then

    return step


def _store_accumulator(decoded: _Decoded) -> Step:
    k, then = decoded.instruction.k, decoded.then

    def step(state: State) -> Step:
        state.scratch[k] = state.a
        return then

    return step


def _store_index(decoded: _Decoded) -> Step:
    k, then = decoded.instruction.k, decoded.then

    def step(state: State) -> Step:
        state.scratch[k] = state.x
        return then

    return step


def _operate_with_constant(decoded: _Decoded) -> Step:
    k, then, op = decoded.instruction.k, decoded.then, decoded.arithmetic

    def step(state: State) -> Step | None:
        value = alu(op, state.a, k)
        if value is None:
            return None
        state.a = value
        return then

    return step


def _operate_with_index(decoded: _Decoded) -> Step:
    then, op = decoded.then, decoded.arithmetic
    mask = 31 if op in _SHIFTS else WORD

    def step(state: State) -> Step | None:
        value = alu(op, state.a, state.x & mask)
        if value is None:
            return None
        state.a = value
        return then

    return step


def _negate(decoded: _Decoded) -> Step:
    then = decoded.then

    def step(state: State) -> Step:
        state.a = -state.a & WORD
        return then

    return step


def _jump(decoded: _Decoded) -> Step:
    return decoded.then


def _jump_on_constant(decoded: _Decoded) -> Step:
    k, then, otherwise = decoded.instruction.k, decoded.then, decoded.otherwise
    holds = _COMPARE[decoded.comparison]

    def step(state: State) -> Step:
        return then if holds(state.a, k) else otherwise

    return step


def _jump_on_index(decoded: _Decoded) -> Step:
    then, otherwise = decoded.then, decoded.otherwise
    holds = _COMPARE[decoded.comparison]

    def step(state: State) -> Step:
        return then if holds(state.a, state.x) else otherwise

    return step


def _return_constant(decoded: _Decoded) -> Step:
    k = decoded.instruction.k

    def step(state: State) -> None:
        state.result = k

    return step


def _return_accumulator(_: _Decoded) -> Step:
    def step(state: State) -> None:
        state.result = state.a

    return step


def _transfer(decoded: _Decoded) -> Step:
    then = decoded.then

    def to_index(state: State) -> Step:
        state.x = state.a
        return then

    def to_accumulator(state: State) -> Step:
        state.a = state.x
        return then

    return to_index if Place.X in decoded.row.writes else to_accumulator


_METADATA: Final[Mapping[int, Callable[[_Decoded], Step]]] = MappingProxyType(
    {
        Ancillary.ALU_XOR_X: _exclusive_or_index,
        Ancillary.NLATTR: _search_attribute(find_attribute),
        Ancillary.NLATTR_NEST: _search_attribute(find_nested_attribute),
    }
)
"""The metadata words that are computed, not told by the caller."""

_MAKERS: Final[Mapping[tuple[Class, Operand], Callable[[_Decoded], Step]]] = MappingProxyType(
    {
        (Class.LD, Operand.ABSOLUTE): _load_absolute,
        (Class.LD, Operand.INDIRECT): _load_indirect,
        (Class.LD, Operand.CONSTANT): _load_accumulator_constant,
        (Class.LD, Operand.SCRATCH): _load_accumulator_scratch,
        (Class.LD, Operand.LENGTH): _load_accumulator_length,
        (Class.LDX, Operand.CONSTANT): _load_index_constant,
        (Class.LDX, Operand.SCRATCH): _load_index_scratch,
        (Class.LDX, Operand.LENGTH): _load_index_length,
        (Class.LDX, Operand.HEADER): _load_header_length,
        (Class.ST, Operand.SCRATCH): _store_accumulator,
        (Class.STX, Operand.SCRATCH): _store_index,
        (Class.ALU, Operand.CONSTANT): _operate_with_constant,
        (Class.ALU, Operand.INDEX): _operate_with_index,
        (Class.ALU, Operand.NONE): _negate,
        (Class.JMP, Operand.TARGET): _jump,
        (Class.JMP, Operand.CONSTANT): _jump_on_constant,
        (Class.JMP, Operand.INDEX): _jump_on_index,
        (Class.RET, Operand.CONSTANT): _return_constant,
        (Class.RET, Operand.ACCUMULATOR): _return_accumulator,
        (Class.MISC, Operand.NONE): _transfer,
    }
)
"""How each kind of operation becomes a step; a row's class and operand name its kind."""
