"""Compressed captures: all that comes out is read, and damage, cuts and bombs are told."""

from __future__ import annotations

import bz2
import io
import lzma
import random
import struct
import subprocess
import sys
import zlib

import lz4.frame
import pytest

import pfcompile
from pfcompile.captures.folders import expand
from pfcompile.captures.sources import decompressed
from pfcompile.captures.sources.compression import COMPRESSIONS, LONGEST_MAGIC, find_compression
from pfcompile.errors import MissingExtraError
from tests.captures.capture_building import block, parse, section
from tests.captures.capture_sources import (
    COMPRESS,
    CONTENTS,
    SMALL,
    WAYS,
    Dribble,
    as_path,
    every_compression,
    every_format,
    items_of,
    whole,
    zstd,
)
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/captures/test_compressed_inputs.py")

OUT_OF = {
    # What comes out of as much as there is, by one call of the library.
    "gzip": lambda data: zlib.decompressobj(31).decompress(data),
    "zstd": lambda data: zstd.ZstdDecompressor().decompress(data),
    "xz": lambda data: lzma.LZMADecompressor().decompress(data),
    "bzip2": lambda data: bz2.BZ2Decompressor().decompress(data),
    "lz4": lambda data: lz4.frame.LZ4FrameDecompressor().decompress(data),
}
CHECKSUM = {
    # How far before the end a byte of the checksum of all data is; in xz an index follows it.
    "gzip": lambda _: 5,
    "zstd": lambda _: 1,
    "xz": lambda data: 12 + (struct.unpack("<I", data[-8:-4])[0] + 1) * 4 + 3,
    "bzip2": lambda _: 3,
    "lz4": lambda _: 1,
}
MISSING = {"zstd": "backports.zstd", "lz4": "lz4"}


def test_rows():
    assert [each.name for each in COMPRESSIONS] == list(COMPRESS)
    magics = [magic for each in COMPRESSIONS for magic in each.magics]
    assert len(set(magics)) == len(magics)
    assert max(map(len, magics)) == LONGEST_MAGIC
    for name, compress in COMPRESS.items():
        assert find_compression(compress(b"x")).name == name
        assert find_compression(compress(b"x")).source
    for content in (*CONTENTS.values(), b"", b"\x1f"):
        assert find_compression(content) is None


@every_compression
def test_names_mean_nothing(name, tmp_path):
    for misleading in ("x.pcap", "x.gz", "x.zst", "x.xz", "x.bz2", "x.lz4", "x.txt", "x"):
        path = tmp_path / misleading
        path.write_bytes(COMPRESS[name](SMALL["pcap"]))
        assert items_of(path) == (whole(SMALL["pcap"]), None)
        path.write_bytes(SMALL["pcap"])
        assert items_of(path) == (whole(SMALL["pcap"]), None)


@every_compression
def test_every_cut_of_a_small_capture(name):
    content = SMALL["pcapng"]
    compressed = COMPRESS[name](content)
    for cut in range(len(compressed)):
        check_cut(name, content, compressed, cut)


@every_compression
@every_format
def test_cuts(name, kind):
    rng = random.Random(f"{SEED}-cuts-{name}-{kind}")
    compressed = COMPRESS[name](CONTENTS[kind])
    for cut in rng.sample(range(len(compressed)), 60):
        check_cut(name, CONTENTS[kind], compressed, cut)


def check_cut(name, content, compressed, cut):
    """Check that all that comes out of a part is read, to the byte, and then an error."""
    explain = f"{name} cut to {cut} of {len(compressed)} bytes; {RERUN}"
    there = OUT_OF[name](compressed[:cut])
    assert content.startswith(there), explain
    items, error = items_of(Dribble(compressed[:cut], 501))
    assert items == parse(there)[0], explain
    assert error is not None, explain
    assert error.path == "stream", explain
    if cut >= LONGEST_MAGIC:
        assert error.offset == len(there), explain
        assert error.message == (
            f"the {name} data are cut short (byte of the decompressed data)"
        ), explain


def test_a_cut_behind_a_block_of_lz4():
    """The block is longer than a step, and its end is the end of what there is."""
    content = CONTENTS["pcap"]
    compressed = COMPRESS["lz4"](content)
    header = 15  # with the content's size
    end = header + 4 + (struct.unpack_from("<I", compressed, header)[0] & 0x7FFFFFFF)
    assert end < len(compressed) - 1000
    for source in (io.BytesIO(compressed[:end]), Dribble(compressed[:end], end)):
        items, error = items_of(source)
        assert error.offset == 64 * 1024
        assert items == parse(content[: 64 * 1024])[0]


