"""`pfcompile split`: each output is what `pfcompile filter -w` writes for its expression alone."""

from __future__ import annotations

import gzip
import os
import random
import re
import struct
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

import pfcompile
from pfcompile.captures import output
from pfcompile.captures.blocks import native, parallel, parts
from pfcompile.captures.blocks.scans import Wanted
from pfcompile.captures.formats.layouts import PcapLayout
from pfcompile.captures.formats.pcap import CAPTURED_FIRST
from pfcompile.jit.scan.walk import scan_module
from tests.captures.capture_building import damage, enhanced, interface, parse, pcap, section
from tests.captures.random_captures import random_pcap, random_pcapng
from tests.cli import in_process
from tests.generator.seed import SEED, rerun

PCAPS = Path(__file__).parents[2] / "pcaps"
ETHERNET = PCAPS / "ethernet.pcap"
NANOSECONDS = PCAPS / "ethernet-nanoseconds-big-endian.pcap"
MIXED = PCAPS / "mixed.pcapng"
CUT = PCAPS / "cut-short.pcap"
RERUN = rerun("tests/cli/test_split.py")
SECONDS = re.compile(r", \d+\.\d{3} s")

WAYS = (
    ("--engine", "interp"),
    ("--engine", "native"),
    ("--engine", "native", "-j", "2"),
    ("--engine", "native", "--mmap"),
    ("--engine", "native", "--mmap", "-j", "2"),
    ("--engine", "interp", "-j", "2"),
)
TEXTS = ("tcp", "udp or icmp", "", "tcp port 443", "arp or ip6", "greater 62")
"""Some overlap, and one is for all packets."""


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    """Let threads cut small files, too."""
    monkeypatch.setattr(parts, "PART", 2048)


def split(*arguments, stdin=b""):
    return in_process.run("split", *arguments, stdin=stdin)


def refused(*arguments, status=2):
    return in_process.refused("split", *arguments, status=status)


def written(folder, arguments, texts, ending=".pcap", stdin=b""):
    """Split; return the outcome and the contents of the outputs, None where there is none."""
    outputs = [folder / f"out{number}{ending}" for number in range(len(texts))]
    for each in outputs:
        each.unlink(missing_ok=True)
    given = [part for text, out in zip(texts, outputs, strict=True) for part in (text, "-w", out)]
    done = split(*arguments, *given, stdin=stdin)
    return done, [each.read_bytes() if each.exists() else None for each in outputs]


def filtered(folder, arguments, texts, ending=".pcap", stdin=b""):
    """Return the same by one `pfcompile filter -w` after the other."""
    contents, statuses = [], []
    for text in texts:
        out = folder / f"alone{ending}"
        out.unlink(missing_ok=True)
        done = in_process.run("filter", *arguments, "-w", out, text, stdin=stdin)
        statuses.append(done.returncode)
        contents.append(out.read_bytes() if out.exists() else None)
    return statuses, contents


def same_as_alone(folder, arguments, texts=TEXTS, ending=".pcap", stdin=b"", status=0):
    """Require that each way of splitting gives what filtering one by one gives."""
    statuses, wanted = filtered(folder, [*arguments, *WAYS[0]], texts, ending, stdin)
    assert set(statuses) == {status}
    for way in WAYS:
        done, found = written(folder, [*arguments, *way], texts, ending, stdin)
        assert done.returncode == status, (done, way, RERUN)
        assert found == wanted, (way, RERUN)
    return wanted


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


def old_files(folder, names):
    for name in names:
        (folder / name).write_bytes(b"precious")
    return [folder / name for name in names]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("source", [ETHERNET, MIXED, PCAPS / "empty.pcap"])
def test_a_bad_expression(tmp_path, way, source):
    """The error says which of them it is about, and older files stay."""
    olds = old_files(tmp_path, "abc")
    given = [
        part
        for text, out in zip(("tcp", "udp prot 53", "arp"), olds, strict=True)
        for part in (text, "-w", out)
    ]
    said = refused("-r", source, *way, "-n", *given)
    assert said == (
        "pfcompile: expression 2 of 3: 1:5: can't parse filter expression: syntax error: 'prot' "
        "does not fit here\n    udp prot 53\n        ^^^^\n"
        "    hint: did you mean 'port' or 'proto'?\n"
    )
    assert {out.read_bytes() for out in olds} == {b"precious"}


def test_bad_expressions_of_other_kinds():
    """What is wrong for the link type, or for every packet; alone it has no number."""
    said = refused("-r", ETHERNET, "tcp", "ip and ip6")
    assert said.startswith("pfcompile: expression 2 of 2: 1:1: expression rejects all packets")
    said = refused("-r", ETHERNET, "ip and ip6")
    assert said.startswith("pfcompile: 1:1: expression rejects all packets")
    said = refused("-r", PCAPS / "raw.pcap", "ip", "tcp", "ether host 1:2:3:4:5:6")
    assert said.startswith("pfcompile: expression 3 of 3: ")
    # The words of one expression, as they are taken by `pfcompile filter`.
    said = refused("-r", ETHERNET, "tcp", "port", "443")
    assert said.startswith("pfcompile: expression 2 of 3: ")


