"""Programs read as graphs, and what is made of graphs: all of it decides packets alike."""

from __future__ import annotations

import random

import pytest

from pfcompile.cbpf.interpreter import run
from pfcompile.compiler import compile as compile_text
from pfcompile.decompile import questions
from pfcompile.decompile.accessors import Accessors
from pfcompile.decompile.meanings import meaning
from pfcompile.decompile.outline import outline
from pfcompile.decompile.phrases import Form, without_parentheses
from pfcompile.decompile.proving import clean_graph, end_alike
from pfcompile.decompile.reading import read_graph
from pfcompile.decompile.samples import Sample, Samples
from pfcompile.decompile.sets import gather_sets
from pfcompile.errors import ProgramError
from pfcompile.ir.values import load
from pfcompile.lower.context import Options
from pfcompile.names.resolvers import NoNames
from pfcompile.prove import Different, prove
from tests.cbpf.random_programs import mutated, random_program
from tests.decompile.asking import USUAL
from tests.generator.seed import SEED, rerun

HERE = rerun("tests/decompile/test_graphs.py")
PACKETS = 40
LENGTH = 4096


def trained(graph, rng):
    """Return samples that lead a graph down its branches."""
    samples = Samples()
    for _ in range(PACKETS):
        sample = Sample(bytearray(LENGTH), rng.choice((0, 60, 1500)))
        sample.lead(graph, rng)
        samples.packets.append(sample)
    return samples


def readable(rng):
    """Yield random programs and their graphs."""
    while True:
        program = random_program(rng)
        try:
            yield program, read_graph(program)
        except ProgramError:
            continue  # it looks for a netlink attribute


def test_a_graph_accepts_what_the_program_accepts():
    rng = random.Random(f"{SEED} reading")
    compared = 0
    for _, (program, graph) in zip(range(100), readable(rng), strict=False):
        samples = trained(graph, rng)
        accepted, lost = samples.of_graph(graph)
        for i, sample in enumerate(samples.packets):
            if lost >> i & 1:
                continue
            verdict = run(program, bytes(sample.data), sample.wire_length, sample.metadata)
            # What the graph does not look at may still run off the packet.
            if verdict or not accepted >> i & 1:
                assert bool(verdict) == bool(accepted >> i & 1), f"{program}\n{HERE}"
                compared += 1
    assert compared > 50


def test_sets_change_nothing():
    rng = random.Random(f"{SEED} sets")
    for text in USUAL[::4]:
        graph = read_graph(compile_text(text, netmask="255.255.255.0").instructions)
        samples = trained(graph, rng)
        assert samples.of_graph(graph) == samples.of_graph(gather_sets(graph)), f"{text}\n{HERE}"


def test_a_list_becomes_one_test():
    numbers = range(1, 4000, 7)
    text = f"ether[14:2] = {' or ether[14:2] = '.join(map(str, numbers))}"
    for optimize in (False, True):
        program = compile_text(text, optimize=optimize, max_instructions=None).instructions
        graph = gather_sets(read_graph(program))
        (test,) = questions.tests_of(graph)
        assert test.right.ranges == tuple((number, number) for number in numbers)


@pytest.mark.parametrize("link_type", [1, 105, 127, 117])
def test_what_a_piece_means(link_type):
    rng = random.Random(f"{SEED} meanings")
    options = Options(link_type, NoNames())
    for text in ("tcp port 80", "host 10.0.0.1 or ip6", "not udp", "src host 2001:db8::1"):
        graph = meaning(text, options)
        samples = trained(graph, rng)
        accepted, lost = samples.of_graph(graph)
        program = compile_text(text, link_type, optimize=False).instructions
        for i, sample in enumerate(samples.packets):
            if not lost >> i & 1:
                verdict = run(program, bytes(sample.data), sample.wire_length)
                assert bool(verdict) == bool(accepted >> i & 1), f"{text}\n{HERE}"


def test_what_is_walked_is_never_wrong():
    rng = random.Random(f"{SEED} walks")
    alike = 0
    texts = USUAL[::4]
    for text in texts:
        program = compile_text(text, netmask="255.255.255.0").instructions
        for other in (compile_text(text, 1, netmask="255.255.255.0", optimize=False).instructions,
                      mutated(rng, program)):  # fmt: skip
            try:
                same = end_alike(clean_graph(program), clean_graph(other))
            except ProgramError:
                continue
            if same:
                alike += 1
                # They may return other numbers.
                answer = prove(program, other, timeout_ms=20_000)
                if isinstance(answer, Different):
                    assert all(answer.verdicts), f"{text}\n{other}\n{HERE}"
    assert alike > len(texts) / 2


def test_an_outline_is_an_expression():
    writer = Accessors([("ether", [load(1, None, 0)])])
    for text in ("ip and not tcp", "ether[0] = 1 or (ether[2] = 3 and not ether[4] & 1 != 0)"):
        program = compile_text(text, snaplen=1).instructions
        written = outline(clean_graph(program), lambda test: next(writer.relations(test)))
        again = compile_text(written, snaplen=1).instructions
        assert not isinstance(prove(program, again), Different)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(a or b)", ("a or b", Form.OR)),
        ("(a and (b or c))", ("a and (b or c)", Form.AND)),
        ("(a) or (b)", ("(a) or (b)", Form.SINGLE)),
        ("(a & 1) + 2 = 3", ("(a & 1) + 2 = 3", Form.SINGLE)),
        ("host (a or b)", ("host (a or b)", Form.SINGLE)),
    ],
)
def test_parentheses(text, expected):
    assert without_parentheses(text) == expected
