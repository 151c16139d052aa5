"""Captures to be read from anywhere, compressed or not: contents, and ways to give them."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import os
import random
import sys
import threading

import fsspec
import lz4.frame
import pytest

from pfcompile.captures.reader import read_items
from pfcompile.captures.sources.inputs import name_of, open_source
from pfcompile.errors import CaptureError
from tests.captures.capture_building import parse, pcap, pcapng
from tests.generator.seed import SEED

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_CHECKED = {zstd.CompressionParameter.checksum_flag: 1}
COMPRESS = {
    "gzip": gzip.compress,
    "zstd": functools.partial(zstd.compress, options=ZSTD_CHECKED),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "lz4": functools.partial(lz4.frame.compress, content_checksum=True),
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
