"""Does the link header say that it carries this protocol?

A protocol is an EtherType when it is above 1500, else an 802.2 service access point. One function
an encoding; a link type's row names its encoding.

Sources: IEEE 802.3 and 802.2, RFC 1042 (SNAP), RFC 1661 (PPP), and the link-layer header types at
tcpdump.org; where libpcap 1.11 departs from them, it is followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.facts import (
    address_families,
    arcnet,
    atm,
    ethertypes,
    frame_relay,
    llc_saps,
    ppp,
    wlan,
)
from pfcompile.facts.link_layouts import Encoding
from pfcompile.ir.values import add, const
from pfcompile.lower.context import Source
from pfcompile.lower.formula import (
    FALSE,
    TRUE,
    Formula,
    at_most,
    byte,
    equal,
    every,
    half,
    has_bits,
    opposite,
    some,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.errors import Span
    from pfcompile.lower.context import Context
    from pfcompile.lower.frame import Frame

# Linux cooked v1 has these where other headers have an EtherType (linux/if_ether.h).
_COOKED_802_3: Final = 1
_COOKED_802_2: Final = 4

_HDLC_ISO: Final = 0xFEFE
_FRAME_RELAY_ISO: Final = tuple(frame_relay.ISO + number for number in (0x81, 0x82, 0x83))
_JUNIPER_MAGIC: Final = 0x4D474300
_IPNET_FAMILIES: Final = {
    ethertypes.IP: address_families.INET,
    ethertypes.IP6: address_families.INET6_SOLARIS,
}
_LANE_CONTROL: Final = 0xFF00


def link_protocol(context: Context, protocol: int, span: Span) -> Formula:
    """Return the test of the current link header for `protocol`.

    Raises:
        FilterError: The link type cannot be asked, or the number is out of its range.
    """
    frame = context.frame
    if frame.mpls_depth:
        return _behind_mpls(context, protocol, span)
    encoding = frame.layout.encoding
    if encoding is None:
        message = f"link-layer type filtering not implemented for {context.link_name}"
        raise context.error(message, span)
    for name, maximum, encodings in _RANGES:
        if encoding in encodings and (name != "LLC DSAP" or protocol <= ethertypes.MAX_LENGTH):
            context.at_most(name, protocol, maximum, span)
    test = _ENCODINGS[encoding](context, protocol)
    return every(not_lane_control(), test) if frame.lane else test


_LLC_AWARE = frozenset(
    {Encoding.ETHERNET, Encoding.LLC, Encoding.WLAN, Encoding.ATM, Encoding.COOKED}
)
_RANGES: Final = (
    ("LLC DSAP", llc_saps.MAX_SAP, _LLC_AWARE),
    ("EtherType", 0xFFFF, _LLC_AWARE | {Encoding.ETHERTYPE}),
    ("PPP protocol", 0xFFFF, {Encoding.PPP, Encoding.PPP_BSDOS}),
    ("HDLC protocol", 0xFFFF, {Encoding.HDLC}),
)


def not_lane_control() -> Formula:
    """Return the test that an ATM LAN emulation cell carries data."""
    return opposite(equal(half(const(4)), _LANE_CONTROL))


def _behind_mpls(context: Context, protocol: int, span: Span) -> Formula:
    """Return the test of what the last label's payload is: only the IP version tells."""
    versions = {ethertypes.IP: 0x40, ethertypes.IP6: 0x60}
    if protocol not in versions:
        raise context.error(
            "unsupported protocol over mpls",
            span,
            "behind an MPLS label only ip and ip6 can be told apart",
        )
    start = context.frame.network_header
    last_label = has_bits(byte(start, -2), 0x01)
    return every(last_label, equal(byte(start), versions[protocol], 0xF0))


def _snap(frame: Frame, organisation: int, ethertype: int) -> Formula:
    """Return the test for a SNAP header of that organisation and type."""
    low = equal(word(frame.payload, 4), (organisation & 0xFFFF) << 16 | ethertype)
    high = equal(word(frame.payload), llc_saps.SNAP_HEADER << 8 | organisation >> 16)
    return every(low, high)


def _both_saps(frame: Frame, sap: int) -> Formula:
    return equal(half(frame.payload), sap << 8 | sap)


