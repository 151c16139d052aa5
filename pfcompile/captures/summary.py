"""One line a packet, for people.

::

    2024-05-01 13:05:01.123456 TCP 10.0.0.1.443 > 10.0.0.2.51000 length 1514, captured 96

The time is local (as the variable TZ says), in the precision of the file; then come the protocol,
addresses and ports as numbers, and the length on the wire and in the file. What is cut off is left
out; what is not known is shown by its number. Nothing here raises on any bytes.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from pfcompile.captures.formats.records import NANOSECONDS
from pfcompile.facts.link_types import by_dlt

if TYPE_CHECKING:
    from pfcompile.captures.formats.records import Interface, Record


class Numbering(Enum):
    """Whose numbers name the protocol behind a link-layer header."""

    ETHERTYPE = "ethertype"
    PPP = "PPP protocol"
    FAMILY = "address family"
    VERSION = "IP version"


class Network(Enum):
    """What is dissected further."""

    IPV4 = "IP"
    IPV6 = "IP6"
    ARP = "ARP"
    RARP = "RARP"
    VLAN = "VLAN"


@dataclass(frozen=True, slots=True)
class LinkHeader:
    """A link-layer header.

    Attributes:
        length: Its length in bytes.
        protocol: Where its protocol number is, from its start.
        field: The number, as `struct` spells it.
        numbering: Whose number that is.
        addresses: Where the source and the destination address are, 6 bytes each, if there.
    """

    length: int
    protocol: int
    field: str
    numbering: Numbering
    addresses: tuple[int, int] | None = None


LINK_HEADERS: Final[dict[int, LinkHeader]] = {
    0: LinkHeader(4, 0, "=I", Numbering.FAMILY),  # NULL: the writer's byte order
    1: LinkHeader(14, 12, ">H", Numbering.ETHERTYPE, (6, 0)),  # EN10MB: IEEE 802.3
    9: LinkHeader(2, 0, ">H", Numbering.PPP),  # PPP: RFC 1661
    12: LinkHeader(0, 0, "B", Numbering.VERSION),  # RAW
    50: LinkHeader(4, 2, ">H", Numbering.PPP),  # PPP_SERIAL: RFC 1662
    104: LinkHeader(4, 2, ">H", Numbering.ETHERTYPE),  # C_HDLC: RFC 1547, 4.3.1
    108: LinkHeader(4, 0, ">I", Numbering.FAMILY),  # LOOP
    113: LinkHeader(16, 14, ">H", Numbering.ETHERTYPE),  # LINUX_SLL
    228: LinkHeader(0, 0, "B", Numbering.VERSION),  # IPV4
    229: LinkHeader(0, 0, "B", Numbering.VERSION),  # IPV6
    276: LinkHeader(20, 0, ">H", Numbering.ETHERTYPE),  # LINUX_SLL2
}
"""By DLT; the layouts are those of tcpdump.org's list of link-layer header types."""

PPP_ADDRESS_AND_CONTROL: Final = b"\xff\x03"
"""May or may not stand before the protocol in PPP (RFC 1662, 3.1)."""

PPP_LINK_TYPES: Final = frozenset({9, 50})

NETWORKS: Final[dict[tuple[Numbering, int], Network]] = {
    (Numbering.ETHERTYPE, 0x0800): Network.IPV4,
    (Numbering.ETHERTYPE, 0x0806): Network.ARP,
    (Numbering.ETHERTYPE, 0x8035): Network.RARP,
    (Numbering.ETHERTYPE, 0x86DD): Network.IPV6,
    (Numbering.ETHERTYPE, 0x8100): Network.VLAN,
    (Numbering.ETHERTYPE, 0x88A8): Network.VLAN,
    (Numbering.ETHERTYPE, 0x9100): Network.VLAN,
    (Numbering.PPP, 0x0021): Network.IPV4,
    (Numbering.PPP, 0x0057): Network.IPV6,
    (Numbering.FAMILY, 2): Network.IPV4,
    (Numbering.FAMILY, 10): Network.IPV6,  # Linux
    (Numbering.FAMILY, 24): Network.IPV6,  # NetBSD, OpenBSD
    (Numbering.FAMILY, 28): Network.IPV6,  # FreeBSD
    (Numbering.FAMILY, 30): Network.IPV6,  # Darwin
    (Numbering.VERSION, 4): Network.IPV4,
    (Numbering.VERSION, 6): Network.IPV6,
}
"""IANA's EtherType and PPP protocol registries; <sys/socket.h> of each system."""

