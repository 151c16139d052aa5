"""Tests of network and link addresses.

Sources: RFC 791, 8200, 826 and 903 for where the addresses stand; IEEE 802.3 and 802.11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.facts import ethertypes, wlan
from pfcompile.ir.arithmetic import WORD
from pfcompile.ir.ranges import prefix_range
from pfcompile.lower.formula import (
    TRUE,
    Formula,
    byte,
    equal,
    every,
    half,
    has_bits,
    member,
    opposite,
    some,
    word,
)
from pfcompile.lower.link_protocol import link_protocol, not_lane_control
from pfcompile.lower.tries import any_of
from pfcompile.syntax.tree import Direction, Proto

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pfcompile.errors import Span
    from pfcompile.ir.values import Value
    from pfcompile.lower.context import Context
    from pfcompile.lower.tries import Pattern


class AddressPair(NamedTuple):
    """Where a protocol keeps its source and destination address."""

    ethertype: int
    source: int
    destination: int


IPV4_CARRIERS: Final = {
    Proto.IP: AddressPair(ethertypes.IP, 12, 16),
    Proto.ARP: AddressPair(ethertypes.ARP, 14, 24),
    Proto.RARP: AddressPair(ethertypes.RARP, 14, 24),
}
"""Protocols with IPv4 addresses in them; ARP's are the sender's and the target's."""

IPV6_PAIR: Final = AddressPair(ethertypes.IP6, 8, 24)

BROADCAST_MAC: Final = b"\xff" * 6


def by_direction(direction: Direction | None, test: Callable[[bool], Formula]) -> Formula:
    """Return `test(True)` for the source, `test(False)` for the destination, or both joined."""
    match direction:
        case Direction.SRC:
            return test(True)
        case Direction.DST:
            return test(False)
        case Direction.SRC_AND_DST:
            return every(test(True), test(False))
        case _:
            return some(test(True), test(False))


def ipv4(
    context: Context,
    proto: Proto | None,
    direction: Direction | None,
    networks: Sequence[tuple[int, int]],
    span: Span,
) -> Formula:
    """Return the test for any of `networks` (address, mask), in one protocol or in all that fit.

    Behind an MPLS label only IPv4 itself can be recognised.
    """
    if proto is not None:
        carriers = [IPV4_CARRIERS[proto]]
    elif context.frame.mpls_depth:
        carriers = [IPV4_CARRIERS[Proto.IP]]
    else:
        carriers = list(IPV4_CARRIERS.values())
    return some(
        *(
            every(
                link_protocol(context, pair.ethertype, span),
                ipv4_addresses(context, pair, direction, networks),
            )
            for pair in carriers
        )
    )


def ipv4_addresses(
    context: Context,
    pair: AddressPair,
    direction: Direction | None,
    networks: Sequence[tuple[int, int]],
) -> Formula:
    """Return the test of the addresses alone."""
    start = context.frame.network_header

    def test(is_source: bool) -> Formula:
        field = word(start, pair.source if is_source else pair.destination)
        if any(mask == 0 for _, mask in networks):
            return TRUE
        prefixes = [prefix_range(address, mask) for address, mask in networks]
        known = [prefix for prefix in prefixes if prefix is not None]
        if len(networks) > 1 and len(known) == len(networks):
            return member(field, known)
        return some(*(equal(field, address, mask) for address, mask in networks))

    return by_direction(direction, test)


def ipv6(
    context: Context, direction: Direction | None, networks: Sequence[tuple[int, int]], span: Span
) -> Formula:
    """Return the test for any of `networks` (address, mask of a prefix), both of 128 bits."""
    start = context.frame.network_header
    patterns = [_ipv6_pattern(*network) for network in networks]

    def test(is_source: bool) -> Formula:
        offset = IPV6_PAIR.source if is_source else IPV6_PAIR.destination
        return any_of([word(start, offset + 4 * i) for i in range(4)], patterns)

    return every(link_protocol(context, IPV6_PAIR.ethertype, span), by_direction(direction, test))


def _ipv6_pattern(address: int, mask: int) -> Pattern:
    """Return what the four words of an address in a network may be."""
    found = []
    for shift in (96, 64, 32, 0):
        part, word_mask = address >> shift & WORD, mask >> shift & WORD
        if word_mask == 0:
            break
        found.append((part, part | ~word_mask & WORD))
    return tuple(found)


