"""Why one packet matches or not, where the answer is known."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from pfcompile.errors import CaptureError, FilterError
from pfcompile.explain import Why, hits, why, why_packet
from pfcompile.prove.change import Changes
from pfcompile.prove.result import Undecided

CAPTURE = Path(__file__).parents[2] / "pcaps" / "ethernet.pcap"
TCP_22 = bytearray.fromhex(
    "020000000002 020000000001 0800"
    "4500002800010000400666cd0a0000010a000002"
    "c738001600000001000000005002200000000000"
)
"""TCP over IPv4 from port 51000 to port 22."""


def named(found: Why) -> dict[str, tuple[int, ...]]:
    return {"/".join(each.names): tuple(range(each.start, each.stop)) for each in found.deciding}


def test_masks_leave_bytes_out():
    found = why_packet(bytes(TCP_22), "ip[6:2] & 0x1fff = 0 and ip[0] & 0xf = 5")
    assert named(found) == {"Ether.type": (12, 13), "IP.frag": (20, 21), "IP.ihl": (14,)}
    found = why_packet(bytes(TCP_22), "ip[6:2] & 0xff = 0")
    assert named(found) == {"Ether.type": (12, 13), "IP.frag": (21,)}
    found = why_packet(bytes(TCP_22), "ip[6:2] >> 8 & 0x20 = 0")
    assert named(found) == {"Ether.type": (12, 13), "IP.flags": (20,)}


def test_a_trick_with_the_header_length_and_the_plain_change():
    packet = TCP_22.copy()
    packet[40:42] = b"\x01\xbb"  # where the destination port would be behind a longer header
    found = why_packet(bytes(packet), "tcp dst port 443")
    assert found.smallest is not None
    assert found.plain is not None
    assert found.smallest.words == "set byte 14 (IP.version, IP.ihl) to 46"
    assert found.plain.words == "set bytes 36-37 (TCP.dport) to 01 bb"
    assert found.plain.before == (b"\x00\x16",)


def test_a_length_that_decides():
    found = why_packet(bytes(TCP_22), "greater 100 or less 20")
    assert found.length_decides
    assert found.deciding == ()
    assert found.smallest is None
    assert found.no_change == "no change of its bytes would turn the verdict"


def test_what_no_packet_can_match():
    found = why_packet(bytes(TCP_22), "tcp and udp")
    assert (found.matches, found.smallest) == (False, None)
    assert [term.outcome for term in found.terms] == ["true", "false"]


def test_a_division_by_zero():
    found = why_packet(bytes(TCP_22), "ether[0] / ether[1] = 1 or ip")
    assert [term.outcome for term in found.terms] == ["cut short"]
    assert not found.matches
    assert named(found)["Ether.dst"] == (0, 1)


def test_headers_measured_before_the_first_term():
    found = why_packet(b"\x00\x00\x08", "tcp", "IEEE802_11_RADIO")
    assert [term.text for term in found.terms] == ["before the first term"]
    assert found.terms[0].outcome == "cut short"
    assert found.terms[0].start is None


def test_words_without_scapy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scapy.all", None)
    found = why_packet(bytes(TCP_22), "udp")
    assert [each.names for each in found.deciding] == [(), ()]
    assert "ip.proto == udp does not hold (6)" in [test.words for test in found.terms[0].tests]


def test_without_z3(monkeypatch):
    monkeypatch.setitem(sys.modules, "z3", None)
    for name in ("change", "solver"):
        monkeypatch.delitem(sys.modules, f"pfcompile.prove.{name}", raising=False)
    found = why_packet(bytes(TCP_22), "udp", change_seconds=1)
    assert found.smallest is None
    assert "pfcompile[prove]" in found.no_change


def test_a_search_that_takes_too_long(monkeypatch):
    plain = bytes(TCP_22).replace(b"\x00\x16", b"\x01\xbb")
    answers = iter([Undecided("the time was too short"), Changes(None, plain, "no time")])
    monkeypatch.setattr("pfcompile.prove.change.smallest_change", lambda *_, **__: next(answers))
    found = why_packet(bytes(TCP_22), "tcp dst port 443")
    assert (found.smallest, found.plain, found.no_change) == (None, None, "the time was too short")
    found = why_packet(bytes(TCP_22), "tcp dst port 443")
    assert found.plain is not None
    assert (found.smallest, found.no_change) == (None, "no time")


def test_a_long_list():
    hosts = " or ".join(f"10.9.{n // 256}.{n % 256}" for n in range(150))
    found = why_packet(bytes(TCP_22), f"host {hosts}")
    assert len(found.terms) == 150
    assert found.smallest is not None
    assert found.smallest.count == 1


def test_from_a_stream_and_from_a_file():
    with CAPTURE.open("rb") as stream:
        body = stream.read()
    assert why(io.BytesIO(body), 3, "tcp") == why(CAPTURE, 3, "tcp")


def test_errors():
    with pytest.raises(CaptureError, match="has 22 packets: there is no packet 30"):
        why(CAPTURE, 30, "tcp")
    with pytest.raises(FilterError):
        why(CAPTURE, 1, "tcp or")
    with pytest.raises(FilterError):
        hits(CAPTURE, "tcp or")
    with pytest.raises(ValueError, match="NOSUCH"):
        why_packet(b"", "tcp", "NOSUCH")
