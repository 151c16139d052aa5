"""Arithmetic whose values recur while registers are short: what A, X and scratch words hold.

The generator of expressions seldom uses a computed value twice; here all come from a small pool, so
that values are found in registers, displaced from them and needed again. libpcap is the reference,
since our optimised and unoptimised programs are written by the same code.
"""

from __future__ import annotations

import random

import pytest

from pfcompile import FilterError
from pfcompile import compile as compile_text
from pfcompile.prove import Equal, Undecided, prove
from tests.generator.seed import SEED, rerun
from tests.oracles.libpcap import Libpcap, Refused

EXPRESSIONS = (150, pytest.param(400, marks=pytest.mark.long))


def alike(one: str, other: str) -> str:
    """Return two parts that differ in one place, which the optimiser may want to merge."""
    first = f"ether[6]=0 and (ether[8]=1 or ether[{one}]>5)"
    second = f"ether[6]=1 and (ether[8]=1 or ether[{other}]>5)"
    return f"({first}) or ({second})"


FOUND_BY_REVIEW = (
    "ether[ether[1]] = 5 and ether[ether[2]] > ether[1]",
    "(ether[ether[1]] - ether[2]) = (ether[1] * ether[2])",
    "udp[udp[4]] = 1 and udp[udp[5]] > udp[4]",
    "ether[ether[1]] > ether[ether[2]] and ether[ether[2]] > ether[ether[3]] * ether[ether[4]]",
    "ether[0] / ether[1] >= 0",
    "ether[0] / ether[1] < 0",
    "0 > ether[0] / ether[1]",
    "not ether[0] / ether[1] >= 0 or ether[2] = 1",
    alike("ether[1]/ether[2]", "ether[1]/ether[3]"),
)

VERDICTS_ON_WHOLE_PACKETS = (
    ("not (ether[59]=1 and ether[60]=2)", bytes(60)),
    ("ether[(0 - ether[0])+1]=1 and ether[(0 - ether[0])+3]=7", bytes.fromhex("0100070000")),
    (
        alike("ether[200]", "ether[201]"),
        bytes(8) + b"\1" + bytes(51),
    ),
)


class Pool:
    """Random relations between few values."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def value(self, depth: int) -> str:
        choice = self.rng.randrange(6)
        if depth == 0 or choice == 0:
            return self.rng.choice(["ether[1]", "ether[2]", "len", "3"])
        if choice < 3:
            return f"ether[{self.value(depth - 1)}]"
        operator = self.rng.choice(["+", "-", "*", "&", "|", "/", "<<"])
        return f"({self.value(depth - 1)} {operator} {self.value(depth - 1)})"

    def expression(self) -> str:
        values = [self.value(2) for _ in range(3)]
        relations = []
        for _ in range(self.rng.randrange(1, 4)):
            left, right = self.rng.choice(values), self.rng.choice(values)
            relations.append(f"{left} {self.rng.choice(['=', '>', '!=', '<='])} {right}")
        junction = self.rng.choice([" and ", " or "])
        return junction.join(relations)


def _kind_of(refusal: FilterError) -> str:
    expected = ("rejects all", "by zero", "31 bits")
    return "refused when optimised" if any(e in refusal.message for e in expected) else "bad"


def assert_means_the_same(libpcap: Libpcap, text: str) -> str:
    try:
        theirs = libpcap.compile(text, 1, optimize=False)
    except Refused:
        return "refused"
    for optimize in (False, True):
        try:
            ours = compile_text(text, optimize=optimize).instructions
        except FilterError as refusal:
            return _kind_of(refusal)
        answer = prove(ours, theirs, timeout_ms=2000)
        if isinstance(answer, Undecided):
            return "undecided"
        assert answer == Equal(), f"{text}\n{answer}\n{rerun(__file__)}"
    return "proved"


@pytest.mark.parametrize("expressions", EXPRESSIONS)
def test_values_that_recur(expressions: int) -> None:
    pool = Pool(random.Random(f"{SEED} pool"))
    with Libpcap() as libpcap:
        outcomes = [assert_means_the_same(libpcap, pool.expression()) for _ in range(expressions)]
    proved = outcomes.count("proved")
    assert "bad" not in outcomes
    assert proved > expressions // 2, {name: outcomes.count(name) for name in set(outcomes)}


@pytest.mark.parametrize("text", FOUND_BY_REVIEW)
def test_what_reviews_have_found(text: str) -> None:
    with Libpcap() as libpcap:
        assert assert_means_the_same(libpcap, text) == "proved"


@pytest.mark.parametrize(("text", "packet"), VERDICTS_ON_WHOLE_PACKETS)
def test_optimising_reads_no_further(text: str, packet: bytes) -> None:
    plain, optimised = compile_text(text, optimize=False), compile_text(text)
    assert plain.match(packet) == optimised.match(packet)
