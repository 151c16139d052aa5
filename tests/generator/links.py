"""What each link type lets an expression say: which primitives compile there.

Checked against the link-type table of the filter language and libpcap 1.10.6. "network" means that
tests of the protocol inside work; "direction" that `inbound` and `outbound` need no live capture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pfcompile.facts.link_types import LINK_TYPES


@dataclass(frozen=True, slots=True)
class Link:
    """A link type.

    Attributes:
        name: Its name in pcap/dlt.h, without DLT_.
        value: Its value there.
        features: What it has for primitives to test.
        newer: Whether libpcap learnt them in 1.11, so that the oracle refuses most expressions.
    """

    name: str
    value: int
    features: frozenset[str]
    newer: bool = False


def _link(name: str, value: int, features: str, *, newer: bool = False) -> Link:
    return Link(name, value, frozenset(features.split()), newer)


_DSA: Final = "network mac vlan mpls llc broadcast multicast pppoe tunnel direction"


LINKS: Final[dict[str, Link]] = {
    link.name: link
    for link in (
        _link("NULL", 0, "network"),
        _link("EN10MB", 1, "network mac vlan mpls llc broadcast multicast pppoe tunnel"),
        _link("IEEE802", 6, "network mac llc broadcast multicast pppoe tunnel"),
        _link("ARCNET", 7, "network arcnet broadcast multicast"),
        _link("SLIP", 8, "network direction"),
        _link("PPP", 9, "network mpls pppoe tunnel"),
        _link("FDDI", 10, "network mac llc broadcast multicast pppoe tunnel"),
        _link("ATM_RFC1483", 11, "network llc pppoe tunnel"),
        _link("RAW", 12, "network tunnel"),
        _link("SLIP_BSDOS", 15, "network tunnel"),
        _link("PPP_BSDOS", 16, "network pppoe tunnel"),
        _link("ATM_CLIP", 19, "network pppoe tunnel"),
        _link("PPP_SERIAL", 50, "network pppoe tunnel"),
        _link("PPP_ETHER", 51, "network pppoe tunnel"),
        _link("SYMANTEC_FIREWALL", 99, "network pppoe tunnel"),
        _link("C_HDLC", 104, "network mpls pppoe tunnel"),
        _link("IEEE802_11", 105, "network mac vlan llc broadcast multicast wlan pppoe tunnel"),
        _link("FRELAY", 107, "network"),
        _link("LOOP", 108, "network"),
        _link("ENC", 109, "network"),
        _link("LINUX_SLL", 113, "network direction pppoe tunnel"),
        _link("LTALK", 114, "network"),
        _link("PFLOG", 117, "network pf direction"),
        _link("PRISM_HEADER", 119, "network mac vlan llc broadcast multicast wlan radio"),
        _link("IP_OVER_FC", 122, "network mac broadcast multicast pppoe tunnel"),
        _link("SUNATM", 123, "network llc atm"),
        _link("IEEE802_11_RADIO", 127, "network mac vlan llc broadcast multicast wlan radio"),
        _link("ARCNET_LINUX", 129, "network arcnet broadcast multicast"),
        _link("JUNIPER_MLPPP", 130, "network direction"),
        _link("JUNIPER_MLFR", 131, "network direction"),
        _link("JUNIPER_ES", 132, "network direction"),
        _link("JUNIPER_GGSN", 133, "network direction"),
        _link("JUNIPER_ATM2", 135, "network direction"),
        _link("JUNIPER_ATM1", 137, "network direction"),
        _link("APPLE_IP_OVER_IEEE1394", 138, "network pppoe tunnel"),
        _link("MTP2_WITH_PHDR", 139, "ss7"),
        _link("MTP2", 140, "ss7"),
        _link("USER0", 147, ""),
        _link("IEEE802_11_RADIO_AVS", 163, "network mac vlan llc broadcast multicast wlan radio"),
        _link("BACNET_MS_TP", 165, ""),
        _link("PPP_PPPD", 166, "network direction pppoe tunnel"),
        _link("JUNIPER_PPPOE", 167, "network direction"),
        _link("JUNIPER_ETHER", 178, "network direction"),
        _link("PPI", 192, "network mac llc broadcast multicast"),
        _link("ERF", 197, "ss7"),
        _link("IPNET", 226, "network direction"),
        _link("IPV4", 228, "network tunnel"),
        _link("IPV6", 229, "network tunnel"),
        _link("NETANALYZER", 240, "network mac vlan mpls broadcast multicast pppoe tunnel"),
        _link("NETANALYZER_TRANSPARENT", 241, "network mac vlan mpls broadcast multicast tunnel"),
        _link("LINUX_SLL2", 276, "network direction pppoe tunnel"),
        _link("DSA_TAG_BRCM", 281, _DSA, newer=True),
        _link("DSA_TAG_DSA", 284, _DSA, newer=True),
    )
}

_LIKE_GGSN: Final = (
    "JUNIPER_MFR", "JUNIPER_PPP", "JUNIPER_CHDLC", "JUNIPER_FRELAY", "JUNIPER_PPPOE_ATM",
    "JUNIPER_MONITOR",
)  # fmt: skip
_LIKE_ES: Final = (
    "JUNIPER_SERVICES", "JUNIPER_VP", "JUNIPER_ST", "JUNIPER_ISM", "JUNIPER_VS",
    "JUNIPER_SRX_E2E", "JUNIPER_FIBRECHANNEL", "JUNIPER_ATM_CEMIC",
)  # fmt: skip
_UNKNOWN_TO_THE_ORACLE: Final = "DECT_NR_TAP"
"""New in 1.11, which takes there what it takes on USER0."""


def alike(name: str) -> str:
    """Return the row above whose expressions suit a link type; the rest are opaque."""
    if name in LINKS:
        return name
    return "JUNIPER_GGSN" if name in _LIKE_GGSN else "JUNIPER_ES" if name in _LIKE_ES else "USER0"


OTHER_LINKS: Final[dict[str, Link]] = {
    row.name: Link(row.name, row.dlt, LINKS[alike(row.name)].features, LINKS[alike(row.name)].newer)
    for row in LINK_TYPES
    if row.name not in LINKS and row.name != _UNKNOWN_TO_THE_ORACLE
}
"""All other link types that libpcap 1.10.6 knows."""
