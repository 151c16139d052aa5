"""Native scans of files: what they keep, count and complain of is what the interpreter does."""

from __future__ import annotations

import random
import struct
import sys
import warnings
from io import BytesIO
from itertools import product

import pytest

import pfcompile
from pfcompile.captures.formats.pcap import (
    CAPTURED_FIRST,
    SMALLER_CAPTURED,
    WIRE_FIRST,
    encode_record,
)
from pfcompile.captures.formats.records import PcapHeader
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.facts.link_types import KNOWN_DLTS
from pfcompile.files import WORTH_COMPILING, Engine, Programs, filter_file, program_for
from tests.captures.capture_building import (
    KUZNETZOV,
    MICROSECONDS,
    NANOSECONDS,
    damage,
    parse,
    pcap,
    pcapng,
)
from tests.generator.seed import SEED, rerun
from tests.jit.scanning import Filter, agree
from tests.shared_captures import CAPTURES, FOLDER

RERUN = rerun("tests/jit/test_scan_files.py")
MUTATIONS = 2000
VERSIONS = [(2, 4), (2, 3), (2, 2), (543, 0)]

# Odd first bytes match, and so does no packet without bytes.
ODD = (
    Instruction(Op.LD_B_ABS, 0, 0, 0),
    Instruction(Op.JSET_K, 0, 1, 1),
    Instruction(Op.RET_K, 0, 0, 65535),
    Instruction(Op.RET_K, 0, 0, 0),
)


def random_file(rng: random.Random, count: int, **options) -> bytes:
    packets = []
    for number in range(count):
        data = rng.randbytes(rng.choice((0, 1, 14, 40, 60, 90, 1500)))
        packets.append((number, number, data, len(data) + rng.choice((0, 0, 5, 4000))))
    return pcap(packets, **options)


@pytest.mark.parametrize(
    ("magic", "order", "version"),
    list(product((MICROSECONDS, NANOSECONDS, KUZNETZOV), "<>", VERSIONS)),
)
def test_every_dialect(magic, order, version):
    rng = random.Random(f"dialects-{SEED}")
    start = pcap([], magic=magic, order=order, version=version)
    (header,) = parse(start)[0]
    assert isinstance(header, PcapHeader)
    # Version 2.3 has the lengths in either order, so that the smaller one is the captured.
    dialects = [header.dialect]
    if header.dialect.lengths == SMALLER_CAPTURED:
        dialects += [header.dialect._replace(lengths=each) for each in (WIRE_FIRST, CAPTURED_FIRST)]
    records = []
    for number in range(100):
        data = rng.randbytes(rng.choice((0, 1, 14, 60, 90)))
        wire = len(data) + rng.choice((0, 5, 4000))
        records.append(encode_record(rng.choice(dialects), number, data, wire))
    outcome = agree(Filter(ODD), start + b"".join(records), RERUN)
    assert outcome.packets == 100
    assert 0 < outcome.matched < 100


def test_any_block_size():
    content = random_file(random.Random(f"blocks-{SEED}"), 60)
    odd = Filter(ODD)
    whole = odd.interpreted(content)
    assert 10 < whole.matched < 50
    assert whole.packets == 60
    for size in (*range(1, 150), 1500, 1516, 1517, 4095, 4096, 4097, 1 << 20):
        for ahead in (0, 1, 1000, 1 << 20):
            assert odd.native(content, block_size=size, ahead=ahead) == whole, (size, ahead)


def test_records_longer_than_blocks():
    packets = [(n, 0, bytes([n]) * 200_000, 200_000) for n in range(6)]
    outcome = agree(Filter(ODD), pcap(packets), "long records", block_size=4096)
    assert outcome.matched == 3


def test_cut_at_every_byte():
    content = random_file(random.Random(f"cuts-{SEED}"), 12)[:1400]
    odd = Filter(ODD)
    errors = set()
    for size in range(24, len(content) + 1):
        for block, ahead in ((64, 0), (64, 1 << 20), (1 << 18, 0)):
            note = f"cut at {size}"
            outcome = agree(odd, content[:size], note, block_size=block, ahead=ahead)
        errors.add(outcome.error)
    assert len(errors) > 1000
    assert None in errors


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
def test_limits(limit):
    content = random_file(random.Random(f"limits-{SEED}"), 60)
    odd = Filter(ODD)
    for block in (100, 5000, 1 << 18):
        outcome = agree(odd, content, f"limit {limit}", limit=limit, block_size=block)
        assert outcome.matched == min(limit, odd.interpreted(content).matched)


