"""Primitives that move the offsets of everything to their right.

Sources: IEEE 802.1Q, RFC 3032 (MPLS), RFC 2516 (PPPoE), RFC 8926 (Geneve), RFC 7348 (VXLAN), the
ATM Forum's LAN emulation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.facts import atm, ethertypes, ppp
from pfcompile.facts.link_layouts import Encoding
from pfcompile.facts.tunnels import GENEVE_PORT, VXLAN_PORT
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.ir.values import Value, add, arithmetic, const
from pfcompile.lower.context import Source
from pfcompile.lower.formula import (
    TRUE,
    Assign,
    Formula,
    byte,
    equal,
    every,
    half,
    has_bits,
    masked,
    metadata,
    opposite,
    some,
    word,
)
from pfcompile.lower.frame import VLAN_TAG
from pfcompile.lower.link_protocol import link_protocol
from pfcompile.lower.transport import udp_tunnel

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.lower.context import Context
    from pfcompile.syntax.tree import Encapsulation

UDP_HEADER: Final = 8
MAX_VLAN: Final = 0x0FFF
MAX_LABEL: Final = 0xFFFFF
MAX_SESSION: Final = 0xFFFF
MAX_VNI: Final = 0xFFFFFF

# SKF_AD_VLAN_TAG and SKF_AD_VLAN_TAG_PRESENT, linux/filter.h.
_METADATA_TCI: Final = 44
_METADATA_TAG_PRESENT: Final = 48


def encapsulation(context: Context, node: Encapsulation) -> Formula:
    """Return the test for an encapsulation, and move the context's frame behind it."""
    return _LOWERINGS[node.word](context, node)


def _vlan(context: Context, node: Encapsulation) -> Formula:
    frame = context.frame
    if frame.mpls_depth:
        raise context.error("no VLAN match after MPLS", node.span)
    if "vlan" not in frame.layout.takes:
        raise context.unsupported("vlan", node.span)
    if node.number is not None:
        context.at_most("VLAN tag", node.number, MAX_VLAN, node.span)
    tagged = some(*(link_protocol(context, number, node.span) for number in ethertypes.VLAN_TAGS))
    if (
        context.options.source is Source.LIVE
        and frame.layout.encoding is Encoding.ETHERNET
        and frame.vlan_depth == 0
        and not frame.encapsulated
        and not frame.lane
    ):
        return _live_vlan(context, node, tagged)
    context.frame = frame.behind_vlan()
    return every(tagged, _vlan_id(half(frame.network_header), node.number))


def _vlan_id(tag: Value, number: int | None) -> Formula:
    return TRUE if number is None else equal(tag, number, MAX_VLAN)


def _live_vlan(context: Context, node: Encapsulation, tagged: Formula) -> Formula:
    """Return the test where the kernel may have taken the tag out of the packet.

    Then the metadata has it, and nothing moves; else everything moves by the tag's four bytes.
    """
    frame = context.frame
    moved = context.new_variable()
    in_metadata = equal(metadata(_METADATA_TAG_PRESENT, 1), 1)
    context.frame = frame.behind_vlan(moved)
    tag = every(opposite(in_metadata), Assign(moved, const(VLAN_TAG)), tagged)
    present = some(in_metadata, tag)
    if node.number is None:
        return present
    number = some(
        every(in_metadata, _vlan_id(metadata(_METADATA_TCI, 2), node.number)),
        every(opposite(in_metadata), _vlan_id(half(frame.network_header), node.number)),
    )
    return every(present, number)


def _mpls(context: Context, node: Encapsulation) -> Formula:
    frame = context.frame
    if frame.mpls_depth:
        # Another label follows where the last one does not say that it is the bottom.
        labelled = opposite(has_bits(byte(frame.network_header, -2), 0x01))
    elif "mpls" not in frame.layout.takes:
        raise context.unsupported("mpls", node.span)
    elif frame.layout.encoding is Encoding.PPP:
        labelled = equal(half(frame.type_field), ppp.MPLS)
    else:
        labelled = link_protocol(context, ethertypes.MPLS, node.span)
    if node.number is not None:
        context.at_most("MPLS label", node.number, MAX_LABEL, node.span)
        entry = word(frame.network_header)
        labelled = every(labelled, equal(entry, node.number << 12, 0xFFFFF000))
    context.frame = frame.behind_mpls()
    return labelled


