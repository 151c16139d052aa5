"""ARCnet system codes: the one byte that says what a frame carries.

Sources: RFC 1201 and the ARCNET list of "Assigned Numbers", RFC 1700. The codes 0xf0 and 0xf1 of
RFC 1051 (IP and ARP in its older form) are left out, since that form has another header.
"""

from __future__ import annotations

from typing import Final

from pfcompile.facts import ethertypes

ARCNET_CODES: Final[dict[int, int]] = {
    ethertypes.IP: 0xD4,
    ethertypes.ARP: 0xD5,
    ethertypes.RARP: 0xD6,
    ethertypes.ATALK: 0xDD,
    ethertypes.IP6: 0xC4,
}
"""EtherType to system code; nothing else can be asked for on ARCnet."""

BROADCAST: Final = 0x00
"""Destination address of a frame for everybody."""
