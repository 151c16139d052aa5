"""Sets of numbers against the arithmetic of single ones: nothing that happens may be missing.

Small sets are tried exhaustively, large ones at random, and a few operations on sets of bits are
proved by z3 for every number.
"""

from __future__ import annotations

import itertools
import random

import pytest
import z3

from pfcompile.ebpf.arithmetic import alu, jump_taken, signed
from pfcompile.ebpf.check import tnum
from pfcompile.ebpf.check.bounds import Bounds, everything
from pfcompile.ebpf.check.comparisons import compare
from pfcompile.ebpf.check.scalars import UNKNOWN, between, constant, scalar, unite, widen
from pfcompile.ebpf.check.tnum import Tnum
from pfcompile.ebpf.check.transfer import operate
from pfcompile.ebpf.isa import ROW_NAMED, Arithmetic, Condition, Kind
from tests.ebpf.check.random_numbers import random_number, random_sample
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/ebpf/check/test_numbers.py")

OPERATIONS = sorted(
    {(row.operation, row.width) for row in ROW_NAMED.values() if row.kind is Kind.ALU},
    key=lambda each: (each[0].name, each[1]),
)
SMALL = range(8)
SMALL_TNUMS = [Tnum(value, mask) for value in SMALL for mask in SMALL if not value & mask]


def members(small):
    return [number for number in SMALL if small.contains(number)]


@pytest.mark.parametrize(("op", "width"), OPERATIONS, ids=lambda each: getattr(each, "value", each))
def test_operations_miss_nothing(op, width):
    rng = random.Random(f"{SEED} {op} {width}")
    for _ in range(250):
        a, b = random_sample(rng), random_sample(rng)
        result = operate(op, width, a.numbers, b.numbers)
        for x, y in itertools.product(a.members, b.members):
            one = alu(op, width, x, y)
            assert result.contains(one), (
                f"{op} {width}: {x:#x}, {y:#x} give {one:#x}, not in {result}\n"
                f"{a.numbers}\n{b.numbers}\n{RERUN}"
            )


@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("op", Condition)
def test_comparisons_miss_nothing(op, width):
    rng = random.Random(f"{SEED} {op} {width}")
    for _ in range(300):
        a, b = random_sample(rng), random_sample(rng)
        ways = compare(op, width, a.numbers, b.numbers)
        for x, y in itertools.product(a.members, b.members):
            pair = ways.taken if jump_taken(op, width, x, y) else ways.passed
            assert pair is not None, f"{op} {width}: {x:#x}, {y:#x}\n{a}\n{b}\n{RERUN}"
            assert pair[0].contains(x), f"{op} {width}: {x:#x}, {y:#x}\n{a}\n{b}\n{RERUN}"
            assert pair[1].contains(y), f"{op} {width}: {x:#x}, {y:#x}\n{a}\n{b}\n{RERUN}"
            for narrow, wide in zip(pair, (a.numbers, b.numbers), strict=True):
                assert wide.covers(narrow), f"{op} {width}\n{a}\n{b}\n{pair}\n{RERUN}"


@pytest.mark.parametrize(
    ("op", "function"),
    [
        (Arithmetic.ADD, tnum.add),
        (Arithmetic.SUB, tnum.subtract),
        (Arithmetic.MUL, tnum.multiply),
        (Arithmetic.AND, tnum.both),
        (Arithmetic.OR, tnum.either),
        (Arithmetic.XOR, tnum.differing),
    ],
)
def test_bits_of_small_sets(op, function):
    for a, b in itertools.product(SMALL_TNUMS, SMALL_TNUMS):
        result = function(a, b)
        assert not result.value & result.mask
        for x, y in itertools.product(members(a), members(b)):
            assert result.contains(alu(op, 64, x, y)), (op, a, b, x, y)


def test_bits_of_small_sets_as_sets():
    for a, b in itertools.product(SMALL_TNUMS, SMALL_TNUMS):
        common = set(members(a)) & set(members(b))
        both = tnum.intersect(a, b)
        assert (set(members(both)) if both else set()) == common
        assert set(members(a)) | set(members(b)) <= set(members(tnum.unite(a, b)))
        assert a.covers(b) == (set(members(b)) <= set(members(a)))
    for least, most in itertools.combinations_with_replacement(SMALL, 2):
        assert set(range(least, most + 1)) <= set(members(tnum.within(least, most)))


