"""Captures cut into parts, each walked by a thread, come to what one thread makes of them."""

from __future__ import annotations

import random

import pytest

from pfcompile.captures.formats.records import InterfaceBlock, Section
from tests.captures.capture_building import (
    block,
    damage,
    enhanced,
    interface,
    parse,
    pcap,
    records,
    section,
)
from tests.captures.parallel.outcomes import REFUSED, compare, file_of, outcome
from tests.captures.random_captures import DIALECTS, LINKTYPES, random_pcap, random_pcapng
from tests.generator.seed import SEED

MUTATIONS = 150


@pytest.mark.parametrize("number", range(len(DIALECTS)))
def test_pcap_of_every_dialect(tmp_path, cut, guesses, number):
    rng = random.Random(f"parallel-{SEED}-{number}")
    content = random_pcap(rng, 300, dialect=DIALECTS[number])
    path = file_of(tmp_path, content)
    starts = {each.offset for each in records(parse(content)[0])}
    for part, size in ((1 << 10, 300), (1 << 12, 1 << 18), (1 << 14, 5000)):
        cut(part, block_size=size)
        guesses.forget()
        found = compare([path], f"{DIALECTS[number]} part {part} block {size}")
        assert found.error is None
        assert not found.damage
        assert found.counts[0] == 300
        cuts = 2 * len(range(24, len(content), part))
        assert len(guesses.begun) == cuts
        right = sum(offset in starts for _, offset in guesses.begun)
        assert right > cuts // 2, "most are found where nothing speaks against them"


@pytest.mark.parametrize("number", range(12))
def test_pcapng(tmp_path, cut, guesses, number):
    """With interfaces that come in the middle, and sections of both byte orders."""
    rng = random.Random(f"parallel-pcapng-{SEED}-{number}")
    content = random_pcapng(rng, 400, sections=(1, 3, 40)[number % 3])
    path = file_of(tmp_path, content)
    for part, size in ((1 << 10, 300), (1 << 12, 1 << 18), (1 << 15, 5000)):
        cut(part, block_size=size)
        found = compare([path], f"part {part} block {size}")
        assert found.error is None
        assert not found.damage
        assert found.counts[0] == 400
    assert guesses.again > 0, "sections have other interfaces than at the file's start"
    kinds = {type(item) for item in parse(content)[0]}
    assert {Section, InterfaceBlock} <= kinds


def test_pcapng_of_one_section(tmp_path, cut, guesses):
    """Nothing is done twice where all interfaces are described in front, as mostly they are."""
    rng = random.Random(f"parallel-one-{SEED}")
    head = section() + b"".join(interface(linktype=each, snaplen=0) for each in LINKTYPES)
    packets = [
        enhanced(number=rng.randrange(5), ticks=n, data=rng.randbytes(rng.randrange(90)))
        for n in range(2000)
    ]
    packets[1000] = block("<", 5, bytes(12))
    path = file_of(tmp_path, head + b"".join(packets))
    cut(1 << 12)
    found = compare([path], "one section")
    assert found.counts[0] == 1999
    # The last part may be too short for a packet to start in it.
    assert guesses.again == sum(offset is None for _, offset in guesses.begun) <= 2
    assert outcome([path], 2).natively


def test_guesses_that_are_wrong(tmp_path, cut, guesses):
    """Packets that hold captures themselves: what seems to be a record is none."""
    rng = random.Random(f"parallel-wrong-{SEED}")
    inner = pcap([(n, n, rng.randbytes(30), 60) for n in range(200)])[24:]
    packets = [
        (n, n, rng.randbytes(rng.randrange(9)) + inner[: rng.randrange(46 * 200)], 1 << 20)
        for n in range(60)
    ]
    content = pcap(packets)
    starts = {each.offset for each in records(parse(content)[0])}
    path = file_of(tmp_path, content)
    for part in (1 << 11, 10_000, 1 << 16):
        cut(part)
        guesses.forget()
        assert compare([path], f"part {part}").counts[0] == 60
        wrong = sum(offset not in {*starts, None} for _, offset in guesses.begun)
        assert wrong > 5
        assert guesses.again >= wrong


