"""Words about terms: that nothing has what they look for, and where they look."""

from __future__ import annotations

import pytest

from pfcompile.compiler import compile as compile_text
from pfcompile.errors import FilterError
from pfcompile.explain import explain
from pfcompile.names.answers import Host
from pfcompile.names.resolvers import NoNames, StaticResolver
from tests.generator.links import LINKS

TERMS = [
    "ip", "ip6", "arp", "rarp", "tcp", "icmp", "icmp6", "port 80", "host 10.0.0.1", "host ::1",
    "arp host 10.0.0.1", "net 10", "ip proto 6", "ip6 proto 6", "proto 6", "link proto 6",
    "ether proto 0x88cc", "stp", "iso", "clnp", "isis", "l1", "atalk", "ipx", "decnet", "llc",
    "decnet host 1.2", "ip multicast", "ip6 multicast", "tcp[0] = 1", "icmp6[0] = 1",
]  # fmt: skip

ODD = {("LINUX_SLL", "clnp"), ("LINUX_SLL", "isis"), ("LINUX_SLL", "l1"),
       ("JUNIPER_ES", "decnet host 1.2"), ("JUNIPER_ES", "l1")}  # fmt: skip
"""These frames may have such packets: it is looked for in the wrong place (quirks Q16 and Q17)."""


def rejects_all(text, link):
    try:
        compile_text(text, link, resolver=NoNames())
    except FilterError as error:
        return error.message.startswith("expression rejects all packets")
    return False


@pytest.mark.parametrize("link", list(LINKS))
def test_nothing_is_said_where_nothing_matches(link):
    for text in TERMS:
        try:
            found = explain(text, link, resolver=NoNames(), seconds=0)
        except FilterError:
            continue  # The link type does not take it at all.
        (term,) = found.terms
        impossible = rejects_all(text, link)
        said = term.words.startswith("nothing: ")
        assert said == (impossible and (link, text) not in ODD), (text, term.words)
        assert any(each.code == "PF106" for each in found.warnings) == impossible, text


@pytest.mark.parametrize(
    ("text", "link", "words"),
    [
        ("port 80", "IPV4", "over IPv4 (not in later fragments)"),
        ("port 80", "IPV6", "over IPv6 (only where no extension header comes first)"),
        ("host 10.0.0.1", "RAW", "IPv4 source or destination address 10.0.0.1"),
        ("src host 10.0.0.1", "EN10MB", "or ARP or RARP with that as sender address"),
        ("ip", "NULL", "IPv4, by the address family"),
        ("ip", "RAW", "IPv4, by the version in the first half-byte"),
        ("ip", "LINUX_SLL2", "IPv4, by protocol field 0x0800"),
        ("stp", "FDDI", "by 802.2 access point 0x42"),
        ("vlan and vlan and ip", "EN10MB", "IPv4, by EtherType 0x0800, behind 2 VLAN tags"),
        ("pppoes and ip", "EN10MB", "IPv4, by the PPP protocol field, inside the PPPoE session"),
        ("vlan and vxlan and vlan and ip", "EN10MB", "inside the VXLAN tunnel, behind 1 VLAN tag"),
        ("mpls and mpls and ip", "EN10MB", "IPv4, by the IP version, behind 2 MPLS labels"),
    ],
)
def test_where_it_is_looked_for(text, link, words):
    assert words in explain(text, link).terms[-1].words


def test_a_name_of_one_family_where_there_is_the_other():
    names = StaticResolver(hosts={"both": Host.of(["10.0.0.1", "2001:db8::1"])})
    (term,) = explain("host both", "IPV6", resolver=names).terms
    assert term.words == "IPv6 source or destination address 2001:db8::1"
    (term,) = explain("host both", "IPV4", resolver=names).terms
    assert term.words == "IPv4 source or destination address 10.0.0.1"
