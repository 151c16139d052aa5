"""`compile(..., verify=True)`: what the optimiser made is proved, and a wrong pass is found out."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from pfcompile import prove as prover
from pfcompile.cbpf.interpreter import run
from pfcompile.cbpf.reading import parse_program
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import FilterError, InternalError, ProgramError
from pfcompile.ir.graph import Accept, Branch, Graph, Reject, rebuild
from pfcompile.passes import pipeline
from pfcompile.prove import Undecided
from tests.generator.packets import packets_for
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/test_verify.py")
USUAL = [
    line
    for line in (Path(__file__).parent / "filters" / "usual.txt")
    .read_text(encoding="utf-8")
    .splitlines()
    if line and not line.startswith("#")
]
NETMASK = "255.255.255.0"


def test_usual_filters_are_verified():
    for text in random.Random(f"{SEED} verified").sample(USUAL, 60):
        told = f"{text!r}\n{RERUN}"
        verified = compile_text(text, netmask=NETMASK, verify=True)
        assert verified == compile_text(text, netmask=NETMASK), told


def turned(number):
    """Return a pass that turns the arms of one branch round, which is wrong."""

    def turn_one(graph):
        branches = [label for label in graph.labels if isinstance(graph[label], Branch)]
        if not branches:
            return graph
        wrong = branches[number % len(branches)]
        left = [label for label in graph.labels if isinstance(graph[label], Branch)]

        def rewrite(builder, block):
            if not isinstance(block, Branch):
                return builder.add(block)
            if left.pop() == wrong:
                return builder.add(Branch(block.test, block.no, block.yes, block.origins))
            return builder.add(block)

        return rebuild(graph, rewrite)

    return turn_one


def reported(error):
    """Return the packet, wire length and the two programs and verdicts of a message."""
    text = str(error)
    packet = re.search(r"^packet: ([0-9a-f]*)", text, re.MULTILINE)
    lengths = re.search(r"^captured (\d+) bytes of (\d+)", text, re.MULTILINE)
    parts = re.findall(r"^(?:un)?optimised, returns (\d+):\n((?:\(.*\n?)+)", text, re.MULTILINE)
    data = bytes.fromhex(packet[1])
    assert len(data) == int(lengths[1])
    return data, int(lengths[2]), [(int(said), parse_program(part)) for said, part in parts]


def test_wrong_passes_are_found_out(monkeypatch):
    rng = random.Random(f"{SEED} wrong passes")
    plain = pipeline.PIPELINE
    caught = 0
    for text in rng.sample(USUAL, 40):
        told = f"{text!r}\n{RERUN}"
        meant = compile_text(text, netmask=NETMASK, optimize=False)
        monkeypatch.setattr(pipeline, "PIPELINE", (*plain, turned(rng.randrange(100))))
        try:
            made = compile_text(text, netmask=NETMASK, verify=True)
        except InternalError as error:
            caught += 1
            packet, wire_length, programs = reported(error)
            (returned, optimised), (expected, unoptimised) = programs
            assert unoptimised == meant.instructions, told
            assert run(optimised, packet, wire_length) == returned, told
            assert run(unoptimised, packet, wire_length) == expected, told
            assert returned != expected, told
        except FilterError as error:
            # The turned branch was the only way in; that claim has been proved as well.
            pytest.fail(f"{told}\n{error}")
        else:
            for packet in packets_for(meant.instructions, rng, 300):
                data = packet.data + bytes(3000)
                assert made.match(data) == meant.match(data), told
    assert caught >= 30


def everything_is(end):
    """Return a pass that takes every packet, or none."""
    return lambda _graph: Graph([end])


@pytest.mark.parametrize("end", [Accept(), Reject()])
def test_a_wrong_claim_about_all_packets(monkeypatch, end):
    monkeypatch.setattr(pipeline, "PIPELINE", (*pipeline.PIPELINE, everything_is(end)))
    with pytest.raises(InternalError, match="please report") as caught:
        compile_text("tcp port 80", verify=True)
    packet, wire_length, programs = reported(caught.value)
    for returned, program in programs:
        assert run(program, packet, wire_length) == returned


def test_what_no_packet_matches_is_proved_to_be_so():
    with pytest.raises(FilterError, match="rejects all packets"):
        compile_text("ip and ip6", verify=True)


def test_nothing_to_prove(monkeypatch):
    monkeypatch.setattr(prover, "verify", lambda *_, **__: pytest.fail("asked"))
    compile_text("", verify=True)
    compile_text("ip")
    with pytest.raises(ValueError, match="nothing to verify"):
        compile_text("ip", optimize=False, verify=True)


def test_undecided_is_an_error(monkeypatch):
    monkeypatch.setattr(
        "pfcompile.prove.verification.prove", lambda *_, **__: Undecided("the time ran out")
    )
    with pytest.raises(ProgramError, match=r"undecided .* the time ran out"):
        compile_text("ip", verify=True)
    with pytest.raises(ProgramError, match="undecided"):
        compile_text("ip and ip6", verify=True)


def test_the_time_allowed_reaches_the_solver(monkeypatch):
    allowed = []
    monkeypatch.setattr(prover, "verify", lambda *_, timeout_ms: allowed.append(timeout_ms))
    compile_text("ip", verify=True, verify_seconds=0.5)
    compile_text("ip", verify=True)
    assert allowed == [500, 30_000]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e7])
def test_times_out_of_range(seconds):
    with pytest.raises(ValueError, match="seconds for a proof"):
        compile_text("ip", verify=True, verify_seconds=seconds)


@pytest.mark.long
def test_what_would_be_too_long_without_optimising():
    text = "udp port " + " or ".join(str(3 * number) for number in range(850))
    with pytest.raises(FilterError, match="too long"):
        compile_text(text, optimize=False)
    assert compile_text(text, verify=True, verify_seconds=300) == compile_text(text)


def test_an_observer_sees_every_stage():
    stages = []
    program = compile_text("tcp port 80", verify=True, observer=stages.append)
    names = [stage.name for stage in stages]
    # A pass may be left out where it has nothing to do, but each has its turn here.
    assert list(dict.fromkeys(names)) == [
        "parse",
        "lower",
        *pipeline.PASS_NAMES,
        "generate",
        "verify",
    ]
    assert all(stage.seconds >= 0 for stage in stages)
    assert all(isinstance(stage.product, Graph) for stage in stages[1:-2])
    assert stages[-2].product == program.instructions
