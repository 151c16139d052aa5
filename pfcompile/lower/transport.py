"""Tests of IP protocols and ports, and the chain of IP headers.

Sources: RFC 791, 8200, 9293, 768, 9260, 4302 (AH).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.facts import ethertypes, ip_protocols
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.ir.values import Value, Variable, add, arithmetic, const
from pfcompile.lower.addresses import by_direction
from pfcompile.lower.formula import (
    Assign,
    Formula,
    byte,
    equal,
    every,
    half,
    has_bits,
    masked,
    member,
    opposite,
    some,
)
from pfcompile.lower.link_protocol import link_protocol
from pfcompile.syntax.tree import Direction, Proto

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pfcompile.errors import Span
    from pfcompile.lower.context import Context

IPV4_PROTOCOL: Final = 9
IPV4_FRAGMENT: Final = 6
IPV4_FRAGMENT_OFFSET: Final = 0x1FFF
IPV6_NEXT_HEADER: Final = 6
IPV6_HEADER: Final = 40
SOURCE_PORT: Final = 0
DESTINATION_PORT: Final = 2


def is_ipv4(context: Context, span: Span) -> Formula:
    """Return the test for IPv4."""
    return link_protocol(context, ethertypes.IP, span)


def is_ipv6(context: Context, span: Span) -> Formula:
    """Return the test for IPv6."""
    return link_protocol(context, ethertypes.IP6, span)


def transport_ipv4(context: Context) -> Value:
    """Return where the header behind IPv4's begins; its length counts 32-bit words."""
    start = context.frame.network_header
    words = masked(byte(start), 0x0F)
    return add(start, arithmetic(ArithmeticOp.LSH, words, const(2)))


def transport_ipv6(context: Context) -> Value:
    """Return where the header behind IPv6's begins; extension headers are not looked at."""
    return add(context.frame.network_header, const(IPV6_HEADER))


def first_fragment(context: Context) -> Formula:
    """Return the test that an IPv4 packet is no later fragment, so that it has the next header."""
    field = half(context.frame.network_header, IPV4_FRAGMENT)
    return opposite(has_bits(field, IPV4_FRAGMENT_OFFSET))


def ip_protocol(context: Context, proto: Proto | None, number: int, span: Span) -> Formula:
    """Return the test for an IP protocol number in IPv4, IPv6 or (None) either."""
    start = context.frame.network_header
    if proto is None:
        return some(
            ip_protocol(context, Proto.IP, number, span),
            ip_protocol(context, Proto.IP6, number, span),
        )
    if proto is Proto.IP:
        return every(is_ipv4(context, span), equal(byte(start, IPV4_PROTOCOL), number))
    next_header = byte(start, IPV6_NEXT_HEADER)
    behind_fragment = every(
        equal(next_header, ip_protocols.FRAGMENT), equal(byte(start, IPV6_HEADER), number)
    )
    return every(is_ipv6(context, span), some(equal(next_header, number), behind_fragment))


def ports(
    context: Context,
    protocols: tuple[int, ...],
    direction: Direction | None,
    ranges: Sequence[tuple[int, int]],
    span: Span,
) -> Formula:
    """Return the test for ports in any of `ranges` (first, last), of any of `protocols`.

    A later fragment of IPv4 has no ports; behind IPv6 only the next header itself counts.
    """

    def at(transport: Value) -> Formula:
        def test(is_source: bool) -> Formula:
            return member(half(transport, SOURCE_PORT if is_source else DESTINATION_PORT), ranges)

        return by_direction(direction, test)

    start = context.frame.network_header

    def carried(offset: int, transport: Value) -> Formula:
        # Each protocol with ports of its own, though they stand in one place: what follows in the
        # expression may depend on the protocol. Those that go on alike become one again.
        return some(
            *(every(equal(byte(start, offset), number), at(transport)) for number in protocols)
        )

    behind_ipv6 = every(is_ipv6(context, span), carried(IPV6_NEXT_HEADER, transport_ipv6(context)))
    if len(protocols) == 1:
        # As with the protocol alone, which may stand beside this.
        of_protocol = equal(byte(start, IPV4_PROTOCOL), protocols[0])
        inside = every(of_protocol, first_fragment(context), at(transport_ipv4(context)))
    else:
        # With the fragment's test first, what is left is what IPv6 has, at other offsets.
        inside = every(first_fragment(context), carried(IPV4_PROTOCOL, transport_ipv4(context)))
    return some(behind_ipv6, every(is_ipv4(context, span), inside))


def udp_tunnel(
    context: Context, port: int, inner: Callable[[Value], Formula], span: Span
) -> Formula:
    """Return the test for UDP to `port`, IPv4 first, joined with `inner` of where UDP begins."""
    start = context.frame.network_header

    def behind(is_ip: Formula, offset: int, transport: Value, *extra: Formula) -> Formula:
        return every(
            is_ip,
            equal(byte(start, offset), ip_protocols.UDP),
            *extra,
            equal(half(transport, DESTINATION_PORT), port),
            inner(transport),
        )

    return some(
        behind(
            is_ipv4(context, span),
            IPV4_PROTOCOL,
            transport_ipv4(context),
            first_fragment(context),
        ),
        behind(is_ipv6(context, span), IPV6_NEXT_HEADER, transport_ipv6(context)),
    )


def protocol_chain(context: Context, proto: Proto | None, number: int, span: Span) -> Formula:
    """Return the test for a header of protocol `number` anywhere in the chain of IP headers.

    libpcap loops; the kernel takes no loops, so this follows `Options.protochain_headers` headers
    and takes a longer chain for no match. Behind an authentication header libpcap forgets where it
    was; this goes on from there (RFC 4302: its length counts 32-bit words, less 2).
    """
    if proto is None:
        return some(
            protocol_chain(context, Proto.IP, number, span),
            protocol_chain(context, Proto.IP6, number, span),
        )
    start = context.frame.network_header
    if proto is Proto.IP:
        family = is_ipv4(context, span)
        first, offset = byte(start, IPV4_PROTOCOL), transport_ipv4(context)
        extensions: tuple[int, ...] = ()
    else:
        family = is_ipv6(context, span)
        first, offset = byte(start, IPV6_NEXT_HEADER), transport_ipv6(context)
        extensions = _EXTENSION_HEADERS
    header, place = context.chain_variables
    found = equal(header, number)
    chain = found
    for _ in range(context.options.protochain_headers):
        chain = some(found, every(_step(header, place, extensions), chain))
    return every(family, Assign(header, first), Assign(place, offset), chain)


_EXTENSION_HEADERS: Final = (
    ip_protocols.HOPOPTS,
    ip_protocols.DSTOPTS,
    ip_protocols.ROUTING,
    ip_protocols.FRAGMENT,
)


def _step(header: Variable, place: Variable, extensions: tuple[int, ...]) -> Formula:
    """Return the move from one header to the next: false at one that has no next."""

    def go(unit_shift: int, extra_units: int) -> Formula:
        units = add(byte(place, 1), const(extra_units))
        length = arithmetic(ArithmeticOp.LSH, units, const(unit_shift))
        return every(
            Assign(header, byte(place)),
            Assign(place, arithmetic(ArithmeticOp.ADD, place, length)),
        )

    authentication = every(equal(header, ip_protocols.AH), go(2, 2))
    if not extensions:
        return authentication
    extension = every(some(*(equal(header, number) for number in extensions)), go(3, 1))
    return some(extension, authentication)
