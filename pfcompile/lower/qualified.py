"""Identifiers under their qualifiers: hosts, networks, ports, protocols, gateways.

Which protocol goes with which kind of identifier is a table of pcap-filter(7)'s; the functions
below check in libpcap's order, so that a text with several mistakes gets the message that people
know.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, assert_never

from pfcompile.facts import ip_protocols, isis, link_protocols
from pfcompile.ir.arithmetic import WORD
from pfcompile.lower import addresses, iso, transport
from pfcompile.lower.formula import Formula, every, opposite, some
from pfcompile.lower.link_protocol import link_protocol
from pfcompile.lower.lists import AddressList, PortList, ValueList
from pfcompile.names.answers import (
    MAX_ADDRESSES,
    Host,
    LookupRefused,
    interpret_service,
)
from pfcompile.names.spelling import nearest
from pfcompile.syntax import hints, tree
from pfcompile.syntax.tree import Kind, Proto, Qualifiers

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from pfcompile.errors import FilterError, Span
    from pfcompile.lower.context import Context

    T = TypeVar("T")

_IPV4_PROTOS: Final = frozenset({None, Proto.IP, Proto.ARP, Proto.RARP})
_IPV6_PROTOS: Final = frozenset({None, Proto.IP6})
_HOST_NAME_PROTOS: Final = _IPV4_PROTOS | _IPV6_PROTOS
_PORT_PROTOS: Final = {
    None: ip_protocols.PORT_PROTOCOLS,
    Proto.TCP: (ip_protocols.TCP,),
    Proto.UDP: (ip_protocols.UDP,),
    Proto.SCTP: (ip_protocols.SCTP,),
}
_NUMBERED_PROTOS: Final = frozenset({None, Proto.LINK, Proto.IP, Proto.IP6, Proto.ISO, Proto.ISIS})
_CHAIN_PROTOS: Final = frozenset({None, Proto.IP, Proto.IP6})
_MAX_PORT: Final = 0xFFFF
_ALL_128: Final = (1 << 128) - 1


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
            return _Named(context, node.qualifiers, node.identifier, node.span).lower()
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


def _invalid(context: Context, qualifier: str, what: str, span: Span) -> FilterError:
    return context.error(f"'{qualifier}' is not a valid qualifier for '{what}'", span)


def _kind(qualifiers: Qualifiers) -> Kind:
    """Return the kind of identifier; host where none was written."""
    return Kind.HOST if qualifiers.kind is None else qualifiers.kind


def _no_wlan_direction(context: Context, qualifiers: Qualifiers, span: Span) -> None:
    """Raise FilterError for `addr1` and the like before something that is no MAC address."""
    direction = qualifiers.direction
    if direction in addresses.WLAN_DIRECTIONS:
        raise addresses.wlan_only(context, direction, span)


# Numbers and addresses


def _number(
    context: Context, qualifiers: Qualifiers, number: tree.Number, span: Span
) -> Formula | ValueList:
    proto, value = qualifiers.proto, number.value
    match _kind(qualifiers):
        case Kind.HOST:
            if proto is Proto.DECNET:
                raise context.error(f"invalid DECnet address '{value}'", number.span)
            return _ipv4_test(context, qualifiers, [(value, WORD)], "host", str(value), span)
        case Kind.NET:
            return _ipv4_test(
                context, qualifiers, [_left_justified(value)], "net", str(value), span
            )
        case Kind.PORT | Kind.PORTRANGE as kind:
            _check_port_proto(context, qualifiers, kind, span)
            context.at_most("port number", value, _MAX_PORT, number.span)
            return _ports(context, qualifiers, kind, value, value, None, span)
        case Kind.PROTO:
            return protocol_number(context, proto, value, span)
        case Kind.PROTOCHAIN:
            return _protochain(context, proto, value, span)
        case Kind.GATEWAY:
            raise _invalid(context, "gateway", "decimal value", number.span)
        case kind:
            assert_never(kind)


def _left_justified(value: int) -> tuple[int, int]:
    """Return the network `value` and its mask, shifted left until the first byte is not 0."""
    mask = WORD
    while value and not value >> 24:
        value, mask = value << 8, mask << 8 & WORD
    return value, mask


def _ipv4_test(
    context: Context,
    qualifiers: Qualifiers,
    networks: list[tuple[int, int]],
    kind: str,
    shown: str,
    span: Span,
    what: str = "IPv4 address",
) -> AddressList:
    """Return the test for IPv4 addresses or networks, after checking the protocol."""
    proto = qualifiers.proto
    if proto in _IPV4_PROTOS:
        _no_wlan_direction(context, qualifiers, span)
        return AddressList(proto, qualifiers.direction, tuple(networks), span)
    if proto is Proto.LINK:
        raise context.error(
            f"illegal link-layer address '{shown}'",
            span,
            "six bytes are wanted, as in 00:11:22:33:44:55",
        )
    assert proto is not None
    if proto is Proto.DECNET:
        raise _invalid(context, proto.value, kind, span)
    raise _invalid(context, proto.value, f"{kind} <{what}>", span)


def _applied_to(
    context: Context, kind: Kind, identifier: tree.Identifier, what: str
) -> FilterError:
    """Return the error for an address where a port or protocol is wanted."""
    if kind is Kind.GATEWAY:
        return _invalid(context, "gateway", _text(identifier), identifier.span)
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
    kind = _kind(qualifiers)
    if kind not in {Kind.HOST, Kind.NET}:
        raise _applied_to(context, kind, address, "IPv4 address")
    if qualifiers.proto is Proto.DECNET and kind is Kind.HOST:
        return _decnet(context, qualifiers, address, span)
    if qualifiers.proto is Proto.DECNET:
        raise _invalid(context, "decnet", "net", span)
    value, bits = _parts(context, address.text, address.span)
    network = (value << 32 - bits, _prefix_mask(bits))
    return _ipv4_test(context, qualifiers, [network], kind.value, address.text, span)


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
    _no_wlan_direction(context, qualifiers, span)
    area, node = int(parts[0]), int(parts[1])
    return addresses.decnet(context, qualifiers.direction, area, node, span)


def _ipv4_network(
    context: Context, qualifiers: Qualifiers, address: tree.IPv4, span: Span
) -> AddressList:
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
        raise _invalid(context, "decnet", "net", span)
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
        fitting = ipaddress.IPv4Address(value & mask)
        rest = (
            f"/{address.prefix_length}" if address.netmask is None else f" mask {address.netmask}"
        )
        raise context.error(
            f'non-network bits set in "{shown}"', address.span, f"the network is {fitting}{rest}"
        )
    return _ipv4_test(context, qualifiers, [(value, mask)], "net", shown, span, what="IPv4 prefix")


def _ipv6(context: Context, qualifiers: Qualifiers, address: tree.IPv6, span: Span) -> Formula:
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
    if qualifiers.proto not in _IPV6_PROTOS:
        assert qualifiers.proto is not None
        what = "host <IPv6 address>" if kind is Kind.HOST else "net <IPv6 prefix>"
        raise _invalid(context, qualifiers.proto.value, what, span)
    _no_wlan_direction(context, qualifiers, span)
    value = int(ipaddress.IPv6Address(address.text))
    mask = _ALL_128 << 128 - (128 if length is None else length) & _ALL_128
    if value & ~mask:
        fitting = ipaddress.IPv6Address(value & mask)
        raise context.error(
            f'non-network bits set in "{shown}"', address.span, f"the network is {fitting}/{length}"
        )
    return addresses.ipv6(context, qualifiers.direction, [(value, mask)], span)


def _mac(context: Context, qualifiers: Qualifiers, address: tree.Mac, span: Span) -> Formula:
    if _kind(qualifiers) is not Kind.HOST or qualifiers.proto is not Proto.LINK:
        raise context.error(_NOT_LINK, span, f"write ether host {address.address.hex(':')}")
    return addresses.mac(
        context,
        qualifiers.direction,
        address.address,
        span,
        what="link host XX:XX:XX:XX:XX:XX",
    )


def _arcnet(
    context: Context, qualifiers: Qualifiers, address: tree.ArcnetAddress, span: Span
) -> Formula:
    kind = _kind(qualifiers)
    if kind is not Kind.HOST:
        raise _invalid(context, kind.value, "$XX", span)
    if qualifiers.proto is not Proto.LINK:
        raise context.error("'link' is the only valid proto qualifier for 'host $XX'", span)
    return addresses.arcnet(context, qualifiers.direction, address.address, span)


# Ports and protocols


def _ports(
    context: Context,
    qualifiers: Qualifiers,
    kind: Kind,
    low: int,
    high: int,
    named: str | None,
    span: Span,
) -> PortList:
    """Return the test for a range of ports; `named` is the protocol that a service's name says."""
    proto, direction = qualifiers.proto, qualifiers.direction
    if direction in addresses.WLAN_DIRECTIONS:
        assert direction is not None
        raise _invalid(context, direction.value, kind.value, span)
    protocols = _PORT_PROTOS[proto if named is None else Proto(named)]
    return PortList(protocols, direction, ((min(low, high), max(low, high)),), span)


