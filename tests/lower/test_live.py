"""Filters for live captures on Linux: what the kernel took out of a packet is in its metadata."""

from __future__ import annotations

import struct
import time

import pytest

from pfcompile.cbpf.isa import Ancillary
from pfcompile.cbpf.listing import tcpdump
from pfcompile.compiler import compile as compile_text
from pfcompile.kernel.packet_socket import PacketSocket
from tests.kernel.namespaces import LEFT, pair, raw_sender
from tests.kernel.namespaces import udp as datagram
from tests.lower import frames
from tests.lower.asking import matches, programs, refusal
from tests.lower.frames import ether, ipv4, tagged, tcp

SEGMENT = ipv4(frames.TCP, tcp())
PLAIN = ether(frames.IP, SEGMENT)
TAGGED = tagged(42, frames.IP, SEGMENT)
TWICE = ether(0x88A8, struct.pack(">2H", 42, frames.VLAN) + struct.pack(">2H", 7, frames.IP))

NONE = {Ancillary.VLAN_TAG: 0, Ancillary.VLAN_TAG_PRESENT: 0}
# The priority bits of the tag are not part of its number.
TAKEN_OUT = {Ancillary.VLAN_TAG: 0xA000 | 42, Ancillary.VLAN_TAG_PRESENT: 1}

# A packet, and what the kernel says of it, by the tags that it had on the wire.
UNTAGGED = (PLAIN, NONE)
IN_METADATA = (PLAIN, TAKEN_OUT)
IN_PACKET = (TAGGED, NONE)
BOTH = (tagged(7, frames.IP, SEGMENT), TAKEN_OUT)
TWO_IN_PACKET = (TWICE + SEGMENT, NONE)


def live(text, case, link="EN10MB"):
    packet, metadata = case
    return matches(text, packet, link, live=True, ancillary=metadata)


def listing(text, link="EN10MB"):
    return tcpdump(compile_text(text, link, live=True).instructions)


def test_the_program_for_vlan():
    assert listing("vlan") == (
        "(000) ldb      [vlanp]\n"
        "(001) jeq      #0x1             jt 6\tjf 2\n"
        "(002) ldh      [12]\n"
        "(003) jeq      #0x8100          jt 6\tjf 4\n"
        "(004) jeq      #0x88a8          jt 6\tjf 5\n"
        "(005) jeq      #0x9100          jt 6\tjf 7\n"
        "(006) ret      #262144\n"
        "(007) ret      #0\n"
    )


def test_the_programs_for_inbound_outbound_and_ifindex():
    assert listing("outbound") == (
        "(000) ldh      [type]\n"
        "(001) jeq      #0x4             jt 2\tjf 3\n"
        "(002) ret      #262144\n"
        "(003) ret      #0\n"
    )
    assert listing("inbound") == listing("outbound").replace("jt 2\tjf 3", "jt 3\tjf 2")
    assert listing("ifindex 3") == (
        "(000) ld       [ifidx]\n"
        "(001) jeq      #0x3             jt 2\tjf 3\n"
        "(002) ret      #262144\n"
        "(003) ret      #0\n"
    )


@pytest.mark.parametrize("case", [IN_METADATA, IN_PACKET, BOTH, TWO_IN_PACKET])
def test_a_tag_is_found_wherever_it_is(case):
    for text in ("vlan", "vlan 42", "vlan 42 or arp"):
        assert live(text, case)
    for text in ("not vlan", "vlan 41", "vlan 0", "vlan 41 and ip"):
        assert not live(text, case)


def test_what_has_no_tag_is_not_found():
    for text in ("vlan", "vlan 0", "vlan 42", "vlan and ip"):
        assert not live(text, UNTAGGED)
    assert live("not vlan", UNTAGGED)


@pytest.mark.parametrize("case", [IN_METADATA, IN_PACKET])
def test_what_follows_is_read_where_it_is(case):
    for text in ("ip", "tcp dst port 80", "host 10.0.0.1", "tcp[13] = 2", "ip[9] = 6"):
        assert live(f"vlan 42 and {text}", case)
        assert live(f"vlan and {text}", case)
    for text in ("ip6", "udp", "port 81", "host 10.0.0.3"):
        assert not live(f"vlan 42 and {text}", case)


def test_offsets_stay_only_where_the_tag_is_in_the_metadata():
    assert not live("vlan or ip", UNTAGGED), "the later test is moved, as in a file"
    assert live("ip or vlan", UNTAGGED)
    assert live("ip and vlan", IN_METADATA)
    assert not live("ip and vlan", IN_PACKET)
    assert refusal("ip and vlan").startswith("expression rejects all packets")


def test_only_the_first_vlan_asks_the_kernel():
    assert live("vlan and vlan", BOTH)
    assert live("vlan 42 and vlan 7 and tcp", BOTH)
    assert live("vlan 42 and vlan 7 and tcp", TWO_IN_PACKET)
    assert not live("vlan 42 and vlan 42", BOTH)
    assert not live("vlan and vlan", IN_METADATA)
    assert not live("vlan and vlan", IN_PACKET)
    plain, _ = programs("vlan and vlan 7", live=True)
    asked = [one for one in plain if one.k == 0xFFFFF000 + Ancillary.VLAN_TAG_PRESENT]
    assert 1 <= len(asked) <= 2


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("vlan 42 and ip", "IEEE802_11"),
        ("geneve and vlan 42", "EN10MB"),
        ("lane and vlan 42", "SUNATM"),
    ],
)
def test_elsewhere_a_tag_is_looked_for_in_the_packet(text, link):
    for program in programs(text, link, live=True):
        assert all(one.k < 0xFFFFF000 for one in program)
    same = compile_text(text, link).instructions
    assert compile_text(text, link, live=True).instructions == same


