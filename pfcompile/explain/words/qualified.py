"""Hosts, networks, ports and protocols in plain English."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from pfcompile.explain.subject import can_carry
from pfcompile.explain.words.english import listed, port_words, protocol_name
from pfcompile.explain.words.place import link_says, network_protocol_name
from pfcompile.facts import ethertypes, isis, link_protocols
from pfcompile.ir.arithmetic import WORD
from pfcompile.lower.addresses import IPV4_CARRIERS
from pfcompile.lower.lists import Ipv4List, Ipv6List, MacList, PortList
from pfcompile.lower.qualified import qualified
from pfcompile.lower.qualifiers import ALL_128, IPV4_PROTOS, IPV6_PROTOS
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Direction, Kind, Proto

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.facts.rows import Number
    from pfcompile.lower.context import Context
    from pfcompile.lower.lists import ValueList

_MOST_SHOWN: Final = 6
"""Values of a list that are spelled out; of a longer one the first three."""


def qualified_words(context: Context, node: tree.Qualified, protocol: int | None) -> str:
    """Return what an identifier under its qualifiers looks for.

    Args:
        context: Its place in the text.
        node: The identifier.
        protocol: The number that a name after `proto` or `protochain` stands for.
    """
    qualifiers = node.qualifiers
    assert qualifiers is not None, "lowering refuses what has nothing to inherit"
    match qualifiers.kind:
        case Kind.PROTO:
            assert protocol is not None
            return protocol_words(context, qualifiers.proto, protocol)
        case Kind.PROTOCHAIN:
            assert protocol is not None
            return _chain_words(context, qualifiers.proto, protocol)
        case Kind.GATEWAY:
            return (
                "packets sent through that gateway: its link address is source or destination, "
                "and its IPv4 address is neither"
            )
        case _:
            pass
    found = qualified(context, node)
    if isinstance(found, Ipv4List | Ipv6List | MacList | PortList):
        return values_words(context, found)
    if isinstance(node.identifier, tree.Name):
        return _host_name_words(context, qualifiers, node.identifier.text)
    if isinstance(node.identifier, tree.ArcnetAddress):
        return f"ARCnet {_direction(qualifiers.direction)} address {node.identifier.address:#04x}"
    return f"DECnet {_direction(qualifiers.direction)} address of that area and node"


def values_words(context: Context, values: ValueList) -> str:
    """Return what a list of values of one kind looks for."""
    match values:
        case PortList(protocols=protocols, direction=direction, values=ranges):
            what = listed([protocol_name(number) for number in protocols])
            shown = _some([port_words(low, high, protocols) for low, high in ranges])
            where = _over_ip(context, "not in later fragments")
            return f"{what}, {_direction(direction)} port {shown}, {where}"
        case Ipv4List(proto=proto, direction=direction, values=networks):
            return ipv4_words(context, proto, direction, [_network(*each) for each in networks])
        case Ipv6List(direction=direction, values=networks):
            return ipv6_words(context, direction, [_network6(*each) for each in networks])
        case MacList(direction=direction, values=addresses):
            shown = _some([address.hex(":") for address in addresses])
            return f"link-layer {_direction(direction)} address {shown}"


def ipv4_words(
    context: Context, proto: Proto | None, direction: Direction | None, shown: Sequence[str]
) -> str:
    """Return what a test for IPv4 addresses looks for; nothing where IPv4 is not carried."""
    value = _some(shown)
    wanted = list(IPV4_CARRIERS) if proto is None else [proto]
    if context.frame.mpls_depth:
        wanted = [Proto.IP]
    here = [each for each in wanted if can_carry(context, IPV4_CARRIERS[each].ethertype)]
    parts = []
    if Proto.IP in here:
        parts.append(f"IPv4 {_direction(direction)} address {value}")
    requests = [each.value.upper() for each in here if each is not Proto.IP]
    if requests:
        way = {Direction.SRC: "sender", Direction.DST: "target"}.get(
            direction or Direction.SRC_OR_DST, "sender or target"
        )
        if direction is Direction.SRC_AND_DST:
            way = "sender and target"
        which = "that" if parts else value
        parts.append(f"{listed(requests)} with {which} as {way} address")
    return ", or ".join(parts)


def ipv6_words(context: Context, direction: Direction | None, shown: Sequence[str]) -> str:
    """Return what a test for IPv6 addresses looks for; nothing where IPv6 is not carried."""
    if not can_carry(context, ethertypes.IP6):
        return ""
    return f"IPv6 {_direction(direction)} address {_some(shown)}"


def protocol_words(context: Context, proto: Proto | None, number: int) -> str:
    """Return what `[proto] proto number` looks for."""
    match proto:
        case Proto.LINK:
            return f"{network_protocol_name(number)}, {link_says(context.frame, number)}"
        case Proto.ISO:
            return f"ISO packets of network protocol {_named(isis.ISO_IDENTIFIERS, number)}"
        case Proto.ISIS:
            return f"IS-IS packets of type {_named(isis.PDU_TYPES, number)}"
        case _:
            pass
    name = protocol_name(number)
    parts = []
    if proto in {None, Proto.IP} and can_carry(context, ethertypes.IP):
        parts.append("IPv4 (later fragments too)")
    if proto in {None, Proto.IP6} and can_carry(context, ethertypes.IP6):
        parts.append("IPv6 (right behind the IPv6 header, or behind one fragment header)")
    return f"{name} over {listed(parts)}"


def number_of_protocol(context: Context, node: tree.Qualified) -> int | None:
    """Return the number that an identifier after `proto` or `protochain` stands for, or None."""
    qualifiers = node.qualifiers
    if qualifiers is None or qualifiers.kind not in {Kind.PROTO, Kind.PROTOCHAIN}:
        return None
    match node.identifier:
        case tree.Number(value=value):
            return value
        case tree.Name(text=name) if qualifiers.proto is Proto.LINK:
            return link_protocols.LINK_PROTOCOLS.get(name)
        case tree.Name(text=name) if qualifiers.proto is Proto.ISO:
            return link_protocols.ISO_PROTOCOLS.get(name)
        case tree.Name(text=name):
            return context.options.resolver.protocol(name)
        case _:
            return None


def _chain_words(context: Context, proto: Proto | None, number: int) -> str:
    families = {Proto.IP: "IPv4", Proto.IP6: "IPv6", None: "IPv4 or IPv6"}
    headers = context.options.protochain_headers
    return (
        f"{families[proto]} packets with a header of {protocol_name(number)} anywhere in the chain "
        f"of headers, of which {headers} behind the IP header are looked at"
    )


def _host_name_words(context: Context, qualifiers: tree.Qualifiers, name: str) -> str:
    host = context.options.resolver.host(name)
    assert host is not None, "lowering has found it"
    parts = []
    if qualifiers.proto in IPV4_PROTOS and host.ipv4:
        shown = [str(ipaddress.IPv4Address(each)) for each in host.ipv4]
        parts.append(ipv4_words(context, qualifiers.proto, qualifiers.direction, shown))
    if qualifiers.proto in IPV6_PROTOS and host.ipv6:
        shown = [str(ipaddress.IPv6Address(each)) for each in host.ipv6]
        parts.append(ipv6_words(context, qualifiers.direction, shown))
    return ", or ".join(filter(None, parts))


def _over_ip(context: Context, fragments: str) -> str:
    parts = []
    if can_carry(context, ethertypes.IP):
        parts.append(f"IPv4 ({fragments})")
    if can_carry(context, ethertypes.IP6):
        parts.append("IPv6 (only where no extension header comes first)")
    return f"over {listed(parts)}"


def _direction(direction: Direction | None) -> str:
    match direction:
        case Direction.SRC:
            return "source"
        case Direction.DST:
            return "destination"
        case Direction.SRC_AND_DST:
            return "source and destination"
        case None | Direction.SRC_OR_DST:
            return "source or destination"
        case Direction.RA:
            return "receiver"
        case Direction.TA:
            return "transmitter"
        case _:
            return f"{direction.value} (of 802.11)"


def _some(shown: Sequence[str]) -> str:
    if len(shown) <= _MOST_SHOWN:
        return listed(shown)
    return f"any of {len(shown):,}: {', '.join(shown[:3])}, ..., {shown[-1]}"


def _network(address: int, mask: int) -> str:
    shown = str(ipaddress.IPv4Address(address))
    if mask == WORD:
        return shown
    inverse = ~mask & WORD
    if inverse & (inverse + 1):
        return f"{shown} under the mask {ipaddress.IPv4Address(mask)}"
    return f"in {shown}/{mask.bit_count()}"


def _network6(address: int, mask: int) -> str:
    shown = str(ipaddress.IPv6Address(address))
    return shown if mask == ALL_128 else f"in {shown}/{mask.bit_count()}"


def _named(rows: Sequence[Number], number: int) -> str:
    row = next((row for row in rows if row.value == number), None)
    return str(number) if row is None else f"{number} ({row.description})"
