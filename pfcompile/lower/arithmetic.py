"""Arithmetic and comparisons of it: values, and the tests that guard them.

`tcp[13]` means "where this is TCP, its byte 13", so a relation brings tests of its own. As in
libpcap, of `a + b` only the tests of `a` count (quirk Q3 of docs/quirks.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from pfcompile.facts import ethertypes, ip_protocols
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.ir.values import Value, add, arithmetic, const, load_at, packet_length
from pfcompile.lower import transport
from pfcompile.lower.formula import (
    TRUE,
    Formula,
    byte,
    equal,
    every,
    related,
)
from pfcompile.lower.link_protocol import link_protocol
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Proto

if TYPE_CHECKING:
    from pfcompile.lower.context import Context

_NETWORK_PROTOCOLS: Final = {
    Proto.IP: ethertypes.IP,
    Proto.IP6: ethertypes.IP6,
    Proto.ARP: ethertypes.ARP,
    Proto.RARP: ethertypes.RARP,
    Proto.ATALK: ethertypes.ATALK,
    Proto.DECNET: ethertypes.DECNET,
    Proto.LAT: ethertypes.LAT,
    Proto.SCA: ethertypes.SCA,
    Proto.MOPRC: ethertypes.MOPRC,
    Proto.MOPDL: ethertypes.MOPDL,
}

_TRANSPORT_PROTOCOLS: Final = frozenset(
    {
        Proto.TCP,
        Proto.UDP,
        Proto.SCTP,
        Proto.ICMP,
        Proto.IGMP,
        Proto.IGRP,
        Proto.PIM,
        Proto.VRRP,
        Proto.CARP,
    }
)

_RADIO_LINKS: Final = frozenset({119, 127, 163})
"""PRISM_HEADER, IEEE802_11_RADIO, IEEE802_11_RADIO_AVS: a radio header before the frame."""

_BY_ZERO: Final = {
    ArithmeticOp.DIV: "division by zero",
    ArithmeticOp.MOD: "modulus by zero",
}
_SHIFTS: Final = frozenset({ArithmeticOp.LSH, ArithmeticOp.RSH})


class Guarded(NamedTuple):
    """A value, and what must hold of the packet for it to mean anything."""

    value: Value
    guard: Formula


def relation(context: Context, node: tree.Relation) -> Formula:
    """Return the test that a relation is, behind the guards of both sides."""
    left, right = operand(context, node.left), operand(context, node.right)
    return every(right.guard, left.guard, related(node.op, left.value, right.value))


def operand(context: Context, node: tree.Arithmetic) -> Guarded:
    """Return the value of an arithmetic expression and its guard."""
    match node:
        case tree.Literal(value=number):
            return Guarded(const(number), TRUE)
        case tree.Length():
            return Guarded(packet_length(), TRUE)
        case tree.Negate(operand=inner):
            negated = operand(context, inner)
            value = arithmetic(ArithmeticOp.SUB, const(0), negated.value)
            return Guarded(value, negated.guard)
        case tree.Binary():
            return _binary(context, node)
        case tree.Accessor():
            return _accessor(context, node)
        case _:
            assert_never(node)


def _binary(context: Context, node: tree.Binary) -> Guarded:
    left, right = operand(context, node.left), operand(context, node.right)
    if isinstance(node.right, tree.Literal):
        number = node.right.value
        if number == 0 and node.op in _BY_ZERO:
            raise context.error(_BY_ZERO[node.op], node.right.span)
        if number > 31 and node.op in _SHIFTS:
            raise context.error("shift by more than 31 bits", node.right.span)
    return Guarded(arithmetic(node.op, left.value, right.value), left.guard)


def _accessor(context: Context, node: tree.Accessor) -> Guarded:
    index = operand(context, node.index)
    if node.size not in {1, 2, 4}:
        raise context.error(
            "data size must be 1, 2, or 4", node.span, "as in ip[2:2]: offset, then size"
        )
    base, guard = _base(context, node)
    value = load_at(node.size, add(base, index.value))
    return Guarded(value, every(index.guard, guard))


def _base(context: Context, node: tree.Accessor) -> tuple[Value, Formula]:
    """Return where `proto[0]` is, and the test that the packet has that protocol."""
    frame, proto = context.frame, node.proto
    if proto is Proto.LINK:
        return frame.header, TRUE
    if proto is Proto.RADIO:
        if frame.layout.dlt not in _RADIO_LINKS:
            raise context.error("radio information not present in capture", node.span)
        return const(0), TRUE
    if proto in _NETWORK_PROTOCOLS:
        guard = link_protocol(context, _NETWORK_PROTOCOLS[proto], node.span)
        return frame.network_header, guard
    if proto in _TRANSPORT_PROTOCOLS:
        number = ip_protocols.KEYWORD_PROTOCOLS[proto.value]
        guard = every(
            transport.is_ipv4(context, node.span),
            equal(byte(frame.network_header, transport.IPV4_PROTOCOL), number),
            transport.first_fragment(context),
        )
        return transport.transport_ipv4(context), guard
    if proto is Proto.ICMP6:
        number = ip_protocols.KEYWORD_PROTOCOLS[proto.value]
        guard = every(
            transport.is_ipv6(context, node.span),
            equal(byte(frame.network_header, transport.IPV6_NEXT_HEADER), number),
        )
        return transport.transport_ipv6(context), guard
    message = f"'{proto.value}' does not support the index operation"
    raise context.error(message, node.span)
