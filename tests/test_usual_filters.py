"""The filters that people type: right, valid for the kernel, and never longer than libpcap's."""

from __future__ import annotations

import random
from pathlib import Path
from statistics import geometric_mean

import pytest

from pfcompile.cbpf.check import check
from pfcompile.cbpf.interpreter import run
from pfcompile.cbpf.listing import tcpdump
from pfcompile.compiler import compile as compile_text
from pfcompile.prove import Equal, prove
from tests.generator.packets import packets_for
from tests.generator.seed import SEED, rerun

ETHERNET = 1
NETMASK = 0xFFFFFF00
SNAPLEN = 262144
PACKETS = 50

LINES = (Path(__file__).parent / "filters" / "usual.txt").read_text(encoding="utf-8").splitlines()
FILTERS = [line for line in LINES if line and not line.startswith("#")]


def ours(text, *, optimize):
    return compile_text(text, ETHERNET, SNAPLEN, NETMASK, optimize).instructions


def theirs(libpcap, text, *, optimize):
    return libpcap.compile(text, ETHERNET, snaplen=SNAPLEN, optimize=optimize, netmask=NETMASK)


def story(text, *programs):
    listings = "--\n".join(map(tcpdump, programs))
    return f"{text}\n{listings}{rerun('tests/test_usual_filters.py')}"


def test_there_are_enough():
    assert len(FILTERS) >= 150
    assert len(set(FILTERS)) == len(FILTERS)


@pytest.mark.parametrize("optimize", [False, True])
def test_the_same_as_libpcap_for_every_packet(libpcap, optimize):
    for text in FILTERS:
        expected = theirs(libpcap, text, optimize=False)
        program = ours(text, optimize=optimize)
        assert prove(program, expected) == Equal(), story(text, program, expected)


def test_never_longer_than_libpcap(libpcap):
    ratios, longer = [], []
    for text in FILTERS:
        program, expected = ours(text, optimize=True), theirs(libpcap, text, optimize=True)
        ratios.append(len(program) / len(expected))
        if len(program) > len(expected):
            longer.append(f"{len(program)} > {len(expected)}: {text}")
    shorter = sum(ratio < 1 for ratio in ratios)
    print(f"{len(FILTERS)} filters, {shorter} shorter, mean ratio {geometric_mean(ratios):.3f}")
    assert not longer, "\n".join(longer)


def test_kernels_take_them():
    for text in FILTERS:
        for optimize in (False, True):
            check(ours(text, optimize=optimize))


def test_packets_get_the_same_verdict_everywhere(libpcap):
    rng = random.Random(f"{SEED} usual")
    matched = 0
    for text in FILTERS:
        program = ours(text, optimize=True)
        packets = list(packets_for(program, rng, PACKETS))
        expected = [libpcap.filter(program, one.data, one.wire_length) for one in packets]
        for packet, verdict in zip(packets, expected, strict=True):
            found = run(program, packet.data, packet.wire_length)
            assert found == verdict, f"{packet}\n{story(text, program)}"
        matched += any(expected)
    # The packets are made for the filters, so nearly all of them are met by one at least.
    assert matched >= 0.95 * len(FILTERS)
