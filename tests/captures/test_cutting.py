"""Guesses of where records start: wrong ones cost time, so usual captures must give none."""

from __future__ import annotations

import random
from itertools import accumulate

import pytest

from pfcompile.captures.blocks.cutting import find_start
from pfcompile.captures.blocks.scans import Structure
from pfcompile.captures.formats.pcapng import SectionState
from tests.captures.capture_building import MICROSECONDS, NANOSECONDS, enhanced, parse, pcap
from tests.captures.capture_building import interface as interface_block
from tests.captures.capture_building import section as section_block
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/captures/test_cutting.py")


def packets(rng: random.Random, seconds: int) -> list:
    """Small packets with padding: zeros look like records of packets without bytes."""
    made = []
    for number in range(200):
        data = rng.randbytes(rng.randrange(14, 54))
        data += bytes(rng.choice((0, 6, 46)))
        wire = len(data) if rng.random() < 0.8 else 1514
        made.append((seconds, number * 97, data, wire))
    return made


@pytest.mark.parametrize("seconds", [0, 1_700_000_000])
@pytest.mark.parametrize("magic", [MICROSECONDS, NANOSECONDS])
@pytest.mark.parametrize("order", ["<", ">"])
def test_records_of_pcap_files(seconds, magic, order):
    rng = random.Random(f"cutting-{SEED}")
    content = pcap(packets(rng, seconds), magic=magic, order=order)
    items = parse(content)[0]
    structure = Structure(header=items[0])
    starts = list(accumulate((len(each.raw) for each in items[1:]), initial=24))
    wrong = 0
    for place in range(24, starts[100]):
        expected = next(start for start in starts if start >= place)
        found = find_start(structure, content[place:])
        wrong += found is None or found + place != expected
    assert wrong <= starts[100] // 20, f"{wrong} of {starts[100]} guesses are wrong\n{RERUN}"


def test_blocks_of_pcapng_files():
    rng = random.Random(f"cutting-{SEED}")
    blocks = [enhanced(ticks=n, data=data) for n, (_, _, data, _) in enumerate(packets(rng, 0))]
    head = section_block() + interface_block()
    content = head + b"".join(blocks)
    structure = Structure(section=SectionState("<", [], 1))
    starts = list(accumulate(map(len, blocks), initial=len(head)))
    for place in range(len(head), starts[100], 4):
        expected = next(start for start in starts if start >= place)
        assert find_start(structure, content[place:]) == expected - place, RERUN