def test_an_expression_that_is_wrong_for_a_later_interface(tmp_path):
    """What came before is kept; no older file stays beside a new one."""
    path = tmp_path / "in.pcapng"
    path.write_bytes(
        section()
        + interface()
        + enhanced(data=bytes(60))
        + interface(linktype=101)
        + enhanced(number=1, data=b"\x45" + bytes(40))
    )
    for way in WAYS:
        done, found = written(
            tmp_path, ["-r", path, *way], ("", "ether host 1:2:3:4:5:6"), ".pcapng"
        )
        assert done.returncode == 2
        assert b"expression 2 of 2: " in done.stderr
        assert [len(parse(each)[0]) for each in found] == [4, 3]


def test_usage(tmp_path):
    """Each error says what to do."""
    same = tmp_path / "in.pcap"
    same.write_bytes(ETHERNET.read_bytes())
    (tmp_path / "hard").hardlink_to(same)
    out = tmp_path / "out.pcap"
    (tmp_path / "link").symlink_to(out)
    for arguments, said in (
        (["-r", same], "Missing argument 'EXPR...'"),
        (["tcp"], "Missing option '-r'"),
        (
            ["-r", same, "tcp", "-w", out, "udp"],
            "2 expressions, but -w 1 time: each expression is one argument, so quote it, and has",
        ),
        (["-r", same, "tcp", "port", "443", "-w", out], "3 expressions, but -w 1 time"),
        (["-r", same, "tcp", "-w", out, "-w", tmp_path / "x"], "1 expression, but -w 2 times"),
        (["-r", same, "tcp", "-w", out, "udp", "-w", out], "is given twice"),
        (["-r", same, "tcp", "-w", "-", "udp", "-w", "-"], "-w - is given twice"),
        (
            ["-r", same, "tcp", "-w", out, "udp", "-w", f"{tmp_path}/./out.pcap"],
            f"-w {tmp_path}/./out.pcap, which is {out}, is given twice",
        ),
        (["-r", same, "tcp", "-w", out, "udp", "-w", tmp_path / "link"], "is given twice"),
        (["-r", same, "tcp", "-w", out, "udp", "-w", same], "would overwrite the input"),
        (["-r", same, "tcp", "-w", tmp_path / "hard", "udp", "-w", out], "would overwrite"),
        (["-r", tmp_path, "tcp", "-w", tmp_path / "hard"], "would overwrite the input"),
        (["-r", same, "tcp", "--write-format", "pcap"], "--write-format needs -w"),
        (["-r", same, "tcp", "-w", out, "--write-format", "snoop"], "'pcap', 'pcapng'"),
        (["-r", "-", "-r", "-", "tcp"], "standard input can be read only once"),
        (["-r", same, "-c", "3", "tcp"], "-c"),
    ):
        assert said in refused(*arguments), arguments
    assert same.read_bytes() == ETHERNET.read_bytes()
    assert not out.exists()


def test_existing_outputs_that_are_one_file(tmp_path):
    one, other = old_files(tmp_path, ("one",))[0], tmp_path / "other"
    other.hardlink_to(one)
    assert "is given twice" in refused("-r", ETHERNET, "tcp", "-w", one, "udp", "-w", other)
    assert one.read_bytes() == b"precious"
    # What is thrown away cannot get mixed.
    done = split("-r", ETHERNET, "tcp", "-w", "/dev/null", "udp", "-w", "/dev/null")
    assert done.returncode == 0


def test_a_folder_that_is_missing(tmp_path):
    """It is seen before anything is read or written."""
    (old,) = old_files(tmp_path, "a")
    missing = tmp_path / "no" / "out.pcap"
    said = refused("-r", ETHERNET, "tcp", "-w", old, "udp", "-w", missing, status=1)
    assert said == (
        f"pfcompile: {missing}: cannot be written: there is no folder {tmp_path / 'no'}\n"
    )
    assert old.read_bytes() == b"precious"


@pytest.mark.parametrize("way", WAYS)
def test_an_output_that_fails_leaves_the_others_whole(tmp_path, way):
    """Also one that has no packets, and one that is begun only at the end."""
    texts = ("tcp", "udp", "ip proto 99")
    _, (_, *wanted) = filtered(tmp_path, ["-r", ETHERNET, "-r", ETHERNET], texts)
    outputs = old_files(tmp_path, ("udp.pcap", "none.pcap"))
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        pairs = list(zip(texts, ("/dev/full", *outputs), strict=True))
        given = [part for number in order for part in (pairs[number][0], "-w", pairs[number][1])]
        done = split("-r", ETHERNET, "-r", ETHERNET, *way, *given)
        assert done.returncode == 1
        said = done.stderr.decode().splitlines()
        assert said[0] == "pfcompile: /dev/full: cannot be written: No space left on device"
        assert "44 packets read" in said[1]
        assert [out.read_bytes() for out in outputs] == wanted


