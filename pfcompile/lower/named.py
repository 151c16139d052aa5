"""Names under their qualifiers: looked up, and what the answer means.

Source: pcap-filter(7), pcap_nametoaddr(3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from pfcompile.facts import link_protocols
from pfcompile.ir.arithmetic import WORD
from pfcompile.lower import addresses
from pfcompile.lower.formula import Formula, every, opposite, some
from pfcompile.lower.link_protocol import link_protocol
from pfcompile.lower.lists import MacList
from pfcompile.lower.qualifiers import (
    ALL_128,
    CHAIN_PROTOS,
    IPV4_PROTOS,
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
from pfcompile.names.answers import (
    MAX_ADDRESSES,
    Host,
    LookupRefused,
    interpret_service,
)
from pfcompile.names.spelling import nearest
from pfcompile.syntax.tree import Kind, Proto, Qualifiers

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from pfcompile.errors import FilterError, Span
    from pfcompile.lower.context import Context
    from pfcompile.lower.lists import Ipv4List, PortList, ValueList
    from pfcompile.syntax import tree

    T = TypeVar("T")

_HOST_NAME_PROTOS: Final = IPV4_PROTOS | IPV6_PROTOS


class Named:
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
        match kind_of(self.qualifiers):
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
                return protochain(self.context, self.proto, self._protocol("protochain"), self.span)
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
            from pfcompile.syntax import hints  # noqa: PLC0415 - for mistakes only

            raise self._error(unknown, hints.for_word(self.context.text, self.place))
        return found

    def _host(self) -> Formula:
        context, proto = self.context, self.proto
        if proto is Proto.DECNET:
            raise invalid(context, "decnet", "host", self.span)
        host = self._look_up(context.options.resolver.host, f"unknown host '{self.name}'")
        for family, found in (("IPv4", host.ipv4), ("IPv6", host.ipv6)):
            if len(found) > MAX_ADDRESSES:
                raise self._error(f"More than {MAX_ADDRESSES} {family} addresses per name")
        if proto not in _HOST_NAME_PROTOS:
            assert proto is not None
            raise invalid(context, proto.value, "host <Internet hostname>", self.span)
        no_wlan_direction(context, self.qualifiers, self.span)
        return self._any_address(host)

    def _any_address(self, host: Host) -> Formula:
        context, proto = self.context, self.proto
        wants_ipv4, wants_ipv6 = proto in IPV4_PROTOS, proto in IPV6_PROTOS
        tests = []
        if wants_ipv4 and host.ipv4:
            networks = [(address, WORD) for address in host.ipv4]
            tests.append(
                addresses.ipv4(context, proto, self.qualifiers.direction, networks, self.span)
            )
        if wants_ipv6 and host.ipv6:
            networks = [(address, ALL_128) for address in host.ipv6]
            tests.append(addresses.ipv6(context, self.qualifiers.direction, networks, self.span))
        if not tests:
            raise self._error(f"unknown host '{self.name}' for specified address family")
        return some(*tests)

    def _ethernet_host(self) -> MacList:
        resolver, direction = self.context.options.resolver, self.qualifiers.direction
        address = self._look_up(resolver.ethernet, f"unknown Ethernet-like host '{self.name}'")
        addresses.check_mac(self.context, direction, self.span, what="link host NAME")
        return MacList(direction, (address.to_bytes(6, "big"),), self.span)

    def _network(self) -> Ipv4List:
        if self.proto is Proto.DECNET:
            raise invalid(self.context, "decnet", "net", self.span)
        number = self._look_up(
            self.context.options.resolver.network, f"unknown network '{self.name}'"
        )
        return ipv4_test(
            self.context,
            self.qualifiers,
            [left_justified(number)],
            "net",
            self.name,
            self.span,
            what="IPv4 network name",
        )

    def _port(self) -> PortList:
        check_port_proto(self.context, self.qualifiers, Kind.PORT, self.span)
        service = self._look_up(
            self.context.options.resolver.service, f"unknown port '{self.name}'"
        )
        port = interpret_service(service)
        if port is None:
            raise self._error(f"unknown port '{self.name}'")
        self._agree(port.protocol, "port")
        return port_list(
            self.context, self.qualifiers, Kind.PORT, port.port, port.port, port.protocol, self.span
        )

    def _agree(self, named: str | None, words: str) -> None:
        """Raise FilterError where a service's protocol is not the one that was asked for."""
        if named is not None and self.proto is not None and self.proto.value != named:
            raise self._error(f"{words} '{self.name}' is {named}")

    def _port_range(self) -> PortList:
        check_port_proto(self.context, self.qualifiers, Kind.PORTRANGE, self.span)
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
        return port_list(self.context, self.qualifiers, Kind.PORTRANGE, low, high, named, self.span)

    def _range_end(self, text: str) -> tuple[int, str | None]:
        """Return the port that one end of a range is, and the protocol that its name says."""
        number = _c_number(text)
        if number is not None:
            self.context.at_most("port number", number, MAX_PORT, self.place)
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
        if proto not in CHAIN_PROTOS:
            raise self._error(unknown)
        return self._look_up(resolver.protocol, unknown)

    def _gateway(self) -> Formula:
        context, proto = self.context, self.proto
        if proto not in IPV4_PROTOS:
            assert proto is not None
            raise invalid(context, proto.value, "gateway", self.span)
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
        via = addresses.mac(context, None, [ethernet.to_bytes(6, "big")])
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
