"""Several captures walked by several threads, one after the other and side by side."""

from __future__ import annotations

import bz2
import gzip
import random
from typing import TYPE_CHECKING

import pytest

from pfcompile.captures.blocks import parallel, tasks
from pfcompile.captures.blocks.scans import NO_LIMIT, Wanted
from pfcompile.captures.filtering import Plan, Tally, filter_captures
from pfcompile.captures.writer import open_writer
from pfcompile.files import Engine, Programs
from tests.captures.capture_building import parse, pcap, records
from tests.captures.parallel.outcomes import Taken, compare, compiled, file_of
from tests.captures.random_captures import DIALECTS, random_pcap, random_pcapng
from tests.generator.seed import SEED

if TYPE_CHECKING:
    from pathlib import Path


def mixture(folder: Path, rng: random.Random) -> list:
    """Return captures of all kinds and sizes, whole and damaged, some of which are not there."""
    large = random_pcap(rng, 300)
    broken = bytearray(random_pcap(rng, 300, dialect=DIALECTS[0], lengths=(60,)))
    broken[16 + 76 * 150 : 16 + 76 * 150 + 40] = b"\xff" * 40
    blocks = random_pcapng(rng, 300, sections=rng.choice((1, 20)))
    named = {
        "large": large,
        "large again": random_pcap(rng, 300),
        "small": random_pcap(rng, 5),
        "empty": b"",
        "none": pcap([]),
        "compressed": gzip.compress(random_pcap(rng, 300)),
        "compressed otherwise": bz2.compress(random_pcapng(rng, 50)),
        "broken": bytes(broken),
        "cut short": large[:-3],
        "blocks": blocks,
        "broken blocks": blocks[: len(blocks) // 2] + b"\xff" * 40,
        "no capture": b"what is this?" * 999,
        "compressed and cut": gzip.compress(random_pcap(rng, 300))[:-1000],
    }
    found = [file_of(folder, content, name) for name, content in named.items()]
    found += [folder / "missing", folder, random_pcap(rng, 100), "nul\0name"]
    return found


@pytest.mark.parametrize("number", range(8))
def test_several_captures(tmp_path, cut, monkeypatch, number):
    rng = random.Random(f"parallel-several-{SEED}-{number}")
    sources = mixture(tmp_path, rng)
    sources += rng.sample(sources, 3)
    rng.shuffle(sources)
    if number % 2:
        monkeypatch.setattr(parallel, "_MAY_WAIT", 1)
        monkeypatch.setattr(tasks, "AHEAD", 0)
    cut(1 << 12)
    found = compare(sources, f"{sources}")
    assert len(found.damage) > 5
    assert found.error is None


def test_many_small_captures(tmp_path, cut):
    rng = random.Random(f"parallel-many-{SEED}")
    sources = [
        file_of(tmp_path, random_pcap(rng, rng.choice((0, 3, 200))), str(n)) for n in range(150)
    ]
    cut(1 << 12)
    assert compare(sources, "many", jobs=(2, 7)).counts[0] > 5000


@pytest.mark.parametrize("name", ["out.pcap", "out.pcapng"])
def test_written_files(tmp_path, cut, name):
    """As they are written by the command, and put into the other format."""
    rng = random.Random(f"parallel-written-{SEED}")
    dialects = [DIALECTS[0], DIALECTS[3], DIALECTS[0]]
    sources = [
        file_of(tmp_path, random_pcap(rng, 400, dialect=each), str(number))
        for number, each in enumerate(dialects)
    ]
    cut(1 << 12)
    written = []
    for jobs, engine in ((1, Engine.INTERP), (1, Engine.NATIVE), (2, Engine.NATIVE)):
        programs = Programs([compiled], engine, wanted=Wanted(copies=True), complain=pytest.fail)
        with open_writer(tmp_path / name) as writer:
            filter_captures(
                sources,
                [writer],
                programs,
                tally=Tally(),
                on_damage=pytest.fail,
                plan=Plan(None, jobs, programs.scans),
            )
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1] == written[2]
    assert len(records(parse(written[0])[0])) > 300


@pytest.mark.parametrize("limit", [1, 10, 1000])
def test_limits(tmp_path, cut, limit):
    rng = random.Random(f"parallel-limits-{SEED}")
    sources = [file_of(tmp_path, random_pcap(rng, 200), str(number)) for number in range(3)]
    cut(1 << 12)
    found = compare(sources, f"limit {limit}", limit=limit)
    assert 0 < found.counts[2] <= limit


def test_captures_that_nobody_goes_on_with(tmp_path, cut):
    rng = random.Random(f"parallel-left-{SEED}")
    sources = [file_of(tmp_path, random_pcap(rng, 300), str(number)) for number in range(9)]
    cut(1 << 12)
    for whole in range(4):
        for items in range(4):
            programs = Programs([compiled], Engine.NATIVE, complain=pytest.fail)
            captures = parallel.read_captures(
                sources,
                programs.scans,
                jobs=3,
                left=lambda: NO_LIMIT,
                before_read=lambda _count: None,
            )
            for _ in range(whole):
                list(next(captures)[1])
            found = next(captures)[1]
            for _ in range(items):
                next(found)
            captures.close()


def test_captures_that_are_passed_over(tmp_path, cut):
    """Whoever asks for the next capture gets it, however much of the last was asked for."""
    rng = random.Random(f"parallel-passed-{SEED}")
    sources = [file_of(tmp_path, random_pcap(rng, 300), str(number)) for number in range(30)]
    cut(1 << 12)
    programs = Programs([compiled], Engine.NATIVE, complain=pytest.fail)
    captures = parallel.read_captures(
        sources,
        programs.scans,
        jobs=2,
        left=lambda: NO_LIMIT,
        before_read=lambda _count: None,
    )
    counts = []
    for number, (source, items) in enumerate(captures):
        assert source == sources[number]
        counts.append(0)
        for item in items:
            counts[-1] += getattr(item, "sums", (0,))[0]
            if number % 3:
                break
    assert counts[::3] == [300] * 10


def test_progress(tmp_path, cut):
    """It never goes back, and ends with all bytes of all captures."""
    rng = random.Random(f"parallel-progress-{SEED}")
    sources = [file_of(tmp_path, random_pcap(rng, 300), str(number)) for number in range(5)]
    cut(1 << 12)
    told = []
    programs = Programs([compiled], Engine.NATIVE, complain=pytest.fail)
    filter_captures(
        sources,
        [Taken()],
        programs,
        tally=Tally(),
        on_damage=pytest.fail,
        plan=Plan(None, 2, programs.scans, told.append),
    )
    assert told == sorted(told)
    assert told[-1] == sum(each.stat().st_size for each in sources)
