"""`pfcompile split`: each output is what `pfcompile filter -w` writes for its expression alone."""

from __future__ import annotations

import gzip
import random
import re
import subprocess
import sys
from functools import partial

import pytest

import pfcompile
from pfcompile.captures.blocks import native, parallel
from pfcompile.captures.blocks.scans import Wanted
from pfcompile.captures.formats.layouts import PcapLayout
from pfcompile.captures.formats.pcap import CAPTURED_FIRST
from pfcompile.jit.scan.walk import scan_module
from tests.captures.capture_building import damage, parse, pcap
from tests.captures.random_captures import random_pcap, random_pcapng
from tests.cli import in_process
from tests.cli.splitting import (
    ETHERNET,
    MIXED,
    PCAPS,
    RERUN,
    TEXTS,
    WAYS,
    filtered,
    refused,
    same_as_alone,
    split,
    written,
)
from tests.generator.seed import SEED

pytestmark = pytest.mark.usefixtures("small_parts")

NANOSECONDS = PCAPS / "ethernet-nanoseconds-big-endian.pcap"
CUT = PCAPS / "cut-short.pcap"
SECONDS = re.compile(r", \d+\.\d{3} s")


@pytest.mark.parametrize("ending", [".pcap", ".pcapng", ""])
@pytest.mark.parametrize(
    "inputs",
    [
        (ETHERNET,),
        (PCAPS / "ethernet-nanoseconds.pcap",),
        (NANOSECONDS,),
        (ETHERNET, NANOSECONDS, ETHERNET),
        (ETHERNET, MIXED),
        (MIXED,),
        (PCAPS / "empty.pcap",),
        (PCAPS / "archive" / "ethernet.pcap.gz", ETHERNET),
    ],
    ids=lambda paths: "+".join(path.name for path in paths),
)
def test_as_filter_writes_it(tmp_path, inputs, ending):
    arguments = [part for each in inputs for part in ("-r", each)]
    texts = TEXTS
    if MIXED in inputs:
        texts = ("tcp", "udp or icmp", "", "greater 62")
        if ending == ".pcap" or (ending == "" and inputs[0] == ETHERNET):
            # A pcap file has one link type: what only one of the interfaces has.
            texts = ("udp port 53 and greater 90", "ip[8] = 63")
    found = same_as_alone(tmp_path, arguments, texts, ending)
    assert None not in found
    if inputs == (ETHERNET,) and ending == "":
        assert found[2] == ETHERNET.read_bytes()


@pytest.mark.parametrize("written_as", ["pcap", "pcapng"])
def test_formats_by_name_and_by_option(tmp_path, written_as):
    """Each output has the format that its name says, unless one is given for all."""
    outputs = [tmp_path / name for name in ("a.pcap", "b.pcapng", "c")]
    given = [part for out in outputs for part in ("udp", "-w", out)]
    assert split("-r", ETHERNET, *given).returncode == 0
    starts = [out.read_bytes()[:4] for out in outputs]
    assert starts == [b"\xd4\xc3\xb2\xa1", b"\n\r\r\n", b"\xd4\xc3\xb2\xa1"]
    assert split("-r", ETHERNET, *given, "--write-format", written_as).returncode == 0
    assert len({out.read_bytes() for out in outputs}) == 1
    alone = tmp_path / "alone"
    in_process.run("filter", "-r", ETHERNET, "-w", alone, "--write-format", written_as, "udp")
    assert outputs[0].read_bytes() == alone.read_bytes()


