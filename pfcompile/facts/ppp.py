"""PPP protocol numbers, and which of them carries what an EtherType or LLC SAP names.

Source: the PPP DLL protocol numbers registry of IANA (RFC 1661, 1332, 5072, 1378, 1762, 1552,
1377, 3032).
"""

from __future__ import annotations

from typing import Final

from pfcompile.facts import ethertypes, llc_saps

IP: Final = 0x0021
ISO: Final = 0x0023
XNS: Final = 0x0025
DECNET: Final = 0x0027
ATALK: Final = 0x0029
IPX: Final = 0x002B
VJ_COMPRESSED: Final = 0x002D
VJ_UNCOMPRESSED: Final = 0x002F
BRIDGED: Final = 0x0031
IP6: Final = 0x0057
MPLS: Final = 0x0281

PPP_PROTOCOLS: Final[dict[int, int]] = {
    ethertypes.IP: IP,
    ethertypes.IP6: IP6,
    ethertypes.DECNET: DECNET,
    ethertypes.ATALK: ATALK,
    ethertypes.XNS: XNS,
    llc_saps.ISO: ISO,
    llc_saps.STP: BRIDGED,
    llc_saps.IPX: IPX,
}
"""EtherType or SAP to PPP protocol; whatever is not here stands for itself."""

BSDOS_IP: Final = (IP, VJ_COMPRESSED, VJ_UNCOMPRESSED)
"""What counts as IPv4 on PPP_BSDOS, whose kernel compresses headers: RFC 1144."""


def ppp_protocol(protocol: int) -> int:
    """Return the PPP protocol that carries an EtherType or SAP, itself where none is known."""
    return PPP_PROTOCOLS.get(protocol, protocol)
