"""What kinds of interface Linux has, and what a packet captured on each begins with.

The choice of link type follows libpcap's on Linux, so that the files are what people know from
tcpdump. Where a kind of interface gives no header that can be relied on, the socket is opened
without it and a "cooked" header is put there instead (see `cooked`).

Sources: linux/if_arp.h for the numbers; pcap-linktype(7) and libpcap's behaviour for the choice.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.errors import InternalError, KernelError
from pfcompile.facts import link_types
from pfcompile.kernel import cooked

if TYPE_CHECKING:
    from pfcompile.kernel.interfaces import Interface

ARPHRD_LOOPBACK: Final = 772


@dataclass(frozen=True, slots=True)
class HardwareType:
    """How packets of one kind of interface are captured.

    Attributes:
        number: ARPHRD_ number, 0 to 65535.
        name: Without `ARPHRD_`.
        link_type: Name of the link type in facts.link_types.
        refusal: Why it cannot be captured; empty where it can.
    """

    number: int
    name: str
    link_type: str
    refusal: str = ""


HARDWARE_TYPES: tuple[HardwareType, ...] = (
    HardwareType(1, "ETHER", "EN10MB"),
    HardwareType(2, "EETHER", "EN3MB"),
    HardwareType(3, "AX25", "AX25_KISS"),
    HardwareType(4, "PRONET", "PRONET"),
    HardwareType(5, "CHAOS", "CHAOS"),
    HardwareType(6, "IEEE802", "IEEE802"),
    HardwareType(7, "ARCNET", "ARCNET_LINUX"),
    HardwareType(15, "DLCI", "RAW"),
    HardwareType(18, "FIBRECHANNEL", "IP_OVER_FC"),  # RFC 4338; the header has no name for it
    HardwareType(19, "ATM", "LINUX_SLL"),  # with or without an LLC header, and no way to ask
    HardwareType(23, "METRICOM", "EN10MB"),
    HardwareType(256, "SLIP", "RAW"),
    HardwareType(257, "CSLIP", "RAW"),
    HardwareType(258, "SLIP6", "RAW"),
    HardwareType(259, "CSLIP6", "RAW"),
    HardwareType(264, "ADAPT", "RAW"),
    HardwareType(
        280,
        "CAN",
        "CAN_SOCKETCAN",
        # libpcap turns them round after capturing, and so filters what nobody sees.
        "the kernel gives the fields of CAN frames in the host's byte order, a capture file"
        " holds them in another",
    ),
    HardwareType(512, "PPP", "LINUX_SLL"),  # drivers differ in what header they give, if any
    HardwareType(513, "CISCO", "C_HDLC"),
    HardwareType(518, "RAWHDLC", "RAW"),
    HardwareType(768, "TUNNEL", "RAW"),
    HardwareType(770, "FRAD", "FRELAY"),
    HardwareType(ARPHRD_LOOPBACK, "LOOPBACK", "EN10MB"),
    HardwareType(773, "LOCALTLK", "LTALK"),
    HardwareType(774, "FDDI", "FDDI"),
    HardwareType(776, "SIT", "RAW"),
    HardwareType(783, "IRDA", "LINUX_IRDA"),
    HardwareType(784, "FCPP", "FC_2"),
    HardwareType(785, "FCAL", "FC_2"),
    HardwareType(786, "FCPL", "FC_2"),
    HardwareType(787, "FCFABRIC", "FC_2"),
    HardwareType(800, "IEEE802_TR", "IEEE802"),
    HardwareType(801, "IEEE80211", "IEEE802_11"),
    HardwareType(802, "IEEE80211_PRISM", "PRISM_HEADER"),
    HardwareType(803, "IEEE80211_RADIOTAP", "IEEE802_11_RADIO"),
    HardwareType(804, "IEEE802154", "IEEE802_15_4_NOFCS"),
    HardwareType(824, "NETLINK", "NETLINK"),
    HardwareType(826, "VSOCKMON", "VSOCK"),
    HardwareType(8445, "LAPD", "LINUX_LAPD"),
    HardwareType(0xFFFE, "NONE", "RAW"),  # tun devices and other tunnels: bare IP packets
)

_BY_NUMBER = {row.number: row for row in HARDWARE_TYPES}
_ALL_INTERFACES = HardwareType(0, "any", "LINUX_SLL2")


def capture_link_type(interface: Interface) -> link_types.LinkType:
    """Return the link type of what is captured on `interface`.

    LINUX_SLL2 on `any`, since only that header says which interface a packet came from; LINUX_SLL
    on kinds of interface without a row.

    Raises:
        KernelError: EPFNOSUPPORT for a kind that cannot be captured.
    """
    if interface.hardware_type is None:
        row = _ALL_INTERFACES
    else:
        unknown = HardwareType(interface.hardware_type, "unknown", "LINUX_SLL")
        row = _BY_NUMBER.get(interface.hardware_type, unknown)
    if row.refusal:
        raise KernelError(
            f"cannot capture on {interface.name}, an interface of type {row.name}: {row.refusal}",
            errno.EPFNOSUPPORT,
        )
    found = link_types.by_name(row.link_type)
    if found is None:
        raise InternalError(f"no link type {row.link_type}")
    return found


def cooked_header(link_type: link_types.LinkType) -> cooked.Header | None:
    """Return the header to put before packets of `link_type`; None where the kernel gives it."""
    return cooked.HEADERS.get(link_type.dlt)
