"""IP protocol numbers: those of the language's keywords, and names for where a system has none.

Source: the protocol numbers registry of IANA; names as protocols(5) of Debian spells them, which
differ in places from IANA's; pcap-filter(7) for the keywords.
"""

from __future__ import annotations

from typing import Final

from pfcompile.facts.rows import Number, by_name

HOPOPTS: Final = 0
ICMP: Final = 1
IGMP: Final = 2
IPV4: Final = 4
"""IPv4 inside IP."""
TCP: Final = 6
IGRP: Final = 9
UDP: Final = 17
IPV6: Final = 41
"""IPv6 inside IP."""
ROUTING: Final = 43
FRAGMENT: Final = 44
GRE: Final = 47
ESP: Final = 50
AH: Final = 51
ICMP6: Final = 58
NONE: Final = 59
DSTOPTS: Final = 60
PIM: Final = 103
VRRP: Final = 112
SCTP: Final = 132

MAX_PROTOCOL: Final = 255

KEYWORD_PROTOCOLS: Final[dict[str, int]] = {
    "icmp": ICMP,
    "igmp": IGMP,
    "tcp": TCP,
    # Cisco's IGRP; systems of the BSD family mean EIGRP, 88, by the word.
    "igrp": IGRP,
    "udp": UDP,
    "esp": ESP,
    "ah": AH,
    "icmp6": ICMP6,
    "pim": PIM,
    "vrrp": VRRP,
    # CARP never got a number of its own and uses that of VRRP.
    "carp": VRRP,
    "sctp": SCTP,
}
"""Keyword of the language to its protocol number."""

PORT_PROTOCOLS: Final = (TCP, UDP, SCTP)
"""The protocols with ports, in the order in which `port` tests them."""

IP_PROTOCOLS: Final = (
    Number(HOPOPTS, ("ip", "IP", "hopopt", "HOPOPT"), "Hop-by-hop options of IPv6, RFC 8200"),
    Number(ICMP, ("icmp", "ICMP"), "Internet Control Message, RFC 792"),
    Number(IGMP, ("igmp", "IGMP"), "Internet Group Management, RFC 9776"),
    Number(3, ("ggp", "GGP"), "Gateway-to-Gateway, RFC 823"),
    Number(IPV4, ("ipencap", "IP-ENCAP"), "IPv4 in IP, RFC 2003"),
    Number(5, ("st", "ST"), "Stream, RFC 1819"),
    Number(TCP, ("tcp", "TCP"), "Transmission Control, RFC 9293"),
    Number(8, ("egp", "EGP"), "Exterior Gateway, RFC 888"),
    Number(IGRP, ("igp", "IGP"), "Any private interior gateway, Cisco's IGRP among them"),
    Number(12, ("pup", "PUP"), "Xerox PUP"),
    Number(UDP, ("udp", "UDP"), "User Datagram, RFC 768"),
    Number(20, ("hmp", "HMP"), "Host Monitoring, RFC 869"),
    Number(22, ("xns-idp", "XNS-IDP"), "Xerox NS IDP"),
    Number(27, ("rdp", "RDP"), "Reliable Data, RFC 908"),
    Number(29, ("iso-tp4", "ISO-TP4"), "ISO Transport class 4, RFC 905"),
    Number(33, ("dccp", "DCCP"), "Datagram Congestion Control, RFC 4340"),
    Number(36, ("xtp", "XTP"), "Xpress Transport"),
    Number(37, ("ddp", "DDP"), "AppleTalk Datagram Delivery"),
    Number(38, ("idpr-cmtp", "IDPR-CMTP"), "IDPR Control Message Transport"),
    Number(IPV6, ("ipv6", "IPv6"), "IPv6 in IP, RFC 2473"),
    Number(ROUTING, ("ipv6-route", "IPv6-Route"), "Routing header of IPv6, RFC 8200"),
    Number(FRAGMENT, ("ipv6-frag", "IPv6-Frag"), "Fragment header of IPv6, RFC 8200"),
    Number(45, ("idrp", "IDRP"), "Inter-Domain Routing"),
    Number(46, ("rsvp", "RSVP"), "Resource Reservation, RFC 2205"),
    Number(GRE, ("gre", "GRE"), "Generic Routing Encapsulation, RFC 2784"),
    Number(ESP, ("esp", "IPSEC-ESP"), "Encapsulating Security Payload, RFC 4303"),
    Number(AH, ("ah", "IPSEC-AH"), "Authentication Header, RFC 4302"),
    Number(57, ("skip", "SKIP"), "SKIP"),
    Number(ICMP6, ("ipv6-icmp", "IPv6-ICMP"), "ICMP for IPv6, RFC 4443"),
    Number(NONE, ("ipv6-nonxt", "IPv6-NoNxt"), "No next header in IPv6, RFC 8200"),
    Number(DSTOPTS, ("ipv6-opts", "IPv6-Opts"), "Destination options of IPv6, RFC 8200"),
    Number(73, ("rspf", "RSPF", "CPHB"), "Radio Shortest Path First"),
    Number(81, ("vmtp", "VMTP"), "Versatile Message Transaction, RFC 1045"),
    Number(88, ("eigrp", "EIGRP"), "EIGRP, RFC 7868"),
    Number(89, ("ospf", "OSPFIGP"), "Open Shortest Path First, RFC 2328"),
    Number(93, ("ax.25", "AX.25"), "AX.25 frames"),
    Number(94, ("ipip", "IPIP"), "IP within IP, as KA9Q does it"),
    Number(97, ("etherip", "ETHERIP"), "Ethernet within IP, RFC 3378"),
    Number(98, ("encap", "ENCAP"), "IP encapsulation, RFC 1241"),
    Number(PIM, ("pim", "PIM"), "Protocol Independent Multicast, RFC 7761"),
    Number(108, ("ipcomp", "IPCOMP"), "IP Payload Compression, RFC 2393"),
    Number(VRRP, ("vrrp", "VRRP"), "Virtual Router Redundancy, RFC 9568; CARP too"),
    Number(115, ("l2tp", "L2TP"), "Layer Two Tunneling version 3, RFC 3931"),
    Number(124, ("isis", "ISIS"), "IS-IS over IPv4"),
    Number(SCTP, ("sctp", "SCTP"), "Stream Control Transmission, RFC 9260"),
    Number(133, ("fc", "FC"), "Fibre Channel, RFC 6172"),
    Number(135, ("mobility-header", "Mobility-Header"), "Mobility header of IPv6, RFC 6275"),
    Number(136, ("udplite", "UDPLite"), "UDP-Lite, RFC 3828"),
    Number(137, ("mpls-in-ip", "MPLS-in-IP"), "MPLS in IP, RFC 4023"),
    Number(138, ("manet",), "Mobile ad hoc networks, RFC 5498"),
    Number(139, ("hip", "HIP"), "Host Identity, RFC 7401"),
    Number(140, ("shim6", "Shim6"), "Multihoming shim for IPv6, RFC 5533"),
    Number(141, ("wesp", "WESP"), "Wrapped ESP, RFC 5840"),
    Number(142, ("rohc", "ROHC"), "Robust Header Compression, RFC 5858"),
    Number(143, ("ethernet", "Ethernet"), "Ethernet, RFC 8986"),
)

PROTOCOL_NAMES: Final[dict[str, int]] = by_name(IP_PROTOCOLS)
"""Name to number, 0 to 255, case as protocols(5) has it: for where the system lists no name."""
