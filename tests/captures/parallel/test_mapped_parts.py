"""Parts of files that are mapped into memory, each walked by a thread, come to what one makes."""

from __future__ import annotations

import random
from itertools import product

import pytest

from pfcompile.captures.blocks import block as block_module
from pfcompile.captures.blocks.scans import SLACK
from tests.captures.capture_building import damage, pcap
from tests.captures.parallel.outcomes import compare, file_of, outcome
from tests.captures.random_captures import DIALECTS, random_pcap, random_pcapng
from tests.generator.seed import SEED

KINDS = {"pcap": random_pcap, "pcapng": random_pcapng}
PACKETS = 1500
MUTATIONS = 30


@pytest.fixture
def steps(monkeypatch):
    """Let so many bytes of a mapped file be scanned at a time."""
    return lambda size: monkeypatch.setattr(block_module, "MAPPED_AT_ONCE", size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [1 << 13, 1 << 15])
def test_files(tmp_path, cut, steps, mapped, kind, part):
    content = KINDS[kind](random.Random(f"mapped-parts-{SEED}"), PACKETS)
    assert len(content) > SLACK + 4 * part
    path = file_of(tmp_path, content)
    cut(part)
    for step in (1, 700, 16 << 20):
        steps(step)
        mapped.clear()
        found = compare([path], f"step {step}", mapped=True)
        assert (found.error, found.damage) == (None, [])
        assert found.counts[0] == PACKETS
        assert outcome([path], 2, mapped=True).natively
        assert {stop for _, stop in mapped} > {None}, "parts are mapped, but for those at the end"


def test_nothing_behind_a_part_is_scanned(tmp_path, cut, guesses, mapped):
    """However much is mapped: else each part would end behind the next one's beginning."""
    content = random_pcap(random.Random(f"mapped-stops-{SEED}"), PACKETS, dialect=DIALECTS[0])
    path = file_of(tmp_path, content)
    cut(1 << 14)
    assert outcome([path], 2).counts[0] == PACKETS
    again, parts = guesses.again, len(guesses.begun)
    guesses.forget()
    assert outcome([path], 2, mapped=True).counts[0] == PACKETS
    assert guesses.again == again < parts
    assert mapped


def test_guesses_that_are_wrong(tmp_path, cut, guesses, mapped):
    """Packets that hold captures themselves: a part is mapped again from the right place."""
    rng = random.Random(f"mapped-wrong-{SEED}")
    inner = pcap([(n, n, rng.randbytes(30), 60) for n in range(200)])[24:]
    packets = [
        (n, n, rng.randbytes(rng.randrange(9)) + inner[: rng.randrange(46 * 200)], 1 << 20)
        for n in range(90)
    ]
    path = file_of(tmp_path, pcap(packets))
    for part in (1 << 11, 10_000, 1 << 16):
        cut(part)
        guesses.forget()
        assert compare([path], f"part {part}", mapped=True).counts[0] == 90
        assert guesses.again > 5
    assert any(stop is not None for _, stop in mapped)


@pytest.mark.parametrize("kind", KINDS)
def test_cut_and_damaged(tmp_path, cut, steps, mapped, kind):
    rng = random.Random(f"mapped-damage-{SEED}")
    content = KINDS[kind](rng, PACKETS, lengths=(0, 3, 14, 60, 90, 600))
    errors = set()
    for number, step in product(range(MUTATIONS), (1000, 1 << 20)):
        rng = random.Random(f"mapped-parts-{SEED}-{number}")
        bad = damage(content, rng) if number % 2 else content[: rng.randrange(len(content))]
        cut(rng.choice((1 << 12, 1 << 15)))
        steps(step)
        note = f"{number} step {step}"
        errors.update(compare([file_of(tmp_path, bad)], note, jobs=(2,), mapped=True).damage)
    assert len(errors) > MUTATIONS // 3
    assert sum(stop is not None for _, stop in mapped) > MUTATIONS
