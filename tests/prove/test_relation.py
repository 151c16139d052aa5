"""Relations of small programs, against all packets that they can tell apart, tried one by one."""

from __future__ import annotations

import random
from collections import Counter
from itertools import product

import pytest

from pfcompile.cbpf.asm import assemble
from pfcompile.cbpf.interpreter import prepare
from pfcompile.prove import Related, Relation, Undecided, relate
from pfcompile.prove.question import Question
from tests.generator.seed import SEED, rerun

CASES = 400
COMPARISONS = ("jeq", "jgt", "jge", "jset")


def small_program(rng):
    """Return a program of a few tests of the first byte, which returns 0 or one of two lengths."""
    tests = rng.randrange(1, 4)
    lines = ["ldb [0]"]
    for number in range(tests):
        after = f"t{number + 1}" if number + 1 < tests else "yes"
        ways = rng.choice(((after, "no"), ("yes", after), (after, "yes"), ("no", after)))
        lines.append(
            f"t{number}: {rng.choice(COMPARISONS)} #{rng.randrange(256)}, {ways[0]}, {ways[1]}"
        )
    returned = 64 if rng.random() < 0.9 else 96
    return assemble("\n".join([*lines, f"yes: ret #{returned}", "no: ret #0"]))


def relation_by_trying(a, b):
    """Return the relation of two programs that read one byte at most."""
    verdicts = [(a(bytes([value])), b(bytes([value]))) for value in range(256)]
    only_a = any(one and not other for one, other in verdicts)
    only_b = any(other and not one for one, other in verdicts)
    common = any(one and other for one, other in verdicts)
    if not only_a and not only_b:
        same = all(one == other for one, other in verdicts)
        return Relation.EQUAL if same else Relation.ALIKE
    if not only_a:
        return Relation.A_IMPLIES_B
    if not only_b:
        return Relation.B_IMPLIES_A
    return Relation.NEITHER if common else Relation.DISJOINT


def test_every_relation_is_what_trying_all_packets_says():
    rng = random.Random(f"{SEED} relations")
    seen = Counter()
    for _ in range(CASES):
        a = small_program(rng)
        b = a if rng.random() < 0.03 else small_program(rng)
        told = f"{a}\n{b}\n{rerun('tests/prove/test_relation.py')}"
        machines = prepare(a), prepare(b)
        answer = relate(a, b)
        assert isinstance(answer, Related), told
        assert answer.relation is relation_by_trying(*machines), f"{told}\n{answer}"
        seen[answer.relation] += 1
        takers = []
        for witness in answer.witnesses:
            ran = tuple(machine(witness.packet, witness.wire_length) for machine in machines)
            assert ran == witness.verdicts, told
            takers.append(tuple(map(bool, ran)))
        assert (
            takers
            == {
                Relation.EQUAL: [],
                Relation.ALIKE: [(True, True)],
                Relation.A_IMPLIES_B: [(False, True)],
                Relation.B_IMPLIES_A: [(True, False)],
                Relation.DISJOINT: [(True, False), (False, True)],
                Relation.NEITHER: [(True, False), (False, True)],
            }[answer.relation]
        ), told
        takes_nothing = not all(any(m(bytes([n])) for n in range(256)) for m in machines)
        one_sided = answer.relation in {Relation.A_IMPLIES_B, Relation.B_IMPLIES_A}
        assert answer.never is (one_sided and takes_nothing), told
    # Each of them must have come, or this test has shown nothing about it.
    assert set(seen) == set(Relation) - {Relation.DIFFERENT}, seen


ALL_VALUES = range(7)
"""One number of each kind that comparisons with 0, 1 and 2 tell apart, bit tests included."""


def reading_program(rng):
    """Return a program that tests the wire length and bytes 0 and 1, or not all of them."""
    lines, tests = [], rng.randrange(1, 4)
    for number in range(tests):
        after = f"t{number + 1}" if number + 1 < tests else "yes"
        ways = rng.choice(((after, "no"), ("yes", after), (after, "yes"), ("no", after)))
        load = rng.choice(("ldb [0]", "ldb [1]", "ld #pktlen"))
        compare = f"{rng.choice(COMPARISONS)} #{rng.randrange(3)}"
        lines.append(f"t{number}: {load}\n{compare}, {ways[0]}, {ways[1]}")
    returned = rng.choice((64, 64, 96))
    return assemble("\n".join([*lines, f"yes: ret #{returned}", "no: ret #0"]))


