"""Where a link type keeps its protocol, addresses and payload, as rows.

Offsets are in bytes from the start of the packet unless said otherwise. A link type without a row
is one that filters cannot look into: only `link[...]`, lengths and constants work on it.

Sources: the link-layer header types at tcpdump.org; for each row the behaviour of libpcap 1.11,
its oddities included, since filters mean what they mean there.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from pfcompile.facts import link_types

UNSET: Final = 0xFFFFFFFF
"""An offset that libpcap never sets; sums with it wrap around, and are left to."""


class Encoding(Enum):
    """How a header says which protocol it carries."""

    ETHERNET = auto()
    """An EtherType, or a length (at most 1500) and an 802.2 header."""
    LLC = auto()
    """An 802.2 header."""
    WLAN = auto()
    """An 802.11 data frame, then 802.2."""
    ATM = auto()
    """A SunATM cell of traffic type LLC, then 802.2."""
    COOKED = auto()
    """Linux cooked v1: an EtherType, or 1 (802.3) or 4 (802.2)."""
    PPP = auto()
    PPP_BSDOS = auto()
    """PPP, where three numbers mean IPv4."""
    HDLC = auto()
    ETHERTYPE = auto()
    """An EtherType and nothing else."""
    FAMILY_HOST_ORDER = auto()
    """A 32-bit AF_ value in the byte order of the machine that captured."""
    FAMILY_NETWORK_ORDER = auto()
    FAMILY_BYTE = auto()
    ARCNET = auto()
    FRAME_RELAY = auto()
    IP_VERSION = auto()
    """The first half-byte of the header, 4 or 6."""
    JUNIPER = auto()
    """Nothing but the magic number: every protocol is the same test."""
    IPNET = auto()
    ONLY_IPV4 = auto()
    ONLY_IPV6 = auto()
    ONLY_ATALK = auto()


class MaskedField(NamedTuple):
    """`packet[offset:size] & mask == value`, or its contrary."""

    offset: int
    size: int
    value: int
    mask: int | None = None
    negated: bool = False


class LengthField(NamedTuple):
    """A header's length that is read from the packet.

    Attributes:
        offset, size: Where it stands.
        little_endian: Its byte order.
        align: It is rounded up to a multiple of this power of two.
        only_if: Where this does not hold, `otherwise` is the length.
    """

    offset: int
    size: int
    little_endian: bool = False
    align: int = 1
    only_if: MaskedField | None = None
    otherwise: int = 0


class HardwareAddress(NamedTuple):
    """Where the destination and source addresses stand, from the start of the link header."""

    destination: int
    source: int


class Direction(NamedTuple):
    """How the header tells received packets from sent ones."""

    inbound: MaskedField
    outbound: MaskedField


class LinkLayout(NamedTuple):
    """One link type.

    Attributes:
        dlt: The link type's number.
        encoding: How the protocol is told; None where it is not known.
        header: Start of the link header, behind what a capturing machine put before it.
        type_field: Where the protocol stands.
        payload: Start of what the link header carries.
        network: From the payload to the network header.
        network_no_snap: The same, where 802.2 has no SNAP header.
        mac: 48-bit addresses.
        arcnet: 8-bit addresses.
        broadcast_byte: Value of the 8-bit destination that means everyone.
        has_multicast: Whether `multicast` works.
        direction: Received or sent, where the header says.
        interface_index: Where a 32-bit interface index stands.
        takes: Which of `vlan`, `mpls`, `llc` work.
        radiotap_padding: Whether a radiotap flag may ask for padding behind the 802.11 header.
        gate: A test that comes before the whole filter.
    """

    dlt: int
    encoding: Encoding | None = None
    header: int | LengthField = 0
    type_field: int = UNSET
    payload: int | LengthField = UNSET
    network: int = 0
    network_no_snap: int = 0
    mac: HardwareAddress | None = None
    arcnet: HardwareAddress | None = None
    broadcast_byte: int | None = None
    has_multicast: bool = False
    direction: Direction | None = None
    interface_index: int | None = None
    takes: frozenset[str] = frozenset()
    radiotap_padding: bool = False
    gate: MaskedField | None = None

    @property
    def is_wlan(self) -> bool:
        """Whether this is 802.11, with or without a radio header."""
        return self.encoding is Encoding.WLAN


def _byte_flag(offset: int, inbound: int, outbound: int, mask: int | None = None) -> Direction:
    return Direction(MaskedField(offset, 1, inbound, mask), MaskedField(offset, 1, outbound, mask))


def _sent_is_4(offset: int, size: int) -> Direction:
    """Return the rule of Linux cooked headers: PACKET_OUTGOING is 4 (linux/if_packet.h)."""
    return Direction(MaskedField(offset, size, 4, negated=True), MaskedField(offset, size, 4))


_LLC, _LLC_SNAP = 3, 8
"""Bytes of an 802.2 header, alone and with a SNAP header behind it."""
_JUNIPER_WAY = _byte_flag(3, 1, 0, 1)
_PRISM_LENGTH = LengthField(4, 4, only_if=MaskedField(0, 4, 0x80211000, 0xFFFFF000), otherwise=144)
_RADIO_LENGTH = LengthField(2, 2, little_endian=True)


def _ethernet(dlt: int, type_field: int, takes: str, **other: object) -> LinkLayout:
    """Return a link type of Ethernet frames with something more before or inside the header."""
    row = LinkLayout(
        dlt,
        Encoding.ETHERNET,
        type_field=type_field,
        payload=type_field + 2,
        network_no_snap=_LLC,
        mac=HardwareAddress(0, 6),
        has_multicast=True,
        takes=frozenset(takes.split()),
    )
    return row._replace(**other)  # type: ignore[arg-type]


def _token(dlt: int, header: int, destination: int, source: int, takes: str) -> LinkLayout:
    """Return a link type of 802.2 behind a header with 48-bit addresses."""
    return LinkLayout(
        dlt,
        Encoding.LLC,
        payload=header,
        mac=HardwareAddress(destination, source),
        has_multicast=True,
        takes=frozenset(takes.split()),
        network=_LLC_SNAP,
        network_no_snap=_LLC,
    )


def _wlan(
    dlt: int,
    header: int | LengthField,
    *,
    vlan: bool = True,
    padding: bool = False,
    gate: MaskedField | None = None,
) -> LinkLayout:
    """Return a link type of 802.11 frames; their header's length is read by rules of its own."""
    return LinkLayout(
        dlt,
        Encoding.WLAN,
        header=header,
        has_multicast=True,
        takes=frozenset({"vlan", "llc"} if vlan else {"llc"}),
        radiotap_padding=padding,
        gate=gate,
        network=_LLC_SNAP,
        network_no_snap=_LLC,
    )


