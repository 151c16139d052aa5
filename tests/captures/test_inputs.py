"""Captures from anywhere, compressed or not: the same items as from a plain file, or an error."""

from __future__ import annotations

import bz2
import functools
import gzip
import http.server
import io
import lzma
import os
import random
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import fsspec
import lz4.frame
import pytest
from capture_building import block, parse, pcap, pcapng, section

import pfcompile
from pfcompile.captures.folders import expand
from pfcompile.captures.reader import read_items
from pfcompile.captures.sources import decompressed, inputs
from pfcompile.captures.sources.compression import COMPRESSIONS, LONGEST_MAGIC, find_compression
from pfcompile.captures.sources.inputs import is_url, local_path, name_of, open_source, size_of
from pfcompile.errors import CaptureError, MissingExtraError
from tests.generator.seed import SEED, rerun

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PCAPS = Path(__file__).parents[2] / "pcaps"
RERUN = rerun("tests/captures/test_inputs.py")

ZSTD_CHECKED = {zstd.CompressionParameter.checksum_flag: 1}
COMPRESS = {
    "gzip": gzip.compress,
    "zstd": functools.partial(zstd.compress, options=ZSTD_CHECKED),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "lz4": functools.partial(lz4.frame.compress, content_checksum=True),
}
OUT_OF = {
    # What comes out of as much as there is, by one call of the library.
    "gzip": lambda data: zlib.decompressobj(31).decompress(data),
    "zstd": lambda data: zstd.ZstdDecompressor().decompress(data),
    "xz": lambda data: lzma.LZMADecompressor().decompress(data),
    "bzip2": lambda data: bz2.BZ2Decompressor().decompress(data),
    "lz4": lambda data: lz4.frame.LZ4FrameDecompressor().decompress(data),
}
RNG = random.Random(SEED)
CONTENTS = {
    "pcap": pcap(
        [(1_700_000_000 + n, n, RNG.randbytes(n % 90) * 3, n % 90 * 3) for n in range(800)]
    ),
    "pcapng": pcapng() * 40,
}
SMALL = {"pcap": pcap(), "pcapng": pcapng()}

every_compression = pytest.mark.parametrize("name", COMPRESS)
every_format = pytest.mark.parametrize("kind", CONTENTS)


def items_of(source):
    """Return what is whole in a source, and the error that ends it."""
    items = []
    try:
        with open_source(source) as stream:
            items.extend(read_items(stream, name_of(source), block_size=4096))
    except CaptureError as error:
        return items, error
    return items, None


def whole(content):
    items, error = parse(content)
    assert error is None
    return items


class Dribble:
    """A stream with nothing but `read`, which gives a few bytes at a time."""

    def __init__(self, content, size=7):
        self._inner = io.BytesIO(content)
        self._size = size

    def read(self, size):
        return self._inner.read(min(size, self._size))


class Pipe:
    """Standard input that is a pipe."""

    def __init__(self, content):
        self._content = content

    def __enter__(self):
        reading, writing = os.pipe()
        self._writer = threading.Thread(target=self._write, args=[writing])
        self._writer.start()
        self._old, sys.stdin = sys.stdin, open(reading)  # noqa: PTH123
        return "-"

    def _write(self, descriptor):
        with os.fdopen(descriptor, "wb") as pipe:
            pipe.write(self._content)

    def __exit__(self, *_):
        sys.stdin.close()
        sys.stdin = self._old
        self._writer.join()


def as_path(content, folder):
    path = folder / "capture"
    path.write_bytes(content)
    return path


def as_url(content, folder):
    url = f"memory://{folder.name}/capture"
    with fsspec.open(url, "wb") as stream:
        stream.write(content)
    return url


def as_file_url(content, folder):
    return as_path(content, folder).as_uri()


WAYS = {
    "path": as_path,
    "text path": lambda content, folder: str(as_path(content, folder)),
    "memory": lambda content, _: io.BytesIO(content),
    "buffered": lambda content, _: io.BufferedReader(io.BytesIO(content)),
    "dribble": lambda content, _: Dribble(content),
    "url": as_url,
    "file url": as_file_url,
}


@pytest.mark.parametrize("way", WAYS)
@every_format
@pytest.mark.parametrize("name", [*COMPRESS, "plain"])
def test_every_way_gives_the_same_items(name, kind, way, tmp_path):
    content = CONTENTS[kind]
    compressed = content if name == "plain" else COMPRESS[name](content)
    items, error = items_of(WAYS[way](compressed, tmp_path))
    assert error is None
    assert items == whole(content)


