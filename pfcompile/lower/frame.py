"""Where headers begin, at one place in the text of an expression.

`vlan`, `mpls` and the tunnels move the offsets of all that is written to their right, so lowering
carries a `Frame` from left to right and replaces it where one of them stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pfcompile.facts import link_layouts
from pfcompile.ir.values import Const, add, const

if TYPE_CHECKING:
    from pfcompile.facts.link_layouts import LinkLayout
    from pfcompile.ir.values import Value

MPLS_LABEL = 4
"""Bytes of an MPLS label stack entry (RFC 3032)."""

VLAN_TAG = 4
"""Bytes of an IEEE 802.1Q tag."""

PPP = 9
ETHERNET = 1
"""The DLT values of what PPPoE, Geneve and VXLAN carry."""


class Frame(NamedTuple):
    """The headers as the next primitive sees them.

    Attributes:
        layout: The current link type's row.
        header: Start of the link header; `link[0]`.
        type_field: Where the protocol stands.
        payload: Start of what the link header carries.
        network, network_no_snap: From there to the network header.
        mpls_depth, vlan_depth: How many labels and tags have been passed.
        encapsulated: Inside Geneve or VXLAN.
        lane: Inside ATM LAN emulation.
    """

    layout: LinkLayout
    header: Value
    type_field: Value
    payload: Value
    network: int
    network_no_snap: int
    mpls_depth: int = 0
    vlan_depth: int = 0
    encapsulated: bool = False
    lane: bool = False

    @property
    def network_header(self) -> Value:
        """Start of the network header, behind an 802.2 and SNAP header if there is one."""
        return add(self.payload, const(self.network))

    @property
    def network_header_no_snap(self) -> Value:
        """Start of the network header, behind an 802.2 header without SNAP."""
        return add(self.payload, const(self.network_no_snap))

    @property
    def has_variable_payload(self) -> bool:
        """Whether only the packet tells where the payload begins."""
        return not isinstance(self.payload, Const)

    def behind_vlan(self, moved: Value | None = None) -> Frame:
        """Return the frame to the right of a `vlan`.

        `moved` is how far a tag in the packet has moved things, where only the packet can tell.
        """
        tag = const(VLAN_TAG) if moved is None else moved
        return self._replace(
            type_field=add(self.type_field, tag),
            payload=add(self.payload, tag),
            vlan_depth=self.vlan_depth + 1,
        )

    def behind_mpls(self) -> Frame:
        """Return the frame to the right of an `mpls`."""
        return self._replace(
            network=self.network + MPLS_LABEL,
            network_no_snap=self.network_no_snap + MPLS_LABEL,
            mpls_depth=self.mpls_depth + 1,
        )

    def inside_pppoe(self) -> Frame:
        """Return the frame of the PPP packet that a PPPoE session carries (RFC 2516)."""
        start = add(self.network_header, const(6))
        return self._replace(
            layout=link_layouts.layout(PPP),
            header=start,
            type_field=start,
            payload=add(start, const(2)),
            network=0,
            network_no_snap=0,
            encapsulated=False,
        )

    def inside_tunnel(self, header: Value, type_field: Value, payload: Value) -> Frame:
        """Return the frame that a Geneve or VXLAN packet carries."""
        return self._replace(
            layout=link_layouts.layout(ETHERNET),
            header=header,
            type_field=type_field,
            payload=payload,
            network=0,
            encapsulated=True,
            lane=False,
        )

    def inside_lane(self) -> Frame:
        """Return the Ethernet frame that an ATM LAN emulation cell carries."""
        return self._replace(
            layout=link_layouts.layout(ETHERNET),
            header=const(6),
            type_field=const(18),
            payload=const(20),
            network=0,
            network_no_snap=3,
            lane=True,
        )
