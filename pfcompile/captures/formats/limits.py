"""How long a packet can be, so that a damaged length is told apart from a long packet.

The bounds are those of libpcap 1.10 (pcap-int.h, `MAXIMUM_SNAPLEN`; pcap-common.c,
`max_snaplen_for_dlt`), but for D-Bus: there libpcap allows messages of 128 MiB, here it is 16 MiB,
so that reading never takes much memory.
"""

from __future__ import annotations

MAXIMUM_SNAPLEN = 262_144
"""The longest packet of a link type that is not in the table below, in bytes."""

LARGEST_BLOCK = 16 << 20
"""The longest pcapng block, in bytes (libpcap's sf-pcapng.c, `INITIAL_MAX_BLOCKSIZE`)."""

MAXIMUM_INTERFACES = 65_536
"""The most interfaces of a pcapng section: as many as an obsolete packet block can name."""

_LARGEST_PACKET: dict[int, int] = {
    189: 1 << 20,  # USB_LINUX
    220: 1 << 20,  # USB_LINUX_MMAPPED
    249: 1 << 20,  # USBPCAP
    279: 8 << 20,  # EBHSCR
    231: LARGEST_BLOCK,  # DBUS
}


def largest_packet(dlt: int) -> int:
    """Return the most bytes that a pcap record of this link type can hold."""
    return _LARGEST_PACKET.get(dlt, MAXIMUM_SNAPLEN)
