"""`pfcompile split`: what it refuses, and outputs that fail."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pfcompile.captures import output
from tests.captures.capture_building import enhanced, interface, parse, section
from tests.cli.splitting import (
    ETHERNET,
    MIXED,
    PCAPS,
    WAYS,
    filtered,
    refused,
    split,
    written,
)

pytestmark = pytest.mark.usefixtures("small_parts")


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
