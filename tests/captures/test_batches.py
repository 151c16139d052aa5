"""`pfcompile.batches` gives what `pfcompile.read` gives, many packets at once and not copied."""

from __future__ import annotations

import gc
import gzip
import io
import os
import random
import struct
import subprocess
import sys
import threading
import tracemalloc
import warnings
from io import BytesIO
from pathlib import Path

import fsspec
import pytest

import pfcompile
from pfcompile.captures import filtering
from pfcompile.captures.blocks.native import manner_for
from pfcompile.facts.link_types import dlt_of_linktype
from tests.captures.capture_building import (
    END,
    damage,
    enhanced,
    interface,
    option,
    pcap,
    section,
    simple,
)
from tests.captures.random_captures import random_pcap, random_pcapng
from tests.generator.seed import SEED, rerun
from tests.shared_captures import CAPTURES

PCAPS = Path(__file__).parents[2] / "pcaps"
OWN = sorted(PCAPS.glob("*.pcap*"))
ETHERNET = PCAPS / "ethernet.pcap"
MIXED = PCAPS / "mixed.pcapng"
RERUN = rerun("tests/captures/test_batches.py")
ENGINES = ("native", "interp", "auto")
LONGER = "greater 62"

needs_shared = pytest.mark.skipif(
    not CAPTURES, reason="the folder ../shared/captures with real captures is not here"
)


def outcome(packets):
    """Return the packets that come, and the error that ends them."""
    found = []
    try:
        for time, data in packets:
            found.append((time, bytes(data)))
    except pfcompile.PfcompileError as error:
        return found, str(error)
    return found, None


def flat(batches):
    for batch in batches:
        assert batch, "a batch without packets"
        yield from batch


def same_as_read(source, text="", *, engines=ENGINES, note=""):
    """Require that all engines give what reading gives; return that."""
    wanted = outcome(pfcompile.read(source, text))
    for engine in engines:
        found = outcome(flat(pfcompile.batches(source, text, engine=engine)))
        assert found == wanted, (source, text, engine, note)
    return wanted


@pytest.fixture
def blocks(monkeypatch):
    """Set how many bytes are read at a time."""

    def set_size(size):
        monkeypatch.setattr(
            filtering, "manner_for", lambda *given: manner_for(*given)._replace(block_size=size)
        )

    return set_size


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
@pytest.mark.parametrize("text", ["", "ip", "tcp port 443", "greater 62", "udp prot 53"])
def test_own_captures(path, text):
    _, error = same_as_read(path, text)
    is_wrong = text == "udp prot 53" or (text == "ip" and path.name == "ipv6.pcap")
    assert (error is not None) == (is_wrong or path.name == "cut-short.pcap")


@needs_shared
@pytest.mark.parametrize("text", ["", "ip or greater 100"])
def test_real_captures(text):
    packets = 0
    for path in CAPTURES:
        found, _ = same_as_read(path, text, engines=("native",))
        packets += len(found)
    assert packets > 1000


@pytest.mark.parametrize("make", [random_pcap, random_pcapng])
def test_random_captures(tmp_path, blocks, make):
    rng = random.Random(f"batches-{make.__name__}-{SEED}")
    path = tmp_path / "in"
    found = 0
    for _ in range(40):
        blocks(rng.choice((1, 60, 700, 5000, 1 << 19)))
        path.write_bytes(make(rng, rng.randrange(150)))
        packets, error = same_as_read(path, LONGER, note=RERUN)
        assert error is None or path.stat().st_size == 0
        found += len(packets)
    assert found > 500


def test_damaged_captures(tmp_path, blocks):
    rng = random.Random(f"batches-damage-{SEED}")
    path = tmp_path / "in"
    errors = set()
    for _ in range(80):
        blocks(rng.choice((60, 700, 1 << 19)))
        content = rng.choice((random_pcap, random_pcapng))(rng, rng.randrange(1, 40))
        path.write_bytes(content[:28] + damage(content[28:], rng))
        _, error = same_as_read(path, LONGER, note=RERUN)
        errors.add(error)
    assert len(errors) > 20


def test_cut_at_every_byte(tmp_path):
    path = tmp_path / "in"
    for content in (ETHERNET.read_bytes()[:400], MIXED.read_bytes()[:700]):
        for size in range(len(content)):
            path.write_bytes(content[:size])
            same_as_read(path, "ip", engines=("native", "interp"))