@every_compression
@every_format
def test_flipped_bits(name, kind):
    """Damage gives an error or what was compressed, wherever it is; never anything else."""
    content = SMALL[kind] * 5 if kind == "pcapng" else CONTENTS[kind][:6000]
    compressed = COMPRESS[name](content)
    plain, plain_error = parse(content)
    found = 0
    for number in range(120):
        rng = random.Random(f"{SEED}-flips-{name}-{kind}-{number}")
        broken = bytearray(compressed)
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        explain = f"{name}, {kind}, {number}: {broken[:60].hex()}...; {RERUN}"
        try:
            items, error = items_of(io.BytesIO(bytes(broken)))
        except Exception:
            print(explain)
            raise
        if error is None or error.message.startswith("the last record"):
            assert items == plain, explain
        else:
            found += 1
            assert error.offset is not None, explain
            assert "\n" not in str(error), explain
    assert found > 70, RERUN
    assert plain_error is None or plain_error.message.startswith("the last record")


@every_compression
@every_format
def test_other_damage(name, kind):
    """Parts that are missing, doubled or made up, in members one after the other."""
    content = CONTENTS[kind][:20_000]
    half = len(content) // 2
    compressed = COMPRESS[name](content[:half]) + COMPRESS[name](content[half:])
    for number in range(60):
        rng = random.Random(f"{SEED}-damage-{name}-{kind}-{number}")
        broken = bytearray(compressed)
        place = rng.randrange(len(broken))
        match rng.randrange(4):
            case 0:
                del broken[place : place + rng.randint(1, 400)]
            case 1:
                broken[place:place] = rng.randbytes(rng.randint(1, 40))
            case 2:
                broken[place : place + 200] = bytes(200)
            case _:
                broken[place:] = broken[rng.randrange(len(broken)) :]
        try:
            items_of(Dribble(bytes(broken), rng.choice([1000, 65536])))
        except Exception:
            print(f"{name}, {kind}, {number}; {RERUN}")
            raise


@every_compression
@pytest.mark.parametrize("kind", SMALL)
def test_a_wrong_checksum_costs_no_packet(name, kind):
    content = SMALL[kind]
    broken = bytearray(COMPRESS[name](content))
    broken[-CHECKSUM[name](broken)] ^= 0x10
    items, error = items_of(io.BytesIO(bytes(broken)))
    assert items == whole(content)
    assert error.offset == len(content)
    assert error.message.startswith(f"the {name} data are damaged: ")


@every_compression
def test_damage_far_into_a_member(name, monkeypatch):
    """Where the member is no longer there to go through again, one step is lost at most."""
    monkeypatch.setattr(decompressed, "_KEPT", 1)
    content = CONTENTS["pcap"]
    broken = bytearray(COMPRESS[name](content))
    broken[-CHECKSUM[name](broken)] ^= 0x10
    items, error = items_of(Dribble(bytes(broken), 1000))
    assert items == whole(content)[: len(items)]
    assert error.message.startswith(f"the {name} data are damaged: ")
    assert len(content) - decompressed._STEP <= error.offset <= len(content)


@every_compression
def test_members(name, tmp_path):
    """Several compressed one after the other are one; empty ones and padding are nothing."""
    content = CONTENTS["pcap"]
    compress = COMPRESS[name]
    parts = [content[:100], b"", content[100:5000], content[5000:]]
    for padding in (b"", bytes(512)):
        joined = padding.join(map(compress, parts)) + padding
        for way in WAYS.values():
            assert items_of(way(joined, tmp_path)) == (whole(content), None)
    # Of many small ones, none may be a frame of Python's stack.
    tiny = b"".join(compress(content[n : n + 10]) for n in range(0, 20_000, 10))
    items, error = items_of(io.BytesIO(tiny))
    assert items == parse(content[:20_000])[0]
    assert error.message.startswith("the last record is cut short")


@every_compression
def test_what_is_behind_is_not_silently_left_out(name):
    compressed = COMPRESS[name](SMALL["pcap"])
    other = next(each for each in COMPRESS if each != name)
    for behind in (b"x", b"something else", COMPRESS[other](SMALL["pcap"]), bytes(9) + b"\1"):
        items, error = items_of(io.BytesIO(compressed + behind))
        assert items == whole(SMALL["pcap"])
        assert error.offset == len(SMALL["pcap"])
        assert error.message.startswith(f"the {name} data are followed by others")