def check_mac(context: Context, direction: Direction | None, span: Span, *, what: str) -> None:
    """Raise FilterError where the link has no 48-bit addresses; `what` names the primitive."""
    link = context.frame.layout
    if link.is_wlan:
        return
    if direction in WLAN_DIRECTIONS:
        raise wlan_only(context, direction, span)
    if link.mac is None:
        raise context.unsupported(what, span)


def mac(context: Context, direction: Direction | None, addresses: Sequence[bytes]) -> Formula:
    """Return the test for any of some 48-bit link addresses, where the link has such."""
    frame = context.frame
    if frame.layout.is_wlan:
        return _guarded(context, _wlan_host(context, direction, addresses))
    places = frame.layout.mac
    assert places is not None

    def at(is_source: bool) -> Formula:
        return _mac_at(frame.header, places.source if is_source else places.destination, addresses)

    return _guarded(context, by_direction(direction, at))


def _guarded(context: Context, test: Formula) -> Formula:
    """Return `test`, made only where there is a link header: see LANE, Geneve and VXLAN."""
    frame = context.frame
    if frame.lane:
        return every(not_lane_control(), test)
    if frame.encapsulated:
        # Where the tunnel carries something other than Ethernet, its payload starts at once.
        return every(opposite(equal(frame.header, frame.payload)), test)
    return test


def _mac_at(start: Value, offset: int, addresses: Sequence[bytes]) -> Formula:
    """Return the test of six bytes: the last four first, since they differ more."""
    ends = [int.from_bytes(address[2:], "big") for address in addresses]
    beginnings = [int.from_bytes(address[:2], "big") for address in addresses]
    patterns = [((a, a), (b, b)) for a, b in zip(ends, beginnings, strict=True)]
    return any_of([word(start, offset + 2), half(start, offset)], patterns)


def arcnet(context: Context, direction: Direction | None, address: int, span: Span) -> Formula:
    """Return the test for an 8-bit link address."""
    places = context.frame.layout.arcnet
    if direction in WLAN_DIRECTIONS:
        raise wlan_only(context, direction, span)
    if places is None:
        raise context.unsupported("link host $XX", span)
    start = context.frame.header
    return by_direction(
        direction,
        lambda is_source: equal(
            byte(start, places.source if is_source else places.destination), address
        ),
    )


def broadcast(context: Context, span: Span) -> Formula:
    """Return the test for the link's broadcast address as destination."""
    layout = context.frame.layout
    if layout.broadcast_byte is not None and layout.arcnet is not None:
        field = byte(context.frame.header, layout.arcnet.destination)
        return equal(field, layout.broadcast_byte)
    if layout.mac is None and not layout.is_wlan:
        raise context.unsupported("broadcast", span)
    return mac(context, Direction.DST, [BROADCAST_MAC])


def multicast(context: Context, span: Span) -> Formula:
    """Return the test for a group address as destination, broadcasts included."""
    layout = context.frame.layout
    if not layout.has_multicast:
        raise context.unsupported("multicast", span)
    if layout.broadcast_byte is not None:
        return broadcast(context, span)
    if layout.is_wlan:
        test = _wlan_destination(context, lambda offset: _group_bit(context, offset))
    elif layout.mac is not None:
        test = _group_bit(context, layout.mac.destination)
    else:
        raise context.unsupported("multicast", span)
    return _guarded(context, test)


def _group_bit(context: Context, offset: int) -> Formula:
    return has_bits(byte(context.frame.header, offset), 0x01)


# 802.11: which of the four addresses is what depends on type and direction of the frame.

WLAN_DIRECTIONS: Final = frozenset(
    {
        Direction.ADDR1,
        Direction.ADDR2,
        Direction.ADDR3,
        Direction.ADDR4,
        Direction.RA,
        Direction.TA,
    }
)
_ADDRESS_1, _ADDRESS_2, _ADDRESS_3, _ADDRESS_4 = 4, 10, 16, 24
_TO_DS, _FROM_DS = 0x01, 0x02
_DATA_BIT, _CONTROL_BIT = 0x08, 0x04
_CTS, _ACK = 0xC0, 0xD0


def wlan_only(context: Context, direction: Direction | None, span: Span) -> Exception:
    """Return the error for `addr1` to `addr4`, `ra` and `ta` on another link type."""
    word_ = "" if direction is None else direction.value
    return context.error(f"'{word_}' is valid for 802.11 syntax only", span)


