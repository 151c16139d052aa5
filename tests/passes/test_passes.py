"""Every pass on random graphs: the graph stays sound, and z3 says that it means the same."""

from __future__ import annotations

import random
import time

import pytest

from pfcompile.cbpf.check import check as check_program
from pfcompile.cbpf.generate import generate
from pfcompile.ir.check import check
from pfcompile.ir.text import print_graph
from pfcompile.prove import Equal, Undecided, prove
from tests.generator.seed import SEED, rerun
from tests.ir.random_graphs import PastTheEnd, RandomGraphs, accepts, random_packet
from tests.passes.catalogue import PASSES, apply

GRAPHS = 500
SNAPLEN = 1


def story(name, before, after):
    """Return what to print when a pass has failed."""
    texts = f"before {name}:\n{print_graph(before)}after:\n{print_graph(after)}"
    return f"{texts}{rerun('tests/passes/test_passes.py')}"


@pytest.mark.parametrize("name", PASSES)
def test_random_graphs_stay_the_same(name):
    maker = RandomGraphs(random.Random(f"{SEED} {name}"))
    undecided = changed = 0
    start = time.process_time()
    for _ in range(GRAPHS):
        before = maker.graph()
        after = apply(name, before)
        told = story(name, before, after)
        check(after)
        program = generate(after, SNAPLEN)
        check_program(program)
        answer = prove(generate(before, SNAPLEN), program, timeout_ms=1000)
        if isinstance(answer, Undecided):
            undecided += 1
            _same_on_packets(maker.rng, before, after, told)
        else:
            assert answer == Equal(), f"{answer}\n{told}"
        changed += after.blocks != before.blocks
    seconds = time.process_time() - start
    print(f"{name}: {GRAPHS} graphs, {changed} changed, {undecided} undecided, {seconds:.1f} s")
    assert undecided <= GRAPHS // 20
    assert changed >= GRAPHS // 50, "the pass has hardly anything to do: the test shows nothing"


def _same_on_packets(rng, before, after, told):
    for _ in range(200):
        packet, length = random_packet(rng), rng.choice((0, 1, 64, 600, 1500))
        try:
            verdicts = accepts(before, packet, length), accepts(after, packet, length)
        except PastTheEnd:
            continue
        assert verdicts[0] == verdicts[1], told


def test_the_generator_means_what_the_graph_says(libpcap):
    """Run graphs and the unoptimised programs made from them: the proofs above rest on that."""
    maker = RandomGraphs(random.Random(f"{SEED} generate"))
    runs = 0
    for _ in range(200):
        graph = maker.graph()
        program = generate(graph, SNAPLEN)
        check_program(program)
        for _ in range(20):
            packet, length = random_packet(maker.rng), maker.rng.choice((0, 1, 64, 600, 1500))
            try:
                expected = accepts(graph, packet, length)
            except PastTheEnd:
                continue
            told = f"{print_graph(graph)}{rerun('tests/passes/test_passes.py')}"
            assert libpcap.filter(program, packet, length) == expected, told
            runs += 1
    assert runs >= 2000


def test_passes_are_stable():
    """A second run of the whole pipeline finds next to nothing: it only ever shrinks graphs."""
    maker = RandomGraphs(random.Random(f"{SEED} stable"))
    for _ in range(GRAPHS):
        once = apply("optimise", maker.graph())
        twice = apply("optimise", once)
        assert len(twice) <= len(once), story("optimise", once, twice)
