"""The rows of the instruction set, and bytes against struct."""

from __future__ import annotations

import random
import struct

import pytest

from pfcompile.ebpf.isa import (
    ARGUMENTS,
    R0,
    R6,
    ROW_NAMED,
    ROWS,
    ROWS_OF_CODE,
    Arithmetic,
    Atomic,
    Callee,
    Condition,
    Group,
    Instruction,
    Key,
    Kind,
    Operand,
    Wide,
    decode,
    encode,
    row_of,
    wide_value,
)
from pfcompile.errors import ProgramError
from tests.ebpf.random_instructions import random_instruction
from tests.generator.seed import SEED, rerun

# The codes of each conformance group, put down by hand from RFC 9669, apart from how rows are made.
APPENDIX = {
    Group.BASE32: """04 05 06 0c 14 16 1c 1e 26 2e 36 3e 44 46 4c 4e 54 56 5c 5e 61 62 63 64 66
        69 6a 6b 6c 6e 71 72 73 74 76 7c 7e 84 85 95 a4 a6 ac ae b4 b6 bc be c4 c6 cc ce d4 d6 d7
        dc de""",
    Group.BASE64: """07 0f 15 17 18 1d 1f 25 2d 35 3d 45 47 4d 4f 55 57 5d 5f 65 67 6d 6f 75 77 79
        7a 7b 7d 7f 81 87 89 91 a5 a7 ad af b5 b7 bd bf c5 c7 cd cf d4 d5 d7 dc dd""",
    Group.DIVMUL32: "24 2c 34 3c 94 9c",
    Group.DIVMUL64: "27 2f 37 3f 97 9f",
    Group.ATOMIC32: "c3",
    Group.ATOMIC64: "db",
    Group.PACKET: "20 28 30 40 48 50",
}


@pytest.mark.parametrize("group", [group for group in Group if group is not Group.NONE])
def test_codes_of_a_group_are_those_of_the_rfc(group):
    named = {int(code, 16) for code in APPENDIX[group].split()}
    assert {row.code for row in ROWS if row.group is group} == named


def test_every_row_has_a_name_of_its_own():
    assert len(ROW_NAMED) == len(ROWS) == 172


def test_no_instruction_is_of_two_rows():
    rng = random.Random(SEED)
    for row in ROWS:
        for _ in range(20):
            first, *_ = random_instruction(rng, row)
            fitting = [other for other in ROWS_OF_CODE[first.code] if other.fits(first)]
            assert fitting == [row], (first, rerun(__file__))
            assert row_of(first) is row


def test_unused_fields_and_missing_registers_make_an_instruction_unknown():
    rng = random.Random(SEED)
    for row in ROWS:
        first, *_ = random_instruction(rng, row)
        fields = {name: getattr(first, name) for name in ("dst", "src", "offset", "imm")}
        for name in fields:
            wrong = 11 if name in ("dst", "src") else 0x33
            if getattr(row, name) is None and name in ("offset", "imm"):
                continue
            assert row_of(Instruction(first.code, **{**fields, name: wrong})) is None, (first, name)


def test_every_other_code_is_unknown():
    known = {row.code for row in ROWS}
    assert all((row_of(Instruction(code)) is None) for code in range(256) if code not in known)
    assert 0 not in known


def test_second_slot_is_no_instruction():
    assert row_of(Instruction(0, imm=5)) is None
    assert wide_value(Instruction(0x18, imm=-2), Instruction(0, imm=-1)) == 2**64 - 2


@pytest.mark.parametrize(
    ("key", "reads", "writes"),
    [
        (Key(Kind.ALU, Arithmetic.ADD, 64, Operand.REGISTER), {3, 4}, {3}),
        (Key(Kind.ALU, Arithmetic.MOV, 32, Operand.REGISTER), {4}, {3}),
        (Key(Kind.ALU, Arithmetic.MOV, 64, Operand.IMMEDIATE), set(), {3}),
        (Key(Kind.ALU, Arithmetic.MOVSX8, 64, Operand.REGISTER), {4}, {3}),
        (Key(Kind.ALU, Arithmetic.NEG, 64, Operand.NONE), {3}, {3}),
        (Key(Kind.LOAD, None, 8, Operand.NONE), {4}, {3}),
        (Key(Kind.STORE, None, 8, Operand.REGISTER), {3, 4}, set()),
        (Key(Kind.STORE, None, 8, Operand.IMMEDIATE), {3}, set()),
        (Key(Kind.ATOMIC, Atomic.ADD, 64, Operand.REGISTER), {3, 4}, set()),
        (Key(Kind.ATOMIC, Atomic.XCHG, 64, Operand.REGISTER), {3, 4}, {4}),
        (Key(Kind.ATOMIC, Atomic.CMPXCHG, 32, Operand.REGISTER), {0, 3, 4}, {0}),
        (Key(Kind.BRANCH, Condition.EQ, 64, Operand.REGISTER), {3, 4}, set()),
        (Key(Kind.PACKET, None, 8, Operand.IMMEDIATE), {R6}, {R0, *ARGUMENTS}),
        (Key(Kind.PACKET, None, 8, Operand.REGISTER), {4, R6}, {R0, *ARGUMENTS}),
        (Key(Kind.CALL, Callee.HELPER, 64, Operand.IMMEDIATE), set(ARGUMENTS), {R0, *ARGUMENTS}),
        (Key(Kind.WIDE, Wide.MAP_FD, 64, Operand.IMMEDIATE), set(), {3}),
        (Key(Kind.EXIT, None, 64, Operand.NONE), {R0}, set()),
    ],
    ids=str,
)
def test_registers_read_and_written(key, reads, writes):
    row = ROW_NAMED[key]
    instruction = Instruction(row.code, 3, 4)
    assert row.reads.of(instruction) == reads
    assert row.writes.of(instruction) == writes


def test_bytes_of_both_machines():
    program = (Instruction(0x7B, 10, 1, -8), Instruction(0xB7, 3, 0, 0, -2))
    assert encode(program).hex() == "7b1af8ff00000000" + "b7030000feffffff"
    assert encode(program, "big").hex() == "7ba1fff800000000" + "b7300000fffffffe"


@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_decode_is_the_opposite_of_encode(byte_order):
    rng = random.Random(SEED)
    data = rng.randbytes(8 * 2000)
    program = decode(data, byte_order)
    assert encode(program, byte_order) == data
    mark = "<" if byte_order == "little" else ">"
    for slot, instruction in enumerate(program):
        code, _, offset, imm = struct.unpack_from(f"{mark}BBhi", data, 8 * slot)
        assert (instruction.code, instruction.offset, instruction.imm) == (code, offset, imm)


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        (Instruction(256), "code is 256, not between 0 and 255"),
        (Instruction(0xB7, 16), "dst is 16"),
        (Instruction(0xB7, 0, -1), "src is -1"),
        (Instruction(0x05, 0, 0, 0x8000), "offset is 32768"),
        (Instruction(0xB7, 0, 0, 0, 0x80000000), "imm is 2147483648"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_field_out_of_range_is_refused(instruction, words):
    with pytest.raises(ProgramError, match=f"instruction 1: {words}"):
        encode((Instruction(0x95), instruction))


def test_cut_off_bytes_are_refused():
    with pytest.raises(ProgramError, match="instruction 1 is cut off: 9 bytes"):
        decode(bytes(9))
