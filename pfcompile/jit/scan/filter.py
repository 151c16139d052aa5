"""A classic program's instructions, one after the other, in LLVM's language.

The meaning is that of `cbpf.interpreter`, without metadata: what loads a word of it ends without a
match. Offsets `[x + k]` wrap at 2**32, shifts look at the low five bits of X, and a division by
X = 0 or a load past the captured bytes ends without a match.

Where so many bytes are known to be captured that a load cannot fail, it is not checked; a flow may
check some loads all at once (`Flow.expect`).
"""

from __future__ import annotations

from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from pfcompile.captures.blocks.scans import SLACK
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
    successors,
)
from pfcompile.errors import InternalError, ProgramError
from pfcompile.facts import ethertypes
from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.ranges import normal
from pfcompile.jit.scan.flows import Arrival, Flow, Registers
from pfcompile.jit.scan.sets import find_switches
from pfcompile.jit.scan.text import FALSE, TRUE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.ir.ranges import RangeList
    from pfcompile.jit.scan.flows import Conditions
    from pfcompile.jit.scan.sets import Switch
    from pfcompile.jit.scan.tables import Tables
    from pfcompile.jit.scan.text import Text

OPERATIONS: Final[Mapping[ArithmeticOp, str]] = MappingProxyType(
    {
        ArithmeticOp.ADD: "add",
        ArithmeticOp.SUB: "sub",
        ArithmeticOp.MUL: "mul",
        ArithmeticOp.DIV: "udiv",
        ArithmeticOp.MOD: "urem",
        ArithmeticOp.AND: "and",
        ArithmeticOp.OR: "or",
        ArithmeticOp.XOR: "xor",
        ArithmeticOp.LSH: "shl",
        ArithmeticOp.RSH: "lshr",
    }
)
"""LLVM's instructions for the arithmetic (LLVM Language Reference, "Binary Operations")."""

PREDICATES: Final[Mapping[Comparison, str]] = MappingProxyType(
    {Comparison.EQ: "eq", Comparison.GT: "ugt", Comparison.GE: "uge"}
)
"""LLVM's predicates for the comparisons; that of single bits is none."""

_DIVISIONS: Final = frozenset({ArithmeticOp.DIV, ArithmeticOp.MOD})
_SHIFTS: Final = frozenset({ArithmeticOp.LSH, ArithmeticOp.RSH})
_SEARCHES: Final = frozenset({Ancillary.NLATTR, Ancillary.NLATTR_NEST})


_TAGS: Final = frozenset(
    {
        *ethertypes.VLAN_TAGS,
        *(ethertypes.MPLS, ethertypes.MPLS_MULTICAST),
        *(ethertypes.PPPOE_DISCOVERY, ethertypes.PPPOE_SESSION),
    }
)
"""EtherTypes that most packets of a capture have, or most have not."""


class Packet(NamedTuple):
    """The names of what a filter looks at.

    Attributes:
        start: Pointer to the captured bytes.
        captured: Their number, 64 bits.
        wire: The length on the wire, 32 bits.
    """

    start: str
    captured: str
    wire: str


def check_scannable(instructions: Sequence[Instruction]) -> None:
    """Refuse a program with instructions that only the interpreter has.

    Raises:
        ProgramError: It searches netlink attributes, which takes a loop.
    """
    for instruction in instructions:
        word = ancillary_word(instruction)
        if word is not None and word.word in _SEARCHES:
            raise ProgramError(f"a scan cannot search netlink attributes ({word.dump_name})")


class TagTest(NamedTuple):
    """A test for tags.

    Attributes:
        position: The instruction where it begins.
        numbers: The EtherTypes of the tags.
        then: The instruction to go on with where A is one of them.
        otherwise: That for all other numbers.
    """

    position: int
    numbers: RangeList
    then: int
    otherwise: int


