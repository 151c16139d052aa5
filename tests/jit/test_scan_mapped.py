"""Files that are mapped into memory come to what files that are read come to."""

from __future__ import annotations

import random
from itertools import product

import pytest

from pfcompile.captures.blocks import block as block_module
from pfcompile.captures.blocks.native import Manner
from pfcompile.captures.blocks.scans import SLACK
from pfcompile.captures.blocks.walking import walk_window
from pfcompile.captures.sources.window import Window
from tests.captures.capture_building import damage, enhanced, interface, pcap, section
from tests.captures.random_captures import random_pcap, random_pcapng
from tests.generator.seed import SEED, rerun
from tests.jit.scanning import Filter, agree
from tests.jit.test_scan_pcapng import ODD

RERUN = rerun("tests/jit/test_scan_mapped.py")
KINDS = {"pcap": random_pcap, "pcapng": random_pcapng}
MUTATIONS = 60


@pytest.fixture(scope="module")
def odd() -> Filter:
    return Filter(ODD)


@pytest.fixture
def steps(monkeypatch):
    """Let so many bytes of a mapped file be scanned at a time."""
    return lambda size: monkeypatch.setattr(block_module, "MAPPED_AT_ONCE", size)


@pytest.fixture
def maps(monkeypatch):
    """The sizes of what has been mapped."""
    made, real = [], block_module.mmap

    def mapping(descriptor, size, **options):
        made.append(size)
        return real(descriptor, size, **options)

    monkeypatch.setattr(block_module, "mmap", mapping)
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [1, 700, 65_536, 16 << 20])
def test_files(odd, steps, maps, kind, step):
    """The head is read in blocks of any size, what is mapped begins behind it."""
    steps(step)
    rng = random.Random(f"mapped-{SEED}")
    content = KINDS[kind](rng, 700)
    assert len(content) > SLACK + 20_000
    for size, keep in product((40, 5000, 1 << 18), (True, False)):
        note = f"{size} {keep}\n{RERUN}"
        if keep:
            agree(odd, content, note, block_size=size, mapped=True)
        else:
            found = odd.native(content, keep=False, block_size=size, mapped=True)
            assert found[:4] == odd.interpreted(content)[:4], note
    assert maps == [len(content)] * 6


@pytest.mark.parametrize("kind", KINDS)
def test_cut_files(odd, steps, maps, kind):
    """About the place behind which nothing is mapped, and at others."""
    steps(10_000)
    rng = random.Random(f"mapped-cuts-{SEED}")
    content = KINDS[kind](rng, 700)
    first = SLACK + 24
    for size in (*range(first - 20, first + 60, 3), *rng.sample(range(first, len(content)), 30)):
        agree(odd, content[:size], f"{size}\n{RERUN}", block_size=100, mapped=True)
    assert len(maps) > 30


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(odd, steps, kind):
    steps(10_000)
    rng = random.Random(f"mapped-damage-{SEED}")
    content = KINDS[kind](rng, 700, lengths=(0, 14, 60, 500))
    broken = 0
    for number in range(MUTATIONS):
        made = damage(content, random.Random(f"mapped-{SEED}-{number}"))
        outcome = agree(odd, made, f"{number}\n{RERUN}", block_size=100, mapped=True)
        broken += outcome.error is not None
    assert broken > MUTATIONS // 3


@pytest.mark.parametrize("limit", [1, 7, 300])
@pytest.mark.parametrize("kind", KINDS)
def test_limits(odd, steps, kind, limit):
    content = KINDS[kind](random.Random(f"mapped-limits-{SEED}"), 700)
    for step in (700, 1 << 20):
        steps(step)
        outcome = agree(odd, content, RERUN, limit=limit, block_size=100, mapped=True)
        assert outcome.matched == limit


def test_packets_longer_than_steps_and_than_what_is_not_mapped(odd, steps):
    """They begin where the file is mapped and end where it is read."""
    steps(5000)
    packets = [(n, 0, bytes([n]) * 200_000, 200_000) for n in range(5)]
    blocks = [enhanced(data=data, ticks=n) for n, _, data, _ in packets]
    for content in (pcap(packets), section() + interface() + b"".join(blocks)):
        for cut in (0, 1, 100_000):
            outcome = agree(odd, content[: len(content) - cut], "long", block_size=100, mapped=True)
            assert outcome.packets == 5 - (cut > 0)


@pytest.mark.parametrize("error", [OSError(19, "No such device"), ValueError("too long")])
def test_files_that_cannot_be_mapped(odd, monkeypatch, error):
    def refuse(*_arguments, **_options):
        raise error

    monkeypatch.setattr(block_module, "mmap", refuse)
    content = random_pcap(random.Random(f"mapped-refused-{SEED}"), 700)
    assert agree(odd, content, RERUN, block_size=100, mapped=True).packets == 700


@pytest.mark.long
def test_places_beyond_31_bits(odd, tmp_path):
    """In a file of 5 GB, most of which is packets of no bytes that lie nowhere on the disk."""
    count, behind = (5 << 30) // 16, 300
    tail = random_pcap(random.Random(f"mapped-{SEED}"), behind, dialect=(0xA1B2C3D4, "<", (2, 4)))
    path = tmp_path / "large.pcap"
    with path.open("wb") as stream:
        stream.write(pcap([]))
        stream.seek(24 + 16 * count)
        stream.write(tail[24:])
    expected = odd.interpreted(tail)
    with path.open("rb", buffering=0) as stream:
        odd.native(pcap([]))  # so that it counts
        window = Window(stream, "made")
        *runs, counted = list(walk_window(window, odd, Manner(times=True, mapped=True)))[1:]
    assert sum(each.sums.packets for each in runs) == count + behind
    assert sum(each.sums.matched[0] for each in runs) == expected.matched
    assert counted.everything.bytes == expected.bytes
