"""Every row of the instruction set as native code, against the interpreter, on edge values."""

from __future__ import annotations

import struct

import pytest

from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.isa import ROWS, Atomic, Instruction, Kind, Operand
from pfcompile.ebpf.machine.starts import RawPacket, Skb
from tests.ebpf.test_instructions import (
    EDGES,
    EXIT,
    IMMEDIATES,
    OTHERS,
    RAW,
    instruction_of,
    label,
    maps,
)
from tests.jit.pairs import Limits, Machine, World, check, native, outcome

LOAD_A, LOAD_B = Instruction(0x79, 3, 1, 0), Instruction(0x79, 4, 1, 8)
"""r3 and r4 from the first 16 bytes; results go behind them."""


def of_kind(*kinds):
    return [row for row in ROWS if row.kind in kinds]


def agree(program, packets, start=RawPacket):
    """Run both machines on the same packets; return what came of each."""
    compiled, machine = native(program), Machine(program)
    came = []
    for packet in packets:
        ours, theirs = bytearray(packet), bytearray(packet)
        got = outcome(compiled, World(start(ours), [ours]))
        assert got == outcome(machine, World(start(theirs), [theirs])), (program, packet.hex())
        came.append(got)
    return came


def pairs(results):
    return [struct.pack("<QQ", a, b) + bytes(8 * results) for a in EDGES for b in EDGES]


@pytest.mark.parametrize("row", of_kind(Kind.ALU), ids=label)
def test_arithmetic(row):
    constants = IMMEDIATES if row.operand is Operand.IMMEDIATE else (0,)
    body = []
    for place, imm in enumerate(constants):
        operation = instruction_of(row, dst=3, src=4, imm=imm)
        body += [LOAD_A, LOAD_B, operation, Instruction(0x7B, 1, 3, 16 + 8 * place)]
    came = agree((*body, EXIT), pairs(len(constants)))
    assert all(kind == "ended" for kind, *_ in came)
    assert len(came) == len(EDGES) ** 2


@pytest.mark.parametrize("row", of_kind(Kind.BRANCH), ids=label)
def test_branches(row):
    constants = IMMEDIATES if row.operand is Operand.IMMEDIATE else (0,)
    body = [Instruction(0xB7, 0)]
    for imm in constants:
        jump = instruction_of(row, dst=3, src=4, offset=1, imm=imm)
        body += [
            LOAD_A, LOAD_B, Instruction(0x67, 0, imm=1), jump, Instruction(0x07, 0, imm=1),
        ]  # fmt: skip
    came = agree((*body, EXIT), pairs(0))
    assert len({result for _, result, *_ in came}) > 1


MEMORY = bytes(range(0x78, 0x98))


@pytest.mark.parametrize("row", of_kind(Kind.LOAD, Kind.LOAD_SIGNED, Kind.STORE), ids=label)
def test_loads_and_stores(row):
    """At every offset from before the memory to behind it, and through null."""
    kinds = set()
    is_load = row.kind is not Kind.STORE
    program = (
        Instruction(0x79, 5, 1),
        Instruction(0xBF, 6, 1),
        Instruction(0x0F, 6, 5),
        Instruction(0x79, 3, 1, 8),
        instruction_of(row, dst=0 if is_load else 6, src=6 if is_load else 3, imm=-2),
        EXIT,
    )
    size = 40
    places = [*range(-9, size + 2), 1 << 31, 1 << 32, (1 << 32) - 1, -(1 << 32), -(1 << 33)]
    packets = [
        struct.pack("<qQ", place, value) + MEMORY[16:] + bytes(8)
        for place in places
        for value in EDGES[::4]
    ]
    for came in agree(program, packets):
        kinds.add(came[0])
    assert kinds == {"ended", "RunError"}


@pytest.mark.parametrize("row", of_kind(Kind.ATOMIC), ids=label)
def test_atomic_operations(row):
    """Aligned, and not; each of the values is there, or not, for compare-and-exchange."""
    size = row.width // 8
    for offset in (24, 25, 24 + size // 2):
        program = (
            Instruction(0x79, 0, 1, 0), LOAD_B,
            instruction_of(row, dst=1, src=4, offset=offset),
            Instruction(0x7B, 1, 0, 0), Instruction(0x7B, 1, 4, 8), EXIT,
        )  # fmt: skip
        packets = [
            struct.pack("<QQQ", r0, value, 0) + struct.pack("<Q", old) * 2
            for old in EDGES[::2]
            for value in EDGES[::3]
            for r0 in (old, 5)
        ]
        if offset == 25:
            packets = packets[::7]
        assert all(kind == "ended" for kind, *_ in agree(program, packets))
    beyond = (instruction_of(row, dst=1, src=2, offset=40 - size + 1), EXIT)
    assert agree(beyond, [bytes(40)])[0][0] == "RunError"
    assert {row.operation for row in of_kind(Kind.ATOMIC)} == set(Atomic)


@pytest.mark.parametrize("row", of_kind(Kind.PACKET), ids=label)
def test_legacy_packet_loads(row):
    packet = bytes(range(0xF0, 0x100)) + bytes(range(16))
    is_indirect = row.operand is Operand.REGISTER
    ended = set()
    for imm in (0, 1, 13, 31, -1, 0x7FFF_FFFF, -0x8000_0000):
        program = (
            Instruction(0xBF, 6, 1), Instruction(0x18, 7, imm=imm if is_indirect else 0),
            Instruction(0, imm=-1 if imm % 2 else 0), instruction_of(row, src=7, imm=imm),
            Instruction(0x07, 0, imm=1), EXIT,
        )  # fmt: skip
        for start in (RawPacket, Skb):
            ended |= {came[2] for came in agree(program, [packet], start)}
        wrong = (Instruction(0xB7, 6, imm=3), *program[1:])
        assert agree(wrong, [packet], Skb)[0][0] == "RunError"
    assert len(ended) > 1


@pytest.mark.parametrize("key", OTHERS, ids=str)
def test_jumps_calls_and_wide_loads(key):
    text, result = OTHERS[key]
    program = RAW[key[:2]] if text == ".raw" else assemble(text)

    def make():
        return World(RawPacket(bytes(8)), environment=maps(), limits=Limits(1000, loops=50))

    assert check(program, make, str(key))[1] == result


def test_every_row_is_tested():
    tested = {
        Kind.ALU, Kind.BRANCH, Kind.LOAD, Kind.LOAD_SIGNED, Kind.STORE, Kind.ATOMIC, Kind.PACKET
    }  # fmt: skip
    for row in ROWS:
        assert row.kind in tested or (row.kind, row.operation, row.width) in OTHERS, row
