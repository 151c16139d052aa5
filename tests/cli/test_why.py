"""`pfcompile why` and `pfcompile explain -r`: what they print, and how they fail."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.in_process import run

PCAPS = Path(__file__).parents[2] / "pcaps"
CAPTURE = PCAPS / "ethernet.pcap"


def test_a_packet_that_does_not_match():
    done = run("why", "-r", CAPTURE, "-p", 4, "tcp dst port 443")
    text = done.stdout.decode()
    assert done.returncode == 0
    assert "does not match: tcp dst port 443" in text
    assert "TCP.dport is 22, not 443  [byte 14, bytes 36-37]" in text
    assert "  0020  00 02 c7 39[00 16]00 00" in text
    assert text.endswith("of 2 bytes:\n  set bytes 36-37 (TCP.dport) to 01 bb\n")


def test_a_packet_that_matches():
    text = run("why", "-r", CAPTURE, "-p", 1, "tcp dst port 443").stdout.decode()
    assert text.startswith(f"Packet 1 of {CAPTURE} (54 bytes, DLT_EN10MB (Ethernet)) matches")
    assert "would make it not match, of 1 byte:" in text


def test_colour_instead_of_brackets(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    text = run("why", "-r", CAPTURE, "-p", 4, "tcp dst port 443").stdout.decode()
    assert "\x1b[" in text
    assert "  0000  02 00" in re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "0a[08" not in re.sub(r"\x1b\[[0-9;]*m", "", text)
    monkeypatch.setenv("NO_COLOR", "1")
    text = run("why", "-r", CAPTURE, "-p", 4, "tcp dst port 443").stdout.decode()
    assert "0a[08 00" in re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_why_as_json():
    done = run("why", "-r", CAPTURE, "-p", 4, "--format", "json", "tcp dst port 443")
    found = json.loads(done.stdout)
    assert found["matches"] is False
    assert found["packet"] == 4
    assert found["terms"][0]["outcome"] == "false"
    assert found["terms"][0]["tests"][-1]["test"] == "tcp.dstport == 443"
    assert found["deciding"][-1] == {"start": 36, "hex": "00 16", "fields": ["TCP.dport"]}
    assert found["smallest_change"]["edits"] == [
        {"start": 36, "hex": "01 bb", "fields": ["TCP.dport"], "was": "00 16"}
    ]


def test_a_bad_expression_as_json():
    for command in (("why", "-p", 4), ("explain",)):
        done = run(*command, "-r", CAPTURE, "--format", "json", "tcp prot 80")
        assert (done.returncode, done.stderr) == (2, b"")
        assert json.loads(done.stdout)["error"]["span"] == [4, 8]


def test_no_search():
    text = run("why", "-r", CAPTURE, "-p", 4, "--timeout", 0, "udp").stdout.decode()
    assert text.endswith("was not found: no time was given to look for one.\n")


def test_the_empty_expression():
    text = run("why", "-r", CAPTURE, "-p", 4).stdout.decode()
    assert "matches: the empty expression, as every packet does" in text
    assert "No byte of it decided" in text


def test_a_cut_packet():
    cut = PCAPS / "ethernet-snaplen-40.pcap"
    text = run("why", "-r", cut, "-p", 1, "tcp[13] & 2 != 0").stdout.decode()
    assert "(40 bytes of 54," in text
    assert "tcp[13] & 2 != 0: cut short" in text
    assert "byte 47 would be needed, but only 40 bytes are captured" in text


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("-r", CAPTURE, "-p", 23, "tcp"), 1, "has 22 packets: there is no packet 23"),
        (("-r", PCAPS / "empty.pcap", "-p", 1, "tcp"), 1, "has 0 packets: there is no packet 1"),
        (("-r", PCAPS / "cut-short.pcap", "-p", 22, "tcp"), 1, "byte 1806: the last record"),
        (("-r", "no such file", "-p", 1, "tcp"), 1, "cannot be opened"),
        (("-r", __file__, "-p", 1, "tcp"), 1, "unknown file format"),
        (("-r", CAPTURE, "-p", 0, "tcp"), 2, "0 is not in the range"),
        (("-r", CAPTURE, "-p", 1, "tcp prot 443"), 2, "syntax error"),
        (("-p", 1, "tcp"), 2, "Missing option '-r'"),
        (("-r", "-", "-F", "-", "-p", 1), 2, "only once"),
    ],
)
def test_errors(words, status, message):
    done = run("why", *words)
    assert done.returncode == status
    assert message in done.stderr.decode()
    assert done.stdout == b""


def test_a_packet_before_the_damage():
    assert run("why", "-r", PCAPS / "cut-short.pcap", "-p", 3, "tcp").returncode == 0


def test_whoever_reads_may_stop():
    command = [sys.executable, "-m", "pfcompile", "why", "-r", str(CAPTURE), "-p", "1", "tcp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert b"Traceback" not in errors


def test_hits():
    done = run("explain", "-r", CAPTURE, "-r", CAPTURE, "tcp and not port 22")
    lines = [" ".join(line.split()) for line in done.stdout.decode().splitlines()]
    assert done.returncode == 0
    assert "DLT_EN10MB (Ethernet): 44 packets, 8 matched" in lines
    assert "tcp 44 10 34 0 0 34" in lines
    assert "port 22 10 2 8 0 8 2" in lines
    assert "optimized graph:" in lines


def test_hits_of_the_graph_as_written():
    text = run("explain", "-O", "-r", CAPTURE, "tcp").stdout.decode()
    assert "graph as written:" in text
    assert "ip6.nexthdr == " in text


def test_hits_as_json():
    found = json.loads(run("explain", "-r", CAPTURE, "--format", "json", "udp").stdout)
    (link_type,) = found["link_types"]
    assert found["packets"] == link_type["packets"] == 22
    assert [term["text"] for term in link_type["terms"]] == ["udp"]
    ends = [block for block in link_type["blocks"] if "end" in block]
    assert sum(block["reached"] for block in ends if block["end"] == "accept") == found["matched"]


def test_hits_of_a_damaged_capture():
    done = run("explain", "-r", PCAPS / "cut-short.pcap", "tcp")
    assert done.returncode == 1
    assert b"byte 1806" in done.stderr
    assert b"21 packets" in done.stdout


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("-r", CAPTURE, "tcp prot"), 2, "syntax error"),
        (("-r", CAPTURE, "tcp and udp"), 2, "expression rejects all packets"),
        (("-r", CAPTURE, "-y", "RAW", "tcp"), 2, "leave out -y"),
        (("-r", "-", "-r", "-", "tcp"), 2, "only once"),
        (("-r", "no such file", "tcp"), 1, "cannot be opened"),
    ],
)
def test_errors_of_hits(words, status, message):
    done = run("explain", *words)
    assert done.returncode == status
    assert message in done.stderr.decode()


def test_an_impossible_expression_can_be_counted_as_written():
    done = run("explain", "-O", "-r", CAPTURE, "tcp and udp")
    assert done.returncode == 0
    assert b"0 matched" in done.stdout


def test_a_picture_with_counts():
    text = run("draw", "-r", CAPTURE, "tcp port 443").stdout.decode()
    assert "accept (1)" in text
    done = run("draw", "-r", PCAPS / "mixed.pcapng", "tcp")
    assert done.returncode == 2
    assert b"say with -y which is drawn" in done.stderr
    text = run("draw", "-r", PCAPS / "mixed.pcapng", "-y", "EN10MB", "tcp").stdout.decode()
    assert "eth.type == ip" in text
    done = run("draw", "-r", CAPTURE, "--stage", "lower", "tcp")
    assert (done.returncode, b"leave out --stage" in done.stderr) == (2, True)
    assert run("draw", "-r", "no such file", "tcp").returncode == 1


def test_pictures_of_hits_are_of_the_graph_that_was_counted():
    svg = run("draw", "-O", "-r", CAPTURE, "--format", "svg", "udp or tcp port 443").stdout
    assert svg.startswith(b"<")
    assert b">22<" in svg