TRANSPORTS: Final[dict[int, str]] = {
    1: "ICMP",
    2: "IGMP",
    6: "TCP",
    17: "UDP",
    47: "GRE",
    50: "ESP",
    51: "AH",
    58: "ICMP6",
    88: "EIGRP",
    89: "OSPF",
    103: "PIM",
    112: "VRRP",
    132: "SCTP",
    136: "UDPLITE",
}
"""IANA's protocol numbers."""

WITH_PORTS: Final = frozenset({6, 17, 132, 136})
WITH_TYPE_AND_CODE: Final = frozenset({1, 58})

EXTENSION_HEADERS: Final[dict[int, int]] = {0: 8, 43: 8, 60: 8, 135: 8, 51: 4}
"""IPv6 headers that another follows, with the unit of their length byte in bytes (RFC 8200, 4;
the authentication header: RFC 4302)."""
FRAGMENT_HEADER: Final = 44
MOST_EXTENSION_HEADERS: Final = 16

ARP_OPERATIONS: Final[dict[int, str]] = {
    1: "request",
    2: "reply",
    3: "reverse request",
    4: "reverse reply",
}
"""IANA's ARP operation codes."""

SMALLEST_ETHERTYPE: Final = 0x600  # below it is a length, and 802.2 follows (IEEE 802.3, 3.2.6)


def summarize(record: Record) -> str:
    """Return the line for a packet, without a line end."""
    return (
        f"{local_time(record.timestamp_ns, decimals_of(record.interface))} "
        f"{describe_packet(record.interface.dlt, record.data)} "
        f"length {record.wire_length}, captured {len(record.data)}"
    )


def decimals_of(interface: Interface) -> int:
    """Return how many digits of the second the times of an interface are shown with."""
    return 9 if interface.ticks_per_second > 1_000_000 else 6


def local_time(timestamp_ns: int, decimals: int = 6) -> str:
    """Return a time as local date and time of day; beyond what the system can say, as seconds.

    Args:
        timestamp_ns: Nanoseconds since 1970-01-01 UTC.
        decimals: Digits of the second, 1 to 9; the rest is cut off.
    """
    seconds, fraction = divmod(timestamp_ns, NANOSECONDS)
    digits = f"{fraction:09d}"[:decimals]
    try:
        parts = time.localtime(seconds)
    except (OverflowError, OSError, ValueError):
        return f"{seconds}.{digits}"
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', parts)}.{digits}"


def describe_packet(dlt: int, data: bytes) -> str:
    """Return protocol, addresses and ports of a packet that begins with its link-layer header."""
    header = LINK_HEADERS.get(dlt)
    if header is None:
        row = by_dlt(dlt)
        return f"link type {dlt if row is None else row.name}"
    start = 0
    if dlt in PPP_LINK_TYPES:
        # The row says how the link type is meant; files hold both forms under either.
        has_both = data[:2] == PPP_ADDRESS_AND_CONTROL
        start = (2 if has_both else 0) - header.protocol
    number = _number(header.field, data, start + header.protocol)
    if number is None:
        return f"{header.numbering.value} cut off"
    if header.numbering is Numbering.FAMILY and number >= 1 << 16:
        number = int.from_bytes(number.to_bytes(4), "little")
    if header.numbering is Numbering.VERSION:
        number >>= 4
    network, number, payload = _skip_vlans(header, number, data, start + header.length)
    if network is not None:
        return _describe_network(network, data[payload:])
    addresses = ""
    if header.addresses is not None:
        source, destination = (_mac(data[place : place + 6]) for place in header.addresses)
        addresses = f" {source} > {destination}"
    if header.numbering is Numbering.ETHERTYPE and number < SMALLEST_ETHERTYPE:
        return f"802.3{addresses}"
    shown = f"{number:#06x}" if header.numbering in {Numbering.ETHERTYPE, Numbering.PPP} else number
    return f"{header.numbering.value} {shown}{addresses}"