def _ethernet(context: Context, protocol: int) -> Formula:
    frame = context.frame
    ethertype = half(frame.type_field)
    has_length = at_most(ethertype, ethertypes.MAX_LENGTH)
    return _or_802_2(frame, protocol, lambda p: equal(ethertype, p), has_length, byte_at=2)


def _cooked(context: Context, protocol: int) -> Formula:
    frame = context.frame
    ethertype = half(frame.type_field)
    has_llc = equal(ethertype, _COOKED_802_2)
    return _or_802_2(
        frame,
        protocol,
        lambda p: equal(ethertype, p),
        has_llc,
        raw_ipx=equal(ethertype, _COOKED_802_3),
    )


def _or_802_2(
    frame: Frame,
    protocol: int,
    is_type: Callable[[int], Formula],
    has_llc: Formula,
    *,
    raw_ipx: Formula | None = None,
    byte_at: int | None = None,
) -> Formula:
    """Return the test on a link whose header has an EtherType, or 802.2 where `has_llc`.

    `raw_ipx` is the sign of a raw 802.3 frame where the header has one. `byte_at` is where the
    DSAP stands behind the type field, which a VLAN tag moves with it.
    """
    if protocol in llc_saps.SYMMETRIC_SAPS:
        return every(has_llc, _both_saps(frame, protocol))
    if protocol == llc_saps.IPX:
        dsap = equal(byte(frame.payload), llc_saps.IPX)
        snap = _snap(frame, llc_saps.SNAP_OUI_ETHERNET, ethertypes.IPX)
        if raw_ipx is not None:
            return some(is_type(ethertypes.IPX), raw_ipx, every(has_llc, some(dsap, snap)))
        checksum = equal(half(frame.payload), llc_saps.IPX_RAW_802_3)
        return some(is_type(ethertypes.IPX), every(has_llc, some(snap, dsap, checksum)))
    if protocol in _SNAP_TOO:
        return some(is_type(protocol), every(has_llc, _snap(frame, _SNAP_TOO[protocol], protocol)))
    if protocol <= ethertypes.MAX_LENGTH:
        start = frame.payload if byte_at is None else add(frame.type_field, const(byte_at))
        return every(has_llc, equal(byte(start), protocol))
    return is_type(protocol)


# What is looked for behind a SNAP header as well, and under which organisation.
_SNAP_TOO: Final = {
    ethertypes.ATALK: llc_saps.SNAP_OUI_APPLE,
    ethertypes.AARP: llc_saps.SNAP_OUI_ETHERNET,
}


def _llc(context: Context, protocol: int) -> Formula:
    frame = context.frame
    if protocol in llc_saps.SYMMETRIC_SAPS:
        return _both_saps(frame, protocol)
    if protocol <= ethertypes.MAX_LENGTH:
        return equal(byte(frame.payload), protocol)
    if protocol == ethertypes.ATALK:
        return _snap(frame, llc_saps.SNAP_OUI_APPLE, protocol)
    # The rest of the SNAP header is not looked at.
    return equal(half(frame.payload, 6), protocol)


def _wlan(context: Context, protocol: int) -> Formula:
    is_data = equal(byte(context.frame.header), wlan.DATA, wlan.TYPE_MASK)
    return every(is_data, _llc(context, protocol))


def _atm(context: Context, protocol: int) -> Formula:
    carries_llc = equal(byte(const(atm.TRAFFIC_OFFSET)), atm.TRAFFIC_LLC, atm.TRAFFIC_MASK)
    return every(carries_llc, _llc(context, protocol))


def _ppp(context: Context, protocol: int) -> Formula:
    return equal(half(context.frame.type_field), ppp.ppp_protocol(protocol))


def _ppp_bsdos(context: Context, protocol: int) -> Formula:
    if protocol == ethertypes.IP:
        field = half(context.frame.type_field)
        return some(*(equal(field, number) for number in ppp.BSDOS_IP))
    return _ppp(context, protocol)


def _hdlc(context: Context, protocol: int) -> Formula:
    number = _HDLC_ISO if protocol == llc_saps.ISO else protocol
    return equal(half(context.frame.type_field), number)


def _ethertype(context: Context, protocol: int) -> Formula:
    return equal(half(context.frame.type_field), protocol)


def _families(context: Context, protocol: int) -> tuple[int, ...]:
    """Return the address family numbers that stand for `protocol`."""
    if protocol == ethertypes.IP:
        return (address_families.INET,)
    if protocol == ethertypes.IP6:
        savefile = context.options.source is Source.SAVEFILE
        return address_families.INET6_OTHERS if savefile else (address_families.INET6_LINUX,)
    return ()


