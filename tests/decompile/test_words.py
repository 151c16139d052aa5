"""Programs and the expressions that they become, word for word."""

from __future__ import annotations

import pytest

from pfcompile.cbpf.asm import assemble
from pfcompile.cbpf.reading import parse_program
from pfcompile.compiler import compile as compile_text
from pfcompile.prove import Equal, prove
from tests.decompile.asking import asked

SAME = (
    "ip",
    "tcp port 443",
    "udp portrange 10000-20000",
    "src 10.0.0.5",
    "host 2001:db8::1",
    "net 10.0.0.0/8",
    "net 192.168.1.0 mask 255.255.253.0",
    "dst net 2001:db8::/33",
    "ether src 00:11:22:33:44:55",
    "ether proto 0x88cc",
    "vlan 100 and host 10.0.0.1",
    "ip or (vlan and ip)",
    "mpls 100000 and mpls 1024",
    "pppoes 7 and tcp port 80",
    "vxlan 5 and ip6",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn",
    "icmp[icmptype] = icmp-echo",
    "ether[14] & 15 = 5",
    "ip[6:2] & 0x1fff != 0",
    "len <= 128",
    "not arp",
    "ip6 protochain 51",
    "host 10.0.0.1 and not port (22 or 80)",
    "multicast",
    "llc rnr",
    "isis proto 18",
    "decnet src 10.5",
    "proto 47",
)


@pytest.mark.parametrize("text", SAME)
def test_what_comes_back_as_it_was(text):
    found = asked(compile_text(text).instructions)
    assert found.is_proved
    assert found.expression == text


@pytest.mark.parametrize(
    ("text", "link_type"),
    [
        ("type mgt subtype beacon", "IEEE802_11"),
        ("ether ta 02:00:00:00:00:01", "IEEE802_11_RADIO"),
        ("ifname em0", "PFLOG"),
        ("action pass", "PFLOG"),
        ("opc 300", "MTP2"),
        ("vpi 3", "SUNATM"),
        ("ether src $4a", "ARCNET"),
        ("tcp", "IPV4"),
        ("outbound", "LINUX_SLL"),
        ("udp port 53", "PPI"),
    ],
)
def test_words_of_one_link_type(text, link_type):
    found = asked(compile_text(text, link_type).instructions, link_type)
    assert found.is_proved
    assert found.expression == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("src and dst net 10.0.0.0/8 or arp", "arp or src and dst net 10.0.0.0/8"),
        ("host 10.0.0.1 or 10.0.0.2 or 10.0.0.3", "host (10.0.0.1 or 10.0.0.2 or 10.0.0.3)"),
        ("not tcp port 80 or udp", "not tcp port 80"),
        ("ip proto 6", "ip proto 6"),
        ("carp", "vrrp"),
    ],
)
def test_what_comes_back_otherwise(text, expected):
    found = asked(compile_text(text).instructions)
    assert found.is_proved
    assert found.expression == expected


def test_everything_and_nothing():
    everything = asked(assemble("ret #96"))
    assert (everything.expression, everything.snaplen) == ("", 96)
    nothing = asked(assemble("ld [0]\nret #0"))
    assert nothing.is_proved
    assert nothing.accepts_nothing
    assert nothing.expression == "1 = 0"


def test_metadata_of_live_captures():
    for text in ("outbound", "ifindex 3", "vlan 5 and tcp port 80", "ip or (vlan and ip)"):
        found = asked(compile_text(text, live=True).instructions)
        assert (found.expression, found.live, found.is_proved) == (text, True, True)
    assert not asked(compile_text("ip").instructions).live


def test_families_of_files():
    found = asked(compile_text("ip6", "NULL", savefile=True).instructions, "NULL")
    assert (found.expression, found.savefile, found.is_proved) == ("ip6", True, True)


# Programs that no compiler of expressions has written.
TRICKS = {
    # The way round by scratch memory, X and the negation; 53 is the port.
    "ip[((ip[0] & 15) << 2) + 2:2] = 53": """
        ldh [12]
        st M[3]
        ldx M[3]
        ld #0x800
        sub x
        jne #0, no
        ldxb 4*([14]&0xf)
        ldh [x + 16]
        tax
        ld #0
        add x
        neg
        jeq #-53, yes
    no: ret #0
    yes: ret #262144
    """,
    # The EtherType in one load with what follows it.
    "ip[0] = 69": """
        ld [12]
        rsh #8
        jeq #0x80045, yes, no
    no: ret #0
    yes: ret #262144
    """,
}


@pytest.mark.parametrize(("expected", "source"), TRICKS.items(), ids=["registers", "wide load"])
def test_tricks(expected, source):
    found = asked(assemble(source))
    assert found.is_proved
    assert found.expression == expected


def test_loads_for_which_no_packet_is_long_enough():
    # This link type's offsets are unset: what reads behind IPv4's header reads at -2. A proof that
    # leaves packets out that a load runs past the end of would take anything for equal.
    for text in ("tcp port 80", "udp[0:4] > 7 or not host 10.0.0.1"):
        program = compile_text(text, "JUNIPER_ES").instructions
        found = asked(program, "JUNIPER_ES")
        assert found.is_proved
        again = compile_text(found.expression, "JUNIPER_ES").instructions
        assert prove(program, again) == Equal()


def test_the_bytecode_of_iptables():
    program = parse_program("4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0")
    found = asked(program, "IPV4")
    assert (found.expression, found.snaplen, found.is_proved) == ("tcp", 1, True)