@pytest.mark.parametrize("op", [
    Arithmetic.ADD, Arithmetic.SUB, Arithmetic.MUL, Arithmetic.DIV, Arithmetic.MOD,
    Arithmetic.SDIV, Arithmetic.SMOD, Arithmetic.LSH, Arithmetic.RSH, Arithmetic.ARSH,
])  # fmt: skip
def test_bounds_of_small_intervals(op):
    """Every interval of numbers near 0, 2**31 and 2**32, on every other one."""
    near = [number & 0xFFFF_FFFF for number in (-3, -1, 0, 1, 2, 5, 0x7FFF_FFFF, 0x8000_0000)]
    intervals = [
        (least, most)
        for least, most in itertools.product(near, near)
        if least <= most and most - least < 9
    ]
    for (a0, a1), (b0, b1) in itertools.product(intervals, intervals):
        result = operate(op, 32, between(a0, a1), between(b0, b1))
        for x, y in itertools.product(range(a0, a1 + 1), range(b0, b1 + 1)):
            assert result.contains(alu(op, 32, x, y)), (op, a0, a1, b0, b1, x, y)


@pytest.mark.parametrize(
    ("op", "a", "b", "expected"),
    [
        (Arithmetic.ADD, (1, 5), (10, 20), (11, 25)),
        (Arithmetic.SUB, (10, 20), (1, 5), (5, 19)),
        (Arithmetic.MUL, (2, 3), (4, 5), (8, 15)),
        (Arithmetic.DIV, (10, 21), (2, 5), (2, 10)),
        (Arithmetic.MOD, (0, 100), (8, 8), (0, 7)),
        (Arithmetic.AND, (0, 255), (15, 15), (0, 15)),
        (Arithmetic.LSH, (0, 15), (2, 2), (0, 60)),
        (Arithmetic.RSH, (0, 255), (4, 4), (0, 15)),
        (Arithmetic.ARSH, (16, 255), (1, 4), (1, 127)),
    ],
)
@pytest.mark.parametrize("width", [32, 64])
def test_operations_are_precise(op, a, b, expected, width):
    result = operate(op, width, between(*a), between(*b))
    assert (result.wide.umin, result.wide.umax) == expected
    assert (result.low.umin, result.low.umax) == expected


def test_comparisons_are_precise():
    ways = compare(Condition.LT, 64, UNKNOWN, constant(60))
    assert ways.taken[0].wide == Bounds(0, 59, 0, 59)
    assert ways.passed[0].wide.umin == 60
    ways = compare(Condition.SGT, 32, between(0, 2**32 - 1), constant(2**32 - 1))
    assert ways.taken[0].low == Bounds(0, 2**31 - 1, 0, 2**31 - 1)
    assert ways.taken[0].wide.umax == 2**31 - 1
    assert compare(Condition.GT, 64, between(0, 5), constant(5)).taken is None
    assert compare(Condition.EQ, 64, between(0, 5), constant(6)).taken is None
    assert compare(Condition.SET, 64, constant(5), constant(4)).passed is None
    ways = compare(Condition.SET, 64, between(0, 7), constant(4))
    assert (ways.taken[0].wide.umin, ways.passed[0].wide.umax) == (4, 3)


def test_unions_have_both():
    rng = random.Random(SEED)
    for _ in range(1000):
        a, b = random_sample(rng), random_sample(rng)
        for merge in (unite, widen):
            joined = merge(a.numbers, b.numbers)
            for number in (*a.members, *b.members):
                assert joined.contains(number), f"{a}\n{b}\n{joined}\n{RERUN}"


def test_widening_comes_to_rest():
    counted, steps = constant(0), 0
    while not counted.covers(more := operate(Arithmetic.ADD, 64, counted, constant(4))):
        counted, steps = widen(counted, more), steps + 1
    assert steps < 5
    assert counted.bits.mask & 3 == 0