def _check_port_proto(context: Context, qualifiers: Qualifiers, kind: Kind, span: Span) -> None:
    if qualifiers.proto not in _PORT_PROTOS:
        assert qualifiers.proto is not None
        raise _invalid(context, qualifiers.proto.value, kind.value, span)


def protocol_number(context: Context, proto: Proto | None, number: int, span: Span) -> Formula:
    """Return the test for `[proto] proto number`."""
    if proto is Proto.LINK:
        return link_protocol(context, number, span)
    if proto is Proto.ISO:
        context.at_most("ISO protocol", number, 255, span)
        return iso.protocol(context, number, span)
    if proto is Proto.ISIS:
        context.at_most("IS-IS PDU type", number, isis.PDU_TYPE_MASK, span)
        return iso.isis_pdu(context, (number,), span)
    if proto in _CHAIN_PROTOS:
        context.at_most("protocol number", number, ip_protocols.MAX_PROTOCOL, span)
        return transport.ip_protocol(context, proto, number, span)
    assert proto is not None
    raise _invalid(context, proto.value, "proto", span)


def _protochain(context: Context, proto: Proto | None, number: int, span: Span) -> Formula:
    if proto not in _CHAIN_PROTOS:
        assert proto is not None
        raise _invalid(context, proto.value, "protochain", span)
    context.at_most("protocol number", number, ip_protocols.MAX_PROTOCOL, span)
    if context.frame.has_variable_payload:
        raise context.error("'protochain' not supported with variable length headers", span)
    return transport.protocol_chain(context, proto, number, span)