def _skip_vlans(
    header: LinkHeader, number: int, data: bytes, payload: int
) -> tuple[Network | None, int, int]:
    """Return the network protocol behind any VLAN tags, its number, and where it starts."""
    network = NETWORKS.get((header.numbering, number))
    while network is Network.VLAN:
        inner = _number(">H", data, payload + 2)
        if inner is None:
            return None, number, payload
        number = inner
        payload += 4
        network = NETWORKS.get((header.numbering, number))
    return network, number, payload


def _describe_network(network: Network, packet: bytes) -> str:
    match network:
        case Network.IPV4:
            return _describe_ipv4(packet)
        case Network.IPV6:
            return _describe_ipv6(packet)
        case Network.ARP | Network.RARP | Network.VLAN:
            return _describe_arp(network.value, packet)


def _describe_arp(name: str, packet: bytes) -> str:
    """Return the line for ARP over IPv4 addresses (RFC 826), as most of it is."""
    operation = _number(">H", packet, 6)
    if operation is None:
        return f"{name} cut off"
    text = f"{name} {ARP_OPERATIONS.get(operation, operation)}"
    if packet[2:4] != b"\x08\x00" or packet[4:6] != b"\x06\x04" or len(packet) < 28:
        return text
    return f"{text} {IPv4Address(packet[14:18])} > {IPv4Address(packet[24:28])}"


def _describe_ipv4(packet: bytes) -> str:
    """RFC 791, 3.1."""
    if len(packet) < 20:
        return "IP cut off"
    source, destination = str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20]))
    fragment = int.from_bytes(packet[6:8]) & 0x1FFF
    rest = packet[(packet[0] & 0xF) * 4 :]
    return _describe_transport("IP", packet[9], source, destination, rest, fragment * 8)


def _describe_ipv6(packet: bytes) -> str:
    """RFC 8200, 3 and 4."""
    if len(packet) < 40:
        return "IP6 cut off"
    source, destination = str(IPv6Address(packet[8:24])), str(IPv6Address(packet[24:40]))
    protocol = packet[6]
    rest = packet[40:]
    fragment = 0
    for _ in range(MOST_EXTENSION_HEADERS):
        if len(rest) < 8:
            break
        if protocol == FRAGMENT_HEADER:
            fragment = int.from_bytes(rest[2:4]) & ~7
            protocol, rest = rest[0], rest[8:]
            if fragment:
                break  # what follows is not the start of a header
        elif protocol in EXTENSION_HEADERS:
            # The length byte leaves out the first 8 bytes, whatever its unit.
            protocol, rest = rest[0], rest[8 + rest[1] * EXTENSION_HEADERS[protocol] :]
        else:
            break
    return _describe_transport("IP6", protocol, source, destination, rest, fragment)


def _describe_transport(
    family: str, protocol: int, source: str, destination: str, rest: bytes, fragment: int
) -> str:
    name = TRANSPORTS.get(protocol, f"{family} protocol {protocol}")
    if fragment:
        return f"{name} {source} > {destination} fragment at {fragment}"
    if protocol in WITH_PORTS and len(rest) >= 4:
        ports = struct.unpack_from(">2H", rest)
        return f"{name} {source}.{ports[0]} > {destination}.{ports[1]}"
    if protocol in WITH_TYPE_AND_CODE and len(rest) >= 2:
        return f"{name} {source} > {destination} type {rest[0]} code {rest[1]}"
    return f"{name} {source} > {destination}"


def _mac(address: bytes) -> str:
    return address.hex(":")


def _number(field: str, data: bytes, place: int) -> int | None:
    """Return the number at a place of the packet, or None where it is cut off."""
    if place + struct.calcsize(field) > len(data):
        return None
    (number,) = struct.unpack_from(field, data, place)
    return int(number)
