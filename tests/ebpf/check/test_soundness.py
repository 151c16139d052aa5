"""What the check says, against the machine: on every step of random programs on random packets.

`check` accepts only what never faults and ends; `analyse` proves only accesses that never fault;
and every number in every register and on every stack is one that the check expected there.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from pfcompile.ebpf.asm import disassemble
from pfcompile.ebpf.check import NO_DATA, RAW_PACKET, XDP, CheckRefusal, analyse, check
from pfcompile.ebpf.check.subjects import TC, Subject
from pfcompile.ebpf.isa import ROWS, Callee, Kind, Wide
from pfcompile.ebpf.machine.code import Environment
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.starts import NoData, RawPacket, Skb, Xdp
from pfcompile.ebpf.maps.kinds import create
from pfcompile.errors import ProgramError
from tests.ebpf.check.plausible import GUARDED, MAPS, MORE_MISTAKES, Numbers, plausible_program
from tests.ebpf.check.stepping import EscapedError, Observed, run_observed
from tests.ebpf.random_instructions import random_program
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/ebpf/check/test_soundness.py")
BUDGET = 2000
SPECS = dict(zip(Numbers(), MAPS, strict=True))
XDP_WITH_MAPS = replace(XDP, maps=SPECS)


def environment():
    maps = {number: create(spec) for number, spec in SPECS.items()}
    return Environment(HELPERS, maps=maps, random=random.Random(SEED), clock=lambda: 12345)


LENGTHS = (0, 1, *GUARDED, 60, 300)


def packets(rng, count):
    """Yield random packets, the first ones just as long as guards ask for."""
    for number in range(count):
        length = GUARDED[-number - 1] if number < len(GUARDED) else rng.choice(LENGTHS)
        yield bytearray(rng.randbytes(length))


def said(program, what):
    return f"{what}\n{disassemble(program)}{RERUN}"


def hold_to(program, subject: Subject, starts, budget=BUDGET):
    """Check and analyse a program, run it, and return what the check said of it."""
    observed = Observed()
    try:
        checked = check(program, subject, observe=observed, budget=budget)
        verdict = "accepted"
    except CheckRefusal as refusal:
        verdict = refusal.reason
        observed = Observed()
        checked = analyse(program, subject, observe=observed, budget=budget)
        assert checked.unproved or not checked.terminates or "stack" in verdict or (
            "nothing reaches" in verdict
        ), said(program, f"refused and all proved: {verdict}")  # fmt: skip
    if not checked.steps:
        return verdict
    for start in starts:
        try:
            stopped = run_observed(program, environment(), start, observed, BUDGET)
        except EscapedError as escaped:
            raise AssertionError(said(program, f"{verdict}: {escaped}")) from None
        if stopped is None:
            continue
        assert verdict != "accepted", said(program, stopped)
        assert stopped.slot not in checked.proved, said(program, stopped)
        assert stopped.slot >= 0 or not checked.terminates, said(program, stopped)
    return verdict


def test_plausible_programs():
    rng = random.Random(SEED)
    verdicts = Counter()
    for _ in range(260):
        program = plausible_program(rng, mistakes=MORE_MISTAKES)
        starts = [Xdp(packet) for packet in packets(rng, 6)]
        verdicts[hold_to(program, XDP_WITH_MAPS, starts)] += 1
    assert verdicts["accepted"] > 40, verdicts
    assert len(verdicts) > 10, verdicts


def test_plausible_programs_with_joined_states():
    """The same with hardly any budget, so that states that meet are joined and widened."""
    rng = random.Random(f"{SEED} joined")
    verdicts = Counter()
    for _ in range(120):
        program = plausible_program(rng, mistakes=MORE_MISTAKES)
        starts = [Xdp(packet) for packet in packets(rng, 3)]
        verdicts[hold_to(program, XDP_WITH_MAPS, starts, budget=10)] += 1
    assert verdicts["accepted"] > 20, verdicts


SIMPLE = tuple(
    row
    for row in ROWS
    if row.kind not in {Kind.WIDE, Kind.MAY_GOTO, Kind.CALL}
    or row.operation in {Wide.VALUE, Callee.LOCAL}
)


@pytest.mark.parametrize("subject", [NO_DATA, RAW_PACKET, XDP, TC], ids=lambda each: each.name)
def test_random_programs(subject):
    """Any instructions in any order: hardly ever safe, so that it is `analyse` that is tried."""
    rng = random.Random(f"{SEED} {subject.name}")
    start = {"xdp": Xdp, "tc": Skb, "program on a packet": RawPacket}.get(subject.name)
    valid = 0
    while valid < 120:
        program = random_program(rng, rng.randrange(2, 14), SIMPLE)
        program = (
            *program,
            *random_program(rng, 1, [row for row in ROWS if row.kind is Kind.EXIT]),
        )
        starts = [start(packet) for packet in packets(rng, 2)] if start else [NoData()]
        try:
            hold_to(program, subject, starts)
        except ProgramError:
            continue
        valid += 1
