"""The walk from tree to graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from pfcompile.facts import ip_protocols, isis, link_protocols
from pfcompile.facts.link_layouts import layout
from pfcompile.ir.values import Value, variables
from pfcompile.lower import fields, iso, transport, tunnels
from pfcompile.lower.arithmetic import relation
from pfcompile.lower.context import Context, Options
from pfcompile.lower.formula import (
    TRUE,
    Always,
    Assign,
    Check,
    Formula,
    Joined,
    Marked,
    Opposite,
    every,
    opposite,
    to_graph,
)
from pfcompile.lower.link_protocol import link_protocol
from pfcompile.lower.preamble import Preamble
from pfcompile.lower.qualified import qualified
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Proto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.errors import Span
    from pfcompile.ir.graph import Graph
    from pfcompile.ir.values import Variable

__all__ = ["check_operands", "lower"]


def lower(
    expression: tree.Expression,
    text: str,
    options: Options,
    taken_as_true: frozenset[Span] = frozenset(),
) -> Graph:
    """Return the graph of an expression, as it stands: nothing is optimised.

    Args:
        expression: The tree.
        text: What it was read from, for errors.
        options: The link type and what else it depends on.
        taken_as_true: Operands that are not tested, by where they stand; they still move the
            offsets of what follows.

    Raises:
        FilterError: The expression means nothing on this link type, or a name is unknown.
        ValueError: There is no such link type.
    """
    known = layout(options.dlt)
    handed_out: list[Variable] = []
    preamble = Preamble(known, handed_out)
    context = Context(text, options, preamble.frame)
    context.variables = handed_out
    context.taken_as_true = taken_as_true
    formula = _formula(context, expression)
    if known.gate is not None and context.frame.layout is known:
        # A gate is not put before a filter that has moved on to another link type.
        formula = every(fields.gate(known.gate), formula)
    used = set(_used_variables(formula))
    whole = every(preamble.computation(used), formula)
    return to_graph(whole, [v for v in handed_out if v in set(_used_variables(whole))])


def check_operands(operands: tuple[tree.Expression, ...], text: str, options: Options) -> None:
    """Raise the FilterError that the first wrong one of some finished operands deserves.

    They are what was read before an error of grammar: libpcap, which generates code while it
    reads, would have refused such an operand first.
    """
    preamble = Preamble(layout(options.dlt), [])
    context = Context(text, options, preamble.frame)
    for operand in operands:
        _formula(context, operand)


def _formula(context: Context, node: tree.Expression) -> Formula:
    """Return what `node` means; the context's frame moves along the text."""
    formula = _meaning(context, node)
    return TRUE if node.span in context.taken_as_true else formula


def _meaning(context: Context, node: tree.Expression) -> Formula:
    match node:
        case tree.Chain(first=first, links=links):
            start = _formula(context, first)
            rest = tuple((link.junction, _formula(context, link.operand)) for link in links)
            return Joined(start, rest)
        case tree.Not(operand=operand):
            return opposite(_formula(context, operand))
        case _:
            return Marked(_primitive(context, node), node.span)


def _primitive(context: Context, node: tree.Primitive) -> Formula:
    match node:
        case tree.Qualified():
            return qualified(context, node)
        case tree.Abbreviation():
            return _abbreviation(context, node)
        case tree.Relation():
            return relation(context, node)
        case tree.Cast():
            return fields.cast(context, node)
        case tree.LengthBound():
            return fields.length_bound(node)
        case tree.LinkByte():
            return fields.link_byte(context, node)
        case tree.Way():
            return fields.way(context, node)
        case tree.InterfaceIndex():
            return fields.interface_index(context, node)
        case tree.Encapsulation():
            return tunnels.encapsulation(context, node)
        case tree.Llc():
            return fields.llc(context, node)
        case tree.WlanType():
            return fields.wlan_type(context, node)
        case tree.WlanDirection():
            return fields.wlan_direction(context, node)
        case tree.PacketFilter():
            return fields.packet_filter(context, node)
        case tree.AtmType():
            return fields.atm_type(context, node)
        case tree.Ss7Unit():
            return fields.ss7_unit(context, node)
        case tree.FieldValue():
            return fields.field_value(context, node)
        case _:
            assert_never(node)


# What a protocol keyword on its own stands for, where it is not the link's protocol of that name.
_BOTH_FAMILIES = frozenset({Proto.TCP, Proto.UDP, Proto.SCTP, Proto.AH, Proto.ESP, Proto.PIM})
_ONLY_IPV4 = frozenset({Proto.ICMP, Proto.IGMP, Proto.IGRP, Proto.VRRP, Proto.CARP})
_LINK_NAMES = link_protocols.LINK_PROTOCOLS


def _abbreviation(context: Context, node: tree.Abbreviation) -> Formula:
    """Return what a protocol keyword on its own means."""
    proto, span = node.proto, node.span
    if proto in {Proto.LINK, Proto.RADIO}:
        message = f"'{proto.value}' cannot be used as an abbreviation"
        raise context.error(message, span, f"as in {proto.value}[0] or {proto.value} host ...")
    if proto in _BOTH_FAMILIES:
        number = ip_protocols.KEYWORD_PROTOCOLS[proto.value]
        return transport.ip_protocol(context, None, number, span)
    if proto in _ONLY_IPV4:
        number = ip_protocols.KEYWORD_PROTOCOLS[proto.value]
        return transport.ip_protocol(context, Proto.IP, number, span)
    if proto is Proto.ICMP6:
        return transport.ip_protocol(context, Proto.IP6, ip_protocols.ICMP6, span)
    if proto.value in isis.ISO_NAMES:
        return iso.protocol(context, isis.ISO_NAMES[proto.value], span)
    if proto.value in isis.PDU_GROUPS:
        return iso.isis_pdu(context, isis.PDU_GROUPS[proto.value], span)
    return link_protocol(context, _LINK_NAMES[proto.value], span)


def _used_variables(formula: Formula) -> Iterator[Variable]:
    """Yield the variables that a formula reads or sets, perhaps more than once."""
    waiting = [formula]
    while waiting:
        match waiting.pop():
            case Check(test=test):
                yield from _in_values(test.left, test.right)
            case Assign(variable=target, value=value):
                yield target
                yield from _in_values(value)
            case Opposite(operand=operand) | Marked(formula=operand):
                waiting.append(operand)
            case Joined(first=first, rest=rest):
                waiting.append(first)
                waiting += [operand for _, operand in rest]
            case Always():
                pass


def _in_values(*values: Value) -> Iterator[Variable]:
    for value in values:
        yield from variables(value)