class Filter:
    """A program, with its lists found again.

    Attributes:
        instructions: The program.
        switches: The instructions at which a look-up takes the place of comparisons.
        reached: The positions of the instructions that can be reached, ascending.
    """

    def __init__(self, instructions: Sequence[Instruction]) -> None:
        """Find the lists of a program that `check_structure` and `check_scannable` have passed."""
        self.instructions = instructions
        self.switches = find_switches(instructions)
        self.reached = self.reached_from(0)

    def reached_from(self, start: int) -> list[int]:
        """Return the positions of the instructions that may follow one, itself first."""
        reached = {start}
        for position in range(start, len(self.instructions)):  # all ways lead forward
            if position in reached:
                reached.update(self.ways(position))
        return sorted(reached)

    def ways(self, position: int) -> Sequence[int]:
        """Return the positions that an instruction may lead to."""
        switch = self.switches.get(position)
        if switch is not None:
            return [target for target, _ in switch.exits]
        return successors(position, self.instructions[position])

    @cached_property
    def constant_ends(self) -> list[int]:
        """Where each load at a constant offset ends, in bytes from the packet's start."""
        reached = [self.instructions[position] for position in self.reached]
        return [
            each.k + row.size
            for each in reached
            if (row := ROW_OF[each.code]).operand in {Operand.ABSOLUTE, Operand.HEADER}
            and ancillary_word(each) is None
        ]

    @cached_property
    def tag_test(self) -> TagTest | None:
        """The test for a tag's EtherType that comes before all others, if there is one."""
        for position in self.reached:
            if position in self.switches:
                return self._tag_switch(position)
            if ROW_OF[self.instructions[position].code].instruction_class is Class.JMP:
                return self._tag_comparisons(position)
        return None

    def _tag_switch(self, position: int) -> TagTest | None:
        """Return a look-up, if it is one for tags."""
        (then, ranges), (otherwise, _), *more = sorted(
            self.switches[position].exits, key=lambda way: len(way[1])
        )
        numbers = {low for low, _ in ranges} | {high for _, high in ranges}
        if more or not numbers <= _TAGS:
            return None
        return TagTest(position, ranges, then, otherwise)

    def _tag_comparisons(self, position: int) -> TagTest | None:
        """Return some comparisons one after the other, if all are with tags and lead to one place.

        They are no look-up where comparisons with other numbers follow.
        """
        numbers: list[int] = []
        then, here = -1, position
        while (instruction := self.instructions[here]).code == Op.JEQ_K:
            yes, no = here + 1 + instruction.jt, here + 1 + instruction.jf
            if instruction.k not in _TAGS or then not in {-1, yes}:
                break
            numbers.append(instruction.k)
            then, here = yes, no
        ranges = normal((number, number) for number in numbers)
        return TagTest(position, ranges, then, here) if numbers else None

    @cached_property
    def jump_targets(self) -> frozenset[int]:
        """The positions that a jump or a look-up leads to."""
        return frozenset(
            target
            for position in self.reached
            if ROW_OF[self.instructions[position].code].instruction_class is Class.JMP
            for target in self.ways(position)
        )


def greatest(operation: ArithmeticOp, a: int, b: int) -> int:
    """Return a number that no operation on numbers up to `a` and `b` gives more than."""
    match operation:
        case ArithmeticOp.ADD:
            found = a + b
        case ArithmeticOp.MUL:
            found = a * b
        case ArithmeticOp.LSH:
            found = a << min(b, 31)
        case ArithmeticOp.AND:
            found = min(a, b)
        case ArithmeticOp.OR | ArithmeticOp.XOR:
            found = (1 << max(a, b).bit_length()) - 1
        case ArithmeticOp.DIV | ArithmeticOp.RSH | ArithmeticOp.MOD:
            found = a
        case ArithmeticOp.SUB:
            found = WORD
        case _:
            assert_never(operation)
    return min(found, WORD)


class Begin(NamedTuple):
    """Where a program begins, or goes on.

    Attributes:
        position: The instruction.
        registers: What they hold there.
    """

    position: int
    registers: Registers


