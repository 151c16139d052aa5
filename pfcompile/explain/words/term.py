"""Any primitive in plain English."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.explain.words.fields import field_words
from pfcompile.explain.words.place import behind
from pfcompile.explain.words.qualified import (
    number_of_protocol,
    protocol_words,
    qualified_words,
    values_words,
)
from pfcompile.explain.words.relations import relation_words
from pfcompile.explain.words.tunnels import tunnel_words
from pfcompile.facts import ip_protocols, isis, link_protocols
from pfcompile.lower.lists import Ipv4List, Ipv6List, MacList, PortList, can_join, joined
from pfcompile.lower.lowering import is_never
from pfcompile.lower.qualified import qualified
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Proto

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.explain.subject import Occurrence, Subject
    from pfcompile.lower.context import Context
    from pfcompile.lower.lists import ValueList

NOTHING = "nothing: "
"""How the words for what no packet has begin."""

_BOTH_FAMILIES = frozenset({Proto.TCP, Proto.UDP, Proto.SCTP, Proto.AH, Proto.ESP, Proto.PIM})


def describe(subject: Subject, occurrence: Occurrence, written: str) -> str:
    """Return what a primitive looks for.

    Args:
        subject: The expression.
        occurrence: The primitive.
        written: It, as it is written out.
    """
    context, node = subject.at(occurrence), occurrence.node
    if is_never(subject.at(occurrence), node):
        return f"{NOTHING}{context.link_name} packets do not carry it"
    match node:
        case tree.Qualified():
            said = qualified_words(context, node, number_of_protocol(context, node))
        case tree.Abbreviation(proto=proto):
            said = _abbreviation(context, proto)
        case tree.Relation():
            said = relation_words(node, written)
        case tree.Encapsulation():
            return tunnel_words(context, node, behind(occurrence))
        case _:
            said = field_words(context, node)
    return said + behind(occurrence)


def describe_list(subject: Subject, occurrences: Sequence[Occurrence]) -> str | None:
    """Return what a list of primitives looks for that differ in their values only, or None."""
    lists: list[ValueList] = []
    for occurrence in occurrences:
        node = occurrence.node
        if not isinstance(node, tree.Qualified):
            return None
        found = qualified(subject.at(occurrence), node)
        if not isinstance(found, Ipv4List | Ipv6List | MacList | PortList) or (
            lists and not can_join(lists[0], found)
        ):
            return None
        lists.append(found)
    said = values_words(subject.at(occurrences[0]), joined(lists))
    return said + behind(occurrences[0])


def _abbreviation(context: Context, proto: Proto) -> str:
    """Return what a protocol's keyword looks for."""
    if proto.value in ip_protocols.KEYWORD_PROTOCOLS:
        number = ip_protocols.KEYWORD_PROTOCOLS[proto.value]
        family = Proto.IP6 if proto is Proto.ICMP6 else Proto.IP
        return protocol_words(context, None if proto in _BOTH_FAMILIES else family, number)
    if proto.value in isis.ISO_NAMES:
        return protocol_words(context, Proto.ISO, isis.ISO_NAMES[proto.value])
    if proto.value in isis.PDU_GROUPS:
        types = ", ".join(map(str, isis.PDU_GROUPS[proto.value]))
        return f"IS-IS packets of types {types}"
    if proto is Proto.IPX:
        return "frames that carry Novell IPX, in any of its encapsulations"
    return protocol_words(context, Proto.LINK, link_protocols.LINK_PROTOCOLS[proto.value])
