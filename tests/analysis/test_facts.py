"""What the facts say is so for every packet that passed the tests they were learnt from."""

from __future__ import annotations

import random

import pytest

from pfcompile.analysis.facts import Facts
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Test as GraphTest
from pfcompile.ir.text import print_test, print_value
from pfcompile.ir.values import const, load, variable
from tests.generator.seed import SEED, rerun
from tests.ir.random_graphs import (
    VARIABLES,
    PastTheEnd,
    RandomGraphs,
    evaluate,
    outcome,
    random_packet,
)

ROUNDS = 1500


class Way:
    """The facts along a random way through tests and assignments, and a packet that takes it."""

    def __init__(self, maker, packet, length):
        self.maker, self.packet, self.length = maker, packet, length
        self.variables = {variable(n): maker.rng.randrange(64) for n in range(VARIABLES)}
        self.facts = Facts()
        self.log = []

    def value(self, value):
        return evaluate(value, self.packet, self.length, self.variables)

    def outcome(self, test):
        return outcome(test, self.packet, self.length, self.variables)

    def true_test(self):
        """Return a random test; most compare with what the packet has or nearly has."""
        test = self.maker.test()
        if test.op is not Comparison.IN and self.maker.rng.random() < 0.6:
            near = self.value(test.left) + self.maker.rng.choice((0, 0, 0, 1, -1))
            test = GraphTest(test.op, test.left, const(near))
        return test

    def step(self):
        if self.maker.rng.random() < 0.15:
            chosen, value = variable(self.maker.rng.randrange(VARIABLES)), self.maker.offset()
            number = self.value(value)
            self.facts = self.facts.set_to(chosen, value)
            self.variables[chosen] = number
            self.log.append(f"let v{chosen.number} = {print_value(value)}")
            return
        test = self.true_test()
        holds = self.outcome(test)
        decided = self.facts.decide(test)
        assert decided in {None, holds}, self.story(f"{print_test(test)} is {holds}")
        self.facts = self.facts.assume(test, holds)
        self.log.append(f"{print_test(test)}: {holds}")
        assert self.facts.decide(test) in {None, holds}, self.story("the test just assumed")

    def look(self, facts):
        """Ask `facts`, which hold here, about random values and tests; return how many knew."""
        known = 0
        for _ in range(6):
            value = self.maker.value()
            found, number = facts.of(value), self.value(value)
            told = f"{print_value(value)} is {number}, not {found}"
            assert found.allows(number), self.story(told)
            assert found.narrowed().allows(number), self.story(f"narrowed: {told}")
            test = self.true_test()
            decided = facts.decide(test)
            holds = self.outcome(test)
            assert decided in {None, holds}, self.story(f"{print_test(test)} is {holds}")
            known += decided is not None
        return known

    def story(self, claim):
        return "\n".join([*self.log, claim, rerun("tests/analysis/test_facts.py")])


def ways(seed):
    maker = RandomGraphs(random.Random(f"{SEED} {seed}"))
    for _ in range(ROUNDS):
        yield Way(
            maker, random_packet(maker.rng), maker.rng.choice((0, 1, 64, 600, 1500, 2**32 - 1))
        )


def walked(way, steps):
    for _ in range(steps):
        try:
            way.step()
        except PastTheEnd:
            continue
    return way


def asked(way, facts):
    try:
        return way.look(facts)
    except PastTheEnd:
        return 0


def test_facts_are_so_on_the_way():
    known = sum(asked(walked(way, 6), way.facts) for way in ways("facts"))
    print(f"{known} tests decided")
    assert known >= ROUNDS // 2


def test_facts_that_met_are_so_on_both_ways():
    known = 0
    for way in ways("met"):
        walked(way, 4)
        other = Way(way.maker, random_packet(way.maker.rng), way.length)
        # The same tests, with the outcomes of another packet.
        walked(other, 4)
        met = way.facts.met(other.facts)
        known += asked(way, met) + asked(other, met)
    print(f"{known} tests decided")


def test_forgetting_leaves_what_does_not_depend_on_it():
    for way in ways("forget"):
        walked(way, 5)
        chosen = variable(way.maker.rng.randrange(VARIABLES))
        way.facts = way.facts.forget(chosen)
        way.variables[chosen] = way.maker.rng.randrange(64)
        way.log.append(f"v{chosen.number} forgotten")
        asked(way, way.facts)


HALF, LOW_BYTE = load(2, None, 12), load(1, None, 13)


def is_(value, number, op=Comparison.EQ):
    return GraphTest(op, value, const(number))


@pytest.mark.parametrize(
    ("assumed", "holds", "asked_for", "decided"),
    [
        (is_(HALF, 0x800), True, is_(HALF, 0x806), False),
        (is_(HALF, 0x800), True, is_(LOW_BYTE, 0), True),
        (is_(HALF, 0x800), True, is_(LOW_BYTE, 1, Comparison.SET), False),
        (is_(HALF, 0x800), False, is_(HALF, 0x800), False),
        (is_(HALF, 80, Comparison.GT), False, is_(HALF, 81), False),
        (is_(HALF, 80, Comparison.GE), True, is_(HALF, 79, Comparison.GT), True),
        (is_(HALF, 0x1FFF, Comparison.SET), False, is_(HALF, 0x100, Comparison.SET), False),
        (is_(LOW_BYTE, 255, Comparison.GT), False, is_(LOW_BYTE, 7), None),
        (is_(load(1, variable(0), 0), 6), True, is_(load(1, variable(0), 0), 17), False),
        (is_(load(1, variable(0), 0), 6), True, is_(load(1, variable(1), 0), 17), None),
    ],
)
def test_what_a_test_tells(assumed, holds, asked_for, decided):
    assert Facts().assume(assumed, holds).decide(asked_for) is decided