def _swapped(number: int) -> int:
    return int.from_bytes(number.to_bytes(4, "little"), "big")


def _family_host_order(context: Context, protocol: int) -> Formula:
    field = word(context.frame.type_field)
    families = _families(context, protocol)
    # This is read on little-endian machines; a file may come from another.
    orders = [equal(field, _swapped(family)) for family in families]
    if context.options.source is Source.SAVEFILE:
        orders += [equal(field, family) for family in families]
    return some(*orders)


def _family_network_order(context: Context, protocol: int) -> Formula:
    field = word(context.frame.type_field)
    return some(*(equal(field, family) for family in _families(context, protocol)))


def _family_byte(context: Context, protocol: int) -> Formula:
    field = byte(context.frame.type_field)
    return some(*(equal(field, family) for family in _families(context, protocol)))


def _arcnet(context: Context, protocol: int) -> Formula:
    code = arcnet.ARCNET_CODES.get(protocol)
    return FALSE if code is None else equal(byte(context.frame.type_field), code)


def _frame_relay(context: Context, protocol: int) -> Formula:
    codes = {
        ethertypes.IP: (frame_relay.IP,),
        ethertypes.IP6: (frame_relay.IP6,),
        llc_saps.ISO: _FRAME_RELAY_ISO,
    }
    field = half(context.frame.header, 2)
    return some(*(equal(field, code) for code in codes.get(protocol, ())))


def _ip_version(context: Context, protocol: int) -> Formula:
    versions = {ethertypes.IP: 0x40, ethertypes.IP6: 0x60}
    version = versions.get(protocol)
    return FALSE if version is None else equal(byte(context.frame.header), version, 0xF0)


def _juniper(context: Context, _protocol: int) -> Formula:
    return equal(word(context.frame.header), _JUNIPER_MAGIC, 0xFFFFFF00)


def _ipnet(context: Context, protocol: int) -> Formula:
    family = _IPNET_FAMILIES.get(protocol)
    return FALSE if family is None else equal(byte(context.frame.type_field), family)


def _only(ethertype: int) -> Callable[[Context, int], Formula]:
    return lambda _context, protocol: TRUE if protocol == ethertype else FALSE


_ENCODINGS: Final[dict[Encoding, Callable[[Context, int], Formula]]] = {
    Encoding.ETHERNET: _ethernet,
    Encoding.LLC: _llc,
    Encoding.WLAN: _wlan,
    Encoding.ATM: _atm,
    Encoding.COOKED: _cooked,
    Encoding.PPP: _ppp,
    Encoding.PPP_BSDOS: _ppp_bsdos,
    Encoding.HDLC: _hdlc,
    Encoding.ETHERTYPE: _ethertype,
    Encoding.FAMILY_HOST_ORDER: _family_host_order,
    Encoding.FAMILY_NETWORK_ORDER: _family_network_order,
    Encoding.FAMILY_BYTE: _family_byte,
    Encoding.ARCNET: _arcnet,
    Encoding.FRAME_RELAY: _frame_relay,
    Encoding.IP_VERSION: _ip_version,
    Encoding.JUNIPER: _juniper,
    Encoding.IPNET: _ipnet,
    Encoding.ONLY_IPV4: _only(ethertypes.IP),
    Encoding.ONLY_IPV6: _only(ethertypes.IP6),
    Encoding.ONLY_ATALK: _only(ethertypes.ATALK),
}


def link_is_llc(context: Context) -> Formula | None:
    """Return the test that an 802.2 header follows, or None where the link type has no rule."""
    frame = context.frame
    match frame.layout.encoding:
        case Encoding.ETHERNET:
            has_length = at_most(half(frame.type_field), ethertypes.MAX_LENGTH)
            not_raw_ipx = opposite(equal(half(frame.payload), llc_saps.IPX_RAW_802_3))
            return every(has_length, not_raw_ipx)
        case Encoding.LLC:
            return TRUE
        case Encoding.WLAN:
            return equal(byte(frame.header), wlan.DATA, wlan.TYPE_MASK)
        case Encoding.ATM:
            return equal(byte(const(atm.TRAFFIC_OFFSET)), atm.TRAFFIC_LLC, atm.TRAFFIC_MASK)
        case _:
            return None