def _pppoe_discovery(context: Context, node: Encapsulation) -> Formula:
    return link_protocol(context, ethertypes.PPPOE_DISCOVERY, node.span)


def _pppoe_session(context: Context, node: Encapsulation) -> Formula:
    session = link_protocol(context, ethertypes.PPPOE_SESSION, node.span)
    if node.number is not None:
        context.at_most("PPPoE session number", node.number, MAX_SESSION, node.span)
        number = equal(half(context.frame.network_header, 2), node.number)
        session = every(session, number)
    context.frame = context.frame.inside_pppoe()
    return session


def _geneve(context: Context, node: Encapsulation) -> Formula:
    if node.number is not None:
        context.at_most("Geneve VNI", node.number, MAX_VNI, node.span)
    tunnel, header = context.new_variable(), context.new_variable()
    type_field, payload = context.new_variable(), context.new_variable()

    def inner(transport: Value) -> Formula:
        start = add(transport, const(UDP_HEADER))
        version_0 = equal(byte(start), 0, 0xC0)
        return every(version_0, _network_number(start, node.number), Assign(tunnel, start))

    test = udp_tunnel(context, GENEVE_PORT, inner, node.span)
    options = arithmetic(ArithmeticOp.LSH, masked(byte(tunnel), 0x3F), const(2))
    behind_options = arithmetic(ArithmeticOp.ADD, tunnel, options)
    ethernet = every(
        equal(half(tunnel, 2), ethertypes.TEB),
        Assign(type_field, add(header, const(12))),
        Assign(payload, add(header, const(14))),
    )
    other = every(Assign(type_field, add(tunnel, const(2))), Assign(payload, header))
    context.frame = context.frame.inside_tunnel(header, type_field, payload)
    return every(test, Assign(header, add(behind_options, const(8))), some(ethernet, other))


def _vxlan(context: Context, node: Encapsulation) -> Formula:
    if node.number is not None:
        context.at_most("VXLAN VNI", node.number, MAX_VNI, node.span)
    header, type_field = context.new_variable(), context.new_variable()
    payload = context.new_variable()

    def inner(transport: Value) -> Formula:
        start = add(transport, const(UDP_HEADER))
        has_number = equal(byte(start), 0x08)
        frame = add(start, const(8))
        return every(
            has_number,
            _network_number(start, node.number),
            Assign(header, frame),
            Assign(type_field, add(frame, const(12))),
            Assign(payload, add(frame, const(14))),
        )

    test = udp_tunnel(context, VXLAN_PORT, inner, node.span)
    context.frame = context.frame.inside_tunnel(header, type_field, payload)
    return test


def _network_number(start: Value, number: int | None) -> Formula:
    """Return the test of the 24-bit network identifier, in the same place in both tunnels."""
    return TRUE if number is None else equal(word(start, 4), number << 8, 0xFFFFFF00)


_LOWERINGS: Final[dict[str, Callable[[Context, Encapsulation], Formula]]] = {
    "vlan": _vlan,
    "mpls": _mpls,
    "pppoed": _pppoe_discovery,
    "pppoes": _pppoe_session,
    "geneve": _geneve,
    "vxlan": _vxlan,
}


def lan_emulation(context: Context) -> Formula:
    """Return the test for an ATM LAN emulation cell, and move the frame into it."""
    test = equal(byte(const(atm.TRAFFIC_OFFSET)), atm.TRAFFIC_LANE, atm.TRAFFIC_MASK)
    context.frame = context.frame.inside_lane()
    return test