@pytest.mark.parametrize("engine", ["native", "interp"])
@pytest.mark.parametrize("size", [64, 4096, 100_000])
def test_views_stay_valid(tmp_path, blocks, engine, size):
    """However many are held, and whatever is read behind them."""
    rng = random.Random(f"batches-views-{SEED}")
    blocks(size)
    lengths = (0, 1, 60, 61, 1500, 70_000)
    for make in (random_pcap, random_pcapng):
        path = tmp_path / make.__name__
        path.write_bytes(make(rng, 400, lengths=lengths))
        wanted = list(pfcompile.read(path))
        held = list(pfcompile.batches(path, engine=engine))
        gc.collect()
        found = [(time, view) for batch in held for time, view in batch]
        assert [(time, bytes(view)) for time, view in found] == wanted
        assert all(view.readonly for _, view in found)
        # A few that outlive all others.
        kept = found[:: len(found) // 10]
        expected = wanted[:: len(found) // 10]
        del held, found
        gc.collect()
        list(pfcompile.batches(path, engine=engine))
        assert [(time, bytes(view)) for time, view in kept] == expected


def test_views_are_not_copies():
    """Those of a batch look at one piece of memory."""
    (batch,) = pfcompile.batches(ETHERNET, engine="native")
    assert len(batch) == 22
    assert len({id(view.obj) for _, view in batch}) == 1


def test_not_more_is_held_than_is_looked_at(blocks, tmp_path):
    """What nobody looks at any more is given back or used again."""
    blocks(100_000)
    path = tmp_path / "in.pcap"
    path.write_bytes(pcap([(1, 1, bytes(1000), 1000)] * 5000))
    list(pfcompile.batches(ETHERNET, engine="native"))  # which loads what is needed
    tracemalloc.start()
    try:
        for batch in pfcompile.batches(path, engine="native"):
            assert batch
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2_000_000 < path.stat().st_size


TIMES = [
    ((0, b"\x06"), 1_700_000_000_000_001),
    ((0, b"\x09"), (1 << 64) - 1),
    ((-5, b"\x00"), (1 << 64) - 1),
    ((-(1 << 63), b"\x00"), 0),
    (((1 << 63) - 1, b"\x00"), (1 << 64) - 2),
    ((0, b"\xbf"), (1 << 64) - 1),
    ((7, b"\x8a"), 12345),
    ((0, b"\x13"), (1 << 63) + 5),
]


def test_times_of_every_kind(tmp_path):
    """In any unit, with any offset, beyond any number of bits; and none at all."""
    path = tmp_path / "in.pcapng"
    blocks = [section()]
    for (offset, unit), _ in TIMES:
        given = option("<", 9, unit) + option("<", 14, struct.pack("<q", offset)) + END
        blocks.append(interface(options=given))
    blocks += [enhanced(number=n, ticks=ticks, data=b"e") for n, (_, ticks) in enumerate(TIMES)]
    blocks += [simple(data=b"s"), enhanced(number=2, ticks=0, data=b"z")]
    path.write_bytes(b"".join(blocks))
    packets, error = same_as_read(path)
    assert error is None
    times = dict.fromkeys(time for time, _ in packets)
    assert 0 in times  # the simple packet's, whatever the offset
    assert packets[1][0] == (1 << 64) - 1
    assert packets[2][0] == ((1 << 64) - 6) * 10**9
    assert packets[-1] == (-5 * 10**9, b"z")
    assert len(packets) == len(TIMES) + 2


def sources(tmp_path, content):
    """Yield the same capture in many forms, made anew for each use."""
    path = tmp_path / "in"
    path.write_bytes(content)
    packed = tmp_path / "in.gz"
    packed.write_bytes(gzip.compress(content))
    url = f"memory://{tmp_path.name}/in"
    with fsspec.open(url, "wb") as stream:
        stream.write(content)
    yield from (lambda: path, lambda: str(path), lambda: f"file://{path}")
    yield from (lambda: packed, lambda: url)
    yield from (lambda: BytesIO(content), lambda: BytesIO(gzip.compress(content)))
    yield from (lambda: path.open("rb"), lambda: path.open("rb", buffering=0))
    yield lambda: Dribble(content)


class Dribble:
    """A stream that gives a few bytes at a time."""

    name = "dribble"

    def __init__(self, content):
        self._content = BytesIO(content)

    def read(self, size):
        return self._content.read(min(size, 700))


@pytest.mark.parametrize("path", [ETHERNET, MIXED], ids=lambda path: path.suffix)
def test_sources_of_every_kind(tmp_path, path):
    wanted = list(pfcompile.read(path, "udp"))
    assert wanted
    for make in sources(tmp_path, path.read_bytes()):
        for engine in ENGINES:
            source = make()
            found = outcome(flat(pfcompile.batches(source, "udp", engine=engine)))
            assert found == (wanted, None), (source, engine)
            if isinstance(source, io.IOBase):
                assert not source.closed
                source.close()


def test_a_stream_that_has_been_read_from(tmp_path):
    """The capture begins where the stream is, and a stream of a file is not read elsewhere."""
    content = ETHERNET.read_bytes()
    path = tmp_path / "in"
    path.write_bytes(b"before" + content)
    wanted = list(pfcompile.read(ETHERNET, "udp"))
    for buffering in (-1, 0):
        with path.open("rb", buffering=buffering) as stream:
            stream.read(6)
            found = outcome(flat(pfcompile.batches(stream, "udp", engine="native")))
            assert found == (wanted, None)


def test_standard_input(monkeypatch):
    class Input:
        buffer = BytesIO(ETHERNET.read_bytes())

    monkeypatch.setattr(sys, "stdin", Input)
    found = outcome(flat(pfcompile.batches("-", "udp", engine="native")))
    assert found == (list(pfcompile.read(ETHERNET, "udp")), None)


def test_what_a_pipe_has_given_comes_before_more_is_waited_for():
    """Natively, so that a live capture is seen as it comes."""
    reading, writing = os.pipe()
    content = ETHERNET.read_bytes()
    with open(reading, "rb", buffering=0) as stream:  # noqa: PTH123 - a descriptor
        os.write(writing, content)
        timer = threading.Timer(30, os.close, (writing,))
        timer.start()
        batches = pfcompile.batches(stream, engine="native")
        assert sum(map(len, [next(batches)])) == 22
        timer.cancel()
        os.close(writing)
        assert list(batches) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_batch_that_is_not_wanted_any_more(tmp_path, engine):
    """The file is closed when the iteration is given up."""
    path = tmp_path / "in.pcap"
    path.write_bytes(pcap([(1, 1, bytes(1000), 1000)] * 3000))

    def is_open():
        for each in Path("/proc/self/fd").iterdir():
            try:
                if each.readlink() == path:
                    return True
            except OSError:
                continue
        return False

    batches = pfcompile.batches(path, engine=engine)
    first = next(batches)
    assert is_open()
    batches.close()
    assert not is_open()
    assert bytes(first[-1][1]) == bytes(1000)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_expression_that_is_wrong_for_a_later_interface(tmp_path, engine):
    """What came before is given."""
    path = tmp_path / "in.pcapng"
    path.write_bytes(
        section()
        + interface()
        + enhanced(data=bytes(60)) * 3
        + interface(linktype=101)
        + enhanced(number=1, data=b"\x45" + bytes(40))
    )
    packets, error = same_as_read(path, "not ether host 1:2:3:4:5:6", engines=(engine,))
    assert len(packets) == 3
    assert "not supported on DLT_RAW" in error


@pytest.mark.parametrize("engine", ENGINES)
def test_errors(tmp_path, engine):
    """All errors are those of `read`, when the first batch is asked for; none is silent."""
    missing = tmp_path / "missing"
    assert "cannot be opened" in same_as_read(missing, engines=(engine,))[1]
    other = tmp_path / "other"
    other.write_bytes(b"no capture")
    assert "unknown file format" in same_as_read(other, engines=(engine,))[1]
    assert "udp prot" in same_as_read(PCAPS / "empty.pcap", "udp prot 53", engines=(engine,))[1]
    unknown = tmp_path / "unknown.pcapng"
    unknown.write_bytes(section() + interface(linktype=60_000) + enhanced(data=b"x"))
    assert "unknown data link type 60000" in same_as_read(unknown, engines=(engine,))[1]
    assert dlt_of_linktype(60_000) == 60_000
    with pytest.raises(ValueError, match="fast"):
        pfcompile.batches(ETHERNET, engine="fast")


def test_without_llvm(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    with pytest.warns(RuntimeWarning, match="no native code, so the interpreter filters") as told:
        found = outcome(flat(pfcompile.batches(MIXED, "udp", engine="native")))
    assert found == outcome(pfcompile.read(MIXED, "udp"))
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = outcome(flat(pfcompile.batches(MIXED, "udp")))  # small: nobody misses it
    assert found == outcome(pfcompile.read(MIXED, "udp"))


def test_numpy_is_not_needed():
    code = (
        "import sys; sys.modules['numpy'] = None; import pfcompile;"
        f"print(sum(map(len, pfcompile.batches({str(ETHERNET)!r}, 'udp', engine='native'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"4\n"