@every_format
@pytest.mark.parametrize("name", [*COMPRESS, "plain"])
def test_a_pipe_as_standard_input_gives_the_same_items(name, kind):
    content = CONTENTS[kind]
    with Pipe(content if name == "plain" else COMPRESS[name](content)) as source:
        items, error = items_of(source)
    assert error is None
    assert items == whole(content)


@every_compression
def test_the_public_functions_take_them(name, tmp_path):
    plain = tmp_path / "plain.pcap"
    plain.write_bytes(CONTENTS["pcap"])
    wanted = list(pfcompile.read(plain, "greater 100"))
    assert 0 < len(wanted) < 800
    for way, make in WAYS.items():
        source = make(COMPRESS[name](CONTENTS["pcap"]), tmp_path)
        assert list(pfcompile.read(source, "greater 100")) == wanted, way
        source = make(COMPRESS[name](CONTENTS["pcap"]), tmp_path)
        for engine in ("interp", "native") if way in {"path", "dribble"} else ("interp",):
            if way == "dribble":
                source = Dribble(COMPRESS[name](CONTENTS["pcap"]))
            out = tmp_path / "out.pcap"
            stats = pfcompile.filter_file(source, out, "greater 100", engine=engine)
            assert stats.matched == len(wanted), (way, engine)
            assert list(pfcompile.read(out)) == wanted, (way, engine)


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


CHECKSUM = {
    # How far before the end a byte of the checksum of all data is; in xz an index follows it.
    "gzip": lambda _: 5,
    "zstd": lambda _: 1,
    "xz": lambda data: 12 + (struct.unpack("<I", data[-8:-4])[0] + 1) * 4 + 3,
    "bzip2": lambda _: 3,
    "lz4": lambda _: 1,
}


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


def test_an_empty_file(tmp_path):
    for way, make in WAYS.items():
        items, error = items_of(make(b"", tmp_path))
        assert items == []
        assert "the file header is cut short: 0 bytes in all" in str(error), way
        assert "decompressed" not in str(error)


def test_the_archive_is_what_lies_beside_it():
    archive = sorted((PCAPS / "archive").iterdir())
    assert [path.name for path in archive] == ["ethernet.pcap.gz", "mixed.pcapng.xz"]
    for path in archive:
        assert items_of(path) == items_of(PCAPS / path.stem), "run python pcaps/make.py"
    assert expand([PCAPS / "archive"]) == list(map(str, archive))


