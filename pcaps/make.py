"""Make the captures in this folder: `python pcaps/make.py [FOLDER]`.

Every byte is fixed, so that making them again gives the same files; of the compressed ones in
`archive` the bytes may be others with another version of a library. The packets are scapy's; the
files around them are written here, by hand, since scapy writes few of the forms that exist and the
tests want an opinion other than `pfcompile.captures`'.
"""

from __future__ import annotations

import gzip
import lzma
import struct
import sys
from functools import partial
from pathlib import Path

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.packet import Packet, Raw

START = 1_700_000_000_123_456_789  # 2023-11-14 22:13:20.123456789 UTC
STEP = 1_001_001  # nanoseconds between two packets
MAC_A, MAC_B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
ETHERNET = Ether(src=MAC_A, dst=MAC_B)


def network_packets() -> list[Packet]:
    """Return packets that begin with their network header."""
    data = Raw(bytes(range(32)))
    v4 = IP(src="10.0.0.1", dst="10.0.0.2", id=1)
    v6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
    return [
        v4 / TCP(sport=51000, dport=443, flags="S", seq=1),
        IP(src="10.0.0.2", dst="10.0.0.1", id=2) / TCP(sport=443, dport=51000, flags="SA", seq=1),
        v4 / TCP(sport=51000, dport=443, flags="PA", seq=2) / data,
        v4 / TCP(sport=51001, dport=22, flags="F", seq=3),
        v4 / UDP(sport=5353, dport=53) / data,
        IP(src="192.168.1.5", dst="10.1.2.3", id=3, options=[]) / UDP(sport=1500, dport=123) / data,
        v4 / ICMP(type=8, code=0, id=7, seq=1) / data,
        v4 / SCTP(sport=2905, dport=2906, tag=1) / SCTPChunkData(data=b"abcd", tsn=1),
        IP(src="10.0.0.1", dst="10.0.0.2", id=9, frag=64) / data,
        IP(src="10.0.0.1", dst="224.0.0.5", id=10, proto=89, ttl=1) / data,
        v6 / TCP(sport=50000, dport=80, flags="A", seq=4),
        v6 / UDP(sport=546, dport=547) / data,
        v6 / ICMPv6EchoRequest(id=1, seq=1) / data,
        v6 / IPv6ExtHdrHopByHop() / UDP(sport=53, dport=5353) / data,
        v6 / IPv6ExtHdrFragment(offset=8, nh=17, id=5) / data,
    ]


def ethernet_packets() -> list[bytes]:
    """Return Ethernet frames of the usual kinds."""
    frames: list[Packet] = [ETHERNET / packet for packet in network_packets()]
    frames += [
        Ether(src=MAC_A, dst="ff:ff:ff:ff:ff:ff")
        / ARP(op=1, hwsrc=MAC_A, psrc="10.0.0.1", hwdst="00:00:00:00:00:00", pdst="10.0.0.2"),
        ETHERNET / ARP(op=2, hwsrc=MAC_B, psrc="10.0.0.2", hwdst=MAC_A, pdst="10.0.0.1"),
        Ether(src=MAC_A, dst=MAC_B, type=0x8035)
        / ARP(op=3, hwsrc=MAC_A, psrc="0.0.0.0", hwdst=MAC_A, pdst="0.0.0.0"),  # noqa: S104
        ETHERNET / Dot1Q(vlan=7) / network_packets()[0],
        ETHERNET / Dot1Q(vlan=7, type=0x8100) / Dot1Q(vlan=8) / network_packets()[10],
        Ether(src=MAC_A, dst="01:80:c2:00:00:0e", type=0x88CC) / Raw(bytes(40)),
        Ether(src=MAC_A, dst="01:80:c2:00:00:00", type=38) / Raw(b"\x42\x42\x03" + bytes(43)),
    ]
    return [bytes(frame) for frame in frames]


def behind(headers: dict[int, bytes]) -> list[bytes]:
    """Return the network packets behind a link-layer header for each IP version."""
    packets = [bytes(packet) for packet in network_packets()]
    return [headers[packet[0] >> 4] + packet for packet in packets]


def cooked(ethertype: int) -> bytes:
    """Return a LINUX_SLL header: to us, Ethernet, address, protocol."""
    return struct.pack(">3H6s2xH", 0, 1, 6, bytes.fromhex("02000000000a"), ethertype)


def cooked_2(ethertype: int) -> bytes:
    """Return a LINUX_SLL2 header of interface 3."""
    return struct.pack(">H2xIH2B6s2x", ethertype, 3, 1, 0, 6, bytes(range(2, 8)))


LINK_TYPES: dict[str, tuple[int, list[bytes]]] = {
    # By name: the link-type number of the file, and the packets.
    "raw": (101, behind({4: b"", 6: b""})),
    "ipv4": (228, [bytes(packet) for packet in network_packets() if IP in packet]),
    "ipv6": (229, [bytes(packet) for packet in network_packets() if IPv6 in packet]),
    "null": (0, behind({4: struct.pack("<I", 2), 6: struct.pack("<I", 10)})),
    "loop": (108, behind({4: struct.pack(">I", 2), 6: struct.pack(">I", 24)})),
    "ppp": (9, behind({4: b"\xff\x03\x00\x21", 6: b"\xff\x03\x00\x57"})),
    "c_hdlc": (104, behind({4: b"\x0f\x00\x08\x00", 6: b"\x0f\x00\x86\xdd"})),
    "linux_sll": (113, behind({4: cooked(0x800), 6: cooked(0x86DD)})),
    "linux_sll2": (276, behind({4: cooked_2(0x800), 6: cooked_2(0x86DD)})),
}