def write_filter(program: Filter, flow: Flow, packet: Packet, tables: Tables, begin: Begin) -> None:
    """Write a program.

    Args:
        program: The program.
        flow: How control passes; where verdicts go.
        packet: What it looks at.
        tables: Where look-ups have their tables.
        begin: Where it begins.
    """
    instructions = program.instructions
    arrivals: list[list[Arrival]] = [[] for _ in instructions]
    arrivals[begin.position].append(Arrival(flow.follow(begin.position), begin.registers))
    for position in program.reached_from(begin.position):
        if not arrivals[position]:
            continue  # what leads here always ends the program before
        instruction = instructions[position]
        registers = flow.join(position, arrivals[position])
        if position in program.switches:
            _switch(flow, tables, program.switches[position], registers, arrivals)
            continue
        row = ROW_OF[instruction.code]
        match row.instruction_class:
            case Class.RET:
                flow.end(_verdict(flow.text, row, instruction, registers))
            case Class.JMP:
                _jump(flow, row, position, instruction, registers, arrivals)
            case _:
                after = _Operation(flow, packet, row, instruction, registers).after()
                if after is None:
                    flow.reject()
                else:
                    way = flow.follow(position + 1)
                    arrivals[position + 1].append(Arrival(way, after))


def write_start(
    program: Filter, end: int, flow: Conditions, packet: Packet, known: int
) -> Registers | None:
    """Write what comes before the first test of a program, at position `end`.

    Returns:
        What the registers hold then; None where the filter may end before.
    """
    registers: Registers | None = Registers(known=known)
    for position in range(end):
        if registers is not None:
            instruction = program.instructions[position]
            row = ROW_OF[instruction.code]
            registers = _Operation(flow, packet, row, instruction, registers).after()
    return registers if flow.always else None


def _verdict(text: Text, row: Row, instruction: Instruction, registers: Registers) -> str:
    if row.operand is Operand.CONSTANT:
        return TRUE if instruction.k else FALSE
    return text.value(f"icmp ne i32 {registers.a}, 0")


def _jump(
    flow: Flow,
    row: Row,
    position: int,
    instruction: Instruction,
    registers: Registers,
    arrivals: Sequence[list[Arrival]],
) -> None:
    ways = successors(position, instruction)
    if len(set(ways)) == 1:
        arrivals[ways[0]].append(Arrival(flow.follow(ways[0]), registers))
        return
    then, otherwise = ways
    test = _test(flow.text, row, registers.a, _operand(row, instruction, registers))
    yes, no = flow.fork(test, then, otherwise)
    arrivals[then].append(Arrival(yes, registers))
    arrivals[otherwise].append(Arrival(no, registers))


def _switch(
    flow: Flow,
    tables: Tables,
    switch: Switch,
    registers: Registers,
    arrivals: Sequence[list[Arrival]],
) -> None:
    targets = [target for target, _ in switch.exits]
    if len(targets) == 2:
        inside, then, otherwise = _member(flow, tables, switch, registers)
        ways = dict(zip((then, otherwise), flow.fork(inside, then, otherwise), strict=True))
    else:
        number = tables.which(flow.text, registers.a, [ranges for _, ranges in switch.exits])
        ways = dict(zip(targets, flow.dispatch(number, targets), strict=True))
    for target, way in ways.items():
        arrivals[target].append(Arrival(way, registers))


def _member(
    flow: Flow, tables: Tables, switch: Switch, registers: Registers
) -> tuple[str, int, int]:
    """Write a look-up with two ways; as `write_test`."""
    (then, ranges), (otherwise, _) = sorted(switch.exits, key=lambda way: len(way[1]))
    return tables.member(flow.text, registers.a, ranges), then, otherwise


def _operand(row: Row, instruction: Instruction, registers: Registers) -> str:
    return str(instruction.k) if row.operand is Operand.CONSTANT else registers.x


def _test(text: Text, row: Row, a: str, operand: str) -> str:
    if row.comparison is Comparison.SET:
        return text.value(f"icmp ne i32 {text.value(f'and i32 {a}, {operand}')}, 0")
    if row.comparison is None:
        raise InternalError(f"the row of {row.op.name} lacks its comparison")
    return text.value(f"icmp {PREDICATES[row.comparison]} i32 {a}, {operand}")