def _arcnet(dlt: int, header: int) -> LinkLayout:
    return LinkLayout(
        dlt,
        Encoding.ARCNET,
        type_field=header - 4,
        payload=header,
        arcnet=HardwareAddress(1, 0),
        broadcast_byte=0,
        has_multicast=True,
    )


def _ppp(dlt: int, type_field: int, **other: object) -> LinkLayout:
    row = LinkLayout(dlt, Encoding.PPP, type_field=type_field, payload=type_field + 2)
    return row._replace(**other)  # type: ignore[arg-type]


def _juniper(dlt: int, payload: int, network: int = 0, no_snap: int = UNSET) -> LinkLayout:
    return LinkLayout(
        dlt,
        Encoding.JUNIPER,
        payload=payload,
        network=network,
        network_no_snap=no_snap,
        direction=_JUNIPER_WAY,
    )


def _opaque_juniper(dlt: int) -> LinkLayout:
    return _juniper(dlt, UNSET, UNSET)


_HDLC_TAKES = frozenset({"mpls"})

_ROWS: Final = (
    LinkLayout(0, Encoding.FAMILY_HOST_ORDER, type_field=0, payload=4),
    _ethernet(1, 12, "vlan mpls llc"),
    _token(6, 14, 2, 8, "llc"),
    _arcnet(7, 6),
    LinkLayout(8, Encoding.IP_VERSION, type_field=UNSET, payload=16, direction=_byte_flag(0, 0, 1)),
    _ppp(9, 2, takes=_HDLC_TAKES),
    _token(10, 13, 1, 7, "llc"),
    LinkLayout(
        11,
        Encoding.LLC,
        payload=0,
        takes=frozenset({"llc"}),
        network=_LLC_SNAP,
        network_no_snap=_LLC,
    ),
    LinkLayout(12, Encoding.IP_VERSION, payload=0),
    LinkLayout(15, Encoding.IP_VERSION, payload=24),
    LinkLayout(16, Encoding.PPP_BSDOS, type_field=5, payload=24),
    LinkLayout(19, Encoding.LLC, payload=0, network=_LLC_SNAP, network_no_snap=_LLC),
    _ppp(50, 2),
    _ppp(51, 6),
    LinkLayout(99, Encoding.ETHERTYPE, type_field=6, payload=44),
    LinkLayout(104, Encoding.HDLC, type_field=2, payload=4, takes=_HDLC_TAKES),
    LinkLayout(112, Encoding.HDLC, type_field=2, payload=4, takes=_HDLC_TAKES),
    _wlan(105, 0),
    _wlan(119, _PRISM_LENGTH),
    _wlan(127, _RADIO_LENGTH, padding=True),
    _wlan(163, LengthField(4, 4)),
    # The inner link type must be 802.11.
    _wlan(192, _RADIO_LENGTH, vlan=False, gate=MaskedField(4, 4, 0x69000000)),
    LinkLayout(107, Encoding.FRAME_RELAY, payload=0),
    LinkLayout(108, Encoding.FAMILY_NETWORK_ORDER, type_field=0, payload=4),
    LinkLayout(109, Encoding.FAMILY_HOST_ORDER, type_field=0, payload=12),
    LinkLayout(113, Encoding.COOKED, type_field=14, payload=16, direction=_sent_is_4(0, 2)),
    LinkLayout(114, Encoding.ONLY_ATALK, payload=0),
    LinkLayout(
        117,
        Encoding.FAMILY_BYTE,
        type_field=1,
        payload=LengthField(0, 1, align=4),
        direction=_byte_flag(60, 1, 2),
    ),
    _token(122, 16, 2, 10, ""),
    LinkLayout(
        123,
        Encoding.ATM,
        payload=4,
        takes=frozenset({"llc"}),
        network=_LLC_SNAP,
        network_no_snap=_LLC,
    ),
    _arcnet(129, 8),
    LinkLayout(138, Encoding.ETHERTYPE, type_field=16, payload=18),
    LinkLayout(165, arcnet=HardwareAddress(3, 4), broadcast_byte=0xFF),
    _ppp(166, 2, direction=_byte_flag(0, 0, 1)),
    LinkLayout(
        226,
        Encoding.IPNET,
        type_field=1,
        payload=24,
        network_no_snap=UNSET,
        direction=Direction(MaskedField(2, 2, 2), MaskedField(2, 2, 1)),
    ),
    LinkLayout(228, Encoding.ONLY_IPV4, payload=0),
    LinkLayout(229, Encoding.ONLY_IPV6, payload=0),
    _ethernet(240, 16, "vlan mpls", header=4),
    _ethernet(241, 24, "vlan mpls", header=12),
    LinkLayout(
        276,
        Encoding.ETHERTYPE,
        type_field=0,
        payload=20,
        direction=_sent_is_4(10, 1),
        interface_index=4,
    ),
    _ethernet(281, 16, "vlan mpls llc", direction=_byte_flag(12, 0x00, 0x20, 0xE0)),
    _ethernet(
        284,
        16,
        "vlan mpls llc",
        direction=Direction(MaskedField(12, 1, 0, 0x40), MaskedField(12, 1, 0x40, 0xC0)),
    ),
    # SS7: signalling links have no protocol that an address family could name.
    LinkLayout(139),
    LinkLayout(140),
    LinkLayout(197),
    _juniper(134, 4),
    _juniper(131, 4),
    _juniper(130, 4),
    _juniper(179, 4),
    _juniper(181, 4),
    _juniper(180, 4),
    _juniper(137, 4, 0, 10),
    _juniper(135, 8, 0, 10),
    _juniper(167, 14, 18, 21),
    _juniper(178, 14, 18, 21),
    _juniper(168, 6),
    _juniper(133, 12),
    _juniper(164, 12),
    *(_opaque_juniper(dlt) for dlt in (132, 136, 183, 200, 194, 232, 233, 234, 238)),
)

_BY_DLT: Final = {row.dlt: row for row in _ROWS}


def layout(dlt: int) -> LinkLayout:
    """Return the row of a link type, an empty one where filters cannot look into it.

    Raises:
        ValueError: libpcap knows no such link type; the text is its message.
    """
    row = _BY_DLT.get(dlt)
    if row is not None:
        return row
    if dlt not in link_types.KNOWN_DLTS:
        msg = f"unknown data link type {dlt}"
        raise ValueError(msg)
    return LinkLayout(dlt)
