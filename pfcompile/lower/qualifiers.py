"""What all identifiers under qualifiers have in common: which protocol goes with which kind.

Sources: pcap-filter(7); the order of the checks is libpcap's, so that a text with several mistakes
gets the message that people know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.facts import ip_protocols, isis
from pfcompile.ir.arithmetic import WORD
from pfcompile.lower import addresses, iso, transport
from pfcompile.lower.link_protocol import link_protocol
from pfcompile.lower.lists import Ipv4List, PortList
from pfcompile.syntax.tree import Kind, Proto, Qualifiers

if TYPE_CHECKING:
    from pfcompile.errors import FilterError, Span
    from pfcompile.lower.context import Context
    from pfcompile.lower.formula import Formula

IPV4_PROTOS: Final = frozenset({None, Proto.IP, Proto.ARP, Proto.RARP})
IPV6_PROTOS: Final = frozenset({None, Proto.IP6})
_PORT_PROTOS: Final = {
    None: ip_protocols.PORT_PROTOCOLS,
    Proto.TCP: (ip_protocols.TCP,),
    Proto.UDP: (ip_protocols.UDP,),
    Proto.SCTP: (ip_protocols.SCTP,),
}
CHAIN_PROTOS: Final = frozenset({None, Proto.IP, Proto.IP6})
MAX_PORT: Final = 0xFFFF
ALL_128: Final = (1 << 128) - 1


def invalid(context: Context, qualifier: str, what: str, span: Span) -> FilterError:
    """Return the error for a qualifier before something that it does not go with."""
    return context.error(f"'{qualifier}' is not a valid qualifier for '{what}'", span)


def kind_of(qualifiers: Qualifiers) -> Kind:
    """Return the kind of identifier; host where none was written."""
    return Kind.HOST if qualifiers.kind is None else qualifiers.kind


def no_wlan_direction(context: Context, qualifiers: Qualifiers, span: Span) -> None:
    """Raise FilterError for `addr1` and the like before something that is no MAC address."""
    direction = qualifiers.direction
    if direction in addresses.WLAN_DIRECTIONS:
        raise addresses.wlan_only(context, direction, span)


def left_justified(value: int) -> tuple[int, int]:
    """Return the network `value` and its mask, shifted left until the first byte is not 0."""
    mask = WORD
    while value and not value >> 24:
        value, mask = value << 8, mask << 8 & WORD
    return value, mask


def ipv4_test(
    context: Context,
    qualifiers: Qualifiers,
    networks: list[tuple[int, int]],
    kind: str,
    shown: str,
    span: Span,
    what: str = "IPv4 address",
) -> Ipv4List:
    """Return the test for IPv4 addresses or networks, after checking the protocol."""
    proto = qualifiers.proto
    if proto in IPV4_PROTOS:
        no_wlan_direction(context, qualifiers, span)
        return Ipv4List(proto, qualifiers.direction, tuple(networks), span)
    if proto is Proto.LINK:
        raise context.error(
            f"illegal link-layer address '{shown}'",
            span,
            "six bytes are wanted, as in 00:11:22:33:44:55",
        )
    assert proto is not None
    if proto is Proto.DECNET:
        raise invalid(context, proto.value, kind, span)
    raise invalid(context, proto.value, f"{kind} <{what}>", span)


def port_list(
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
        raise invalid(context, direction.value, kind.value, span)
    protocols = _PORT_PROTOS[proto if named is None else Proto(named)]
    return PortList(protocols, direction, ((min(low, high), max(low, high)),), span)


def check_port_proto(context: Context, qualifiers: Qualifiers, kind: Kind, span: Span) -> None:
    """Raise FilterError where the protocol has no ports."""
    if qualifiers.proto not in _PORT_PROTOS:
        assert qualifiers.proto is not None
        raise invalid(context, qualifiers.proto.value, kind.value, span)


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
    if proto in CHAIN_PROTOS:
        context.at_most("protocol number", number, ip_protocols.MAX_PROTOCOL, span)
        return transport.ip_protocol(context, proto, number, span)
    assert proto is not None
    raise invalid(context, proto.value, "proto", span)


def protochain(context: Context, proto: Proto | None, number: int, span: Span) -> Formula:
    """Return the test for `[ip|ip6] protochain number`."""
    if proto not in CHAIN_PROTOS:
        assert proto is not None
        raise invalid(context, proto.value, "protochain", span)
    context.at_most("protocol number", number, ip_protocols.MAX_PROTOCOL, span)
    if context.frame.has_variable_payload:
        raise context.error("'protochain' not supported with variable length headers", span)
    return transport.protocol_chain(context, proto, number, span)