@pytest.mark.parametrize("way", WAYS)
def test_when_none_is_left(way):
    """It ends then, without reading on."""
    full = ("tcp", "-w", "/dev/full", "udp", "-w", "/dev/full")
    done = split("-r", ETHERNET, *way, *full)
    assert done.returncode == 1
    assert done.stderr.count(b"No space left on device") == 2


def test_a_link_type_that_an_output_cannot_hold(tmp_path):
    """It is the trouble of that output alone, which keeps what it has."""
    outputs = tmp_path / "all.pcap", tmp_path / "all.pcapng", tmp_path / "dns.pcap"
    given = [
        part
        for out, text in zip(outputs, ("", "", "greater 90 and udp"), strict=True)
        for part in (text, "-w", out)
    ]
    for way in WAYS:
        done = split("-r", MIXED, *way, *given)
        assert done.returncode == 1
        assert done.stderr.count(b"a pcap file has one link type") == 1
        assert b"43 packets read" in done.stderr
        assert outputs[1].read_bytes() == MIXED.read_bytes()
        assert len(parse(outputs[0].read_bytes())[0]) > 1
        assert [each.wire_length for each in parse(outputs[2].read_bytes())[0][1:]] == [94, 94]


def test_a_disk_that_gets_full(tmp_path):
    """The output that was cut ends with a whole record, and the others have all of theirs."""
    source = tmp_path / "in.pcap"
    long = struct.pack("<4I", 1, 1, 1000, 1000) + bytes(1000)
    short = struct.pack("<4I", 1, 1, 60, 60) + bytes(60)
    source.write_bytes(ETHERNET.read_bytes()[:24] + (long + short) * 900)
    limit = 600_000
    for engine in ("interp", "native"):
        outputs = tmp_path / "long.pcap", tmp_path / "short.pcap"
        code = (
            "import resource, signal, sys; from pfcompile.cli import main;"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
            f"sys.argv = ['pfcompile', 'split', '-r', {str(source)!r}, '--no-cache',"
            f" 'greater 100', '-w', {str(outputs[0])!r}, 'less 99', '-w', {str(outputs[1])!r},"
            f" '--engine', {engine!r}]; main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 1, done.stderr
        assert done.stderr.count(b"cannot be written: File too large") == 1
        assert b"1800 packets read" in done.stderr
        assert outputs[0].stat().st_size == 24 + (limit - 24) // 1016 * 1016
        assert outputs[1].read_bytes() == source.read_bytes()[:24] + short * 900


def test_a_reader_that_goes_away(tmp_path):
    """Of one output it is its own affair; the command ends when all have gone, and says nothing."""
    source = tmp_path / "long.pcap"
    source.write_bytes(ETHERNET.read_bytes() + ETHERNET.read_bytes()[24:] * 5000)
    _, (wanted,) = filtered(tmp_path, ["-r", source], ("udp",))
    pipes = tmp_path / "one", tmp_path / "two"
    for each in pipes:
        os.mkfifo(each)

    def read_a_little(path):
        with path.open("rb") as stream:
            stream.read(100)

    for way in WAYS:
        out = tmp_path / "out.pcap"
        for given, readers in (
            (("tcp", "-w", pipes[0], "udp", "-w", out), pipes[:1]),
            (("tcp", "-w", pipes[0], "udp", "-w", pipes[1]), pipes),
        ):
            threads = [threading.Thread(target=read_a_little, args=(each,)) for each in readers]
            for each in threads:
                each.start()
            done = split("-r", source, *way, *given)
            for each in threads:
                each.join()
            if len(readers) == 1:
                assert done.returncode == 0
                assert b"110022 packets read" in done.stderr
                assert out.read_bytes() == wanted
            else:
                assert (done.returncode, done.stderr) == (0, b"")


def test_errors_of_closing_are_told(tmp_path, monkeypatch):
    """A file system that says only at the end that it is full is heard."""
    closed = []
    close = os.close

    def failing_close(descriptor):
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        close(descriptor)
        if name == "full.pcap":
            closed.append(name)
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(output.os, "close", failing_close)
    given = ("tcp", "-w", tmp_path / "full.pcap", "udp", "-w", tmp_path / "udp.pcap")
    done = split("-r", ETHERNET, *given)
    assert closed == ["full.pcap"]
    assert done.returncode == 1
    assert b"full.pcap: cannot be written: No space left" in done.stderr
    assert len(parse((tmp_path / "udp.pcap").read_bytes())[0]) == 5


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