def _wlan_host(
    context: Context, direction: Direction | None, addresses: Sequence[bytes]
) -> Formula:
    header = context.frame.header
    frame_type, flags = byte(header), byte(header, 1)

    def at(offset: int) -> Formula:
        return _mac_at(header, offset, addresses)

    not_control = opposite(equal(frame_type, wlan.CONTROL, wlan.TYPE_MASK))
    # Clear-to-send and acknowledgement have no second address.
    no_second = some(
        equal(frame_type, _CTS, wlan.SUBTYPE_MASK), equal(frame_type, _ACK, wlan.SUBTYPE_MASK)
    )
    second = every(some(not_control, opposite(no_second)), at(_ADDRESS_2))
    is_data = has_bits(frame_type, _DATA_BIT)
    match direction:
        case Direction.ADDR1:
            return at(_ADDRESS_1)
        case Direction.ADDR2:
            return second
        case Direction.ADDR3:
            return every(not_control, at(_ADDRESS_3))
        case Direction.ADDR4:
            return every(equal(flags, _TO_DS | _FROM_DS, wlan.DIRECTION_MASK), at(_ADDRESS_4))
        case Direction.RA:
            return every(is_data, at(_ADDRESS_1))
        case Direction.TA:
            return every(is_data, second)
        case _:
            return by_direction(
                direction,
                lambda is_source: (
                    _wlan_source(context, at) if is_source else _wlan_destination(context, at)
                ),
            )


def _wlan_source(context: Context, at: Callable[[int], Formula]) -> Formula:
    header = context.frame.header
    frame_type, flags = byte(header), byte(header, 1)
    from_ds, to_ds = has_bits(flags, _FROM_DS), has_bits(flags, _TO_DS)
    relayed = some(every(to_ds, at(_ADDRESS_4)), every(opposite(to_ds), at(_ADDRESS_3)))
    data = some(every(from_ds, relayed), every(opposite(from_ds), at(_ADDRESS_2)))
    return _wlan_data_or_management(frame_type, data, at(_ADDRESS_2))


def _wlan_destination(context: Context, at: Callable[[int], Formula]) -> Formula:
    header = context.frame.header
    frame_type, flags = byte(header), byte(header, 1)
    to_ds = has_bits(flags, _TO_DS)
    data = some(every(to_ds, at(_ADDRESS_3)), every(opposite(to_ds), at(_ADDRESS_1)))
    return _wlan_data_or_management(frame_type, data, at(_ADDRESS_1))


def _wlan_data_or_management(frame_type: Value, data: Formula, management: Formula) -> Formula:
    is_data = has_bits(frame_type, _DATA_BIT)
    either = some(every(is_data, data), every(opposite(is_data), management))
    return every(opposite(has_bits(frame_type, _CONTROL_BIT)), either)


# DECnet phase IV: the routing header's form says where the node addresses stand.

MAX_AREA: Final = 63
MAX_NODE: Final = 1023


def decnet(
    context: Context, direction: Direction | None, area: int, node: int, span: Span
) -> Formula:
    """Return the test for a DECnet node.

    Source: DECnet Routing Layer Functional Specification, version 2.0.0: short and long data
    packet format, each perhaps behind a padding byte 0x81.
    """
    start = context.frame.network_header
    address = int.from_bytes((area * 1024 + node).to_bytes(2, "little"), "big")

    def test(is_source: bool) -> Formula:
        long = 17 if is_source else 9
        padded_long = every(
            equal(half(start, 2), 0x8106, 0xFF07), equal(half(start, long + 1), address)
        )
        plain_long = every(equal(byte(start, 2), 0x06, 0x07), equal(half(start, long), address))
        if is_source:
            plain = every(equal(byte(start, 2), 0x02, 0x07), equal(half(start, 5), address))
            padded = every(equal(half(start, 2), 0x8102, 0xFF07), equal(half(start, 6), address))
        else:
            plain = equal(word(start, 2), 0x02000000 | address << 8, 0x07FFFF00)
            padded = equal(word(start, 2), 0x81020000 | address, 0xFF07FFFF)
        return some(plain, padded, plain_long, padded_long)

    return every(link_protocol(context, ethertypes.DECNET, span), by_direction(direction, test))
