"""Headers behind IP's, and of the tunnels that the filter language knows."""

from __future__ import annotations

from typing import Final

from pfcompile.facts import ip_protocols, tunnels
from pfcompile.fields.network_headers import IP, IP6, IP6_EXTENSION, IP6_FRAGMENT
from pfcompile.fields.rows import Field, Header, Kind, in_order

TCP: Final = Header(
    "tcp",
    in_order(
        ("srcport", 16),
        ("dstport", 16),
        ("seq", 32),
        ("ack", 32),
        ("data_offset", 4),
        ("reserved", 4),
        ("flags", 8, Kind.TCP_FLAGS),
        ("window", 16),
        ("checksum", 16, Kind.BITS),
        ("urgent", 16),
    ),
    "RFC 9293, section 3.1",
    accessor="tcp",
)

UDP: Final = Header(
    "udp",
    in_order(("srcport", 16), ("dstport", 16), ("len", 16), ("checksum", 16, Kind.BITS)),
    "RFC 768",
    accessor="udp",
)

SCTP: Final = Header(
    "sctp",
    in_order(
        ("srcport", 16), ("dstport", 16), ("vtag", 32, Kind.BITS), ("checksum", 32, Kind.BITS)
    ),
    "RFC 9260, section 3.1",
    accessor="sctp",
)

ICMP: Final = Header(
    "icmp",
    in_order(("type", 8, Kind.ICMP_TYPE), ("code", 8), ("checksum", 16, Kind.BITS)),
    "RFC 792",
    accessor="icmp",
)

ICMP6: Final = Header(
    "icmp6",
    in_order(("type", 8, Kind.ICMP6_TYPE), ("code", 8), ("checksum", 16, Kind.BITS)),
    "RFC 4443, section 2.1",
    accessor="icmp6",
)

IGMP: Final = Header(
    "igmp",
    in_order(
        ("type", 8, Kind.BITS),
        ("max_resp", 8),
        ("checksum", 16, Kind.BITS),
        ("group", 32, Kind.IPV4),
    ),
    "RFC 2236, section 2",
    accessor="igmp",
)

PIM: Final = Header(
    "pim",
    in_order(("version", 4), ("type", 4), ("", 8), ("checksum", 16, Kind.BITS)),
    "RFC 7761, section 4.9",
    accessor="pim",
)

VRRP: Final = Header(
    "vrrp",
    in_order(("version", 4), ("type", 4), ("vrid", 8), ("priority", 8), ("count", 8)),
    "RFC 9568, section 5.1",
    accessor="vrrp",
)

ESP: Final = Header("esp", in_order(("spi", 32, Kind.BITS), ("seq", 32)), "RFC 4303, section 2")

AH: Final = Header(
    "ah",
    in_order(
        ("nexthdr", 8, Kind.IP_PROTOCOL),
        ("len", 8),
        ("", 16),
        ("spi", 32, Kind.BITS),
        ("seq", 32),
    ),
    "RFC 4302, section 2",
)

GRE: Final = Header(
    "gre",
    in_order(("flags", 13, Kind.BITS), ("version", 3), ("proto", 16, Kind.ETHERTYPE)),
    "RFC 2784, section 2",
)

VXLAN: Final = Header(
    "vxlan",
    in_order(("flags", 8, Kind.BITS), ("", 24), ("vni", 24), ("", 8)),
    "RFC 7348, section 5",
)

GENEVE: Final = Header(
    "geneve",
    in_order(
        ("version", 2),
        ("opt_len", 6),
        ("flags", 8, Kind.BITS),
        ("type", 16, Kind.ETHERTYPE),
        ("vni", 24),
        ("", 8),
    ),
    "RFC 8926, section 3.4",
    parts=(Field("oam", 8, 1), Field("critical", 9, 1)),
)

BY_PROTOCOL: Final[dict[int, Header]] = {
    ip_protocols.HOPOPTS: IP6_EXTENSION,
    ip_protocols.ICMP: ICMP,
    ip_protocols.IGMP: IGMP,
    ip_protocols.IPV4: IP,
    ip_protocols.TCP: TCP,
    ip_protocols.UDP: UDP,
    ip_protocols.IPV6: IP6,
    ip_protocols.ROUTING: IP6_EXTENSION,
    ip_protocols.FRAGMENT: IP6_FRAGMENT,
    ip_protocols.GRE: GRE,
    ip_protocols.ESP: ESP,
    ip_protocols.AH: AH,
    ip_protocols.ICMP6: ICMP6,
    ip_protocols.DSTOPTS: IP6_EXTENSION,
    ip_protocols.PIM: PIM,
    ip_protocols.VRRP: VRRP,
    ip_protocols.SCTP: SCTP,
}
"""What begins where IP's header ends, by IP's protocol number."""

BY_UDP_PORT: Final[dict[int, Header]] = {
    tunnels.VXLAN_PORT: VXLAN,
    tunnels.GENEVE_PORT: GENEVE,
}
"""What begins where UDP's header ends, by destination port."""