def test_what_is_said_of_packets_that_are_cut_off():
    """All captured packets of up to two bytes, and of all wire lengths that can matter, are tried.

    No program here reads or compares more, so every claim about all packets is decided by them.
    """
    rng = random.Random(f"{SEED} cut off")
    packets = [
        (bytes(content), wire)
        for captured in range(3)
        for content in product(ALL_VALUES, repeat=captured)
        for wire in ALL_VALUES[captured:]
    ]
    seen = Counter()
    for _ in range(CASES):
        a, b = reading_program(rng), reading_program(rng)
        answer = relate(a, b, real_lengths=True)
        told = f"{a}\n{b}\n{answer}\n{rerun('tests/prove/test_relation.py')}"
        machines = prepare(a), prepare(b)
        verdicts = [tuple(machine(*packet) for machine in machines) for packet in packets]
        exceptions = {
            Relation.EQUAL: lambda one, other: one != other,
            Relation.ALIKE: lambda one, other: bool(one) != bool(other),
            Relation.A_IMPLIES_B: lambda one, other: one and not other,
            Relation.B_IMPLIES_A: lambda one, other: other and not one,
        }.get(answer.relation)
        excepted = exceptions is not None and any(exceptions(*pair) for pair in verdicts)
        assert answer.uncut is excepted, told
        implying = {Relation.A_IMPLIES_B: 0, Relation.B_IMPLIES_A: 1}.get(answer.relation)
        takes_nothing = implying is not None and not any(pair[implying] for pair in verdicts)
        assert answer.never is takes_nothing, told
        seen[answer.relation, answer.uncut, answer.never] += 1
    for relation in (Relation.EQUAL, Relation.A_IMPLIES_B, Relation.B_IMPLIES_A):
        assert seen[relation, True, False], seen
        assert seen[relation, False, False], seen


IS_1 = assemble("ldb [0]\njeq #1, yes, no\nyes: ret #1\nno: ret #0")
IS_2 = assemble("ldb [0]\njeq #2, yes, no\nyes: ret #1\nno: ret #0")


@pytest.mark.parametrize("found_before_time_is_up", [0, 1, 2])
def test_a_gap_is_never_filled_with_a_guess(monkeypatch, found_before_time_is_up):
    """However far the solver comes, what it has not said is not said by `relate` either."""
    find = Question.find
    asked = []

    def tired(question, wanted):
        asked.append(wanted)
        if len(asked) > found_before_time_is_up:
            return Undecided("enough")
        return find(question, wanted)

    monkeypatch.setattr(Question, "find", tired)
    answer = relate(IS_1, IS_2)
    if found_before_time_is_up == 0:
        assert answer == Undecided("enough")
        return
    assert isinstance(answer, Related)
    assert answer.relation is Relation.DIFFERENT
    assert answer.gap == "enough"
    assert answer.witnesses


def test_too_little_time():
    # x ^ y is x + y - 2 * (x & y), which takes the solver minutes to see behind a product.
    first = "ld [4]; tax; ld [0]; xor x; tax; ld [8]; mul x; ret a"
    second = (
        "ld [4]; tax; ld [0]; and x; mul #2; st M[0]; ld [0]; add x; ldx M[0]; sub x; tax; "
        "ld [8]; mul x; ret a"
    )
    hard = (assemble(each.replace("; ", "\n")) for each in (first, second))
    assert isinstance(relate(*hard, timeout_ms=300), Undecided)


def test_the_wire_length_covers_what_was_captured():
    short = assemble("ldb [99]\nld #pktlen\njgt #99, yes, no\nyes: ret #1\nno: ret #0")
    always = assemble("ldb [99]\nret #1")
    free = relate(short, always)
    assert isinstance(free, Related)
    assert free.relation is Relation.A_IMPLIES_B
    assert relate(short, always, real_lengths=True) == Related(Relation.EQUAL)