def test_contradictions_are_found():
    assert scalar(Tnum(0, 1), everything(64)._replace(umin=2)) is None
    assert scalar(wide=everything(64)._replace(umin=5, umax=4)) is None
    assert scalar(wide=everything(64)._replace(umax=4, smax=-1)) is None
    assert scalar(wide=between(0, 9).wide, low=everything(32)._replace(umin=10)) is None


def test_covering_is_about_members():
    rng = random.Random(SEED)
    found = 0
    for _ in range(3000):
        a, b = random_sample(rng), random_sample(rng)
        if a.numbers.covers(b.numbers):
            found += 1
            assert all(a.numbers.contains(number) for number in b.members), f"{a}\n{b}\n{RERUN}"
        number = random_number(rng)
        assert constant(number).contains(number)
    assert found > 100


def in_tnum(x, value, mask):
    return x & ~mask == value


@pytest.mark.parametrize("name", ["add", "subtract", "both", "either", "differing"])
def test_bits_proved(name, monkeypatch):
    """For every set of numbers of 64 bits: the result of two members is a member."""
    a_value, a_mask, b_value, b_mask, x, y = z3.BitVecs("av am bv bm x y", 64)
    monkeypatch.setattr(tnum, "_tnum", lambda value, unknown: Tnum(value & ~unknown, unknown))
    result = getattr(tnum, name)(Tnum(a_value, a_mask), Tnum(b_value, b_mask))
    happens = {
        "add": x + y, "subtract": x - y, "both": x & y, "either": x | y, "differing": x ^ y
    }[name]  # fmt: skip
    solver = z3.Solver()
    solver.set("timeout", 120_000)
    solver.add(a_value & a_mask == 0, b_value & b_mask == 0)
    solver.add(in_tnum(x, a_value, a_mask), in_tnum(y, b_value, b_mask))
    solver.add(z3.Not(in_tnum(happens, result.value, result.mask)))
    assert solver.check() == z3.unsat, solver


@pytest.mark.parametrize(
    ("op", "formula"),
    [
        (Arithmetic.ADD, lambda x, y: x + y),
        (Arithmetic.SUB, lambda x, y: x - y),
        (Arithmetic.AND, lambda x, y: x & y),
        (Arithmetic.OR, lambda x, y: x | y),
        (Arithmetic.LSH, lambda x, y: x << (y & 63)),
        (Arithmetic.RSH, lambda x, y: z3.LShR(x, y & 63)),
        (Arithmetic.ARSH, lambda x, y: x >> (y & 63)),
    ],
    ids=lambda each: getattr(each, "value", ""),
)
def test_results_proved_for_all_members(op, formula):
    """Of random sets, all members at once, not only those that the random test tries."""
    rng = random.Random(f"{SEED} {op}")
    x, y = z3.BitVecs("x y", 64)
    for _ in range(8):
        a, b = random_sample(rng).numbers, random_sample(rng).numbers
        solver = z3.Solver()
        solver.set("timeout", 2_000)
        solver.add(holds(x, a), holds(y, b))
        solver.add(z3.Not(holds(formula(x, y), operate(op, 64, a, b))))
        assert solver.check() != z3.sat, f"{op}: {solver.model()}\n{a}\n{b}\n{RERUN}"


def holds(x, numbers):
    wide, low = numbers.wide, numbers.low
    half = z3.Extract(31, 0, x)
    return z3.And(
        in_tnum(x, z3.BitVecVal(numbers.bits.value, 64), z3.BitVecVal(numbers.bits.mask, 64)),
        z3.ULE(wide.umin, x), z3.ULE(x, wide.umax), x >= wide.smin, x <= wide.smax,
        z3.ULE(low.umin, half), z3.ULE(half, low.umax), half >= low.smin, half <= low.smax,
    )  # fmt: skip


def test_extensions_keep_small_numbers():
    for op, width in ((Arithmetic.MOVSX8, 8), (Arithmetic.MOVSX16, 16), (Arithmetic.MOVSX32, 32)):
        result = operate(op, 64, UNKNOWN, between(0, 5))
        assert result.wide == Bounds(0, 5, 0, 5)
        full = operate(op, 64, UNKNOWN, UNKNOWN)
        assert full.wide.smin == -(1 << width - 1)
        assert full.wide.smax == signed((1 << width - 1) - 1, width)
