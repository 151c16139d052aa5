"""Headers of the network layer, and of what may stand between it and the link header."""

from __future__ import annotations

from typing import Final

from pfcompile.fields.rows import Field, Header, Kind, in_order

IP: Final = Header(
    "ip",
    in_order(
        ("version", 4),
        ("ihl", 4),
        ("tos", 8, Kind.BITS),
        ("len", 16),
        ("id", 16, Kind.BITS),
        ("reserved", 1),
        ("df", 1),
        ("mf", 1),
        ("frag_offset", 13),
        ("ttl", 8),
        ("proto", 8, Kind.IP_PROTOCOL),
        ("checksum", 16, Kind.BITS),
        ("src", 32, Kind.IPV4),
        ("dst", 32, Kind.IPV4),
    ),
    "RFC 791, section 3.1",
    parts=(
        Field("dscp", 8, 6),
        Field("ecn", 14, 2),
        Field("flags", 48, 3, Kind.BITS),
    ),
    accessor="ip",
)

VERSION: Final = Header("ip", in_order(("version", 4)), "RFC 791 and RFC 8200")
"""What IPv4 and IPv6 begin with, where nothing else tells which it is."""

IP6: Final = Header(
    "ip6",
    in_order(
        ("version", 4),
        ("tclass", 8, Kind.BITS),
        ("flow", 20, Kind.BITS),
        ("len", 16),
        ("nexthdr", 8, Kind.IP_PROTOCOL),
        ("hop_limit", 8),
        ("src", 128, Kind.IPV6),
        ("dst", 128, Kind.IPV6),
    ),
    "RFC 8200, section 3",
    accessor="ip6",
)

IP6_FRAGMENT: Final = Header(
    "ip6.frag",
    in_order(
        ("nexthdr", 8, Kind.IP_PROTOCOL),
        ("reserved", 8),
        ("offset", 13),
        ("", 2),
        ("more", 1),
        ("id", 32, Kind.BITS),
    ),
    "RFC 8200, section 4.5",
)

IP6_EXTENSION: Final = Header(
    "ip6.ext",
    in_order(("nexthdr", 8, Kind.IP_PROTOCOL), ("len", 8)),
    "RFC 8200, sections 4.3, 4.4 and 4.6",
)

_ADDRESS_RESOLUTION: Final = in_order(
    ("hrd", 16),
    ("pro", 16, Kind.ETHERTYPE),
    ("hln", 8),
    ("pln", 8),
    ("op", 16),
    ("sha", 48, Kind.MAC),
    ("spa", 32, Kind.IPV4),
    ("tha", 48, Kind.MAC),
    ("tpa", 32, Kind.IPV4),
)

ARP: Final = Header(
    "arp",
    _ADDRESS_RESOLUTION,
    "RFC 826, with addresses of Ethernet and IPv4, as filters take it",
    accessor="arp",
)

RARP: Final = Header("rarp", _ADDRESS_RESOLUTION, "RFC 903", accessor="rarp")

VLAN: Final = Header(
    "vlan",
    in_order(("priority", 3), ("dei", 1), ("id", 12), ("type", 16, Kind.ETHERTYPE)),
    "IEEE 802.1Q, clause 9.6",
)

MPLS: Final = Header(
    "mpls",
    in_order(("label", 20), ("tc", 3), ("bottom", 1), ("ttl", 8)),
    "RFC 3032, section 2.1; RFC 5462 for tc",
)

PPPOE: Final = Header(
    "pppoe",
    in_order(("version", 4), ("type", 4), ("code", 8), ("session", 16), ("len", 16)),
    "RFC 2516, section 4",
)

PPP: Final = Header("ppp", in_order(("proto", 16, Kind.PPP_PROTOCOL)), "RFC 1661, section 2")

DECNET: Final = Header(
    "decnet", (), "DECnet Routing Layer Functional Specification 2.0.0", accessor="decnet"
)
