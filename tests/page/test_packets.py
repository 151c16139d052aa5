"""What the page says of captures, beside what programs say."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

import pfcompile
from pfcompile.captures.reader import open_source, read_records
from pfcompile.page.analysis import analyse
from pfcompile.page.asked import Filter
from pfcompile.page.course import course
from pfcompile.page.packets import contents, run_over

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
ETHERNET = str(PCAPS / "ethernet.pcap")
FILTERS = (
    "tcp port 443 or udp port 53",
    "not ip",
    "",
    "vlan and ip",
    "net 10.0.0.0/8",
    "ether[1000] = 1",
)


def records(path):
    with open_source(path) as stream:
        return list(read_records(stream, path))


@pytest.mark.parametrize("text", FILTERS)
def test_verdicts_are_the_programs(text):
    asked = Filter(text, savefile=True)
    found = run_over(ETHERNET, asked)
    program = pfcompile.compile(text, savefile=True)
    verdicts = [bool(program.match(each.data, each.wire_length)) for each in records(ETHERNET)]
    assert [each.matches for each in found.listed] == verdicts
    assert (found.packets, found.matched, found.foreign) == (len(verdicts), sum(verdicts), 0)
    assert found.problem is None


@pytest.mark.parametrize("text", FILTERS)
def test_what_comes_into_a_block_goes_out(text):
    asked = Filter(text, savefile=True)
    found = run_over(ETHERNET, asked)
    stages = analyse(asked).stages
    if not stages.passes:
        assert found.blocks == {}
        return
    drawing = stages.drawings[stages.passes[-1].drawing]
    arrived = dict.fromkeys(found.blocks, 0)
    arrived[0] = found.packets
    for edge in drawing.edges:
        flow = found.blocks[drawing.nodes[edge.source].label]
        arrived[drawing.nodes[edge.target].label] += flow.no if edge.kind == "no" else flow.yes
    assert arrived == {label: flow.reached for label, flow in found.blocks.items()}
    for term in found.terms:
        assert 0 <= term.true <= term.reached <= found.packets


@pytest.mark.parametrize("text", FILTERS)
def test_the_way_of_a_packet(text):
    asked = Filter(text, savefile=True)
    stages = analyse(asked).stages
    edges = set()
    if stages.passes:
        drawing = stages.drawings[stages.passes[-1].drawing]
        labels = [node.label for node in drawing.nodes]
        edges = {(labels[edge.source], labels[edge.target]) for edge in drawing.edges}
    for row in run_over(ETHERNET, asked).listed[:8]:
        found = course(ETHERNET, asked, row.number, change_seconds=0)
        assert found.matches is row.matches
        assert set(pairwise(found.labels)) <= edges
        assert found.problem is None
        assert found.terms or not text


def test_what_would_turn_the_verdict():
    found = course(ETHERNET, Filter("tcp port 443", savefile=True), 1)
    assert found.matches
    assert found.change.startswith("set byte")
    assert found.deciding
    assert found.terms[0].place == (0, 12)


def test_packets_that_are_not_there():
    for number in (0, -1, 23, 10**12, 10**23):
        assert course(ETHERNET, Filter("ip"), number).problem == "there is no such packet"


def test_several_link_types():
    path = str(PCAPS / "mixed.pcapng")
    assert contents("x", path).link_types == ("EN10MB", "RAW")
    found = run_over(path, Filter("ip", savefile=True))
    assert found.foreign > 0
    foreign = next(each.number for each in found.listed if each.matches is None)
    assert "another link type, RAW" in course(path, Filter("ip", savefile=True), foreign).problem


def test_damaged_captures_and_no_captures(tmp_path):
    cut = contents("x", str(PCAPS / "cut-short.pcap"))
    assert cut.packets > 0
    assert cut.problem.startswith("byte ")
    assert run_over(str(PCAPS / "cut-short.pcap"), Filter("ip", savefile=True)).problem
    assert contents("x", str(PCAPS / "empty.pcap")).packets == 0
    for data in (b"", b"GET / HTTP/1.1", b"\x1f\x8b" + bytes(30), bytes(1000)):
        path = tmp_path / "secret-name"
        path.write_bytes(data)
        found = contents("x", str(path))
        assert found.packets == 0
        assert found.problem
        assert "secret-name" not in found.problem


def test_a_wrong_expression():
    assert "syntax error" in run_over(ETHERNET, Filter("prt")).problem
    assert "syntax error" in course(ETHERNET, Filter("prt"), 1).problem


def test_a_netmask_is_used():
    asked = Filter("ip broadcast", netmask="255.255.255.0", savefile=True)
    found = run_over(ETHERNET, asked)
    assert found.problem is None
    assert course(ETHERNET, asked, 1).matches is False