def test_counting_only():
    content = random_file(random.Random(f"counts-{SEED}"), 300)
    odd = Filter(ODD)
    counted, kept = odd.native(content, keep=False), odd.native(content)
    assert counted[:4] == kept[:4]
    assert kept.matched > 50


def test_damaged_files():
    sources = [
        pcap(),
        pcap(order=">"),
        pcap(magic=KUZNETZOV),
        random_file(random.Random(f"damage-{SEED}"), 40),
    ]
    odd = Filter(ODD)
    broken = kept = 0
    for number in range(MUTATIONS):
        rng = random.Random(f"{SEED}-{number}")
        content = damage(rng.choice(sources), rng)
        note = f"mutation {number}: {content[:80].hex()}...\n{RERUN}"
        header = parse(content[:24])[0]
        if not header or not isinstance(header[0], PcapHeader):
            continue
        if header[0].interface.dlt not in KNOWN_DLTS:
            continue
        options = {"block_size": rng.choice((50, 4096, 1 << 18)), "ahead": rng.choice((0, 1 << 16))}
        outcome = agree(odd, content, note, **options)
        broken += outcome.error is not None
        kept += outcome.matched > 0
    assert broken > MUTATIONS // 3
    assert kept > MUTATIONS // 5


@pytest.mark.parametrize("length", [262_144, 262_145, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_captured_lengths(length):
    content = pcap([(0, 0, b"abc", 3)]) + struct.pack("<4I", 0, 0, length, 60) + bytes(70_000)
    outcome = agree(Filter(ODD), content, f"captured length {length}")
    assert outcome.error is not None
    assert ("bigger than maximum" in outcome.error) == (length > 262_144)


@pytest.mark.skipif(not CAPTURES, reason=f"{FOLDER} is missing")
@pytest.mark.parametrize("text", ["tcp or udp", "len > 100 and not greater 1000"])
def test_shared_captures(text):
    """The outcome for every file, whole or broken, of every link type that has the filter."""
    filters = {}
    packets = matched = files = 0
    for path in CAPTURES:
        content = path.read_bytes()
        items = parse(content[:24])[0]
        if not items or not isinstance(items[0], PcapHeader):
            continue
        dlt = items[0].interface.dlt
        if dlt not in filters:
            try:
                filters[dlt] = Filter(pfcompile.compile(text, dlt).instructions)
            except pfcompile.FilterError:
                filters[dlt] = Filter(ODD)
        outcome = agree(filters[dlt], content, path.name)
        files += 1
        packets += outcome.packets
        matched += outcome.matched
    assert files > 300
    assert packets // 20 < matched < packets


class Plain:
    """A stream that only reads, a little at a time, and may fail at a place."""

    def __init__(self, content: bytes, fails_at: int | None = None) -> None:
        self._stream = BytesIO(content)
        self._fails_at = fails_at

    def read(self, size: int) -> bytes:
        if self._fails_at is not None and self._stream.tell() >= self._fails_at:
            raise OSError(5, "Input/output error")
        return self._stream.read(min(size, 1000))


@pytest.mark.parametrize("fails_at", [None, 1, 30_000])
def test_plain_streams(tmp_path, fails_at):
    content = random_file(random.Random(f"streams-{SEED}"), 200)
    outcomes = []
    for engine in ("interp", "native"):
        output = tmp_path / f"{engine}.pcap"
        error = None
        try:
            filter_file(Plain(content, fails_at), output, TEXT, engine=engine)
        except pfcompile.CaptureError as caught:
            error = str(caught)
        outcomes.append((output.read_bytes() if output.exists() else None, error))
    assert outcomes[0] == outcomes[1]
    assert (outcomes[0][1] is None) == (fails_at is None)


TEXT = "ether[0] & 1 != 0"
FILES = {
    "pcap": random_file(random.Random(f"files-{SEED}"), 50),
    "pcapng": pcapng(),
}


@pytest.mark.parametrize("name", ["out.pcap", "out.pcapng", "out"])
@pytest.mark.parametrize(("magic", "order"), list(product((MICROSECONDS, NANOSECONDS), "<>")))
def test_output_files(tmp_path, name, magic, order):
    source = tmp_path / "in.pcap"
    rng = random.Random(f"outputs-{SEED}")
    source.write_bytes(random_file(rng, 200, magic=magic, order=order, snaplen=1500))
    written = []
    for engine in ("interp", "native"):
        stats = filter_file(source, tmp_path / name, TEXT, engine=engine)
        written.append(
            (stats.packets, stats.matched, stats.matched_bytes, (tmp_path / name).read_bytes())
        )
    assert written[0] == written[1]
    assert 0 < written[0][1] < 200


def test_damage_leaves_what_is_whole(tmp_path):
    source = tmp_path / "in.pcap"
    source.write_bytes(random_file(random.Random(f"whole-{SEED}"), 200)[:-1])
    outcomes = []
    for engine in ("interp", "native"):
        with pytest.raises(pfcompile.CaptureError) as caught:
            filter_file(source, tmp_path / "out.pcap", TEXT, engine=engine)
        outcomes.append((str(caught.value), (tmp_path / "out.pcap").read_bytes()))
    assert outcomes[0] == outcomes[1]
    assert "cut short" in outcomes[0][0]


class ChosenError(Exception):
    """Native code was asked for."""


@pytest.fixture
def told(monkeypatch):
    def refuse(*arguments, **options):
        raise ChosenError

    monkeypatch.setattr("pfcompile.jit.scan.scans.Scanner", refuse)


def test_auto_goes_by_the_size(tmp_path, told):
    source, output = tmp_path / "in.pcap", tmp_path / "out.pcap"
    content = pcap([(0, 0, bytes(1000), 1000)] * (WORTH_COMPILING // 1016 + 1))
    for size in (WORTH_COMPILING - 1, WORTH_COMPILING):
        source.write_bytes(content[:size])
        expected = pfcompile.CaptureError if size < WORTH_COMPILING else ChosenError
        with pytest.raises(expected):  # the cut record, or native code
            filter_file(source, output, "tcp")


def test_interp_is_never_native(tmp_path, told):
    source = tmp_path / "in.pcap"
    source.write_bytes(pcap([(0, 0, bytes(1000), 1000)] * 2000))
    assert filter_file(source, tmp_path / "out.pcap", "tcp", engine="interp").packets == 2000


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
def test_without_llvm_the_interpreter_serves(tmp_path, monkeypatch, suffix, jobs):
    source = tmp_path / f"in.{suffix}"
    source.write_bytes(FILES[suffix])
    monkeypatch.setattr("pfcompile.captures.blocks.parts.PART", 1000)
    expected = filter_file(source, tmp_path / f"a.{suffix}", TEXT, engine="interp")
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    output = tmp_path / f"b.{suffix}"
    with pytest.warns(RuntimeWarning, match="no native code.*llvmlite"):
        stats = filter_file(source, output, TEXT, engine="native", jobs=jobs)
    assert (stats.packets, stats.matched) == (expected.packets, expected.matched)
    assert (tmp_path / f"a.{suffix}").read_bytes() == output.read_bytes()


def test_a_complaint_comes_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    complaints = []
    programs = Programs([program_for("tcp")], Engine.NATIVE, complain=complaints.append)
    header = parse(pcap())[0][0]
    for name in "xy":
        scans = programs.scans(name)
        assert scans is None or scans.pcap(header) is None
    assert len(complaints) == 1


def test_no_warning_where_native_code_serves(tmp_path):
    source = tmp_path / "in.pcap"
    source.write_bytes(pcap())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filter_file(source, tmp_path / "out.pcap", TEXT, engine="native")


def test_an_unknown_engine(tmp_path):
    with pytest.raises(ValueError, match="fast"):
        filter_file(tmp_path / "in.pcap", tmp_path / "out.pcap", TEXT, engine="fast")