def test_standard_input_and_output(tmp_path):
    content = ETHERNET.read_bytes()
    same_as_alone(tmp_path, ["-r", "-"], stdin=content)
    same_as_alone(tmp_path, ["-r", "-"], stdin=gzip.compress(MIXED.read_bytes()), ending=".pcapng")
    done = subprocess.run(
        [sys.executable, "-m", "pfcompile", "split", "-r", "-", "tcp", "-w", "-", "udp", "-w", "u"],
        input=content,
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    _, wanted = filtered(tmp_path, ["-r", ETHERNET], ("tcp", "udp"))
    assert [done.stdout, (tmp_path / "u").read_bytes()] == wanted


def small_blocks(size, scans, limit, **how):
    return native.manner_for(scans, limit, **how)._replace(block_size=size)


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_random_captures(tmp_path, monkeypatch, kind):
    """Of every dialect and with every kind of block; in blocks of memory of any size."""
    rng = random.Random(f"split-{kind}-{SEED}")
    make = random_pcap if kind == "pcap" else random_pcapng
    for _ in range(12):
        size = rng.choice((1, 50, 500, 5000))
        monkeypatch.setattr(parallel, "manner_for", partial(small_blocks, size))
        path = tmp_path / "in"
        path.write_bytes(make(rng, rng.randrange(1, 150)))
        texts = rng.sample(("greater 62", "less 61", "", "len & 1 = 1", "greater 9999"), 3)
        same_as_alone(tmp_path, ["-r", path], texts, f".{kind}")


def test_damage(tmp_path):
    """Whole records are in each output, the others of the inputs follow, and the status is 1."""
    assert "cut short" in split("-r", CUT, "tcp").stderr.decode()
    found = same_as_alone(tmp_path, ["-r", CUT, "-r", ETHERNET], status=1)
    assert len(parse(found[2])[0]) == 1 + 21 + 22
    same_as_alone(tmp_path, ["-r", tmp_path / "missing", "-r", ETHERNET], status=1)


def test_random_damage(tmp_path):
    rng = random.Random(f"split-damage-{SEED}")
    for _ in range(12):
        make, kind = rng.choice(((random_pcap, "pcap"), (random_pcapng, "pcapng")))
        content = make(rng, rng.randrange(1, 60))
        content = content[:28] + damage(content[28:], rng)
        path = tmp_path / "in"
        path.write_bytes(content)
        texts = ("greater 62", "less 61")
        statuses, wanted = filtered(tmp_path, ["-r", path, *WAYS[0]], texts, f".{kind}")
        for way in WAYS:
            done, found = written(tmp_path, ["-r", path, *way], texts, f".{kind}")
            # An interface of an unknown link type ends everything, and what is kept is kept.
            assert done.returncode == max(statuses), (done, RERUN)
            assert found == wanted, (way, RERUN)


@pytest.mark.parametrize("way", WAYS)
def test_counts(way):
    done = split("-r", ETHERNET, *way, "tcp", "tcp port 443", "", "udp port 1")
    assert done.returncode == 0
    assert done.stdout == b"5\ttcp\n3\ttcp port 443\n22\t\n0\tudp port 1\n"
    assert SECONDS.sub("", done.stderr.decode()) == (
        "22 packets read (1506 bytes), 5 + 3 + 22 + 0 matched (322 + 194 + 1506 + 0 bytes)\n"
    )
    done = split("-r", MIXED, *way, "tcp")
    assert done.stdout == b"14\ttcp\n"
    assert b", 14 matched (822 bytes), " in done.stderr


def test_counts_of_damaged_captures():
    done = split("-r", CUT, "", "tcp")
    assert (done.returncode, done.stdout) == (1, b"21\t\n5\ttcp\n")


@pytest.mark.parametrize("way", WAYS)
def test_as_many_as_there_may_be(tmp_path, way):
    """Sixty-four are possible, and each counts what it alone counts."""
    texts = [f"greater {length}" for length in range(50, 114)]
    done = split("-r", ETHERNET, *way, *texts)
    lengths = [item.wire_length for item in parse(ETHERNET.read_bytes())[0][1:]]
    counts = [sum(each >= length for each in lengths) for length in range(50, 114)]
    assert [int(line.split()[0]) for line in done.stdout.splitlines()] == counts
    assert "at most 64 expressions at once, not 65" in refused("-r", ETHERNET, *texts, "tcp")


def loads_of(*texts):
    """Return the loads of packet bytes on the usual way of a scan with some filters."""
    layout = PcapLayout("<", CAPTURED_FIRST, 16, 262144, 1_000_000)
    programs = [pfcompile.compile(text).instructions for text in texts]
    module = scan_module([programs], layout, Wanted(copies=True)).text
    usual = module[module.index("\nusual.0:") : module.index("\njudged:")]
    places = dict(re.findall(r"(%\w+) = getelementptr i8, ptr (%\w+, i64 \S+)", usual))
    loads = re.findall(r"= load (i\d+), ptr (%\w+)", usual)
    return [(kind, places[name]) for kind, name in loads]


def test_filters_share_their_loads():
    """What two filters look at is loaded once a packet; equal ones cost nothing more."""
    one = loads_of("tcp port 443")
    assert len(one) == len(set(one)) > 3
    assert len(loads_of("tcp port 443", "tcp port 443")) == len(one)
    assert len(loads_of(*["tcp port 443"] * 64)) == len(one)
    both = loads_of("tcp port 443", "udp port 53", "tcp", "ip", "host 10.0.0.1")
    assert len(both) == len(set(both))
    alone = {load for text in ("tcp", "ip") for load in loads_of(text)}
    assert alone <= set(both)
    # What is the same is not even judged twice.
    module = [
        scan_module(
            [[pfcompile.compile("tcp").instructions] * number],
            PcapLayout("<", CAPTURED_FIRST, 16, 262144, 1_000_000),
            Wanted(),
        ).text
        for number in (1, 2)
    ]
    usual = [re.search(r"\nusual\.0:\n(.*?)\njudged:", each, re.DOTALL)[1] for each in module]
    assert usual[0].count("\n") == usual[1].count("\n")


def test_packets_go_to_all_that_match(tmp_path):
    """Nothing is lost and nothing is doubled where expressions overlap or leave something out."""
    packets = [(number, 0, bytes(number), number) for number in range(200)]
    path = tmp_path / "in.pcap"
    path.write_bytes(pcap(packets))
    texts = [f"len & {1 << bit} != 0" for bit in range(8)]
    for way in WAYS:
        _, found = written(tmp_path, ["-r", path, *way], texts)
        for bit, content in enumerate(found):
            lengths = [item.wire_length for item in parse(content)[0][1:]]
            assert lengths == [number for number in range(200) if number >> bit & 1]
