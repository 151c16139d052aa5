"""Folders, local paths and URLs: which captures lie there, how large, and what cannot be opened."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import lzma
import os
import sys
import threading
from pathlib import Path

import fsspec
import pytest

from pfcompile.captures.folders import expand
from pfcompile.captures.sources import inputs
from pfcompile.captures.sources.inputs import is_url, local_path, name_of, size_of
from pfcompile.errors import CaptureError, MissingExtraError
from tests.captures.capture_sources import (
    COMPRESS,
    CONTENTS,
    SMALL,
    Pipe,
    as_path,
    items_of,
    whole,
    zstd,
)

FOUND = ("a.zst", "b/10.pcapng.gz", "b/2.pcap", "b/deep/er/x.LZ4", "b.pcap", "c", "link")


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


@pytest.mark.parametrize(
    "url", ["s3://bucket/key", "nonsense://x", "memory://missing", "https://localhost:1/x"]
)
def test_urls_that_cannot_be_opened(url, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    items, error = items_of(url)
    assert items == []
    assert str(error).startswith(f"{url}: cannot be opened: ")
    assert "\n" not in str(error)


def test_without_fsspec(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    for url in ("s3://bucket/key", "https://host/capture.pcap", "memory://x"):
        with pytest.raises(MissingExtraError, match=r"pip install 'pfcompile\[remote\]'"):
            items_of(url)
    with pytest.raises(MissingExtraError, match="fsspec"):
        expand(["s3://bucket/*.pcap"])
    assert expand(["s3://bucket/key"]) == ["s3://bucket/key"]
