"""`pfcompile filter -r` with compressed captures, folders, URLs, and several of them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import subprocess
import sys
from pathlib import Path

import fsspec
import lz4.frame
import pytest

from tests.cli import in_process

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PCAPS = Path(__file__).parents[2] / "pcaps"
ETHERNET = PCAPS / "ethernet.pcap"
MIXED = PCAPS / "mixed.pcapng"
COMPRESS = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "lz4": lz4.frame.compress,
}
SECONDS = re.compile(rb", \d+\.\d{3} s")


def run(*arguments, stdin=b""):
    return in_process.run("filter", *arguments, stdin=stdin)


def said(done):
    """Return how a command ended, but for the time."""
    return done.returncode, done.stdout, SECONDS.sub(b"", done.stderr)


@pytest.mark.parametrize("capture", [ETHERNET, MIXED], ids=lambda path: path.suffix)
@pytest.mark.parametrize("name", COMPRESS)
def test_compressed_as_if_it_were_not(name, capture, tmp_path):
    """Lines, counts and files, from a path and from standard input, with both engines."""
    compressed = tmp_path / "named.anything"
    compressed.write_bytes(COMPRESS[name](capture.read_bytes()))
    for arguments in ([], ["--count"], ["-c", "3"], ["-w", tmp_path / "out"]):
        for engine in ("interp", "native"):
            outcomes = []
            for source, stdin in (
                (capture, b""),
                (compressed, b""),
                ("-", compressed.read_bytes()),
            ):
                (tmp_path / "out").unlink(missing_ok=True)
                done = run("-r", source, "--engine", engine, *arguments, "udp or icmp", stdin=stdin)
                assert done.returncode == 0, done.stderr
                written = [path.read_bytes() for path in tmp_path.glob("out")]
                outcomes.append((*said(done), written))
            assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize("name", COMPRESS)
def test_a_real_pipe(name):
    done = subprocess.run(
        [sys.executable, "-m", "pfcompile", "filter", "-r", "-", "--count", "tcp"],
        input=COMPRESS[name](ETHERNET.read_bytes()),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, b"5 packets\n"), done.stderr


def test_cut_short(tmp_path):
    content = ETHERNET.read_bytes()
    compressed = tmp_path / "cut.pcap.gz"
    compressed.write_bytes(gzip.compress(content)[:-9])
    for engine in ("interp", "native"):
        out = tmp_path / f"{engine}.pcap"
        done = run("-r", compressed, "-r", ETHERNET, "--engine", engine, "-w", out)
        assert done.returncode == 1
        first, last = done.stderr.decode().splitlines()
        assert re.fullmatch(
            rf"pfcompile: {compressed}: byte \d+: the gzip data are cut short "
            r"\(byte of the decompressed data\)",
            first,
        )
        # What was whole, and then all of the other.
        packets = int(last.split()[0])
        assert 40 <= packets <= 44
        assert out.read_bytes()[:1000] == content[:1000]
    assert (tmp_path / "interp.pcap").read_bytes() == (tmp_path / "native.pcap").read_bytes()


def test_damaged_within(tmp_path):
    """Damage of the capture itself is told with the byte of what was compressed."""
    compressed = tmp_path / "in.xz"
    compressed.write_bytes(lzma.compress((PCAPS / "cut-short.pcap").read_bytes()))
    done = run("-r", compressed, "--count")
    plain = run("-r", PCAPS / "cut-short.pcap", "--count")
    assert (done.returncode, done.stdout) == (1, b"21 packets\n")
    assert (plain.returncode, plain.stdout) == (1, b"21 packets\n")
    byte = re.search(rb"byte \d+: .*", plain.stderr)[0]
    assert byte + b" (byte of the decompressed data)\n" in done.stderr


@pytest.fixture
def folder(tmp_path):
    """A folder of three captures and some other files."""
    inner = tmp_path / "day" / "one"
    inner.mkdir(parents=True)
    (inner / "1.pcap").write_bytes(ETHERNET.read_bytes())
    (inner / "2.pcap.zst").write_bytes(zstd.compress(ETHERNET.read_bytes()))
    (tmp_path / "day" / "other").write_bytes(MIXED.read_bytes())
    (tmp_path / "day" / "readme").write_text("not a capture")
    return tmp_path / "day"


def test_a_folder(folder, tmp_path):
    done = run("-r", folder, "--count", "tcp")
    one_by_one = run(
        *("-r", folder / "one" / "1.pcap"),
        *("-r", folder / "one" / "2.pcap.zst"),
        *("-r", folder / "other"),
        *("--count", "tcp"),
    )
    assert done.returncode == 0, done.stderr
    assert said(done) == said(one_by_one)
    out = tmp_path / "out.pcap"
    assert run("-r", folder / "one", "-r", ETHERNET, "-w", out, "arp").returncode == 0
    assert run("-r", out, "--count").stdout == b"6 packets\n"


def test_a_folder_without_captures(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    done = run("-r", empty, "-r", folder / "one", "--count", "tcp")
    assert (done.returncode, done.stdout) == (1, b"10 packets\n")
    assert done.stderr.count(b"there is no capture in this folder") == 1
    out = tmp_path / "out"
    out.write_bytes(b"precious")
    done = run("-r", empty, "-w", out)
    assert done.returncode == 1
    assert out.read_bytes() == b"precious"
    assert b"Traceback" not in done.stderr


def test_an_output_that_is_also_an_input(folder):
    """Found among all files that a folder stands for, and behind a URL."""
    inside = folder / "one" / "1.pcap"
    for source in (folder, inside.as_uri()):
        done = run("-r", source, "-w", inside, "tcp")
        assert done.returncode == 2
        assert b"would overwrite the input" in done.stderr
    assert inside.read_bytes() == ETHERNET.read_bytes()
    new = folder / "new.pcap"
    assert run("-r", folder / "one", "-w", new, "tcp").returncode == 0
    assert b"would overwrite" in run("-r", folder, "-w", new, "tcp").stderr


def test_urls(folder, tmp_path):
    base = f"memory://{tmp_path.name}"
    for name in ("1.pcap", "2.pcap.zst"):
        with fsspec.open(f"{base}/{name}", "wb") as stream:
            stream.write((folder / "one" / name).read_bytes())
    for arguments in (
        ("-r", f"{base}/1.pcap", "-r", f"{base}/2.pcap.zst"),
        ("-r", f"{base}/*.pcap*"),
        ("-r", (folder / "one").as_uri()),
    ):
        done = run(*arguments, "--count", "tcp")
        assert (done.returncode, done.stdout) == (0, b"10 packets\n"), done.stderr
    done = run("-r", "memory://missing", "-r", ETHERNET, "--count", "tcp")
    assert (done.returncode, done.stdout) == (1, b"5 packets\n")
    assert b"memory://missing: cannot be opened: " in done.stderr


@pytest.mark.parametrize(
    ("module", "source", "extra"),
    [
        ("lz4", "in.lz4", "compression"),
        ("backports", "in.zst", "compression"),
        ("fsspec", "https://localhost/x", "remote"),
    ],
)
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="zstd is in the standard library")
def test_missing_packages(module, source, extra, tmp_path, monkeypatch):
    (tmp_path / "in.lz4").write_bytes(lz4.frame.compress(ETHERNET.read_bytes()))
    (tmp_path / "in.zst").write_bytes(zstd.compress(ETHERNET.read_bytes()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    done = run("-r", source, "tcp")
    assert done.returncode == 1
    assert f"which is not installed: pip install 'pfcompile[{extra}]'".encode() in done.stderr


def test_other_commands_read_them_too(tmp_path):
    compressed = tmp_path / "in"
    compressed.write_bytes(bz2.compress(ETHERNET.read_bytes()))
    program = tmp_path / "program"
    program.write_bytes(in_process.output("compile", "tcp", "-ddd"))
    counted = in_process.output("run", program, "-r", compressed, "--count")
    assert counted == in_process.output("run", program, "-r", ETHERNET, "--count")


def test_nothing_is_loaded_for_plain_files():
    code = (
        "import sys; from pfcompile.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "names = ('lz4', 'backports', 'compression', 'fsspec', 'lzma', 'bz2', 'aiohttp',"
        " 'pfcompile.captures.sources.decompressed', 'pfcompile.captures.sources.remote')\n"
        "print([name for name in names if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "filter", "-r", str(ETHERNET), "--count", "tcp"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == b"[]", done.stdout
