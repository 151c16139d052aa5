"""What is read agrees with scapy and tcpdump, on the captures of this repository and real ones."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from capture_building import parse, records
from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader, RawPcapReader

from pfcompile.captures.filtering import filter_file
from pfcompile.captures.formats.pcapng import without_length
from pfcompile.captures.formats.records import Section
from pfcompile.captures.summary import describe_packet

ROOT = Path(__file__).parents[2]
OWN = sorted((ROOT / "pcaps").glob("*.pcap*"))
REAL_FOLDER = ROOT.parent / "shared" / "captures"
REAL = sorted(REAL_FOLDER.glob("*.pcap*"))

needs_real = pytest.mark.skipif(
    not REAL, reason="the folder ../shared/captures with real captures is not here"
)
needs_tcpdump = pytest.mark.skipif(shutil.which("tcpdump") is None, reason="there is no tcpdump")


def load_make():
    spec = importlib.util.spec_from_file_location("make_pcaps", ROOT / "pcaps" / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scapy_packets(path):
    """Return wire time in ns, captured bytes, wire length as scapy reads them, until it cannot."""
    found = []
    with RawPcapReader(str(path)) as reader:
        newer = isinstance(reader, RawPcapNgReader)
        while True:
            try:
                data, meta = reader._read_packet(size=1 << 24)
            except (EOFError, Scapy_Exception):
                return found
            if newer:
                found.append((bytes(data), meta.wirelen))
            else:
                unit = 1 if reader.nano else 1000
                time = meta.sec * 10**9 + meta.usec * unit
                found.append((bytes(data), meta.wirelen, time))


def ours(path, *, with_time):
    items, error = parse(path.read_bytes())
    rows = [
        (r.data, r.wire_length, r.timestamp_ns) if with_time else (r.data, r.wire_length)
        for r in records(items)
    ]
    return items, rows, error


def agree_with_scapy(path):
    _, rows, error = ours(path, with_time=path.suffix == ".pcap" and not newer(path))
    theirs = scapy_packets(path)
    if error is not None:
        # scapy gives a cut-off last record as far as it goes.
        theirs = theirs[: len(rows)]
    assert rows == theirs, path.name


def newer(path):
    with path.open("rb") as stream:
        return stream.read(4) == b"\n\r\r\n"


def test_the_folder_is_what_make_makes():
    made = load_make().files()
    assert sorted(made) == [path.name for path in OWN]
    for path in OWN:
        assert path.read_bytes() == made[path.name], f"{path.name}: run python pcaps/make.py"
    assert sum(len(content) for content in made.values()) < 300_000


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_own_captures_agree_with_scapy(path):
    agree_with_scapy(path)


@needs_real
def test_real_captures_agree_with_scapy():
    for path in REAL:
        agree_with_scapy(path)


def test_only_the_cut_one_is_damaged():
    assert [p.name for p in OWN if parse(p.read_bytes())[1]] == ["cut-short.pcap"]


@needs_real
@needs_tcpdump
def test_real_captures_agree_with_tcpdump(tmp_path):
    """The same packets counted, and the same files refused, as tcpdump does."""
    different = []
    for path in REAL:
        items, rows, error = ours(path, with_time=False)
        del items
        done = subprocess.run(
            ["tcpdump", "-Z", "root", "-n", "-w", tmp_path / "out", "-r", path],
            capture_output=True,
            text=True,
            check=False,
        )
        theirs = len(records(parse((tmp_path / "out").read_bytes())[0]))
        if (len(rows), error is not None) != (theirs, done.returncode != 0):
            different.append((path.name, len(rows), str(error), theirs, done.stderr))
    assert different == []


@needs_real
def test_real_captures_are_kept_byte_for_byte(tmp_path):
    for path in REAL:
        items, error = parse(path.read_bytes())
        if error is not None:
            continue
        filter_file(path, tmp_path / "out", lambda *_: lambda *_: 1)
        expected = b"".join(
            without_length(item.raw) if isinstance(item, Section) else bytes(item.raw)
            for item in items
        )
        assert (tmp_path / "out").read_bytes() == expected, path.name


def tcpdump_lines(path):
    done = subprocess.run(
        ["tcpdump", "-Z", "root", "-n", "-t", "-q", "-r", path],
        capture_output=True,
        text=True,
        check=False,
        errors="replace",
    )
    return done.stdout.splitlines()


ENDS = re.compile(
    r"IP6? (?P<source>[0-9a-f.:]+?)(?:\.(?P<sport>\d+))? > "
    r"(?P<destination>[0-9a-f.:]+?)(?:\.(?P<dport>\d+))?: (?:tcp|UDP) "
)


@needs_tcpdump
@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_summaries_agree_with_tcpdump(path):
    """Addresses and ports of the packets that tcpdump calls TCP or UDP."""
    if path.suffix == ".pcapng":
        return  # tcpdump refuses several link types in a file; the packets are the other files'
    found = records(parse(path.read_bytes())[0])
    lines = [line for line in tcpdump_lines(path) if not line.startswith("\t")]
    compared = 0
    for record, line in zip(found, lines, strict=True):
        match = ENDS.search(line)
        if match is None:
            continue
        summary = describe_packet(record.interface.dlt, record.data)
        wanted = f"{match['source']}.{match['sport']} > {match['destination']}.{match['dport']}"
        if match["sport"] is not None:
            assert wanted in summary, line
            compared += 1
    assert compared >= (0 if path.name in {"empty.pcap", "ethernet-snaplen-40.pcap"} else 1)
