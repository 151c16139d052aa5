"""Captures walked by several threads come to what one thread and the interpreter come to."""

from __future__ import annotations

import bz2
import ctypes
import faulthandler
import gzip
import os
import random
import threading
import time
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from pfcompile.captures.blocks import native, parallel, parts, tasks
from pfcompile.captures.blocks.scans import NO_LIMIT, Run, Wanted
from pfcompile.captures.extents import Extents
from pfcompile.captures.filtering import Plan, Tally, filter_captures
from pfcompile.captures.formats.records import InterfaceBlock, Record, Section
from pfcompile.captures.writer import open_writer
from pfcompile.cbpf.interpreter import prepare
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.errors import CaptureError, FilterError, PfcompileError
from pfcompile.facts.link_types import dlt_of_linktype
from pfcompile.files import Engine, Programs
from pfcompile.jit.scan import scanner
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
from tests.captures.random_captures import DIALECTS, LINKTYPES, random_pcap, random_pcapng
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/captures/test_parallel.py")
PATIENCE = 120
MUTATIONS = 150


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """No test hangs, and none leaves a thread or an open file behind."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    files, others = open_files(), threads()
    yield
    try:
        end = time.monotonic() + 10
        while time.monotonic() < end and (open_files(), threads()) != (files, others):
            time.sleep(0.01)
        assert threads() == others
        assert open_files() == files
    finally:
        faulthandler.cancel_dump_traceback_later()


def open_files() -> dict[str, str]:
    found = {}
    for each in Path("/proc/self/fd").iterdir():
        try:
            found[each.name] = str(each.readlink())
        except OSError:  # the descriptor of the folder itself
            continue
    return found


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if "(_work)" in each.name]


def has_bits(bits: int) -> tuple[Instruction, ...]:
    """Return a program that wants some of these bits in the first byte."""
    return (
        Instruction(Op.LD_B_ABS, 0, 0, 0),
        Instruction(Op.JSET_K, 0, 1, bits),
        Instruction(Op.RET_K, 0, 0, 65535),
        Instruction(Op.RET_K, 0, 0, 0),
    )


BITS = {dlt_of_linktype(each): 1 << number for number, each in enumerate(LINKTYPES)}
REFUSED = 147
"""A link type (USER0) that the expression is wrong for."""


def compiled(dlt: int, snaplen: int):
    """Return the program for a link type: another for each; and one that there is none for."""
    if dlt == REFUSED:
        raise FilterError("not for USER0")
    program = has_bits(BITS.get(dlt, 3))
    return SimpleNamespace(instructions=program, match=prepare(program))


@dataclass
class Taken:
    """A destination; what the threads give must be whole records, as many as they say."""

    kept: bytearray = field(default_factory=bytearray)
    runs: int = 0
    packets: int = 0

    def write(self, item) -> None:
        self.kept += item.raw
        self.packets += isinstance(item, Record)

    def write_run(self, run: Run, number: int) -> None:
        self.runs += 1
        found = list(run.records(number))
        assert len(found) == run.sums.matched[number]
        assert sum(len(each.data) for each in found) == run.sums.matched_bytes[number]
        self.kept += run.kept(number)

    def flush(self) -> None:
        pass


@dataclass
class Outcome:
    """What filtering some captures has come to."""

    counts: tuple = ()
    kept: bytes = b""
    extents: list = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    error: str | None = None
    natively: bool = field(default=False, compare=False)


def outcome(
    sources, jobs=1, engine=Engine.NATIVE, limit=None, made=compiled, complain=pytest.fail
) -> Outcome:
    """Filter some captures, paths or the contents of streams."""
    programs = Programs(
        [made],
        engine,
        wanted=Wanted(copies=True, times=True, limit=limit is not None),
        complain=complain,
    )
    tally, taken, found = Tally(extents=Extents()), Taken(), Outcome()
    plan = Plan(limit, jobs, programs.scans)
    try:
        filter_captures(
            [BytesIO(each) if isinstance(each, bytes) else each for each in sources],
            [taken],
            programs,
            tally=tally,
            on_damage=lambda error: found.damage.append(str(error)),
            plan=plan,
        )
    except PfcompileError as error:
        found.error = str(error)
    found.counts = (tally.packets, tally.bytes, tally.counts[0], tally.count_bytes[0])
    found.kept = bytes(taken.kept)
    found.extents = list(tally.extents) if limit is None else []
    found.natively = taken.runs > 0 and taken.packets == 0
    return found


@dataclass
class Guesses:
    """Where parts were thought to begin, and how many were walked again."""

    begun: list[tuple[int, int | None]] = field(default_factory=list)
    again: int = 0

    def forget(self) -> None:
        self.begun.clear()
        self.again = 0


@pytest.fixture
def guesses(monkeypatch):
    """Guesses of the parts, as they are made."""
    made = Guesses()
    walk_part, walk_exactly = parallel.walk_part, parallel.walk_exactly

    def part(file, start):
        items = walk_part(file, start)
        begun = next(items)
        made.begun.append((start, begun.offset))
        yield begun
        yield from items

    def again(*arguments):
        made.again += 1
        return walk_exactly(*arguments)

    monkeypatch.setattr(parallel, "walk_part", part)
    monkeypatch.setattr(parallel, "walk_exactly", again)
    return made


@pytest.fixture
def cut(monkeypatch):
    """Let parts, blocks and what is looked at for a record be small."""
    manner_for = native.manner_for

    def sized(part: int, *, block_size: int = 1000, looked_at: int = 512 * 1024) -> None:
        def manner(scans, limit):
            return replace(manner_for(scans, limit), block_size=block_size)

        monkeypatch.setattr(parts, "PART", part)
        monkeypatch.setattr(parts, "LOOKED_AT", looked_at)
        monkeypatch.setattr(parts, "manner_for", manner)
        monkeypatch.setattr(parallel, "manner_for", manner)

    return sized


def compare(sources, note: str, jobs=(2, 3), **options) -> Outcome:
    """Require one outcome, however it is come to; return it."""
    expected = outcome(sources, engine=Engine.INTERP, **options)
    for number in (1, *jobs):
        found = outcome(sources, number, **options)
        assert found == expected, f"jobs={number} {note}\n{RERUN}"
    return expected


def file_of(folder: Path, content: bytes, name: str = "in") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


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


def test_records_longer_than_parts(tmp_path, cut, guesses):
    """Parts in which no record starts; and beginnings that are not found."""
    rng = random.Random(f"parallel-long-{SEED}")
    lengths = (0, 10, 60, 5000, 20_000)
    contents = [random_pcap(rng, 25, lengths=lengths), random_pcapng(rng, 25, lengths=lengths)]
    for content in contents:
        path = file_of(tmp_path, content)
        for looked_at in (400, 512 * 1024):
            cut(1 << 11, looked_at=looked_at)
            guesses.forget()
            assert compare([path], f"looked at {looked_at}").counts[0] == 25
            if looked_at == 400:
                missed = sum(offset is None for _, offset in guesses.begun)
                assert missed > len(guesses.begun) // 2
                assert guesses.again > 5


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


@pytest.mark.parametrize("jobs", [2, 3])
def test_a_full_device(tmp_path, cut, jobs):
    source = file_of(tmp_path, random_pcap(random.Random(1), 3000))
    cut(1 << 12)
    for each in (source, BytesIO(source.read_bytes())):
        programs = Programs([compiled], Engine.NATIVE, complain=pytest.fail)
        with (
            pytest.raises(CaptureError, match="No space left") as caught,
            open_writer("/dev/full") as writer,
        ):
            filter_captures(
                [each] * 3,
                [writer],
                programs,
                tally=Tally(),
                on_damage=pytest.fail,
                plan=Plan(None, jobs, programs.scans),
            )
        assert caught.value.path == "/dev/full"


class EnoughError(Exception):
    """A destination has had enough."""


@pytest.mark.parametrize("kind", [EnoughError, KeyboardInterrupt, CaptureError, OSError])
@pytest.mark.parametrize("after", [0, 1, 5, 20])
def test_a_destination_that_fails(tmp_path, cut, kind, after):
    """Wherever that is, all threads end, and no file stays open: the fixture looks."""
    rng = random.Random(f"parallel-fails-{SEED}")
    sources = [file_of(tmp_path, random_pcap(rng, 300), str(number)) for number in range(9)]
    sources.insert(1, file_of(tmp_path, gzip.compress(random_pcap(rng, 3000)), "compressed"))
    cut(1 << 12)
    taken = []

    class Failing(Taken):
        def write_run(self, run, _number):
            if len(taken) == after:
                raise kind("enough", "here")
            taken.append(run)

    programs = Programs([compiled], Engine.NATIVE, complain=pytest.fail)
    with pytest.raises(kind, match="enough"):
        filter_captures(
            sources,
            [Failing()],
            programs,
            tally=Tally(),
            on_damage=pytest.fail,
            plan=Plan(None, 3, programs.scans),
        )
    assert len(taken) == after


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


def test_an_expression_that_is_wrong_for_the_second_capture(tmp_path, cut):
    """It is told behind all that the first has given, though a thread knows it before."""
    rng = random.Random(f"parallel-refused-{SEED}")
    good = file_of(tmp_path, random_pcap(rng, 300, dialect=DIALECTS[0]), "good")
    bad = [
        file_of(tmp_path, pcap([(0, 0, b"\x01", 1)] * 1000, link_word=REFUSED), "bad"),
        pcap([(0, 0, b"\x01", 1)], link_word=REFUSED),
        file_of(tmp_path, section() + interface(linktype=REFUSED) + enhanced() * 999, "blocks"),
    ]
    cut(1 << 12)
    for each in bad:
        found = compare([good, each, good], "refused")
        assert found.error is not None
        assert "not for USER0" in found.error
        assert found.counts[0] == 300


@pytest.mark.parametrize("place", [1, 500, 999])
def test_an_expression_that_is_wrong_for_an_interface(tmp_path, cut, place):
    """Its first packet is the end, and everything before has been filtered, whoever was faster."""
    head = section() + interface(snaplen=0) + interface(linktype=REFUSED) + interface(linktype=113)
    packets = [enhanced(number=2 * (n % 2), data=bytes([n % 7])) for n in range(1000)]
    packets[place] = enhanced(number=1)
    path = file_of(tmp_path, head + b"".join(packets))
    cut(1 << 12)
    found = compare([path], "refused", jobs=(2, 2, 2, 3))
    assert found.error is not None
    assert "not for USER0" in found.error
    assert found.counts[0] == place


def test_a_link_type_that_does_not_exist(tmp_path, cut):
    """It is told behind all that comes before, and ends everything, as in the interpreter."""
    good = file_of(tmp_path, pcap([(0, 0, b"\x01", 1)] * 2000), "good")
    head = section() + interface() + interface(linktype=9999)
    packets = [enhanced(data=b"\x01")] * 500 + [enhanced(number=1)] + [enhanced(data=b"\x01")] * 99
    bad = [
        file_of(tmp_path, pcap([(0, 0, b"\x01", 1)] * 1000, link_word=9999), "bad"),
        file_of(tmp_path, head + b"".join(packets), "blocks"),
    ]
    cut(1 << 12)
    for each in bad:
        found = compare([good, each, good], "unknown")
        assert "unknown data link type 9999" in found.error
        assert found.counts[0] in {2000, 2500}


def test_native_code_that_ends_in_the_middle(tmp_path, cut):
    """A second link type whose program only the interpreter has: the first goes on all the same."""
    rng = random.Random(f"parallel-given-up-{SEED}")
    large = file_of(tmp_path, random_pcap(rng, 2000, dialect=DIALECTS[0]), "large")
    other = file_of(tmp_path, pcap([(0, 0, b"\x01", 1)] * 1000, link_word=113), "other")
    head = section() + interface() + interface(linktype=113)
    packets = [enhanced(number=n // 500, data=bytes([n % 7])) for n in range(1000)]
    blocks = file_of(tmp_path, head + b"".join(packets), "blocks")
    cut(1 << 12)
    # Of two parts: both wait while it is found out that there is no code for the next capture.
    short = file_of(tmp_path, pcap([(n, n, bytes([n]) * 60, 60) for n in range(120)]), "short")
    complaints: list[str] = []

    def searching(dlt: int, snaplen: int):
        made = compiled(dlt, snaplen)
        if dlt == 113:
            made.instructions = (Instruction(Op.LD_W_ABS, 0, 0, 0xFFFFF00C), *has_bits(1))
        return made

    for sources in ([large, other, large], [blocks], [large, blocks, large], [short, other]):
        for jobs in (2, 3, 8):
            complaints.clear()
            options = {"made": searching, "complain": complaints.append}
            found = compare(sources, "given up", jobs=(jobs,), **options)
            assert found.error is None
            assert len(complaints) == 2
            assert all("no native code" in each for each in complaints)


PREAD = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
)


@pytest.mark.parametrize("back", [1, 100_000])
def test_files_that_cannot_be_read_in_the_middle(tmp_path, cut, monkeypatch, back):
    """What comes before is filtered, and the error told, wherever a thread meets it first."""
    content = random_pcap(random.Random(1), 3000, dialect=DIALECTS[0])
    path = file_of(tmp_path, content)
    small = pcap([(0, 0, b"\x01after", 6)] * 9)
    bad = len(content) - back
    pread, preadv = os.pread, os.preadv

    def check(size: int, place: int) -> None:
        if place <= bad < place + size:
            raise OSError(5, "Input/output error")

    def failing_pread(descriptor, size, place):
        check(size, place)
        return pread(descriptor, size, place)

    def failing_preadv(descriptor, memories, place):
        check(sum(map(len, memories)), place)
        return preadv(descriptor, memories, place)

    @PREAD
    def native_pread(descriptor, memory, size, place):
        if place <= bad < place + size:
            return -1
        data = pread(descriptor, size, place)
        ctypes.memmove(memory, data, len(data))
        return len(data)

    monkeypatch.setattr(os, "pread", failing_pread)
    monkeypatch.setattr(os, "preadv", failing_preadv)
    address = ctypes.cast(native_pread, ctypes.c_void_p).value
    monkeypatch.setattr(scanner, "_pread", lambda: address)
    cut(1 << 14)
    for jobs in (2, 3):
        found = outcome([path, small], jobs)
        assert found.error is None
        (told,) = found.damage
        assert "cannot be read: Input/output error" in told
        assert found.kept.endswith(small[24:])
        assert found.counts[0] > 9 + (len(content) - back - 5000) // 200


def test_files_that_are_cut_while_they_are_read(tmp_path, cut, monkeypatch):
    """What is left of them counts."""
    rng = random.Random(f"parallel-shrinking-{SEED}")
    content = random_pcap(rng, 2000, dialect=DIALECTS[0])
    path = file_of(tmp_path, content)
    cut(1 << 13)
    opened = parallel.open_large

    for left in (100_000, 24, 0, len(content) + 1):

        def shrink(source, scans, left=left):
            file = opened(source, scans)
            os.truncate(source, left)
            return file

        path.write_bytes(content)
        with monkeypatch.context() as patch:
            patch.setattr(parallel, "open_large", shrink)
            found = outcome([path], 2)
        expected = outcome([pcap([]) + path.read_bytes()[24:]], engine=Engine.INTERP)
        assert found.counts == expected.counts
        assert len(found.damage) == len(expected.damage)
