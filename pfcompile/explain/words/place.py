"""Where a primitive looks: which header says what is carried, and behind what it is looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.explain.words.english import counted
from pfcompile.facts import ethertypes, link_types, llc_saps
from pfcompile.facts.link_layouts import Encoding

if TYPE_CHECKING:
    from pfcompile.explain.subject import Occurrence
    from pfcompile.lower.frame import Frame

_FAMILIES: Final = frozenset(
    {Encoding.FAMILY_HOST_ORDER, Encoding.FAMILY_NETWORK_ORDER, Encoding.FAMILY_BYTE}
)
_NAMES: Final = {
    ethertypes.IP: "IPv4",
    ethertypes.IP6: "IPv6",
    ethertypes.ARP: "ARP",
    ethertypes.RARP: "RARP",
}


def network_protocol_name(number: int) -> str:
    """Return what people call an EtherType or an 802.2 access point."""
    if number in _NAMES:
        return _NAMES[number]
    rows = (*ethertypes.ETHERTYPES, *llc_saps.SAPS)
    row = next((row for row in rows if row.value == number), None)
    return f"protocol {number:#x}" if row is None else row.description.partition(",")[0]


def link_says(frame: Frame, number: int) -> str:
    """Return how the link header tells that it carries a protocol: "by EtherType 0x0800"."""
    if frame.mpls_depth:
        return "by the IP version"
    encoding = frame.layout.encoding
    is_type = number > ethertypes.MAX_LENGTH
    match encoding:
        case Encoding.ETHERNET | Encoding.COOKED if is_type:
            return f"by EtherType {number:#06x}"
        case Encoding.ETHERNET | Encoding.COOKED:
            return f"in 802.3 frames, by 802.2 access point {number:#04x}"
        case Encoding.LLC | Encoding.ATM if is_type:
            return f"by EtherType {number:#06x} in a SNAP header"
        case Encoding.WLAN if is_type:
            return f"in 802.11 data frames, by EtherType {number:#06x} in a SNAP header"
        case Encoding.WLAN:
            return f"in 802.11 data frames, by 802.2 access point {number:#04x}"
        case Encoding.LLC | Encoding.ATM:
            return f"by 802.2 access point {number:#04x}"
        case Encoding.PPP | Encoding.PPP_BSDOS:
            return "by the PPP protocol field"
        case Encoding.IP_VERSION:
            return "by the version in the first half-byte"
        case Encoding.JUNIPER:
            return "which cannot be told here: only Juniper's magic number is tested"
        case each if each in _FAMILIES:
            return "by the address family"
        case Encoding.ETHERTYPE | Encoding.HDLC:
            return f"by protocol field {number:#06x}"
        case _:
            return "by the link header"


def behind(occurrence: Occurrence) -> str:
    """Return what the headers looked at stand behind, such as ", behind 1 VLAN tag", or nothing."""
    frame, words = occurrence.frame, [node.word for node in occurrence.moved]
    tunnel = max((i for i, word in enumerate(words) if word in _TUNNELS), default=-1)
    parts = []
    if tunnel >= 0:
        parts.append(_TUNNELS[words[tunnel]])
    tags = words[tunnel + 1 :].count("vlan")
    if tags:
        parts.append(f"behind {counted(tags, 'VLAN tag')}")
    if frame.mpls_depth:
        parts.append(f"behind {counted(frame.mpls_depth, 'MPLS label')}")
    return "".join(f", {part}" for part in parts)


_TUNNELS: Final = {
    "pppoes": "inside the PPPoE session",
    "geneve": "inside the Geneve tunnel",
    "vxlan": "inside the VXLAN tunnel",
    "lane": "inside the LAN emulation cell",
}


def link_name(frame: Frame) -> str:
    """Return what people call a link type: "Ethernet"."""
    row = link_types.by_dlt(frame.layout.dlt)
    return f"link type {frame.layout.dlt}" if row is None else row.description