def test_skippable_frames():
    """What pzstd puts before each frame."""
    skipped = struct.pack("<2I", 0x184D2A50, 4) + b"1234"
    content = SMALL["pcapng"]
    compressed = skipped + zstd.compress(content[:99]) + skipped + zstd.compress(content[99:])
    assert items_of(io.BytesIO(compressed + skipped)) == (whole(content), None)


@every_compression
def test_compressed_twice(name):
    for inner, compress in COMPRESS.items():
        items, error = items_of(io.BytesIO(COMPRESS[name](compress(SMALL["pcap"]))))
        assert items == []
        assert f"it is compressed twice, with {inner} and then {name}" in error.message
        assert error.offset == 0


@every_compression
def test_no_capture_in_it(name):
    for content, message in (
        (b"", "the file header is cut short: 0 bytes"),
        (b"\xd4\xc3", "the file header is cut short: 2 bytes"),
        (b"some text", "unknown file format: it begins with 73 6f 6d 65"),
        (SMALL["pcap"][:-1], "the last record is cut short"),
    ):
        items, error = items_of(io.BytesIO(COMPRESS[name](content)))
        assert items == parse(content)[0]
        assert error.message.startswith(message)
        assert error.message.endswith("(byte of the decompressed data)")


@every_compression
def test_bombs_take_little_memory(name):
    """300 MB of zeros inside of a capture, compressed to next to nothing."""
    megabyte = block("<", 0x0BAD, bytes(1 << 20))
    bomb = COMPRESS[name](section() + megabyte * 300)
    code = (
        "import resource\n"
        "from pfcompile.captures.sources.inputs import open_source\n"
        "from pfcompile.captures.reader import read_items\n"
        "import pfcompile.captures.sources.decompressed, bz2, lzma, zlib, lz4.frame\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with open_source('-') as stream:\n"
        "    count = sum(1 for _ in read_items(stream, 'bomb'))\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(count, (after - before) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=bomb, capture_output=True, check=True, timeout=120
    )
    count, megabytes = map(int, done.stdout.split())
    assert count == 301
    assert megabytes < 40


def test_xz_that_asks_for_gigabytes():
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 64 << 20}]
    compressed = bytearray(lzma.compress(SMALL["pcap"], filters=filters))
    assert items_of(io.BytesIO(bytes(compressed)))[1] is None
    # The block header says the size of the dictionary in a byte, and has a checksum.
    place = compressed.index(b"\x21\x01", 12) + 2
    compressed[place] = 38  # 2 GB
    end = 12 + (compressed[12] + 1) * 4
    compressed[end - 4 : end] = struct.pack("<I", zlib.crc32(compressed[12 : end - 4]))
    items, error = items_of(io.BytesIO(bytes(compressed)))
    assert items == []
    assert "Memory usage limit exceeded" in error.message


@pytest.mark.parametrize("name", MISSING)
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="zstd is in the standard library")
def test_a_missing_package(name, monkeypatch, tmp_path):
    path = as_path(COMPRESS[name](SMALL["pcap"]), tmp_path)
    monkeypatch.setitem(sys.modules, MISSING[name].split(".")[0], None)
    for call in (
        lambda: items_of(path),
        lambda: list(pfcompile.read(path)),
        lambda: pfcompile.filter_file(path, tmp_path / "out", ""),
    ):
        with pytest.raises(MissingExtraError) as caught:
            call()
        assert str(caught.value) == (
            f"reading what is compressed with {name} needs {MISSING[name]}, which is not "
            "installed: pip install 'pfcompile[compression]'"
        )
    # In a folder, one error for all such files; the others are read.
    (tmp_path / "again").write_bytes(path.read_bytes())
    (tmp_path / "plain").write_bytes(SMALL["pcap"])
    errors = []
    assert expand([tmp_path], errors.append) == [str(tmp_path / "plain")]
    assert [type(error) for error in errors] == [MissingExtraError]


def test_without_a_module_of_the_standard_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "bz2", None)
    _, error = items_of(io.BytesIO(bz2.compress(b"")))
    assert error.message == "it is compressed with bzip2, which this Python was built without"