def test_foreign_files():
    for content, word in (
        (b"snoop\0\0\0\0\0\0\2", "snoop"),
        (b"PK\x03\x04and more", "zip"),
        (b"\x1f\x9d\x90more", "compress"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\x02\x21\x4c\x18more", "lz4"),
    ):
        assert word in items_of(io.BytesIO(content))[1].message


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


def test_what_a_slow_pipe_has_is_given_at_once():
    """Packets that were flushed into a compressed pipe come out before the pipe goes on."""
    content = CONTENTS["pcap"]
    compressor = zlib.compressobj(wbits=31)
    flushed = compressor.compress(content[:10_000]) + compressor.flush(zlib.Z_SYNC_FLUSH)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb", buffering=0) as far_end:
        far_end.write(flushed)
        with open_source(pipe) as stream:
            items = read_items(stream, "pipe")
            expected = parse(content[:10_000])[0]
            assert [next(items) for _ in expected] == expected


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


MISSING = {"zstd": "backports.zstd", "lz4": "lz4"}


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


def test_without_fsspec(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    for url in ("s3://bucket/key", "https://host/capture.pcap", "memory://x"):
        with pytest.raises(MissingExtraError, match=r"pip install 'pfcompile\[remote\]'"):
            items_of(url)
    with pytest.raises(MissingExtraError, match="fsspec"):
        expand(["s3://bucket/*.pcap"])
    assert expand(["s3://bucket/key"]) == ["s3://bucket/key"]


def test_without_a_module_of_the_standard_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "bz2", None)
    _, error = items_of(io.BytesIO(bz2.compress(b"")))
    assert error.message == "it is compressed with bzip2, which this Python was built without"


@pytest.mark.parametrize(
    "url", ["s3://bucket/key", "nonsense://x", "memory://missing", "https://localhost:1/x"]
)
def test_urls_that_cannot_be_opened(url, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    items, error = items_of(url)
    assert items == []
    assert str(error).startswith(f"{url}: cannot be opened: ")
    assert "\n" not in str(error)


@pytest.fixture
def server(tmp_path):
    """Serve a folder over HTTP, without parts of files; `short` promises more than it sends."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def send_header(self, keyword, value):
            if keyword == "Content-Length" and self.path == "/short":
                value = str(int(value) + 100)
            super().send_header(keyword, value)

    handler = functools.partial(Handler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_http(server, tmp_path):
    content = CONTENTS["pcap"] + CONTENTS["pcap"][24:] * 100
    (tmp_path / "a.pcap").write_bytes(content)
    (tmp_path / "b.pcap.xz").write_bytes(lzma.compress(content))
    (tmp_path / "short").write_bytes(content)
    assert items_of(f"{server}/a.pcap?token=*") == (whole(content), None)
    assert items_of(f"{server}/b.pcap.xz") == (whole(content), None)
    assert "there is no such file" in str(items_of(f"{server}/c.pcap")[1])
    items, error = items_of(f"{server}/short")
    assert items == whole(content)[: len(items)]
    assert error is not None
    assert "cannot be read" in str(error)
    found = expand([f"{server}/*.pcap*"])
    assert found == [f"{server}/a.pcap", f"{server}/b.pcap.xz"]


class Failing:
    """A stream that fails after some bytes."""

    name = "far away"

    def __init__(self, content, error):
        self._inner = io.BytesIO(content)
        self._error = error

    def read(self, size):
        found = self._inner.read(size)
        if not found:
            raise self._error
        return found


@pytest.mark.parametrize("name", [*COMPRESS, "plain"])
@pytest.mark.parametrize(
    "error", [EOFError(), OSError(5, "Input/output error"), OSError(), KeyError("x"), zlib.error()]
)
def test_streams_that_fail(name, error):
    content = SMALL["pcap"][:-1]
    compressed = content if name == "plain" else COMPRESS[name](content)[:-1]
    items, told = items_of(Failing(compressed, error))
    assert items == whole(SMALL["pcap"])[:-1]
    assert str(told).startswith("far away: byte ")
    assert "cannot be read: " in told.message


def test_a_stream_of_another_library_that_is_cut_short(tmp_path):
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(SMALL["pcap"])[:-3])
    with gzip.open(path) as stream:
        items, error = items_of(stream)
    assert items == whole(SMALL["pcap"])
    assert "EOFError" in error.message


def test_streams_without_bytes_for_now():
    """`read` may return None where a stream does not block; that is taken for the end."""

    class NotYet:
        def read(self, _size):
            return None

    assert "0 bytes in all" in items_of(NotYet())[1].message


def test_local_paths(tmp_path, monkeypatch):
    for source, path in (
        ("in.pcap", "in.pcap"),
        (Path("in.pcap"), "in.pcap"),
        ("fe80::1.pcap", "fe80::1.pcap"),
        ("./a://b", "./a://b"),
        ("c:/x", "c:/x"),
        ("file:///in/a%20b", "/in/a b"),
        ("FILE://localhost/in/x", "/in/x"),
        ("local:///in/x", "/in/x"),
        ("file://x", "x"),
        ("-", None),
        ("s3://bucket/key", None),
        ("https://host/x", None),
        ("simplecache::s3://bucket/key", None),
        ("simplecache::file:///x", None),
        (io.BytesIO(), None),
    ):
        assert local_path(source) == path, source
        remote = path is None and isinstance(source, str) and source != "-"
        assert is_url(source) == remote, source
    assert local_path(Path("s3://bucket/key")) == "s3:/bucket/key"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:").mkdir()
    (tmp_path / "a:" / "b").write_bytes(SMALL["pcap"])
    assert items_of("./a://b")[1] is None


def test_sizes(tmp_path, monkeypatch):
    content = SMALL["pcap"]
    plain = as_path(content, tmp_path)
    assert size_of(plain) == size_of(str(plain)) == size_of(plain.as_uri()) == len(content)
    (tmp_path / "empty").touch()
    assert size_of(tmp_path / "empty") == 0
    os.mkfifo(tmp_path / "fifo")
    for name, compress in COMPRESS.items():
        (tmp_path / name).write_bytes(compress(content))
        assert size_of(tmp_path / name) is None
    for unknown in (
        tmp_path,
        tmp_path / "fifo",
        tmp_path / "missing",
        "nul\0",
        "s3://bucket/key",
        "memory://x",
        io.BytesIO(content),
    ):
        assert size_of(unknown) is None
    for path, skipped, size in (
        (plain, 0, len(content)),
        (plain, 24, len(content) - 24),
        (tmp_path / "gzip", 0, None),
    ):
        with path.open() as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            stream.buffer.read(skipped)
            assert size_of("-") == size
            assert stream.buffer.tell() == skipped
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert size_of("-") is None
    monkeypatch.setattr(sys, "stdin", None)
    assert size_of("-") is None
    with Pipe(content) as source:
        assert size_of(source) is None
        sys.stdin.buffer.read()


def test_plain_files_are_read_without_anything_between(tmp_path):
    """What reads them may use their descriptor."""
    with open_source(as_path(SMALL["pcap"], tmp_path)) as stream:
        assert isinstance(stream, io.FileIO)
        assert stream.tell() == 0


@pytest.fixture
def folder(tmp_path):
    """A folder of captures and other things."""
    for name in ("b/2.pcap", "b/10.pcapng.gz", "a.zst", "c", "b.pcap", "b/deep/er/x.LZ4"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = SMALL["pcapng" if "ng" in name else "pcap"]
        for ending, kind in ((".gz", "gzip"), (".zst", "zstd"), (".LZ4", "lz4")):
            if name.endswith(ending):
                content = COMPRESS[kind](content)
        path.write_bytes(content)
    for name, content in (
        ("empty", b""),
        ("short", b"\xd4"),
        ("notes.pcap", b"not a capture"),
        ("log.gz", gzip.compress(b"a log")),
        ("empty.xz", lzma.compress(b"")),
        ("b/snoop", b"snoop\0\0\0"),
    ):
        (tmp_path / "in" / name).write_bytes(content)
    os.mkfifo(tmp_path / "in" / "fifo")
    (tmp_path / "in" / "nowhere").symlink_to(tmp_path / "missing")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "in" / "c")
    (tmp_path / "in" / "nothing here").mkdir()
    return tmp_path / "in"


FOUND = ("a.zst", "b/10.pcapng.gz", "b/2.pcap", "b/deep/er/x.LZ4", "b.pcap", "c", "link")


def test_a_folder(folder):
    wanted = [str(folder / name) for name in FOUND]
    assert expand([folder]) == expand([str(folder)]) == expand([folder.as_uri()]) == wanted
    stream = io.BytesIO()
    given = ["-", folder / "b", stream, folder / "c", "missing", "s3://bucket/key?"]
    assert expand(given) == ["-", *wanted[1:4], *given[2:]]


def test_folders_without_captures(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaptureError, match="there is no capture in this folder"):
        expand([tmp_path / "empty"])
    errors = []
    wanted = [str(folder / name) for name in FOUND]
    assert expand([folder / "nothing here", folder, tmp_path / "empty"], errors.append) == wanted
    assert [error.path for error in errors] == [
        str(folder / "nothing here"),
        str(tmp_path / "empty"),
    ]


def test_folders_that_cannot_be_read(folder, monkeypatch):
    """Each is told once, and the others serve."""
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    errors = []
    found = expand([folder, folder], errors.append)
    assert found == 2 * [str(folder / name) for name in FOUND if "deep" not in name]
    assert list(map(str, errors)) == [f"{folder}/b/deep: cannot be opened: Permission denied"]
    with pytest.raises(CaptureError, match="Permission denied"):
        expand([folder])


def test_files_of_a_folder_that_cannot_be_read(folder, monkeypatch):
    opened = inputs._opened

    def refuse(source):
        if name_of(source).endswith("2.pcap"):
            raise CaptureError("cannot be opened: Permission denied", name_of(source))
        return opened(source)

    monkeypatch.setattr(inputs, "_opened", refuse)
    (folder / "a.zst").write_bytes(zstd.compress(SMALL["pcap"])[:9])
    errors = []
    assert len(expand([folder], errors.append)) == len(FOUND) - 2
    assert [Path(error.path).name for error in errors] == ["a.zst", "2.pcap"]


def test_patterns_of_urls(tmp_path):
    base = f"memory://{tmp_path.name}"
    for name in ("2.pcap", "1.pcap", "deep/3.pcap", "4.txt"):
        with fsspec.open(f"{base}/{name}", "wb") as stream:
            stream.write(SMALL["pcap"])
    found = expand([f"{base}/*.pcap", f"{base}/**"])
    assert [url.rpartition("/")[2] for url in found] == [
        *("1.pcap", "2.pcap"),
        *("1.pcap", "2.pcap", "4.txt", "3.pcap"),
    ]
    assert all(items_of(url) == (whole(SMALL["pcap"]), None) for url in found)
    for url, message in (
        (f"{base}/*.pcapng", "there is no such file"),
        ("nonsense://*", "cannot be opened"),
    ):
        with pytest.raises(CaptureError, match=message):
            expand([url])
