"""Headers of links, as captures have them.

Offsets count from where the link type's row says that the link header begins
(`facts.link_layouts`); the rows here are those of link types whose headers have more than the
protocol in them. The field that tells the protocol is named after the link type's encoding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pfcompile.facts import atm, ss7
from pfcompile.facts.link_layouts import Encoding
from pfcompile.fields.rows import Field, Header, Kind, in_order

if TYPE_CHECKING:
    from pfcompile.facts.link_layouts import LinkLayout

ETHERNET: Final = Header(
    "eth",
    in_order(("dst", 48, Kind.MAC), ("src", 48, Kind.MAC), ("type", 16, Kind.ETHERTYPE)),
    "IEEE 802.3, clause 3.1.1",
    parts=(Field("dst.group", 7, 1), Field("src.group", 55, 1)),
    accessor="ether",
)

TAGGED: Final = Header(
    "eth",
    in_order(
        ("dst", 48, Kind.MAC),
        ("src", 48, Kind.MAC),
        ("tag", 32, Kind.BITS),
        ("type", 16, Kind.ETHERTYPE),
    ),
    "LINKTYPE_DSA_TAG_BRCM and LINKTYPE_DSA_TAG_DSA, tcpdump.org",
    accessor="ether",
)

WLAN: Final = Header(
    "wlan",
    in_order(
        ("subtype", 4, Kind.BITS),
        ("type", 2, Kind.WLAN_TYPE),
        ("version", 2),
        ("order", 1),
        ("protected", 1),
        ("more_data", 1),
        ("power", 1),
        ("retry", 1),
        ("more_frag", 1),
        ("fromds", 1),
        ("tods", 1),
        ("duration", 16),
        ("addr1", 48, Kind.MAC),
        ("addr2", 48, Kind.MAC),
        ("addr3", 48, Kind.MAC),
        ("seq", 16, Kind.BITS),
    ),
    "IEEE 802.11, clause 9.2.4.1",
    parts=(Field("dir", 14, 2),),
    accessor="wlan",
)

WLAN_OF_FOUR: Final = replace(
    WLAN, fields=(*WLAN.fields, Field("addr4", WLAN.fields[-1].end, 48, Kind.MAC))
)
"""The same between two access points: with the fourth address, where payloads begin otherwise."""

LLC: Final = Header(
    "llc",
    in_order(
        ("dsap", 8, Kind.BITS),
        ("ssap", 8, Kind.BITS),
        ("control", 8, Kind.BITS),
        ("oui", 24, Kind.BITS),
        ("type", 16, Kind.ETHERTYPE),
    ),
    "IEEE 802.2 with RFC 1042's SNAP",
)

COOKED: Final = Header(
    "sll",
    in_order(
        ("pkttype", 16),
        ("hatype", 16),
        ("halen", 16),
        ("addr", 64, Kind.BITS),
        ("type", 16, Kind.ETHERTYPE),
    ),
    "LINKTYPE_LINUX_SLL, tcpdump.org",
    accessor="link",
)

COOKED_2: Final = Header(
    "sll2",
    in_order(
        ("type", 16, Kind.ETHERTYPE),
        ("", 16),
        ("ifindex", 32),
        ("hatype", 16),
        ("pkttype", 8),
        ("halen", 8),
        ("addr", 64, Kind.BITS),
    ),
    "LINKTYPE_LINUX_SLL2, tcpdump.org",
    accessor="link",
)

RADIOTAP: Final = Header(
    "radiotap",
    in_order(("version", 8), ("", 8), ("len", 16, Kind.BITS), ("present", 32, Kind.BITS)),
    "radiotap.org; len and present are little-endian, and shown as loaded",
    accessor="link",
)

PF: Final = Header(
    "pflog",
    in_order(
        ("len", 8),
        ("af", 8, Kind.FAMILY),
        ("action", 8),
        ("reason", 8),
        ("ifname", 128, Kind.BITS),
        ("ruleset", 128, Kind.BITS),
        ("rnr", 32),
        ("srnr", 32),
        ("", 128),
        ("dir", 8),
    ),
    "net/if_pflog.h of OpenBSD, struct pfloghdr",
    accessor="link",
)

SUNATM: Final = Header(
    "atm",
    (
        Field("traffic", 8 * atm.TRAFFIC_OFFSET + 4, 4),
        Field("vpi", 8 * atm.VPI_OFFSET, 8),
        Field("vci", 8 * atm.VCI_OFFSET, 16),
        Field("message", 8 * atm.MESSAGE_OFFSET, 8, Kind.BITS),
    ),
    "LINKTYPE_SUNATM, tcpdump.org",
    accessor="link",
)

PPP_DIRECTION: Final = Header(
    "ppp",
    in_order(("direction", 8), ("control", 8, Kind.BITS), ("proto", 16, Kind.PPP_PROTOCOL)),
    "LINKTYPE_PPP_PPPD, tcpdump.org",
    accessor="link",
)


def _mtp3(dlt: int, prefix: str) -> Header:
    """Return the SS7 header of a link type, without the point codes: their bits are no run.

    `prefix` is "" for the basic form of MTP2, "h" for the one with longer numbers.
    """
    start = ss7.MTP2_OFFSETS[dlt]
    sio, sls = ss7.MTP3_FIELDS[f"{prefix}sio"], ss7.MTP3_FIELDS[f"{prefix}sls"]
    return Header(
        "mtp3",
        (Field("sio", 8 * (start + sio.offset), 8), Field("sls", 8 * (start + sls.offset), 4)),
        "ITU-T Q.703 and Q.704",
        accessor="link",
    )


FRAME_RELAY: Final = Header(
    "fr", (Field("nlpid", 16, 16, Kind.BITS),), "RFC 2427, section 4", accessor="link"
)

JUNIPER: Final = Header(
    "juniper", (Field("magic", 0, 24, Kind.BITS),), "LINKTYPE_JUNIPER_*", accessor="link"
)

ANY: Final = Header("link", (), "", accessor="link")
"""What is known of every link: that its bytes can be asked for."""

BY_DLT: Final[dict[int, Header]] = {
    113: COOKED,
    117: PF,
    123: SUNATM,
    139: _mtp3(139, ""),
    140: _mtp3(140, ""),
    166: PPP_DIRECTION,
    276: COOKED_2,
    281: TAGGED,
    284: TAGGED,
}
"""Link types with a header of their own, by DLT value."""

_TYPE_FIELDS: Final[dict[Encoding, Field]] = {
    Encoding.ETHERTYPE: Field("type", 0, 16, Kind.ETHERTYPE),
    Encoding.HDLC: Field("proto", 0, 16, Kind.ETHERTYPE),
    Encoding.PPP: Field("proto", 0, 16, Kind.PPP_PROTOCOL),
    Encoding.PPP_BSDOS: Field("proto", 0, 16, Kind.PPP_PROTOCOL),
    Encoding.FAMILY_HOST_ORDER: Field("family", 0, 32, Kind.FAMILY),
    Encoding.FAMILY_NETWORK_ORDER: Field("family", 0, 32, Kind.FAMILY),
    Encoding.FAMILY_BYTE: Field("family", 0, 8, Kind.FAMILY),
    Encoding.ARCNET: Field("type", 0, 8),
    Encoding.IPNET: Field("family", 0, 8, Kind.FAMILY),
}
"""The field that tells the protocol, where it is one; it begins at the link type's `type_field`."""

