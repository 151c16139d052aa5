"""Frames built by hand, for tests that ask what one filter says of one packet.

Sources: RFC 791, 768, 4302, 8200, 7348, 8926, 2516, 3032; IEEE 802.1Q, 802.2, 802.3 and 802.11.
"""

from __future__ import annotations

import struct

FROM_MAC, TO_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
FROM_IP, TO_IP = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
FROM_IP6, TO_IP6 = bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("ff02" + "00" * 14)

IP, ARP, IP6, VLAN, MPLS = 0x0800, 0x0806, 0x86DD, 0x8100, 0x8847
PPPOE_SESSION, TEB = 0x8864, 0x6558
TCP, UDP, ICMP6, AH = 6, 17, 58, 51
GENEVE_PORT, VXLAN_PORT = 6081, 4789

SNAP = bytes.fromhex("aaaa03000000")


def ether(ethertype: int, payload: bytes = b"", *, to: bytes = TO_MAC) -> bytes:
    """An Ethernet frame; a type of 1500 or less is the length of an 802.3 frame."""
    return to + FROM_MAC + struct.pack(">H", ethertype) + payload


def tagged(identifier: int, ethertype: int, payload: bytes = b"", *, outer: int = VLAN) -> bytes:
    """An Ethernet frame with one VLAN tag."""
    return ether(outer, struct.pack(">2H", identifier, ethertype) + payload)


def ipv4(
    protocol: int, payload: bytes = b"", *, fragment: int = 0, to: bytes = TO_IP, words: int = 5
) -> bytes:
    """An IPv4 packet; `fragment` are the flags and the offset, `words` the header's length."""
    length = 4 * words + len(payload)
    head = struct.pack(">2B3H2BH", 0x40 | words, 0, length, 1, fragment, 64, protocol, 0)
    return head + FROM_IP + to + bytes(4 * words - 20) + payload


def ipv6(next_header: int, payload: bytes = b"") -> bytes:
    return (
        struct.pack(">IH2B", 6 << 28, len(payload), next_header, 64) + FROM_IP6 + TO_IP6 + payload
    )


def extension(next_header: int, units: int = 0) -> bytes:
    """An extension header of IPv6, of `units` + 1 times 8 bytes."""
    return bytes([next_header, units]) + bytes(8 * units + 6)


def fragment_header(next_header: int, offset: int) -> bytes:
    return struct.pack(">2BHI", next_header, 0, offset << 3, 7)


def authentication(next_header: int, check_value: int = 12) -> bytes:
    """An authentication header with a check value of that many bytes, in IPv4 a multiple of 4."""
    length = 12 + check_value
    return struct.pack(">2BH2I", next_header, length // 4 - 2, 0, 1, 1) + bytes(check_value)


def tcp(source: int = 1024, destination: int = 80, *, flags: int = 2) -> bytes:
    return struct.pack(">2H2I2B3H", source, destination, 0, 0, 0x50, flags, 0, 0, 0)


def udp(destination: int, payload: bytes = b"", *, source: int = 1024) -> bytes:
    return struct.pack(">4H", source, destination, 8 + len(payload), 0) + payload


def arp() -> bytes:
    """An ARP request for TO_IP."""
    return struct.pack(">2H2BH", 1, IP, 6, 4, 1) + FROM_MAC + FROM_IP + bytes(6) + TO_IP


def label(number: int, *, bottom: bool = True) -> bytes:
    """An entry of an MPLS label stack."""
    return struct.pack(">I", number << 12 | bottom << 8 | 64)


def pppoe(session: int, protocol: int, payload: bytes) -> bytes:
    """What stands behind the Ethernet header of a PPPoE session packet."""
    return struct.pack(">2B3H", 0x11, 0, session, len(payload) + 2, protocol) + payload


def geneve(network: int, payload: bytes, *, options: bytes = b"", carries: int = TEB) -> bytes:
    """A UDP datagram of a Geneve tunnel."""
    head = struct.pack(">2BHI", len(options) // 4, 0, carries, network << 8)
    return udp(GENEVE_PORT, head + options + payload)


def vxlan(network: int, frame: bytes) -> bytes:
    """A UDP datagram of a VXLAN tunnel."""
    return udp(VXLAN_PORT, struct.pack(">2I", 0x08000000, network << 8) + frame)


def wlan(payload: bytes, *, control: int = 0x08, flags: int = 0, address: bytes = TO_MAC) -> bytes:
    """An 802.11 frame with three addresses; data unless `control` says otherwise."""
    return bytes([control, flags, 0, 0]) + address + FROM_MAC + FROM_MAC + bytes(2) + payload


def snap(ethertype: int, payload: bytes = b"") -> bytes:
    """An 802.2 and SNAP header with what it carries."""
    return SNAP + struct.pack(">H", ethertype) + payload


def radiotap(frame: bytes, *, length: int = 9, padded: bool = False) -> bytes:
    """A frame behind a radiotap header whose only field is the flags."""
    head = struct.pack("<2BHI", 0, 0, length, 0x02) + bytes([0x20 if padded else 0])
    return head.ljust(length, b"\0") + frame
