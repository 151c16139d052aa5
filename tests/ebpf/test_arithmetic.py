"""What operations compute, against z3's bit vectors and against the kernel's own machine."""

from __future__ import annotations

import platform
import random
import struct
import sys

import pytest
import z3

from pfcompile.ebpf.arithmetic import MASK32, MASK64, alu, atomic, immediate, jump_taken, signed
from pfcompile.ebpf.builder import Builder
from pfcompile.ebpf.isa import (
    R0,
    R1,
    R2,
    R3,
    R4,
    R7,
    R8,
    R9,
    R10,
    ROW_NAMED,
    ROWS,
    Arithmetic,
    Atomic,
    Condition,
    Key,
    Kind,
    Operand,
)
from tests.ebpf.kernel_machine import KernelMachine
from tests.generator.seed import SEED, rerun

CORNERS = (
    0, 1, 2, 7, 31, 32, 63, 64, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000,
    MASK32, 1 << 32, 0x7FFFFFFF_FFFFFFFF, 1 << 63, MASK64, MASK64 - 6,
)  # fmt: skip

KERNEL = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
KNOWS_V4 = KERNEL >= (6, 6) and sys.byteorder == "little"


def pairs(count):
    rng = random.Random(SEED)
    for a in CORNERS:
        for b in CORNERS:
            yield a, b
    for _ in range(count):
        yield rng.getrandbits(rng.choice((8, 32, 64))), rng.getrandbits(rng.choice((6, 32, 64)))


