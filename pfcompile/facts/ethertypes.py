"""EtherTypes: what an Ethernet frame says that it carries.

Sources: the IEEE 802 numbers registry of IANA (ieee-802-numbers) and RFC 9542; pcap-filter(7) for
the words.
"""

from __future__ import annotations

from typing import Final

from pfcompile.facts.rows import Number, by_name

MAX_LENGTH: Final = 1500
"""A type field of at most this is the length of an 802.3 frame, with an LLC header behind it.

Departs from IEEE 802.3, where EtherTypes start at 0x600: BPF has always taken every value above
1500 for a type.
"""

XNS: Final = 0x0600
IP: Final = 0x0800
ARP: Final = 0x0806
MOPDL: Final = 0x6001
MOPRC: Final = 0x6002
DECNET: Final = 0x6003
LAT: Final = 0x6004
SCA: Final = 0x6007
TEB: Final = 0x6558
RARP: Final = 0x8035
ATALK: Final = 0x809B
AARP: Final = 0x80F3
VLAN: Final = 0x8100
IPX: Final = 0x8137
IP6: Final = 0x86DD
SLOW: Final = 0x8809
MPLS: Final = 0x8847
MPLS_MULTICAST: Final = 0x8848
PPPOE_DISCOVERY: Final = 0x8863
PPPOE_SESSION: Final = 0x8864
PROVIDER_VLAN: Final = 0x88A8
LLDP: Final = 0x88CC
LOOPBACK: Final = 0x9000
QINQ: Final = 0x9100

VLAN_TAGS: Final = (VLAN, PROVIDER_VLAN, QINQ)
"""What `vlan` takes for a tag, in the order in which it tests them."""

ETHERTYPES: Final = (
    Number(XNS, (), "Xerox Network Systems"),
    Number(IP, ("ip",), "Internet Protocol version 4, RFC 894"),
    Number(ARP, ("arp",), "Address Resolution Protocol, RFC 826"),
    Number(MOPDL, ("mopdl",), "DEC MOP dump and load"),
    Number(MOPRC, ("moprc",), "DEC MOP remote console"),
    Number(DECNET, ("decnet",), "DECnet phase IV"),
    Number(LAT, ("lat",), "DEC Local Area Transport"),
    Number(SCA, ("sca",), "DEC System Communications Architecture"),
    Number(TEB, (), "Transparent Ethernet Bridging, RFC 1701"),
    Number(RARP, ("rarp",), "Reverse ARP, RFC 903"),
    Number(ATALK, ("atalk",), "AppleTalk"),
    Number(AARP, ("aarp",), "AppleTalk ARP"),
    Number(VLAN, (), "IEEE 802.1Q customer VLAN tag"),
    Number(IPX, (), "Novell IPX"),
    Number(IP6, ("ip6",), "Internet Protocol version 6, RFC 2464"),
    Number(SLOW, ("slow",), "IEEE 802.3 slow protocols"),
    Number(MPLS, (), "MPLS, RFC 5332"),
    Number(MPLS_MULTICAST, (), "MPLS with an upstream-assigned label, RFC 5332"),
    Number(PPPOE_DISCOVERY, (), "PPP over Ethernet, discovery, RFC 2516"),
    Number(PPPOE_SESSION, (), "PPP over Ethernet, session, RFC 2516"),
    Number(PROVIDER_VLAN, (), "IEEE 802.1ad provider VLAN tag"),
    Number(LLDP, ("lldp",), "IEEE 802.1AB Link Layer Discovery Protocol"),
    Number(LOOPBACK, ("loopback",), "Ethernet configuration testing"),
    Number(QINQ, (), "VLAN tag of equipment from before IEEE 802.1ad"),
)
"""By value; those with names are what `link proto NAME` knows, in lower case only."""

ETHERTYPE_NAMES: Final[dict[str, int]] = by_name(ETHERTYPES)
