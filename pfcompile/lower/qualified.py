"""Identifiers under their qualifiers: hosts, networks, ports, protocols, gateways.

Which protocol goes with which kind of identifier is a table of pcap-filter(7)'s; the functions
below check in libpcap's order, so that a text with several mistakes gets the message that people
know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from pfcompile.ir.arithmetic import WORD
from pfcompile.lower import addresses
from pfcompile.lower.lists import Ipv6List, MacList
from pfcompile.lower.named import Named
from pfcompile.lower.qualifiers import (
    ALL_128,
    IPV6_PROTOS,
    MAX_PORT,
    check_port_proto,
    invalid,
    ipv4_test,
    kind_of,
    left_justified,
    no_wlan_direction,
    port_list,
    protochain,
    protocol_number,
)
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Kind, Proto, Qualifiers

if TYPE_CHECKING:
    from typing import TypeVar

    from pfcompile.errors import FilterError, Span
    from pfcompile.lower.context import Context
    from pfcompile.lower.formula import Formula
    from pfcompile.lower.lists import Ipv4List, ValueList

    T = TypeVar("T")


def qualified(context: Context, node: tree.Qualified) -> Formula | ValueList:
    """Return the test that an identifier under its qualifiers is, or the list that it begins."""
    if node.qualifiers is None:
        raise _nothing_to_inherit(context, node)
    match node.identifier:
        case tree.Number():
            return _number(context, node.qualifiers, node.identifier, node.span)
        case tree.IPv4(prefix_length=None, netmask=None):
            return _ipv4(context, node.qualifiers, node.identifier, node.span)
        case tree.IPv4():
            return _ipv4_network(context, node.qualifiers, node.identifier, node.span)
        case tree.IPv6():
            return _ipv6(context, node.qualifiers, node.identifier, node.span)
        case tree.Mac():
            return _mac(context, node.qualifiers, node.identifier, node.span)
        case tree.ArcnetAddress():
            return _arcnet(context, node.qualifiers, node.identifier, node.span)
        case tree.Name():
            return Named(context, node.qualifiers, node.identifier, node.span).lower()
        case _:
            assert_never(node.identifier)


def _nothing_to_inherit(context: Context, node: tree.Qualified) -> FilterError:
    """Return the error for an identifier behind something that has no qualifiers to hand on."""
    match node.identifier:
        case tree.Name() | tree.Number() | tree.IPv4(prefix_length=None, netmask=None):
            message = "syntax error in filter expression"
        case tree.Mac():
            message = _NOT_LINK
        case tree.ArcnetAddress():
            message = "'<invalid dir 255>' is valid for 802.11 syntax only"
        case identifier:
            message = f"'<invalid type 255>' is not a valid qualifier for '{_text(identifier)}'"
    from pfcompile.syntax import hints  # noqa: PLC0415 - for mistakes only

    hint = hints.for_word(context.text, node.identifier.span)
    if hint is None:
        hint = "nothing to the left says what this is: write host, net, port or proto before it"
    return context.error(message, node.identifier.span, hint)


_NOT_LINK: Final = "Ethernet address used in non-ether expression"


def _text(identifier: tree.Identifier) -> str:
    """Return an identifier as messages show it."""
    match identifier:
        case tree.Name(text=text):
            return text
        case tree.Number(value=value):
            return str(value)
        case tree.IPv4(text=text, prefix_length=int(length)):
            return f"{text}/{length}"
        case tree.IPv4(text=text, netmask=str(netmask)):
            return f"{text} mask {netmask}"
        case tree.IPv6(text=text, prefix_length=int(length)):
            return f"{text}/{length}"
        case tree.IPv4(text=text) | tree.IPv6(text=text):
            return text
        case tree.Mac(address=address):
            return address.hex(":")
        case tree.ArcnetAddress(address=address):
            return f"${address:02x}"


# Numbers and addresses


def _number(
    context: Context, qualifiers: Qualifiers, number: tree.Number, span: Span
) -> Formula | ValueList:
    proto, value = qualifiers.proto, number.value
    match kind_of(qualifiers):
        case Kind.HOST:
            if proto is Proto.DECNET:
                raise context.error(f"invalid DECnet address '{value}'", number.span)
            return ipv4_test(context, qualifiers, [(value, WORD)], "host", str(value), span)
        case Kind.NET:
            return ipv4_test(context, qualifiers, [left_justified(value)], "net", str(value), span)
        case Kind.PORT | Kind.PORTRANGE as kind:
            check_port_proto(context, qualifiers, kind, span)
            context.at_most("port number", value, MAX_PORT, number.span)
            return port_list(context, qualifiers, kind, value, value, None, span)
        case Kind.PROTO:
            return protocol_number(context, proto, value, span)
        case Kind.PROTOCHAIN:
            return protochain(context, proto, value, span)
        case Kind.GATEWAY:
            raise invalid(context, "gateway", "decimal value", number.span)
        case kind:
            assert_never(kind)


def _applied_to(
    context: Context, kind: Kind, identifier: tree.Identifier, what: str
) -> FilterError:
    """Return the error for an address where a port or protocol is wanted."""
    if kind is Kind.GATEWAY:
        return invalid(context, "gateway", _text(identifier), identifier.span)
    return context.error(f"'{kind.value}' qualifier applied to {what}", identifier.span)


def _parts(context: Context, text: str, span: Span) -> tuple[int, int]:
    """Return the value of a dotted address of 2 to 4 parts, and how many bits it has."""
    parts = text.split(".")
    value = 0
    for part in parts:
        if not part.isdigit() or int(part) > 255:
            hint = None if part.isdigit() else "parts of an address are decimal"
            raise context.error(f"invalid IPv4 address '{text}'", span, hint)
        value = value << 8 | int(part)
    return value, 8 * len(parts)


def _prefix_mask(length: int) -> int:
    return WORD << 32 - length & WORD


def _ipv4(
    context: Context, qualifiers: Qualifiers, address: tree.IPv4, span: Span
) -> Formula | ValueList:
    kind = kind_of(qualifiers)
    if kind not in {Kind.HOST, Kind.NET}:
        raise _applied_to(context, kind, address, "IPv4 address")
    if qualifiers.proto is Proto.DECNET and kind is Kind.HOST:
        return _decnet(context, qualifiers, address, span)
    if qualifiers.proto is Proto.DECNET:
        raise invalid(context, "decnet", "net", span)
    value, bits = _parts(context, address.text, address.span)
    network = (value << 32 - bits, _prefix_mask(bits))
    return ipv4_test(context, qualifiers, [network], kind.value, address.text, span)


def _decnet(context: Context, qualifiers: Qualifiers, address: tree.IPv4, span: Span) -> Formula:
    parts = address.text.split(".")
    if (
        len(parts) != 2
        or not all(part.isdigit() for part in parts)
        or int(parts[0]) > addresses.MAX_AREA
        or int(parts[1]) > addresses.MAX_NODE
    ):
        raise context.error(
            f"invalid DECnet address '{address.text}'",
            address.span,
            "area.node: an area is at most 63, a node at most 1023",
        )
    no_wlan_direction(context, qualifiers, span)
    area, node = int(parts[0]), int(parts[1])
    return addresses.decnet(context, qualifiers.direction, area, node, span)


def _ipv4_network(
    context: Context, qualifiers: Qualifiers, address: tree.IPv4, span: Span
) -> Ipv4List:
    what = "prefix length" if address.netmask is None else "netmask"
    kind, shown = qualifiers.kind, _text(address)
    if kind is None or kind is Kind.HOST:
        word = "<invalid type 0>" if kind is None else "host"
        raise context.error(
            f"'{word}' is not a valid qualifier for '{shown}'",
            span,
            "a prefix or mask goes with net: net " + shown,
        )
    if kind is not Kind.NET:
        raise _applied_to(context, kind, address, f"IPv4 address and {what}")
    if qualifiers.proto is Proto.DECNET:
        raise invalid(context, "decnet", "net", span)
    value, bits = _parts(context, address.text, address.span)
    value <<= 32 - bits
    if address.netmask is not None:
        mask, mask_bits = _parts(context, address.netmask, address.span)
        mask <<= 32 - mask_bits
    else:
        length = address.prefix_length or 0
        context.at_most("netmask length", length, 32, address.span)
        mask = _prefix_mask(length)
    if value & ~mask:
        import ipaddress  # noqa: PLC0415 - for IPv6 addresses and mistakes only

        fitting = ipaddress.IPv4Address(value & mask)
        rest = (
            f"/{address.prefix_length}" if address.netmask is None else f" mask {address.netmask}"
        )
        raise context.error(
            f'non-network bits set in "{shown}"', address.span, f"the network is {fitting}{rest}"
        )
    return ipv4_test(context, qualifiers, [(value, mask)], "net", shown, span, what="IPv4 prefix")


def _ipv6(context: Context, qualifiers: Qualifiers, address: tree.IPv6, span: Span) -> Ipv6List:
    import ipaddress  # noqa: PLC0415 - for IPv6 addresses and mistakes only

    kind, length, shown = qualifiers.kind, address.prefix_length, _text(address)
    if kind not in {None, Kind.HOST, Kind.NET}:
        assert kind is not None
        what = "IPv6 address" if length is None else "IPv6 address and prefix length"
        raise _applied_to(context, kind, address, what)
    if length is not None and length > 128:
        raise context.error("mask length must be <= 128", address.span)
    if kind is not Kind.NET and length not in {None, 128}:
        raise context.error(
            f"'host' is not a valid qualifier for '{shown}'",
            span,
            "a prefix goes with net: net " + shown,
        )
    if qualifiers.proto not in IPV6_PROTOS:
        assert qualifiers.proto is not None
        what = "host <IPv6 address>" if kind is Kind.HOST else "net <IPv6 prefix>"
        raise invalid(context, qualifiers.proto.value, what, span)
    no_wlan_direction(context, qualifiers, span)
    value = int(ipaddress.IPv6Address(address.text))
    mask = ALL_128 << 128 - (128 if length is None else length) & ALL_128
    if value & ~mask:
        fitting = ipaddress.IPv6Address(value & mask)
        raise context.error(
            f'non-network bits set in "{shown}"', address.span, f"the network is {fitting}/{length}"
        )
    return Ipv6List(qualifiers.direction, ((value, mask),), span)


def _mac(context: Context, qualifiers: Qualifiers, address: tree.Mac, span: Span) -> MacList:
    if kind_of(qualifiers) is not Kind.HOST or qualifiers.proto is not Proto.LINK:
        raise context.error(_NOT_LINK, span, f"write ether host {address.address.hex(':')}")
    direction = qualifiers.direction
    addresses.check_mac(context, direction, span, what="link host XX:XX:XX:XX:XX:XX")
    return MacList(direction, (address.address,), span)


def _arcnet(
    context: Context, qualifiers: Qualifiers, address: tree.ArcnetAddress, span: Span
) -> Formula:
    kind = kind_of(qualifiers)
    if kind is not Kind.HOST:
        raise invalid(context, kind.value, "$XX", span)
    if qualifiers.proto is not Proto.LINK:
        raise context.error("'link' is the only valid proto qualifier for 'host $XX'", span)
    return addresses.arcnet(context, qualifiers.direction, address.address, span)
