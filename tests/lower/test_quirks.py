"""Each quirk of docs/quirks.md, shown with packets, equal programs, or libpcap's own program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pfcompile.compiler import compile as compile_text
from pfcompile.names.answers import Host
from pfcompile.names.resolvers import StaticResolver
from tests.lower import frames
from tests.lower.asking import as_libpcap, matches, programs, refusal, same
from tests.lower.frames import ether, ipv4, ipv6, tcp
from tests.oracles.libpcap import Refused

QUIRKS = range(1, 34)
SEGMENT = ether(frames.IP, ipv4(frames.TCP, tcp()))


def test_docs_and_tests_have_every_quirk():
    docs = Path(__file__).parents[2] / "docs" / "quirks.md"
    headings = re.findall(r"(?m)^## Q(\d+)\.", docs.read_text(encoding="utf-8"))
    assert [int(number) for number in headings] == list(QUIRKS)
    tests = {name.split("_")[1] for name in globals() if name.startswith("test_q")}
    assert tests == {f"q{number}" for number in QUIRKS}


def test_q1_and_and_or_have_one_precedence():
    assert same("tcp or udp and port 80", "(tcp or udp) and port 80")
    assert not same("tcp or udp and port 80", "tcp or (udp and port 80)")


@pytest.mark.parametrize(
    ("text", "plainly"),
    [
        ("10 % 4 * 3 = link[0]", "link[0] = 10"),
        ("10 % 7 % 2 = link[0]", "link[0] = 0"),
        ("2 * 7 % 4 = link[0]", "link[0] = 6"),
        ("5 % 3 + 1 = link[0]", "link[0] = 1"),
        ("6 ^ 3 & 1 = link[0]", "link[0] = 7"),
        ("-7 % 4 = link[0:4]", "link[0:4] = 4294967293"),
        ("link[0] % 4 * 3 = 5", "link[0] % 12 = 5"),
    ],
)
def test_q2_modulus_and_exclusive_or_have_no_precedence(text, plainly, libpcap):
    assert same(text, plainly)
    assert as_libpcap(libpcap, text)


def test_q3_only_the_left_operand_brings_its_protocol(libpcap):
    request = ether(frames.ARP, frames.arp())  # byte 14 is 0, so that tcp[0] is that byte
    assert matches("1 + tcp[0] = 1", request)
    assert not matches("tcp[0] + 1 = 1", request)
    assert matches("len - tcp[0] > 3", request)
    for text in ("1 + tcp[0] = 5", "ip[0] + tcp[0] = 5", "tcp[0] + ip[0] = 5"):
        assert as_libpcap(libpcap, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10 / ip[0] = 2", "division by zero"),
        ("10 % ip[0] = 2", "modulus by zero"),
        ("len << ip[40] > 0", "shift by more than 31 bits"),
        ("1 << (32 - 1) = 2147483648", "shift by more than 31 bits"),
        ("len / (0 + 5) = 12", "division by zero"),
    ],
)
def test_q4_what_begins_with_a_constant_is_none(text, message, libpcap):
    with pytest.raises(Refused, match=message):
        libpcap.compile(text, 1)
    assert programs(text)


def test_q4_means_what_it_says():
    # The left operand is a constant, so that no protocol is asked for (Q3).
    assert matches("10 / ip[0] = 2", bytes(14) + b"\x05")
    assert not matches("10 / ip[0] = 2", bytes(14) + b"\x06")
    assert not matches("10 / ip[0] = 0", bytes(15)), "a division by zero is no match"
    assert matches("len << ip[40] > 0", bytes(55))
    assert matches("len / (0 + 5) = 12", bytes(60))
    assert matches("1 << (32 - 1) = 2147483648", b"")
    assert refusal("len / 0 = 1") == "division by zero"
    assert refusal("len << 32 = 1") == "shift by more than 31 bits"


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("vlan or ip", "EN10MB"),
        ("not vlan and ip", "EN10MB"),
        ("(vlan and ip) or ip", "EN10MB"),
        ("mpls or ip", "EN10MB"),
        ("pppoes or ip", "EN10MB"),
        ("lane or ip", "SUNATM"),
    ],
)
def test_q5_offsets_move_along_the_text(text, link, libpcap):
    assert as_libpcap(libpcap, text, link)


def test_q5_what_comes_first_is_not_moved():
    tagged = frames.tagged(7, frames.IP, ipv4(frames.TCP, tcp()))
    assert not matches("vlan or ip", SEGMENT)
    assert matches("ip or (vlan and ip)", SEGMENT)
    assert matches("ip or (vlan and ip)", tagged)
    for tunnel in ("geneve", "vxlan"):
        assert not matches(f"{tunnel} or ip", SEGMENT)
        assert matches(f"ip or {tunnel}", SEGMENT)


def test_q6_a_chain_goes_on_behind_an_authentication_header(libpcap):
    text = "ip protochain 6"
    twice = frames.authentication(frames.AH) + frames.authentication(frames.TCP) + tcp()
    packet = ether(frames.IP, ipv4(frames.AH, twice))
    assert matches(text, packet)
    assert libpcap.filter(libpcap.compile(text, 1), packet) == 0
    # libpcap's program goes round for ever here: each header leads to the same place.
    crafted = ether(frames.IP, ipv4(frames.AH, bytes.fromhex("3304000033040000")))
    assert not matches(text, crafted + bytes(200))


def test_q7_protocols_that_are_not_looked_for_everywhere():
    def behind_ip6(next_header, payload):
        return ether(frames.IP6, ipv6(next_header, payload))

    echo = bytes([128, 0]) + bytes(6)
    optional = frames.extension(frames.ICMP6) + echo
    assert matches("icmp6[0] = 128", behind_ip6(frames.ICMP6, echo))
    assert not matches("icmp6[0] = 128", behind_ip6(0, optional))
    assert not matches("tcp[13] = 2", behind_ip6(frames.TCP, tcp()))
    assert matches("port 80", behind_ip6(frames.TCP, tcp()))
    assert not matches("port 80", behind_ip6(0, frames.extension(frames.TCP) + tcp()))
    later = behind_ip6(44, frames.fragment_header(frames.TCP, 10) + tcp())
    assert matches("tcp and ip6 proto 6", later)
    fragment = ether(frames.IP, ipv4(frames.TCP, tcp(), fragment=10))
    assert matches("tcp and ip proto 6", fragment)
    assert not matches("tcp[13] = 2", fragment)
    assert not matches("port 80", fragment)


def test_q8_an_offset_is_a_sum_modulo_2_32():
    assert matches("ip[-1] = 0", SEGMENT)  # the second byte of the EtherType
    assert matches("ip[0 - 1] = 0", SEGMENT)
    assert matches("tcp[0 - 20] = 0x45", SEGMENT)
    assert matches("link[len - len - 4294967295] = link[1]", SEGMENT)
    assert not matches("link[0xfffff004:2] = 4", SEGMENT, ancillary={4: 4})


def test_q9_numbers_have_no_sign():
    assert same("-1 > 0", "0 - 1 > 0")
    assert matches("-1 > 0", b"")
    assert not matches("len < 0", b"")
    assert matches("link[0] - 1 > 100", bytes(1))


@pytest.mark.parametrize(
    ("text", "inner", "verdict"),
    [
        ("vxlan and ip", ether(frames.IP, ipv4(frames.TCP, tcp())), True),
        ("vxlan and ip", ether(frames.ARP, frames.arp()), False),
        ("vxlan 5 and ip6", ether(frames.IP6, ipv6(frames.TCP, tcp())), True),
        ("vxlan 6 and ip6", ether(frames.IP6, ipv6(frames.TCP, tcp())), False),
        ("vxlan and not ip", ether(frames.ARP, frames.arp()), True),
        ("vxlan and link[0] = 0xff", ether(frames.ARP, to=b"\xff" * 6), True),
    ],
)
@pytest.mark.parametrize("outer", [frames.IP, frames.IP6])
def test_q10_what_follows_vxlan_reads_the_inner_frame(text, inner, verdict, outer):
    datagram = frames.vxlan(5, inner)
    carrier = ipv4 if outer == frames.IP else ipv6
    assert matches(text, ether(outer, carrier(frames.UDP, datagram))) is verdict


@pytest.mark.parametrize(
    ("text", "link", "offset"),
    [
        ("ifindex 3", "NETANALYZER", 8),
        ("pppoes and inbound", "EN10MB", 4),
        ("pppoes and ifindex 3", "EN10MB", 8),
        ("type data and outbound", "IEEE802_11_RADIO", 4),
        ("geneve and outbound", "EN10MB", 4),
    ],
)
def test_q11_metadata_has_offsets_of_its_own(text, link, offset):
    metadata = {
        one.k
        for program in programs(text, link, live=True)
        for one in program
        if one.k >= 0xFFFFF000
    }
    assert metadata == {0xFFFFF000 + offset}


def test_q12_a_tunnel_does_not_forget_where_the_outer_frame_is(libpcap):
    inner = frames.geneve(5, ether(frames.ARP, frames.arp()))
    packet = frames.wlan(frames.snap(frames.IP, ipv4(frames.UDP, inner)))
    for text in ("geneve", "ip and geneve and arp"):
        assert matches(text, packet, "IEEE802_11")
    theirs = libpcap.compile("ip and geneve and arp", 105, optimize=False)
    assert libpcap.filter(theirs, packet) == 0


def test_q13_slip_has_the_version_in_its_first_byte(libpcap):
    for link in ("SLIP", "SLIP_BSDOS"):
        assert as_libpcap(libpcap, "ip", link)
        assert as_libpcap(libpcap, "ip6 or host 10.0.0.1", link)
    header = bytearray(16)
    assert not matches("ip", bytes(header) + ipv4(frames.TCP, tcp()), "SLIP")
    header[0] = 0x45
    assert matches("ip", bytes(header), "SLIP")


def test_q14_frame_relay_addresses_count_from_the_frame(libpcap):
    for text in ("host 10.0.0.1", "port 80", "ip[0] = 0x45"):
        assert as_libpcap(libpcap, text, "FRELAY")
    frame = bytes.fromhex("000003cc") + ipv4(frames.TCP, tcp())
    assert matches("ip", frame, "FRELAY")
    assert not matches("src host 10.0.0.1", frame, "FRELAY")
    assert matches("dst host 10.0.0.1", frame, "FRELAY"), "four bytes further on is the source"


def test_q15_control_frames_have_no_receiver(libpcap):
    text = "wlan ra 02:00:00:00:00:02"
    assert matches(text, frames.wlan(b"", control=0x08), "IEEE802_11")
    assert not matches(text, frames.wlan(b"", control=0xB4), "IEEE802_11")
    assert matches(text.replace("ra", "addr1"), frames.wlan(b"", control=0xB4), "IEEE802_11")
    assert as_libpcap(libpcap, text, "IEEE802_11")
    assert as_libpcap(libpcap, text.replace("ra", "ta"), "IEEE802_11")


def test_q16_iso_protocols_never_match_on_cooked_captures(libpcap):
    for text in ("clnp", "isis", "iso proto 0x82"):
        assert len(programs(text, "LINUX_SLL")) == 1, "the optimiser says that nothing matches"
        assert as_libpcap(libpcap, text, "LINUX_SLL")
    assert refusal("clnp", "LINUX_SLL").startswith("expression rejects all packets")


def test_q17_every_protocol_is_the_same_on_juniper(libpcap):
    for link in ("JUNIPER_PPP", "JUNIPER_ES", "JUNIPER_ATM2"):
        assert same("ip", "arp", link)
        assert same("ip", "link proto 0x1234", link)
        assert as_libpcap(libpcap, "ip", link)
    assert as_libpcap(libpcap, "ip multicast", "JUNIPER_ES")


def test_q18_headers_that_are_not_looked_into():
    token_ring = bytes(2) + frames.TO_MAC + frames.FROM_MAC
    foreign = bytes.fromhex("aaaa03123456") + frames.IP.to_bytes(2, "big")
    assert matches("ip", token_ring + foreign, "IEEE802"), "the organisation is not compared"
    assert not matches("ip", ether(8, frames.snap(frames.IP)))
    source_routed = token_ring[:8] + b"\x82" + token_ring[9:] + bytes.fromhex("02000000")
    assert not matches("ip", source_routed + frames.snap(frames.IP), "IEEE802")
    four_addresses = frames.wlan(frames.FROM_MAC + frames.snap(frames.IP), flags=3)
    assert not matches("ip", four_addresses, "IEEE802_11")


def test_q19_point_codes_are_compared_byte_by_byte(libpcap):
    for text in ("opc 258", "dpc = 258", "opc > 258", "dpc < 258"):
        assert as_libpcap(libpcap, text, "MTP2")
    # 258 is 02 01 in the frame, and 512 is 00 02.
    assert matches("dpc < 258", bytes(4) + bytes.fromhex("0002") + bytes(2), "MTP2")


def test_q20_a_broadcast_address_is_one_of_any_network(libpcap):
    text, netmask = "ip broadcast", 0xFFFFFF00
    for address in ("0a0000ff", "c0a80100"):
        packet = ether(frames.IP, ipv4(frames.UDP, to=bytes.fromhex(address)))
        assert matches(text, packet, netmask=netmask)
    assert not matches(text, SEGMENT, netmask=netmask)
    assert as_libpcap(libpcap, text, netmask=netmask)
    for mask in (None, "255.255.255.255"):
        assert refusal(text, netmask=mask).startswith("netmask not known")


@pytest.mark.parametrize("text", ["host 1.2.3.4 or ip", "ip or not ip", "link[100] & 0 = 0"])
def test_q21_the_optimiser_drops_loads_that_decide_nothing(text, libpcap):
    plain, optimised = (compile_text(text, optimize=on) for on in (False, True))
    cut = SEGMENT[:14] if "host" in text else SEGMENT[:10]
    assert (plain.match(cut) > 0, optimised.match(cut) > 0) == (False, True)
    assert matches(text, SEGMENT + bytes(100))
    assert as_libpcap(libpcap, text)


def test_q22_the_optimiser_puts_tests_of_one_value_together():
    text = "ip[0] = 1 or ip[8] = 1 or ip[0] = 0x45"
    plain, optimised = (compile_text(text, optimize=on) for on in (False, True))
    cut = SEGMENT[:20]  # before byte 8 of the IPv4 header
    assert (plain.match(cut) > 0, optimised.match(cut) > 0) == (False, True)
    assert matches(text, SEGMENT)


def test_q23_an_interface_name_may_go_on(libpcap):
    def packet(name):
        return bytes(4) + name.ljust(16, b"\0") + bytes(44)

    assert matches("ifname eth1", packet(b"eth1"), "PFLOG")
    assert matches("ifname eth1", packet(b"eth10"), "PFLOG")
    assert not matches("ifname eth1", packet(b"eth0"), "PFLOG")
    assert as_libpcap(libpcap, "on eth1", "PFLOG")


def test_q24_some_numbers_and_names_are_ethernet_addresses():
    assert same("ether host 123456789012", "ether host 12:34:56:78:90:12")
    assert same("ether host deadbeefcafe", "ether host de:ad:be:ef:ca:fe")
    assert refusal("len = 012345670123").startswith("can't parse filter expression: syntax error")
    assert same("len = 0012345670123", "len = 1402433619")
    assert refusal("host deadbeefcafe") == "Ethernet address used in non-ether expression"
    names = StaticResolver(hosts={"deadbeefcafe": Host.of(["10.0.0.1"])})
    assert matches(r"host \deadbeefcafe", SEGMENT, resolver=names)


def test_q25_what_is_wrong_first_is_told_first():
    names = StaticResolver()
    assert refusal("ip proto foo and (", resolver=names) == "unknown 'ip proto' value 'foo'"
    assert refusal("port 65536 and and").startswith("port number 65536 greater than maximum")
    # The lexer is no further than the address: as in libpcap, what stands before it comes first.
    assert refusal("ether host 1:2") == refusal("ether host 1")


def test_q26_some_access_points_are_tested_twice(libpcap):
    def llc(destination, source):
        return ether(3, bytes([destination, source, 3]))

    for text in ("ether proto 6", "ether proto 0xfe", "ether proto 0xf0"):
        sap = int(text.split()[-1], 16)
        assert matches(text, llc(sap, sap))
        assert not matches(text, llc(sap, 0))
        assert as_libpcap(libpcap, text)
    assert matches("ether proto 0x42", llc(0x42, 0))
    assert same("ether proto 0xe0", "ipx")
    for ipx in (ether(0x8137), ether(3, b"\xe0\xe0\x03"), ether(30, b"\xff\xff" + bytes(28))):
        assert matches("ipx", ipx + bytes(8))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("src 10.0.0.0/8", "'<invalid type 0>' is not a valid qualifier for '10.0.0.0/8'"),
        ("tcp or 10.0.0.0/8", "'<invalid type 255>' is not a valid qualifier for '10.0.0.0/8'"),
        ("tcp or $1f", "'<invalid dir 255>' is valid for 802.11 syntax only"),
    ],
)
def test_q27_messages_keep_their_words(text, message):
    assert refusal(text) == message


def test_q28_words_that_change_nothing():
    assert same("tcp type mgt", "type mgt", "IEEE802_11")
    assert same("llc rulenum", "llc rnr")
    assert same("port \\65536", "port 0")


def test_q29_labels_stay_behind_a_tunnel(libpcap):
    inner = ether(frames.IP, ipv4(frames.TCP, tcp()))
    outer = ipv4(frames.UDP, frames.geneve(5, inner))
    packet = ether(frames.MPLS, frames.label(16) + outer)
    text = "mpls and geneve and ip"
    assert not matches(text, packet), "two bytes before the inner packet is an EtherType"
    assert libpcap.filter(libpcap.compile(text, 1, optimize=False), packet) == 0
    assert refusal("mpls and geneve and arp") == "unsupported protocol over mpls"
    assert refusal("mpls and pppoes") == "unsupported protocol over mpls"


def test_q30_less_and_greater_include_their_bound():
    assert same("less 60", "len <= 60")
    assert same("greater 60", "len >= 60")


def test_q31_offsets_of_a_live_capture_are_always_set():
    # `programs` checks that no word of scratch memory is read before it is written.
    assert programs("vlan 5 and geneve", live=True)
    inner = frames.geneve(7, ether(frames.IP, ipv4(frames.TCP, tcp())))
    packet = ether(frames.IP, ipv4(frames.UDP, inner))
    tag = {44: 5, 48: 1}
    assert matches("vlan 5 and geneve 7 and tcp", packet, live=True, ancillary=tag)


def test_q32_a_tunnel_keeps_the_outer_link_type_s_802_2():
    clnp = ether(6, bytes.fromhex("fefe0381") + bytes(2))
    inner = ipv4(frames.UDP, frames.geneve(5, clnp))
    assert matches("geneve and clnp", ether(frames.IP, inner))
    assert not matches("geneve and clnp", inner, "RAW")
    assert matches("geneve and iso", inner, "RAW")


def test_q33_padding_counts_from_the_start_of_the_packet(libpcap):
    frame = frames.wlan(bytes(3) + frames.snap(frames.IP))
    assert matches("ip", frames.radiotap(frame, length=9, padded=True), "IEEE802_11_RADIO")
    unpadded = frames.wlan(frames.snap(frames.IP))
    assert matches("ip", frames.radiotap(unpadded, length=9), "IEEE802_11_RADIO")
    assert as_libpcap(libpcap, "ip", "IEEE802_11_RADIO")
