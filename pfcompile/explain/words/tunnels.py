"""Tags, labels and tunnels in plain English."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.facts.tunnels import GENEVE_PORT, VXLAN_PORT
from pfcompile.lower.context import Source

if TYPE_CHECKING:
    from pfcompile.lower.context import Context
    from pfcompile.syntax import tree

_MOVES: Final = "; all that is written to its right is looked for {}"


def tunnel_words(context: Context, node: tree.Encapsulation, place: str) -> str:
    """Return what an encapsulation looks for, and what it does to what follows.

    Args:
        context: Its place in the text.
        node: The encapsulation.
        place: What it is looked for behind, as `place.behind` says it.
    """
    number = node.number
    match node.word:
        case "vlan":
            which = "any VLAN" if number is None else f"VLAN {number}"
            where = " (in the packet, or taken out of it by the kernel)"
            said = f"frames with a tag of {which}"
            said += where if context.options.source is Source.LIVE else ""
            after = "behind the tag"
        case "mpls":
            label = "an MPLS label" if number is None else f"MPLS label {number}"
            said, after = f"frames with {label}", "behind the label"
        case "pppoed":
            return f"PPPoE discovery frames{place}"
        case "pppoes":
            which = "" if number is None else f" {number}"
            said, after = f"PPPoE session{which} frames", "in the PPP packet inside"
        case "geneve":
            said, after = _over_udp("Geneve", GENEVE_PORT, number), "in the frame inside"
        case _:
            said, after = _over_udp("VXLAN", VXLAN_PORT, number), "in the frame inside"
    return said + place + _MOVES.format(after)


def _over_udp(name: str, port: int, number: int | None) -> str:
    which = "" if number is None else f" of network {number}"
    return f"{name} packets{which}: UDP to port {port} over IPv4 or IPv6"
