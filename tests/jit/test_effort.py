"""Long programs: LLVM gets work in proportion to them, and does not change what they mean."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.isa import Instruction
from pfcompile.ebpf.machine.code import Environment, Limits
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.starts import NoData
from pfcompile.ebpf.maps.kinds import create
from pfcompile.ebpf.maps.vocabulary import MapSpec, MapType
from pfcompile.jit import code
from pfcompile.jit.code import prepare
from pfcompile.jit.effort import CALLING, EFFORTS, FULL, LEAST
from pfcompile.jit.native import native, native_assembly
from tests.jit.pairs import World, check
from tests.jit.random_programs import ARITHMETIC, CALLS, EXITS, JUMPS, MEMORY, WIDES
from tests.jit.random_runs import run_random

RANDOM_PROGRAMS = 100
EXIT = (Instruction(0xB7, 0), Instruction(0x95))


def stores(count):
    """Return a program with `count` stores all over its stack frame, which adds up some of it."""
    fills = [Instruction(0x7A, 10, offset=-8 * (1 + i % 64), imm=i) for i in range(count)]
    return (*fills, *assemble("r0 = *(u64 *)(r10 - 8)\nr1 = *(u64 *)(r10 - 512)\nr0 += r1\nexit"))


def source(program):
    return prepare(program, Environment(HELPERS), frozenset(), 1_000_000)


@pytest.mark.parametrize(
    ("count", "effort"), [(100, FULL), (500, CALLING), (1000, LEAST), (5000, LEAST)]
)
def test_many_stores(count, effort):
    program = stores(count)
    assert source(program).effort is effort
    came = check(program, lambda: World(NoData()), f"{count} stores")
    first, last = (max(i for i in range(count) if i % 64 == place) for place in (0, 63))
    assert came[:3] == ("ended", first + last, count + 4)


def test_many_instructions_of_other_kinds():
    add, test = Instruction(0x0F, 0, 1), Instruction(0x55, 0, offset=0, imm=7)
    for one in (add, test):
        assert source((one,) * 2046 + EXIT).effort is FULL
        assert source((one,) * 2047 + EXIT).effort is LEAST


def test_every_kind_of_access_counts():
    loads, stored = (0x79, 0x81), (0x7A, 0x7B, 0xDB)
    for kind in (*loads, *stored):
        dst, src = (0, 10) if kind in loads else (10, 0)
        one = Instruction(kind, dst, 0 if kind == 0x7A else src, offset=-8)
        assert source((one,) * 129 + EXIT).effort is CALLING, hex(kind)


@pytest.mark.parametrize("limits", EFFORTS[:-1])
def test_limits_are_the_last_that_get_it(limits):
    for more, wanted in ((0, limits), (1, EFFORTS[EFFORTS.index(limits) + 1])):
        stored = tuple(Instruction(0x7A, 10, offset=-8) for _ in range(limits.accesses + more))
        assert source((*stored, *EXIT)).effort is wanted


def test_what_llvm_is_given_grows_as_the_program_does():
    lengths = [len(source(stores(count)).text(1)) for count in (0, 500, 1000, 2000)]
    first, second, third = (b - a for a, b in pairwise(lengths))
    assert second == pytest.approx(first, rel=0.05)
    assert third == pytest.approx(2 * first, rel=0.05)


def test_machine_code_grows_as_the_program_does():
    """At the least effort, nothing is written out at every access."""
    counts = (1100, 2100, 3100)
    lengths = [native_assembly(stores(count)).count("\n") for count in counts]
    assert lengths[2] - lengths[1] == pytest.approx(lengths[1] - lengths[0], rel=0.05)
    assert (lengths[1] - lengths[0]) / 1000 < 40


@pytest.fixture(params=[CALLING, LEAST], ids=["calling", "least"])
def effort(request, monkeypatch):
    monkeypatch.setattr(code, "effort_for", lambda _sites: request.param)
    return request.param


def test_random_programs_at_any(effort):
    """Every way of writing code must mean the same: the usual effort has tests of its own."""
    rows = [*MEMORY, *MEMORY, *ARITHMETIC, *JUMPS, *CALLS, *CALLS, *EXITS, *WIDES]
    assert source(EXIT).effort is effort
    ways = run_random("tests/jit/test_effort.py", rows, RANDOM_PROGRAMS)
    assert set(ways) == {"ended", "RunError", "BudgetError"}


def test_tail_calls_do_not_grow_the_stack_at_any(effort):
    array = create(MapSpec(MapType.PROG_ARRAY, 4, 4, 1))
    program = (
        Instruction(0x18, 2, 1, imm=1), Instruction(0), *assemble("r3 = 0\ncall 12\nr0 = 9\nexit"),
    )  # fmt: skip
    limits = Limits(10**7, 300_000)
    compiled = native(program, Environment(HELPERS, maps={1: array}), limits)
    assert source(EXIT).effort is effort
    array.put(0, compiled)
    assert compiled.run() == 9