def test_guesses_that_are_wrong_in_pcapng(tmp_path, cut, guesses):
    """The blocks inside packets are packets, interfaces and sections, of link types of all kinds.

    Among them is one that there is no filter for: what a wrong guess meets must be as if it had
    never been.
    """
    rng = random.Random(f"parallel-wrong-pcapng-{SEED}")
    refused = interface(linktype=REFUSED) + interface(linktype=9999)
    row = b"".join(
        rng.choice((enhanced(number=n % 3, data=rng.randbytes(n % 50)), refused, section(">")))
        if n % 10 == 9
        else enhanced(number=n % 3, data=rng.randbytes(n % 50))
        for n in range(200)
    )
    parts_of = [section(), interface(snaplen=0), interface(linktype=113)]
    parts_of += [
        enhanced(number=n % 2, ticks=n, data=rng.randbytes(4) + row[4 * (n % 7) :])
        for n in range(60)
    ]
    content = b"".join(parts_of)
    starts = {each.offset for each in records(parse(content)[0])}
    path = file_of(tmp_path, content)
    for part in (1 << 12, 10_000, 1 << 16):
        cut(part)
        guesses.forget()
        found = compare([path], f"part {part}")
        assert found.counts[0] == 60
        assert (found.error, found.damage) == (None, [])
        wrong = sum(offset not in {*starts, None} for _, offset in guesses.begun)
        assert wrong > 5
        assert guesses.again >= wrong


@pytest.mark.parametrize("is_mapped", [False, True])
def test_records_longer_than_parts(tmp_path, cut, guesses, mapped, is_mapped):
    """Parts in which no record starts; and beginnings that are not found."""
    rng = random.Random(f"parallel-long-{SEED}")
    lengths = (0, 10, 60, 5000, 20_000)
    contents = [random_pcap(rng, 25, lengths=lengths), random_pcapng(rng, 25, lengths=lengths)]
    for content in contents:
        path = file_of(tmp_path, content)
        for looked_at in (400, 512 * 1024):
            cut(1 << 11, looked_at=looked_at)
            guesses.forget()
            found = compare([path], f"looked at {looked_at}", mapped=is_mapped)
            assert found.counts[0] == 25
            if looked_at == 400:
                missed = sum(offset is None for _, offset in guesses.begun)
                assert missed > len(guesses.begun) // 2
                assert guesses.again > 5
    assert any(stop is not None for _, stop in mapped) == is_mapped


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_cut_at_many_bytes(tmp_path, cut, kind):
    rng = random.Random(f"parallel-cuts-{SEED}")
    made = random_pcap if kind == "pcap" else random_pcapng
    content = made(rng, 150, lengths=(0, 3, 14, 60, 90, 600))
    cut(1 << 11)
    errors = set()
    places = [*range(2 << 11, (2 << 11) + 60), *rng.sample(range(2 << 11, len(content)), 60)]
    for size in places:
        found = compare([file_of(tmp_path, content[:size])], f"cut at {size}", jobs=(2,))
        errors.update(found.damage)
    assert len(errors) > 80


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_damage_in_every_part(tmp_path, cut, kind):
    """What is before it is kept, nothing behind it, and the next capture follows."""
    rng = random.Random(f"parallel-damage-{SEED}")
    made = random_pcap if kind == "pcap" else random_pcapng
    content = made(rng, 300, lengths=(14, 60, 90, 600))
    cut(1 << 12)
    after = pcap([(0, 0, b"\x01after", 6)] * 9)
    items = records(parse(content)[0])
    for start in range(0, len(content), 1 << 12):
        inside = [each for each in items if start <= each.offset < start + (1 << 12)]
        bad = bytearray(content)
        place = rng.choice(inside).offset + (8 if kind == "pcap" else 4)
        bad[place : place + 8] = b"\xff" * 8
        path = file_of(tmp_path, bytes(bad))
        found = compare([path, after], f"damage at {place}")
        assert len(found.damage) == 1
        assert found.kept.endswith(after[24:])


def test_random_damage(tmp_path, cut):
    rng = random.Random(f"parallel-mutations-{SEED}")
    sources = [random_pcap(rng, 100) for _ in range(4)] + [random_pcapng(rng, 100) for _ in "1234"]
    damaged = 0
    for number in range(MUTATIONS):
        rng = random.Random(f"parallel-{SEED}-{number}")
        content = damage(rng.choice(sources), rng)
        cut(rng.choice((1 << 10, 1 << 12)), block_size=rng.choice((300, 1 << 18)))
        found = compare([file_of(tmp_path, content)], f"mutation {number}", jobs=(2,))
        damaged += bool(found.damage)
    assert damaged > MUTATIONS // 3