class _Operation(NamedTuple):
    """One instruction that is neither a jump nor a return, at its place."""

    flow: Flow
    packet: Packet
    row: Row
    instruction: Instruction
    before: Registers

    def after(self) -> Registers | None:
        """Write it and return the registers behind it; None where it always ends the program."""
        match self.row.instruction_class:
            case Class.ST:
                return self._stored(self.before.a)
            case Class.STX:
                return self._stored(self.before.x)
            case Class.ALU:
                return self.before._replace(a=self._computed())
            case Class.MISC:
                return self._with(self.before.a if self._writes_x else self.before.x)
            case _:
                return self._loaded()

    @property
    def _writes_x(self) -> bool:
        return Place.X in self.row.writes

    def _with(self, number: str, known: int = 0) -> Registers:
        """Return the registers with `number` in that which the instruction writes."""
        known = max(known, self.before.known)
        if self._writes_x:
            return self.before._replace(x=number, known=known)
        return self.before._replace(a=number, known=known)

    def _stored(self, number: str) -> Registers:
        k = self.instruction.k
        words = self.before.scratch
        return self.before._replace(scratch=(*words[:k], number, *words[k + 1 :]))

    def _computed(self) -> str:
        """Return A after an ALU operation."""
        text, a = self.flow.text, self.before.a
        operation = self.row.arithmetic
        if operation is None:
            return text.value(f"sub i32 0, {a}")
        operand = str(self.instruction.k)
        if self.row.operand is Operand.INDEX:
            operand = self._index_operand(operation)
        most = greatest(operation, text.most(a), text.most(operand))
        return text.value(f"{OPERATIONS[operation]} i32 {a}, {operand}", most=most)

    def _index_operand(self, operation: ArithmeticOp) -> str:
        text, x = self.flow.text, self.before.x
        if operation in _SHIFTS:
            return text.value(f"and i32 {x}, 31", most=31)
        if operation in _DIVISIONS:
            divides = text.value(f"icmp ne i32 {x}, 0")
            self.flow.guard(divides)
            return self.flow.guarded(divides, "i32", x, "1")
        return x

    def _loaded(self) -> Registers | None:
        k = self.instruction.k
        match self.row.operand:
            case Operand.CONSTANT:
                return self._with(str(k))
            case Operand.SCRATCH:
                return self._with(self.before.scratch[k])
            case Operand.LENGTH:
                return self._with(self.packet.wire)
            case Operand.INDIRECT:
                return self._with(self._at_index())
            case Operand.HEADER:
                byte = self._at_constant()
                text = self.flow.text
                low = text.value(f"and i32 {byte}, 15", most=15)
                return self._with(text.value(f"shl i32 {low}, 2", most=60), k + 1)
            case Operand.ABSOLUTE:
                return self._absolute()
            case operand:
                raise InternalError(f"no load has the operand {operand.name}")

    def _absolute(self) -> Registers | None:
        word = ancillary_word(self.instruction)
        if word is None:
            return self._with(self._at_constant(), self.instruction.k + self.row.size)
        if word.word is Ancillary.ALU_XOR_X:
            return self._with(self.flow.text.value(f"xor i32 {self.before.a}, {self.before.x}"))
        return None  # a capture file has no metadata

    def _at_constant(self) -> str:
        k = self.instruction.k
        end = k + self.row.size
        if end > self.before.known:
            self.flow.guard(self.flow.text.value(f"icmp uge i64 {self.packet.captured}, {end}"))
        return self._packet_number(str(k))

    def _at_index(self) -> str:
        text, x, k = self.flow.text, self.before.x, self.instruction.k
        most = greatest(ArithmeticOp.ADD, text.most(x), k)
        offset = text.value(f"zext i32 {text.value(f'add i32 {x}, {k}', most=most)} to i64")
        if self.flow.expect(x, k + self.row.size):
            return self._packet_number(offset)
        end = text.value(f"add i64 {offset}, {self.row.size}")
        inside = text.value(f"icmp ule i64 {end}, {self.packet.captured}")
        self.flow.guard(inside)
        if most + self.row.size > SLACK:
            offset = self.flow.guarded(inside, "i64", offset, "0")
        return self._packet_number(offset)

    def _packet_number(self, offset: str) -> str:
        return packet_number(self.flow.text, self.packet, self.row.size, offset)


def packet_number(text: Text, packet: Packet, size: int, offset: str) -> str:
    """Load a number of 1, 2 or 4 bytes in network byte order, as 32 bits."""
    bits = 8 * size
    place = text.value(f"getelementptr i8, ptr {packet.start}, i64 {offset}")
    number = text.load(bits, place)
    if bits > 8:
        number = text.swapped(bits, number)
    if bits == 32:
        return number
    return text.value(f"zext i{bits} {number} to i32", most=(1 << bits) - 1)
