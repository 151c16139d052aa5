"""How each instruction becomes a step.

What operations compute is in `pfcompile.ebpf.arithmetic`; here is where their operands come from
and where their results go.
"""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.arithmetic import MASK64, alu, atomic, immediate, signed
from pfcompile.ebpf.isa import (
    HEADER_OFFSETS,
    R0,
    R6,
    Arithmetic,
    Atomic,
    Instruction,
    Kind,
    Operand,
    Row,
)
from pfcompile.ebpf.machine.control import bounded_jump, branch, call, jump, leave
from pfcompile.ebpf.machine.decoded import Decoded, never_reached, set_constant
from pfcompile.ebpf.machine.faults import Fault, Leave
from pfcompile.ebpf.machine.memory import (
    CONTEXT_ADDRESS,
    NUMBERS,
    OFFSET_MASK,
    REGION_BITS,
    SIGNED_NUMBERS,
)
from pfcompile.ebpf.machine.wide import load_wide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pfcompile.ebpf.machine.code import Environment, Registers, Run, Step


def make_steps(
    program: Sequence[Instruction], rows: Sequence[Row | None], environment: Environment
) -> list[Step]:
    """Return the steps of a program, by slot.

    Args:
        program: What `check_structure` has passed.
        rows: What it gave.
        environment: What the program can call and use.

    Raises:
        ProgramError: The program wants a helper, map or variable that is not in `environment`.
    """
    steps: list[Step] = [never_reached] * (len(program) + 2)
    for slot in reversed(range(len(program))):
        row = rows[slot]
        if row is None:
            continue
        second = program[slot + 1] if row.slots > 1 else None
        then = steps[slot + row.slots]
        decoded = Decoded(slot, program[slot], row, second, then, steps, environment)
        steps[slot] = _MAKERS[row.kind](decoded)
    return steps


def _arithmetic(decoded: Decoded) -> Step:
    row, instruction, then = decoded.row, decoded.instruction, decoded.then
    operation, width, dst, src = row.operation, row.width, instruction.dst, instruction.src
    assert isinstance(operation, Arithmetic)
    constant = immediate(instruction.imm)

    if not row.reads.dst and row.operand is Operand.IMMEDIATE:
        return set_constant(dst, alu(operation, width, 0, constant), then)

    def with_constant(registers: Registers, _run: Run) -> Step:
        registers[dst] = alu(operation, width, registers[dst], constant)
        return then

    def with_register(registers: Registers, _run: Run) -> Step:
        registers[dst] = alu(operation, width, registers[dst], registers[src])
        return then

    return with_register if row.operand is Operand.REGISTER else with_constant


def _load(decoded: Decoded) -> Step:
    instruction, then, width = decoded.instruction, decoded.then, decoded.row.width
    dst, src, offset = instruction.dst, instruction.src, instruction.offset
    unpack = NUMBERS[width].unpack_from

    def step(registers: Registers, run: Run) -> Step:
        address = registers[src] + offset & MASK64
        try:
            (registers[dst],) = unpack(run.readable[address >> REGION_BITS], address & OFFSET_MASK)
        except (KeyError, struct.error):
            registers[dst] = run.memory.load(address, width)
        return then

    return step


def _load_signed(decoded: Decoded) -> Step:
    instruction, then, width = decoded.instruction, decoded.then, decoded.row.width
    dst, src, offset = instruction.dst, instruction.src, instruction.offset
    unpack = SIGNED_NUMBERS[width].unpack_from

    def step(registers: Registers, run: Run) -> Step:
        address = registers[src] + offset & MASK64
        try:
            (value,) = unpack(run.readable[address >> REGION_BITS], address & OFFSET_MASK)
        except (KeyError, struct.error):
            value = signed(run.memory.load(address, width), width)
        registers[dst] = value & MASK64
        return then

    return step


def _store(decoded: Decoded) -> Step:
    instruction, then, width = decoded.instruction, decoded.then, decoded.row.width
    dst, src, offset = instruction.dst, instruction.src, instruction.offset
    pack, mask = NUMBERS[width].pack_into, (1 << width) - 1
    is_register = decoded.row.operand is Operand.REGISTER
    constant = immediate(instruction.imm)

    def step(registers: Registers, run: Run) -> Step:
        address = registers[dst] + offset & MASK64
        value = registers[src] if is_register else constant
        try:
            region = run.writable[address >> REGION_BITS]
            pack(region, address & OFFSET_MASK, value & mask)
        except (KeyError, struct.error):
            run.memory.store(address, width, value)
        return then

    return step


def _atomic(decoded: Decoded) -> Step:
    row, instruction, then = decoded.row, decoded.instruction, decoded.then
    operation, width = row.operation, row.width
    dst, src, offset = instruction.dst, instruction.src, instruction.offset
    assert isinstance(operation, Atomic)
    size = width // 8
    fetched = R0 if operation is Atomic.CMPXCHG else src if operation.fetches else None

    def step(registers: Registers, run: Run) -> Step:
        address = registers[dst] + offset & MASK64
        old = int.from_bytes(run.memory.read(address, size, "changes"), "little")
        new = atomic(operation, width, old, registers[src], registers[R0])
        run.memory.write(address, new.to_bytes(size, "little"), "changes")
        if fetched is not None:
            registers[fetched] = old
        return then

    return step


def _load_packet(decoded: Decoded) -> Step:
    instruction, then, size = decoded.instruction, decoded.then, decoded.row.width // 8
    src, constant = instruction.src, instruction.imm
    is_indirect = decoded.row.operand is Operand.REGISTER
    is_from_header = not is_indirect and constant in HEADER_OFFSETS

    def step(registers: Registers, run: Run) -> Step:
        entry = run.entry
        if not entry.has_packet_loads:
            raise Fault("this kind of program has no legacy packet loads")
        if entry.context is not None and registers[R6] != CONTEXT_ADDRESS:
            raise Fault("a legacy packet load needs the context in r6")
        if is_from_header:
            raise Fault(
                f"reads at offset {constant}, which in the kernel counts from the link or the "
                "network header: where these are, only the kernel knows"
            )
        # As the kernel's, the sum has 32 bits. One below 0 is outside the packet here, where the
        # kernel counts from the headers again (docs/quirks.md, Q8).
        offset = signed(registers[src] + constant if is_indirect else constant, 32)
        if offset < 0 or offset + size > len(entry.packet):
            raise Leave(0)
        registers[R0] = int.from_bytes(entry.packet[offset : offset + size], "big")
        return then

    return step


_MAKERS: Final[Mapping[Kind, Callable[[Decoded], Step]]] = MappingProxyType(
    {
        Kind.ALU: _arithmetic,
        Kind.LOAD: _load,
        Kind.LOAD_SIGNED: _load_signed,
        Kind.STORE: _store,
        Kind.ATOMIC: _atomic,
        Kind.WIDE: load_wide,
        Kind.PACKET: _load_packet,
        Kind.JUMP: jump,
        Kind.BRANCH: branch,
        Kind.MAY_GOTO: bounded_jump,
        Kind.CALL: call,
        Kind.EXIT: leave,
    }
)