def swapped(value, bits):
    parts = [z3.Extract(8 * i + 7, 8 * i, value) for i in range(bits // 8)]
    joined = z3.Concat(*parts)
    return z3.ZeroExt(value.size() - bits, joined) if bits < value.size() else joined


def low(value, bits):
    part = z3.Extract(bits - 1, 0, value)
    return z3.ZeroExt(value.size() - bits, part) if bits < value.size() else part


def extended(value, bits):
    return z3.SignExt(value.size() - bits, z3.Extract(bits - 1, 0, value))


def shift(b):
    return b & (b.size() - 1)


MEANINGS = {
    Arithmetic.ADD: lambda a, b: a + b,
    Arithmetic.SUB: lambda a, b: a - b,
    Arithmetic.MUL: lambda a, b: a * b,
    Arithmetic.DIV: lambda a, b: z3.If(b == 0, 0, z3.UDiv(a, b)),
    Arithmetic.SDIV: lambda a, b: z3.If(b == 0, 0, a / b),
    Arithmetic.OR: lambda a, b: a | b,
    Arithmetic.AND: lambda a, b: a & b,
    Arithmetic.LSH: lambda a, b: a << shift(b),
    Arithmetic.RSH: lambda a, b: z3.LShR(a, shift(b)),
    Arithmetic.NEG: lambda a, _b: -a,
    Arithmetic.MOD: lambda a, b: z3.If(b == 0, a, z3.URem(a, b)),
    Arithmetic.SMOD: lambda a, b: z3.If(b == 0, a, z3.SRem(a, b)),
    Arithmetic.XOR: lambda a, b: a ^ b,
    Arithmetic.MOV: lambda _a, b: b,
    Arithmetic.MOVSX8: lambda _a, b: extended(b, 8),
    Arithmetic.MOVSX16: lambda _a, b: extended(b, 16),
    Arithmetic.MOVSX32: lambda _a, b: extended(b, 32),
    Arithmetic.ARSH: lambda a, b: a >> shift(b),
    Arithmetic.LE16: lambda a, _b: low(a, 16),
    Arithmetic.LE32: lambda a, _b: low(a, 32),
    Arithmetic.LE64: lambda a, _b: low(a, 64),
    Arithmetic.BE16: lambda a, _b: swapped(a, 16),
    Arithmetic.BE32: lambda a, _b: swapped(a, 32),
    Arithmetic.BE64: lambda a, _b: swapped(a, 64),
    Arithmetic.BSWAP16: lambda a, _b: swapped(a, 16),
    Arithmetic.BSWAP32: lambda a, _b: swapped(a, 32),
    Arithmetic.BSWAP64: lambda a, _b: swapped(a, 64),
}
TESTS = {
    Condition.EQ: lambda a, b: a == b,
    Condition.GT: z3.UGT,
    Condition.GE: z3.UGE,
    Condition.SET: lambda a, b: (a & b) != 0,
    Condition.NE: lambda a, b: a != b,
    Condition.SGT: lambda a, b: a > b,
    Condition.SGE: lambda a, b: a >= b,
    Condition.LT: z3.ULT,
    Condition.LE: z3.ULE,
    Condition.SLT: lambda a, b: a < b,
    Condition.SLE: lambda a, b: a <= b,
}
OPERATIONS = sorted(
    {(row.operation, row.width) for row in ROW_NAMED.values() if row.kind is Kind.ALU}, key=str
)
BRANCHES = [(condition, width) for condition in Condition for width in (32, 64)]


@pytest.mark.parametrize(("op", "width"), OPERATIONS, ids=str)
def test_arithmetic_means_what_bit_vectors_do(op, width):
    for a, b in pairs(40):
        x, y = z3.BitVecVal(a, width), z3.BitVecVal(b, width)
        expected = z3.simplify(MEANINGS[op](x, y)).as_long()
        assert alu(op, width, a, b) == expected, (hex(a), hex(b), rerun(__file__))


@pytest.mark.parametrize(("op", "width"), BRANCHES, ids=str)
def test_conditions_mean_what_bit_vectors_do(op, width):
    for a, b in pairs(40):
        x, y = z3.BitVecVal(a, width), z3.BitVecVal(b, width)
        expected = z3.is_true(z3.simplify(TESTS[op](x, y)))
        assert jump_taken(op, width, a, b) is expected, (hex(a), hex(b), rerun(__file__))


@pytest.mark.parametrize(
    ("op", "width", "a", "b", "result"),
    [
        (Arithmetic.DIV, 64, 5, 0, 0),
        (Arithmetic.SDIV, 64, 1 << 63, MASK64, 1 << 63),
        (Arithmetic.SMOD, 64, 1 << 63, MASK64, 0),
        (Arithmetic.SDIV, 32, 0x80000000, MASK32, 0x80000000),
        (Arithmetic.SMOD, 64, -13 & MASK64, 3, -1 & MASK64),
        (Arithmetic.MOD, 32, 0xAAAAAAAA_00000007, 0, 7),
        (Arithmetic.MOD, 64, 0xAAAAAAAA_00000007, 0, 0xAAAAAAAA_00000007),
        (Arithmetic.LSH, 32, 1, 33, 2),
        (Arithmetic.ARSH, 32, 0x80000000, 31, MASK32),
        (Arithmetic.MOVSX8, 32, 0, 0x80, 0xFFFFFF80),
    ],
)
def test_the_corners_that_the_rfc_names(op, width, a, b, result):
    assert alu(op, width, a, b) == result


@pytest.mark.parametrize(
    ("op", "old", "operand", "r0", "new"),
    [
        (Atomic.ADD, MASK32, 1, 0, 0),
        (Atomic.FETCH_OR, 0b1100, 0b1010, 0, 0b1110),
        (Atomic.AND, 0b1100, 0b1010, 0, 0b1000),
        (Atomic.FETCH_XOR, 0b1100, 0b1010, 0, 0b0110),
        (Atomic.XCHG, 5, (1 << 40) + 6, 0, 6),
        (Atomic.CMPXCHG, 5, 6, (1 << 40) + 5, 6),
        (Atomic.CMPXCHG, 5, 6, 4, 5),
    ],
)
def test_atomic_operations_of_32_bits(op, old, operand, r0, new):
    assert atomic(op, 32, old, operand, r0) == new


def test_constants_widen_as_signed_numbers():
    assert immediate(-1) == MASK64
    assert immediate(0x7FFFFFFF) == 0x7FFFFFFF
    assert struct.pack("<q", signed(0x80, 8)) == struct.pack("<q", -128)


class Bench:
    """An XDP program that does one thing after another to two numbers at a packet's start."""

    def __init__(self, results):
        self.size = 16 + 8 * results
        self.at = 16
        self.builder = b = Builder()
        b.load(32, R9, R1, 0).load(32, R2, R1, 4).mov(R3, R9).alu(Arithmetic.ADD, R3, self.size)
        b.jump_if(Condition.GT, R3, R2, "end")

    def operands(self):
        return self.builder.load(64, R7, R9, 0).load(64, R8, R9, 8)

    def keep(self, register):
        self.builder.store(64, R9, self.at, register)
        self.at += 8

    def results(self, cases):
        """Yield each pair of numbers with what the kernel left behind for it."""
        self.builder.label("end").mov(R0, 2).exit()
        with KernelMachine(self.builder.finish()) as machine:
            for a, b in cases:
                packet = struct.pack("<QQ", a, b).ljust(self.size, b"\xee")
                verdict, left = machine.run(packet)
                assert verdict == 2
                yield a, b, struct.unpack(f"<{len(left) // 8}Q", left)[2:]


def fitting_constant(rng, op, width):
    """Return a constant that the kernel does not refuse: it looks at shifts and divisors."""
    if op in (Arithmetic.LSH, Arithmetic.RSH, Arithmetic.ARSH):
        return rng.randrange(width)
    return rng.choice((1, -1, 3, -7, 255, 0x7FFFFFFF, -0x80000000, rng.getrandbits(31) or 1))


@pytest.mark.bpf
@pytest.mark.skipif(not KNOWS_V4, reason="needs Linux 6.6 or later, on a little-endian machine")
def test_arithmetic_means_what_the_kernel_does():
    rng = random.Random(SEED)
    rows = [row for row in ROWS if row.kind is Kind.ALU]
    constants = {row: fitting_constant(rng, row.operation, row.width) for row in rows}
    bench = Bench(len(rows))
    second = {Operand.REGISTER: R8, Operand.NONE: None}
    for row in rows:
        bench.operands().alu(row.operation, R7, second.get(row.operand, constants[row]), row.width)
        bench.keep(R7)
    for a, b, results in bench.results(pairs(300)):
        for row, result in zip(rows, results, strict=True):
            value = immediate(constants[row]) if row.operand is Operand.IMMEDIATE else b
            where = (row, hex(a), hex(value), rerun(__file__))
            assert alu(row.operation, row.width, a, value) == result, where


@pytest.mark.bpf
@pytest.mark.skipif(not KNOWS_V4, reason="needs Linux 6.6 or later, on a little-endian machine")
def test_conditions_mean_what_the_kernel_does():
    rng = random.Random(SEED)
    rows = [row for row in ROWS if row.kind is Kind.BRANCH]
    constants = {row: fitting_constant(rng, row.operation, row.width) for row in rows}
    bench = Bench(len(rows))
    for row in rows:
        second = R8 if row.operand is Operand.REGISTER else constants[row]
        done = bench.builder.new_label()
        bench.operands().mov(R4, 1).jump_if(row.operation, R7, second, done, row.width)
        bench.builder.mov(R4, 0).label(done)
        bench.keep(R4)
    for a, b, results in bench.results(pairs(300)):
        for row, result in zip(rows, results, strict=True):
            value = immediate(constants[row]) if row.operand is Operand.IMMEDIATE else b
            where = (row, hex(a), hex(value), rerun(__file__))
            assert jump_taken(row.operation, row.width, a, value) == result, where


@pytest.mark.bpf
@pytest.mark.skipif(not KNOWS_V4, reason="needs Linux 6.6 or later, on a little-endian machine")
def test_atomic_operations_mean_what_the_kernel_does():
    rows = [row for row in ROWS if row.kind is Kind.ATOMIC]
    bench = Bench(2 * len(rows))
    for row in rows:
        # R0 is b, too, so that the comparison of cmpxchg holds for some pairs.
        bench.operands().store(64, R10, -8, R7).mov(R0, R8)
        bench.builder.atomic(row.operation, row.width, R10, -8, R8).load(64, R4, R10, -8)
        bench.keep(R4)
        bench.keep(R0 if row.operation is Atomic.CMPXCHG else R8)
    for a, b, results in bench.results(pairs(300)):
        for index, row in enumerate(rows):
            mask = MASK32 if row.width == 32 else MASK64
            new = a & ~mask | atomic(row.operation, row.width, a & mask, b, b)
            kept = a & mask if row.operation.fetches else b
            where = (row, hex(a), hex(b), rerun(__file__))
            assert results[2 * index : 2 * index + 2] == (new, kept), where


def test_every_operation_was_compared():
    assert set(MEANINGS) == set(Arithmetic)
    assert set(TESTS) == set(Condition)
    assert Key(Kind.ALU, Arithmetic.MOVSX32, 32, Operand.REGISTER) not in ROW_NAMED
