"""Extended programs, stepped by their own machine.

The clock begins at the packet's time and goes on a microsecond a look; random numbers come from the
packet's number: a program does the same again, and so can be taken back.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.debugger.classic import PACKET, packet_number
from pfcompile.debugger.machines import Access, End, Region, Register
from pfcompile.debugger.mistakes import Mistake
from pfcompile.ebpf.arithmetic import MASK32, MASK64, signed
from pfcompile.ebpf.isa import R2, R4, REGISTERS, STACK_SIZE, Callee, Kind, Operand, row_of
from pfcompile.ebpf.listing import listing
from pfcompile.ebpf.machine.code import DEFAULT_BUDGET
from pfcompile.ebpf.machine.faults import Fault, Leave
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.memory import (
    CODE_ADDRESS,
    CODE_REGION,
    FIRST_MAP_REGION,
    OFFSET_MASK,
    PACKET_REGION,
    REGION_BITS,
)
from pfcompile.ebpf.structure import target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pfcompile.captures.formats.records import Record
    from pfcompile.ebpf.isa import Instruction, Row
    from pfcompile.ebpf.machine.code import Environment
    from pfcompile.ebpf.machine.starts import Start
    from pfcompile.ebpf.program import EbpfProgram
    from pfcompile.errors import Span

MEMORY: Final = "mem"
_TICK_NS: Final = 1000
_SIZES: Final = (1, 2, 4, 8)
_PACKET_HELPERS: Final = frozenset({26, 189})
"""skb_load_bytes and xdp_load_bytes: offset in R2, size in R4."""


class ExtendedCode:
    """An extended program; see `machines.Code`.

    Args:
        program: The program.
        environment: What it can call and use; the clock, the random numbers and where lines are
            printed are the debugger's own.
        start_of: What the program begins with on a packet.
        judge: What its result means: 0 to 2**64 - 1.
        budget: Instructions after which a run is stopped.

    Raises:
        ProgramError: It is not valid, or wants what there is not.
    """

    kind = "eBPF"
    bits = 64
    memories: Mapping[str, str] = MappingProxyType({PACKET: "pkt[12:2]", MEMORY: "mem[r10-8:8]"})
    names = tuple(f"{letter}{number}" for letter in "rw" for number in range(REGISTERS))
    text = ""
    origins: Sequence[tuple[Span, ...]] = ()
    ways: Sequence[tuple[int, ...]] = ()

    def __init__(
        self,
        program: EbpfProgram,
        environment: Environment,
        start_of: Callable[[Record], Start],
        judge: Callable[[int], End],
        budget: int = DEFAULT_BUDGET,
    ) -> None:
        self._random = Random()  # noqa: S311 - it is to be repeatable
        self._now = 0
        self._start_of = start_of
        self.printed: list[str] = []
        environment = replace(
            environment, clock=self._clock, random=self._random, trace=self._print
        )
        self.machine = Machine(program.instructions, environment)
        self.instructions = program.instructions
        self.rows = tuple(map(row_of, program.instructions))
        self.judge = judge
        self.budget = budget
        self.maps = environment.maps
        slots = self.machine.code.slots.values()
        texts = dict(zip(sorted(slots), listing(program).splitlines(), strict=True))
        self.lines = tuple(self._line(slot, texts) for slot in range(len(program.instructions)))

    def start(self, record: Record, number: int) -> ExtendedRun:
        """Return a run on a packet."""
        self._random.seed(number)
        self._now = record.timestamp_ns
        self.printed.clear()
        return ExtendedRun(self, self._start_of(record))

    def _line(self, slot: int, texts: Mapping[int, str]) -> str | None:
        """Return an instruction, and where it goes by its number instead of a distance alone."""
        text, row = texts.get(slot), self.rows[slot]
        if text is None or row is None:
            return None
        target = target_of(slot, self.instructions[slot], row)
        return text if target is None else f"{text} ({target})"

    def _clock(self) -> int:
        self._now += _TICK_NS
        return self._now

    def _print(self, line: str) -> None:
        self.printed.append(line)


class ExtendedRun:
    """An extended program on its way through a packet; see `machines.Run`."""

    __slots__ = ("_code", "_registers", "_run", "_step", "access", "end", "position", "steps")

    def __init__(self, code: ExtendedCode, start: Start) -> None:
        self._code = code
        self._registers, self._run = code.machine.begin(start)
        self._step = code.machine.code.steps[0]
        self.position = 0
        self.steps = 0
        self.end: End | None = None
        self.access: Access | None = None

    @property
    def packet(self) -> bytes:
        """The packet as it is now."""
        return bytes(self._run.entry.packet)

    @property
    def printed(self) -> Sequence[str]:
        """The lines that it has printed so far."""
        return tuple(self._code.printed)

    def step(self) -> None:
        """Run one instruction."""
        self.access = self._reach()
        try:
            self._step = self._step(self._registers, self._run)
        except Leave as leave:
            self.end = self._code.judge(leave.result)
        except Fault as fault:
            self.end = End("", keeps=False, why=f"{fault}", failed=True)
        else:
            # Only objects' programs come here, and no tail call finds another program.
            self.position = self._code.machine.code.slots[self._step]
        self.steps += 1
        if self.end is None and self.steps >= self._code.budget:
            why = f"not done after {self._code.budget} instructions"
            self.end = End("", keeps=False, why=why, failed=True)
        if self.end is not None:
            self._run.close()

    def registers(self) -> Sequence[Register]:
        """Return all registers, and what those point to that are addresses."""
        return tuple(
            Register(f"r{number}", value, self._note(value))
            for number, value in enumerate(self._registers)
        )

    def regions(self) -> Sequence[Region]:
        """Return the stack frames, that of the program first."""
        return tuple(
            Region(f"stack frame {number}", bytes(data), -STACK_SIZE)
            for number, data in enumerate(self._run.memory.frames(), 1)
        )

    def value(self, name: str) -> int | None:
        """Return what a register holds; `w1` is the low half of `r1`."""
        if name not in self._code.names:
            return None
        value = self._registers[int(name[1:])]
        return value & MASK32 if name.startswith("w") else value

    def load(self, memory: str, at: int, size: int) -> int:
        """Return bytes of the packet in network order, or memory in the machine's; raises."""
        if memory == PACKET:
            return packet_number(self.packet, at, size)
        if size not in _SIZES:
            raise Mistake(f"memory is read by 1, 2, 4 or 8 bytes, not by {size}")
        try:
            return self._run.memory.load(at & MASK64, 8 * size)
        except Fault as fault:
            raise Mistake(str(fault)) from None

    def _note(self, value: int) -> str:
        """Return what a value points to, if it is an address."""
        region, offset = value >> REGION_BITS, value & OFFSET_MASK
        if region == CODE_REGION:
            return f"instruction {(value - CODE_ADDRESS) // 8}"
        if region >= FIRST_MAP_REGION:
            try:
                spec = self._run.map_at(value).spec
            except Fault:
                return ""
            return f"map {spec.name or spec.type.name}"
        place = self._run.memory.place_of(value)
        if place is None:
            return ""
        name, offset = place
        if name.startswith("stack"):
            return (
                f"{name} end{offset - STACK_SIZE or '':+}" if offset < STACK_SIZE else f"{name} end"
            )
        return f"{name} +{offset}"

    def _reach(self) -> Access | None:
        """Return what the next instruction reads or writes of the packet, if that is there."""
        row = self._code.rows[self.position]
        assert row is not None
        place = self._place(row, self._code.instructions[self.position])
        if place is None:
            return None
        end = place.offset + place.size
        return place if 0 <= place.offset < end <= len(self._run.entry.packet) else None

    def _place(self, row: Row, instruction: Instruction) -> Access | None:
        size = row.width // 8
        match row.kind:
            case Kind.LOAD | Kind.LOAD_SIGNED:
                return self._direct(instruction.src, instruction.offset, size, writes=False)
            case Kind.STORE | Kind.ATOMIC:
                return self._direct(instruction.dst, instruction.offset, size, writes=True)
            case Kind.PACKET:
                base = self._registers[instruction.src] if row.operand is Operand.REGISTER else 0
                return Access(signed(base + instruction.imm, 32), size)
            case Kind.CALL if row.operation is Callee.HELPER:
                if instruction.imm not in _PACKET_HELPERS:
                    return None
                return Access(self._registers[R2] & MASK32, self._registers[R4] & MASK32)
            case _:
                return None

    def _direct(self, register: int, offset: int, size: int, *, writes: bool) -> Access | None:
        address = self._registers[register] + offset & MASK64
        if address >> REGION_BITS != PACKET_REGION:
            return None
        return Access(address & OFFSET_MASK, size, writes)
