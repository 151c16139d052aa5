"""Captures from anywhere, compressed or not: the same items as from a plain file, or an error."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from pathlib import Path

import pytest

import pfcompile
from pfcompile.captures.folders import expand
from pfcompile.captures.reader import read_items
from pfcompile.captures.sources.inputs import open_source
from tests.captures.capture_building import parse
from tests.captures.capture_sources import (
    COMPRESS,
    CONTENTS,
    SMALL,
    WAYS,
    Dribble,
    Pipe,
    as_path,
    every_compression,
    every_format,
    items_of,
    whole,
)

PCAPS = Path(__file__).parents[2] / "pcaps"


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


def test_plain_files_are_read_without_anything_between(tmp_path):
    """What reads them may use their descriptor."""
    with open_source(as_path(SMALL["pcap"], tmp_path)) as stream:
        assert isinstance(stream, io.FileIO)
        assert stream.tell() == 0
