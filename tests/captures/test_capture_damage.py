"""Two thousand damaged captures: an error or none, never anything else, in little memory.

Rerun one seed with `CAPTURE_SEED=N pytest tests/captures/test_capture_damage.py -n 0`.
"""

from __future__ import annotations

import os
import random
import time
import tracemalloc
from io import BytesIO

import pytest
from capture_building import KUZNETZOV, damage, parse, pcap, pcapng

import pfcompile
from pfcompile.captures.filtering import filter_file, read
from pfcompile.captures.formats.records import Record
from pfcompile.captures.summary import describe_packet, summarize
from pfcompile.captures.writer import Format
from pfcompile.errors import CaptureError, FilterError

SEED = int(os.environ.get("CAPTURE_SEED", "20240501"))
COUNT = 2000
SOURCES = [
    pcap(),
    pcap(order=">"),
    pcap(magic=KUZNETZOV),
    pcap([(1, n, bytes(60), 60) for n in range(50)]),
    pcapng(),
    pcapng() * 3,
]


def every_third(dlt, snaplen):
    return lambda _packet, wire_length: wire_length % 3 == 0


def test_damaged_captures():
    tracemalloc.start()
    slowest = 0.0
    broken = 0
    for number in range(COUNT):
        rng = random.Random(f"{SEED}-{number}")
        content = damage(rng.choice(SOURCES), rng)
        start = time.perf_counter()
        # Anything but a CaptureError fails the test here, with its traceback.
        items, error = parse(content, rng.choice([16, 4096, 1 << 18]))
        for item in items:
            if isinstance(item, Record):
                summarize(item)
        slowest = max(slowest, time.perf_counter() - start)
        place = sum(len(item.raw) for item in items)
        explain = f"seed {SEED}, capture {number}: {content[:80].hex()}..."
        assert b"".join(bytes(item.raw) for item in items) == content[:place], explain
        if error is None:
            assert place == len(content), explain
        else:
            broken += 1
            assert error.offset == place, explain
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert broken > COUNT // 2  # the damage is real
    assert peak < 40 << 20, f"seed {SEED}: {peak >> 20} MiB"
    assert slowest < 5, f"seed {SEED}"


@pytest.mark.parametrize("write_format", list(Format))
def test_what_is_written_from_damaged_captures_is_whole(tmp_path, write_format):
    """Whatever goes wrong, the output parses to its end and holds what matched."""
    out = tmp_path / "out"
    for number in range(300):
        rng = random.Random(f"{SEED}-write-{number}")
        content = damage(rng.choice(SOURCES), rng)
        explain = f"seed {SEED}, capture {number}, {write_format}"
        expected = [
            r for r in parse(content)[0] if isinstance(r, Record) and r.wire_length % 3 == 0
        ]
        out.unlink(missing_ok=True)
        # An error that is not the damage that `parse` has found: a link type that does not exist,
        # or what the output's format cannot hold. It ends the run early.
        refused = None
        try:
            filter_file(BytesIO(content), out, every_third, write_format=write_format)
        except CaptureError as error:
            if error.offset is None:
                refused = error
        if not out.exists():
            assert expected == [] or refused is not None, explain
            continue
        with out.open("rb") as stream:
            items, error = parse(stream.read())
        assert error is None, explain
        found = [item.data for item in items if isinstance(item, Record)]
        if refused is None:
            assert found == [r.data for r in expected], explain
        else:
            assert found == [r.data for r in expected][: len(found)], explain


def test_an_inflated_length_takes_no_memory():
    """Sixteen megabytes announced, a few hundred bytes there."""
    content = bytearray(pcap(link_word=231))
    content[24 + 8 : 24 + 12] = (16 << 20).to_bytes(4, "little")
    block = bytearray(pcapng())
    length = block.index(b"\x0a\x0d\x0d\x0a", 4)
    for inflated in (
        bytes(content),
        bytes(block[:length]) + b"\x07\0\0\0\xfc\xff\xff\0" + bytes(9),
    ):
        tracemalloc.start()
        _, error = parse(inflated, 4096)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert "cut short" in error.message
        assert peak < 1 << 20


def test_a_sparse_output_keeps_no_blocks(tmp_path):
    """One match in each input block must not keep the blocks in memory."""
    packets = [(1, n, bytes(1400), 3 if n % 180 == 0 else 1) for n in range(36_000)]
    source = tmp_path / "in.pcap"
    source.write_bytes(pcap(packets))
    tracemalloc.start()
    stats = filter_file(source, tmp_path / "out.pcap", every_third)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (stats.packets, stats.matched) == (36_000, 200)
    assert peak < 8 << 20


def test_summaries_of_random_bytes():
    rng = random.Random(f"{SEED}-summary")
    starts = [b"", b"\x45", b"\x60", bytes(12) + b"\x08\x00\x45", bytes(12) + b"\x86\xdd\x60"]
    for number in range(20_000):
        dlt = rng.choice([0, 1, 9, 12, 50, 104, 108, 113, 228, 229, 276, 127, 999])
        data = rng.choice(starts) + rng.randbytes(rng.randrange(90))
        line = describe_packet(dlt, data)
        assert line.isprintable(), f"seed {SEED}, packet {number}"


def test_read_gives_what_is_whole_before_the_error():
    content = pcap()[:-1]
    found = []
    with pytest.raises(CaptureError) as caught:
        found.extend(read(BytesIO(content), lambda *_: lambda *_: 1))
    assert len(found) == 3
    assert caught.value.offset == len(content) - 2 - 16


@pytest.mark.parametrize("expression", ["tcp port 443 or host 10.0.0.1", "ether[0] & 1 = 1"])
def test_damaged_captures_through_the_compiler(expression):
    """The whole way: the errors of both are all that comes out."""
    for number in range(300):
        rng = random.Random(f"{SEED}-whole-{number}")
        content = damage(rng.choice(SOURCES), rng)
        try:
            for _ in pfcompile.read(BytesIO(content), expression):
                pass
        except (CaptureError, FilterError):
            continue
        except Exception:
            print(f"seed {SEED}, capture {number}")
            raise