def test_nothing_but_a_live_capture_asks_the_kernel():
    for options in ({}, {"savefile": True}):
        for program in programs("vlan 42 and ip", **options):
            assert all(one.k < 0xFFFFF000 for one in program)


LIVE_LINKS = ("EN10MB", "RAW", "NULL", "PPP", "IEEE802_11_RADIO", "NETANALYZER", "USER0")
SENT, RECEIVED = {Ancillary.PKTTYPE: 4}, {Ancillary.PKTTYPE: 0}


@pytest.mark.parametrize("link", LIVE_LINKS)
def test_the_kernel_says_which_way_a_packet_went(link):
    packet = bytes(64)
    for metadata, sent in ((SENT, True), (RECEIVED, False), ({Ancillary.PKTTYPE: 3}, False)):
        assert live("outbound", (packet, metadata), link) is sent
        assert live("inbound", (packet, metadata), link) is not sent
    assert live("ifindex 3", (packet, {Ancillary.IFINDEX: 3}), link)
    assert not live("ifindex 3", (packet, {Ancillary.IFINDEX: 4}), link)


@pytest.mark.parametrize("link", LIVE_LINKS)
@pytest.mark.parametrize("text", ["inbound", "outbound", "ifindex 3"])
def test_a_file_does_not_say(link, text):
    word = text.split()[0]
    told = f"not a live capture, '{word}' not supported on DLT_{link} ("
    assert refusal(text, link).startswith(told)
    assert refusal(text, link, savefile=True).startswith(told)


@pytest.mark.parametrize("is_live", [False, True])
@pytest.mark.parametrize(
    ("link", "sent", "received"),
    [
        ("SLIP", b"\x01", b"\x00"),
        ("PPP_PPPD", b"\x01", b"\x00"),
        ("LINUX_SLL", b"\x00\x04", b"\x00\x00"),
        ("LINUX_SLL2", bytes(10) + b"\x04", bytes(10) + b"\x00"),
        ("PFLOG", bytes(60) + b"\x02", bytes(60) + b"\x01"),
        ("IPNET", b"\x00\x00\x00\x01", b"\x00\x00\x00\x02"),
        ("JUNIPER_PPP", b"MGC\x00", b"MGC\x01"),
        ("DSA_TAG_BRCM", bytes(12) + b"\x20", bytes(12) + b"\x00"),
        ("DSA_TAG_DSA", bytes(12) + b"\x40", bytes(12) + b"\x80"),
    ],
)
def test_a_header_that_says_so_is_believed(link, sent, received, is_live):
    for header, word, other in ((sent, "outbound", "inbound"), (received, "inbound", "outbound")):
        packet = header.ljust(64, b"\0")
        assert matches(word, packet, link, live=is_live)
        assert not matches(other, packet, link, live=is_live)


def test_the_interface_stands_in_cooked_headers():
    packet = bytes(4) + struct.pack(">I", 3) + bytes(12)
    for is_live in (False, True):
        assert matches("ifindex 3", packet, "LINUX_SLL2", live=is_live)
        assert not matches("ifindex 4", packet, "LINUX_SLL2", live=is_live)


def test_protochain_does_not_go_with_a_tag_that_may_be_anywhere():
    told = "'protochain' not supported with variable length headers"
    assert refusal("vlan and ip protochain 6", live=True) == told
    assert programs("vlan and ip protochain 6")


@pytest.mark.netns
def test_the_kernel_takes_tags_out_and_the_filter_finds_them():
    twice = datagram(53, b"twice", vlan=7)
    twice = twice[:12] + struct.pack("!2H", 0x88A8, 42) + twice[12:]
    sent = [
        datagram(53, b"plain"),
        datagram(53, b"tagged", vlan=42),
        datagram(54, b"tagged", vlan=42),
        datagram(53, b"other", vlan=43),
        twice,
    ]
    wanted = {
        "vlan": {1, 2, 3, 4},
        "vlan 42": {1, 2, 4},
        "vlan 42 and udp dst port 53": {1},
        "vlan 42 and vlan 7 and udp": {4},
        "not vlan": {0},
        "udp and not vlan": {0},
        "vlan 42 and inbound": {1, 2, 4},
        "outbound": set(),
    }
    with pair() as cable, raw_sender(cable) as sender:
        for text, numbers in wanted.items():
            for optimize in (False, True):
                program = compile_text(text, live=True, optimize=optimize).instructions
                with cable.left.call(PacketSocket, LEFT, program) as packets:
                    for frame in sent:
                        sender.send(frame)
                    got = _captured(packets)
                assert got == [sent[number] for number in sorted(numbers)], text


def _captured(packets):
    """Return the frames in the queue: a veth delivers at once, or very soon after."""
    found = []
    deadline = time.monotonic() + 0.1
    while time.monotonic() < deadline:
        packet = packets.receive()
        if packet is None:
            packets.wait(0.02)
        else:
            found.append(packet.data)
    return found
