"""IEEE 802.2 LLC: service access points, SNAP, and the types of frames.

Sources: the LLC address lists of IEEE 802.2 and RFC 1042; pcap-filter(7) for the words.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pfcompile.facts.rows import Number, by_name

IP: Final = 0x06
STP: Final = 0x42
SNAP: Final = 0xAA
IPX: Final = 0xE0
NETBEUI: Final = 0xF0
ISO: Final = 0xFE

MAX_SAP: Final = 0xFF

SAPS: Final = (
    Number(IP, (), "Internet Protocol, RFC 948"),
    Number(STP, ("stp",), "IEEE 802.1D spanning tree"),
    Number(SNAP, (), "Subnetwork Access Protocol, RFC 1042"),
    Number(IPX, ("ipx",), "Novell IPX"),
    Number(NETBEUI, ("netbeui",), "NetBIOS extended user interface"),
    Number(ISO, ("iso",), "ISO network layer, ISO/IEC TR 9577"),
)
"""By value; those with names are what `link proto NAME` knows behind the EtherTypes."""

SAP_NAMES: Final[dict[str, int]] = by_name(SAPS)

SYMMETRIC_SAPS: Final = frozenset({IP, NETBEUI, ISO})
"""The SAPs of which a filter asks that both ends use them; of others only the destination's."""

SNAP_HEADER: Final = 0xAAAA03
"""DSAP, SSAP and control byte that announce a SNAP header."""

SNAP_OUI_ETHERNET: Final = 0x000000
"""Organisation code: an EtherType follows."""

SNAP_OUI_APPLE: Final = 0x080007
"""Organisation code under which AppleTalk runs."""

IPX_RAW_802_3: Final = 0xFFFF
"""What a "raw 802.3" frame of Novell has where an LLC header would be: IPX's unused checksum."""


class LlcFrameType(NamedTuple):
    """A type of frame that `llc NAME` asks for.

    Attributes:
        name: The word, in lower case; a filter may write it in any.
        mask: The bits of the control byte that tell the type.
        value: What they are, 0 to 255.
    """

    name: str
    mask: int
    value: int


LLC_FRAME_TYPES: Final = (
    # An information frame has one bit that says so, the other two kinds have two.
    LlcFrameType("i", 0x01, 0x00),
    LlcFrameType("s", 0x03, 0x01),
    LlcFrameType("u", 0x03, 0x03),
    LlcFrameType("rr", 0x0F, 0x01),
    LlcFrameType("rnr", 0x0F, 0x05),
    LlcFrameType("rej", 0x0F, 0x09),
    # 0x10 is the poll or final bit; the type does not depend on it.
    LlcFrameType("ui", 0xEF, 0x03),
    LlcFrameType("ua", 0xEF, 0x63),
    LlcFrameType("disc", 0xEF, 0x43),
    LlcFrameType("dm", 0xEF, 0x0F),
    LlcFrameType("sabme", 0xEF, 0x6F),
    LlcFrameType("test", 0xEF, 0xE3),
    LlcFrameType("xid", 0xEF, 0xAF),
    LlcFrameType("frmr", 0xEF, 0x87),
)

_FRAME_TYPES = {row.name: row for row in LLC_FRAME_TYPES}


def llc_frame_type(name: str) -> LlcFrameType | None:
    """Return the frame type called `name`, in any case, or None."""
    return _FRAME_TYPES.get(name.lower())