_NAMES: Final[dict[Encoding, str]] = {
    Encoding.HDLC: "hdlc",
    Encoding.PPP: "ppp",
    Encoding.PPP_BSDOS: "ppp",
    Encoding.ARCNET: "arcnet",
    Encoding.IPNET: "ipnet",
}


_BY_ENCODING: Final[dict[Encoding, Header]] = {
    Encoding.ETHERNET: ETHERNET,
    Encoding.FRAME_RELAY: FRAME_RELAY,
    Encoding.JUNIPER: JUNIPER,
}


def own_header(layout: LinkLayout) -> Header:
    """Return the header that begins where a link type's row says so, at least of addresses."""
    own = BY_DLT.get(layout.dlt)
    if own is None and layout.encoding is not None:
        own = _BY_ENCODING.get(layout.encoding)
    if own is not None:
        return own
    places, bits = layout.mac or layout.arcnet, 48 if layout.mac else 8
    if places is None:
        return ANY
    kind = Kind.MAC if layout.mac else Kind.BITS
    addresses = (
        Field("dst", 8 * places.destination, bits, kind),
        Field("src", 8 * places.source, bits, kind),
    )
    parts = (Field("dst.group", 8 * places.destination + 7, 1),) if layout.mac else ()
    return Header("link", addresses, "facts.link_layouts", parts, accessor="link")


def type_header(encoding: Encoding) -> Header | None:
    """Return the header that begins where a link tells the protocol, None where it has no field."""
    found = _TYPE_FIELDS.get(encoding)
    if found is None:
        return None
    name = _NAMES.get(encoding, "link")
    return Header(name, (found,), "tcpdump.org, link-layer header types")