def pcap(
    packets: list[bytes],
    linktype: int = 1,
    *,
    order: str = "<",
    nanoseconds: bool = False,
    snaplen: int = 262_144,
) -> bytes:
    """Return a pcap file."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    parts = [struct.pack(f"{order}I2H4I", magic, 2, 4, 0, 0, snaplen, linktype)]
    for number, packet in enumerate(packets):
        seconds, fraction = divmod(START + number * STEP, 10**9)
        ticks = fraction if nanoseconds else fraction // 1000
        kept = packet[:snaplen]
        parts.append(struct.pack(f"{order}4I", seconds, ticks, len(kept), len(packet)) + kept)
    return b"".join(parts)


def option(order: str, code: int, value: bytes) -> bytes:
    """Return a pcapng option."""
    return struct.pack(f"{order}2H", code, len(value)) + value + bytes(-len(value) % 4)


def block(order: str, kind: int, body: bytes) -> bytes:
    """Return a pcapng block."""
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def enhanced(order: str, interface: int, ticks: int, packet: bytes, options: bytes = b"") -> bytes:
    """Return an enhanced packet block."""
    head = struct.pack(
        f"{order}5I", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet)
    )
    return block(order, 6, head + packet + bytes(-len(packet) % 4) + options)


def section(order: str, options: bytes = b"") -> bytes:
    """Return a section header of no stated length."""
    return block(order, 0x0A0D0D0A, struct.pack(f"{order}I2Hq", 0x1A2B3C4D, 1, 0, -1) + options)


def interface(order: str, linktype: int, snaplen: int, options: bytes = b"") -> bytes:
    """Return an interface description."""
    return block(order, 1, struct.pack(f"{order}2HI", linktype, 0, snaplen) + options)


def pcapng() -> bytes:
    """Return a file with two sections, three interfaces, and most kinds of block."""
    ethernet, raw = ethernet_packets(), LINK_TYPES["raw"][1]
    end = bytes(4)
    parts = [
        section("<", option("<", 4, b"pcaps/make.py") + end),
        interface("<", 1, 262_144, option("<", 2, b"eth0") + option("<", 9, b"\x09") + end),
        interface("<", 101, 0, option("<", 2, b"tun0") + end),
        # Names, then statistics: blocks that are no packets.
        block(
            "<", 4, struct.pack("<2H", 1, 9) + bytes((10, 0, 0, 1)) + b"gate\x00" + bytes(3) + end
        ),
    ]
    for number, packet in enumerate(ethernet):
        ticks = START + number * STEP
        parts.append(enhanced("<", 0, ticks, packet, option("<", 1, b"a comment") + end))
        if number < len(raw):
            parts.append(enhanced("<", 1, ticks // 1000 + 1, raw[number]))
    statistics = struct.pack("<3I", 0, START >> 32, START & 0xFFFFFFFF)
    parts.append(block("<", 5, statistics + option("<", 4, struct.pack("<Q", 22)) + end))
    # A section of the other byte order, with ticks of 1/1024 s that begin in 2020.
    offset = 1_577_836_800
    parts += [
        section(">"),
        interface(
            ">", 1, 60, option(">", 9, b"\x8a") + option(">", 14, struct.pack(">q", offset)) + end
        ),
    ]
    for number, packet in enumerate(ethernet[:6]):
        ticks = (START // 10**9 - offset) * 1024 + number
        if number % 3 == 0:
            parts.append(enhanced(">", 0, ticks, packet))
        elif number % 3 == 1:
            kept = packet[:60]
            simple = struct.pack(">I", len(packet)) + kept + bytes(-len(kept) % 4)
            parts.append(block(">", 3, simple))
        else:
            old = struct.pack(
                ">2H4I", 0, 1, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet)
            )
            parts.append(block(">", 2, old + packet + bytes(-len(packet) % 4)))
    return b"".join(parts)


def files() -> dict[str, bytes]:
    """Return every file of this folder, by name."""
    ethernet = ethernet_packets()
    made = {
        "ethernet.pcap": pcap(ethernet),
        "ethernet-big-endian.pcap": pcap(ethernet, order=">"),
        "ethernet-nanoseconds.pcap": pcap(ethernet, nanoseconds=True),
        "ethernet-nanoseconds-big-endian.pcap": pcap(ethernet, order=">", nanoseconds=True),
        "ethernet-snaplen-40.pcap": pcap(ethernet, snaplen=40),
        "empty.pcap": pcap([]),
        "mixed.pcapng": pcapng(),
        # Its last record has lost its last byte.
        "cut-short.pcap": pcap(ethernet)[:-1],
    }
    for name, (linktype, packets) in LINK_TYPES.items():
        made[f"{name}.pcap"] = pcap(packets, linktype)
    return made


ARCHIVED = {
    "ethernet.pcap.gz": partial(gzip.compress, mtime=0),
    "mixed.pcapng.xz": lzma.compress,
}
"""What is in `archive`, and what compresses it."""


def main() -> None:
    """Write the files into this folder, or the one that is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    made = files()
    for name, content in made.items():
        (folder / name).write_bytes(content)
    archive = folder / "archive"
    archive.mkdir(exist_ok=True)
    for name, compress in ARCHIVED.items():
        (archive / name).write_bytes(compress(made[name.rpartition(".")[0]]))


if __name__ == "__main__":
    main()