# Names


class _Named:
    """A name under its qualifiers: one method a kind."""

    def __init__(
        self, context: Context, qualifiers: Qualifiers, name: tree.Name, span: Span
    ) -> None:
        self.context = context
        self.qualifiers = qualifiers
        self.proto = qualifiers.proto
        self.name = name.text
        self.place = name.span
        self.span = span

    def lower(self) -> Formula | ValueList:
        """Return the test, after looking the name up."""
        match _kind(self.qualifiers):
            case Kind.HOST:
                return self._ethernet_host() if self.proto is Proto.LINK else self._host()
            case Kind.NET:
                return self._network()
            case Kind.PORT:
                return self._port()
            case Kind.PORTRANGE:
                return self._port_range()
            case Kind.PROTO:
                return protocol_number(self.context, self.proto, self._protocol("proto"), self.span)
            case Kind.PROTOCHAIN:
                return _protochain(
                    self.context, self.proto, self._protocol("protochain"), self.span
                )
            case Kind.GATEWAY:
                return self._gateway()
            case kind:
                assert_never(kind)

    def _error(self, message: str, hint: str | None = None) -> FilterError:
        return self.context.error(message, self.place, hint)

    def _look_up(self, what: Callable[[str], T | None], unknown: str) -> T:
        """Return what a resolver answers; raises FilterError where it has no answer."""
        try:
            found = what(self.name)
        except LookupRefused as refusal:
            raise self._error(unknown, f"{refusal}") from None
        if found is None:
            raise self._error(unknown, hints.for_word(self.context.text, self.place))
        return found

    def _host(self) -> Formula:
        context, proto = self.context, self.proto
        if proto is Proto.DECNET:
            raise _invalid(context, "decnet", "host", self.span)
        host = self._look_up(context.options.resolver.host, f"unknown host '{self.name}'")
        for family, found in (("IPv4", host.ipv4), ("IPv6", host.ipv6)):
            if len(found) > MAX_ADDRESSES:
                raise self._error(f"More than {MAX_ADDRESSES} {family} addresses per name")
        if proto not in _HOST_NAME_PROTOS:
            assert proto is not None
            raise _invalid(context, proto.value, "host <Internet hostname>", self.span)
        _no_wlan_direction(context, self.qualifiers, self.span)
        return self._any_address(host)

    def _any_address(self, host: Host) -> Formula:
        context, proto = self.context, self.proto
        wants_ipv4, wants_ipv6 = proto in _IPV4_PROTOS, proto in _IPV6_PROTOS
        tests = []
        if wants_ipv4 and host.ipv4:
            networks = [(address, WORD) for address in host.ipv4]
            tests.append(
                addresses.ipv4(context, proto, self.qualifiers.direction, networks, self.span)
            )
        if wants_ipv6 and host.ipv6:
            networks = [(address, _ALL_128) for address in host.ipv6]
            tests.append(addresses.ipv6(context, self.qualifiers.direction, networks, self.span))
        if not tests:
            raise self._error(f"unknown host '{self.name}' for specified address family")
        return some(*tests)

    def _ethernet_host(self) -> Formula:
        resolver = self.context.options.resolver
        address = self._look_up(resolver.ethernet, f"unknown Ethernet-like host '{self.name}'")
        return addresses.mac(
            self.context,
            self.qualifiers.direction,
            address.to_bytes(6, "big"),
            self.span,
            what="link host NAME",
        )

    def _network(self) -> AddressList:
        if self.proto is Proto.DECNET:
            raise _invalid(self.context, "decnet", "net", self.span)
        number = self._look_up(
            self.context.options.resolver.network, f"unknown network '{self.name}'"
        )
        return _ipv4_test(
            self.context,
            self.qualifiers,
            [_left_justified(number)],
            "net",
            self.name,
            self.span,
            what="IPv4 network name",
        )

    def _port(self) -> PortList:
        _check_port_proto(self.context, self.qualifiers, Kind.PORT, self.span)
        service = self._look_up(
            self.context.options.resolver.service, f"unknown port '{self.name}'"
        )
        port = interpret_service(service)
        if port is None:
            raise self._error(f"unknown port '{self.name}'")
        self._agree(port.protocol, "port")
        return _ports(
            self.context, self.qualifiers, Kind.PORT, port.port, port.port, port.protocol, self.span
        )

    def _agree(self, named: str | None, words: str) -> None:
        """Raise FilterError where a service's protocol is not the one that was asked for."""
        if named is not None and self.proto is not None and self.proto.value != named:
            raise self._error(f"{words} '{self.name}' is {named}")

    def _port_range(self) -> PortList:
        _check_port_proto(self.context, self.qualifiers, Kind.PORTRANGE, self.span)
        count = self.name.count("-")
        if count == 0:
            raise self._error(f"port range '{self.name}' contains no hyphen")
        if count > 1:
            raise self._error(f"port range '{self.name}' contains more than one hyphen")
        first, _, last = self.name.partition("-")
        if not first:
            raise self._error(f"port range '{self.name}' has no starting port")
        if not last:
            raise self._error(f"port range '{self.name}' has no ending port")
        low, low_named = self._range_end(first)
        high, high_named = self._range_end(last)
        # An end that is a number goes with any protocol, and makes the range one of any.
        named = low_named if low_named == high_named else None
        self._agree(named, "port in range")
        return _ports(self.context, self.qualifiers, Kind.PORTRANGE, low, high, named, self.span)

    def _range_end(self, text: str) -> tuple[int, str | None]:
        """Return the port that one end of a range is, and the protocol that its name says."""
        number = _c_number(text)
        if number is not None:
            self.context.at_most("port number", number, _MAX_PORT, self.place)
            return number, None
        message = f"'{text}' is not a valid port"
        try:
            port = interpret_service(self.context.options.resolver.service(text))
        except LookupRefused as refusal:
            raise self._error(message, str(refusal)) from None
        if port is None:
            raise self._error(message)
        return port.port, port.protocol

    def _protocol(self, kind: str) -> int:
        """Return the number of a protocol's name, by the database of the protocol before it."""
        proto = self.proto
        resolver = self.context.options.resolver
        words = kind if proto is None else f"{proto.value} {kind}"
        unknown = f"unknown '{words}' value '{self.name}'"
        tables = {
            Proto.LINK: link_protocols.LINK_PROTOCOLS,
            Proto.ISO: link_protocols.ISO_PROTOCOLS,
        }
        if proto in tables:
            number = tables[proto].get(self.name)
            if number is None:
                raise self._error(unknown, _one_of(self.name, tables[proto]))
            return number
        if proto not in _CHAIN_PROTOS:
            raise self._error(unknown)
        return self._look_up(resolver.protocol, unknown)

    def _gateway(self) -> Formula:
        context, proto = self.context, self.proto
        if proto not in _IPV4_PROTOS:
            assert proto is not None
            raise _invalid(context, proto.value, "gateway", self.span)
        frame = context.frame
        if frame.encapsulated:
            raise self._error("'gateway' cannot be used within VXLAN or Geneve")
        if frame.mpls_depth:
            raise self._error("'gateway' cannot be used within MPLS")
        if frame.layout.mac is None and not frame.layout.is_wlan:
            raise context.unsupported("gateway", self.span)
        resolver = context.options.resolver
        ethernet = self._look_up(resolver.ethernet, f"unknown Ethernet-like host '{self.name}'")
        host = self._look_up(resolver.host, f"unknown host '{self.name}'")
        if not host.ipv4:
            raise self._error(f"unknown host '{self.name}' for specified address family")
        via = addresses.mac(context, None, ethernet.to_bytes(6, "big"), self.span, what="gateway")
        networks = [(address, WORD) for address in host.ipv4]
        carriers = addresses.IPV4_CARRIERS
        elsewhere = [
            every(
                link_protocol(context, pair.ethertype, self.span),
                opposite(addresses.ipv4_addresses(context, pair, None, networks)),
            )
            for pair in (carriers.values() if proto is None else [carriers[proto]])
        ]
        return every(via, some(*elsewhere))


def _one_of(word: str, table: object) -> str:
    """Return advice that lists the words of a table, the nearest alone where one is near."""
    names = sorted(table) if isinstance(table, dict) else []
    near = nearest(word, names)
    if near:
        return "did you mean " + " or ".join(f"'{name}'" for name in near) + "?"
    return "give a number, or one of: " + ", ".join(names)


def _c_number(text: str) -> int | None:
    """Return the number that strtoul(3) with base 0 reads in all of `text`, or None."""
    try:
        if text[:2] in {"0x", "0X"}:
            return int(text, 16)
        if text.isdigit() and len(text) < 40:
            return int(text, 8 if text[0] == "0" else 10)
    except ValueError:
        return None
    return None
