"""Wireshark's display filters, as people type them here, and the capture filters that say the same.

Source: wireshark-filter(4) and Wireshark's display filter reference, against pcap-filter(7).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Field:
    """A display filter's field.

    Attributes:
        name: As Wireshark spells it.
        capture: The qualifiers that stand before the value, or the arithmetic compared with it.
        flag: Whether it is one bit or more of a byte, which display filters compare with 0 or 1.
    """

    name: str
    capture: str
    flag: bool = False


FIELDS: Final = {
    field.name: field
    for field in (
        Field("ip.addr", "ip host"),
        Field("ip.src", "ip src host"),
        Field("ip.dst", "ip dst host"),
        Field("ip.host", "host"),
        Field("ip.src_host", "src host"),
        Field("ip.dst_host", "dst host"),
        Field("ip.proto", "ip proto"),
        Field("ip.ttl", "ip[8]"),
        Field("ip.len", "ip[2:2]"),
        Field("ip.id", "ip[4:2]"),
        Field("ip.version", "ip[0] >> 4"),
        Field("ip.flags.df", "ip[6] & 0x40", flag=True),
        Field("ip.flags.mf", "ip[6] & 0x20", flag=True),
        Field("ipv6.addr", "ip6 host"),
        Field("ipv6.src", "ip6 src host"),
        Field("ipv6.dst", "ip6 dst host"),
        Field("ipv6.nxt", "ip6 proto"),
        Field("ipv6.hlim", "ip6[7]"),
        Field("tcp.port", "tcp port"),
        Field("tcp.srcport", "tcp src port"),
        Field("tcp.dstport", "tcp dst port"),
        Field("tcp.seq_raw", "tcp[4:4]"),
        Field("tcp.ack_raw", "tcp[8:4]"),
        Field("tcp.window_size_value", "tcp[14:2]"),
        Field("tcp.flags", "tcp[tcpflags]"),
        Field("tcp.flags.syn", "tcp[tcpflags] & tcp-syn", flag=True),
        Field("tcp.flags.ack", "tcp[tcpflags] & tcp-ack", flag=True),
        Field("tcp.flags.fin", "tcp[tcpflags] & tcp-fin", flag=True),
        Field("tcp.flags.reset", "tcp[tcpflags] & tcp-rst", flag=True),
        Field("tcp.flags.push", "tcp[tcpflags] & tcp-push", flag=True),
        Field("tcp.flags.urg", "tcp[tcpflags] & tcp-urg", flag=True),
        Field("udp.port", "udp port"),
        Field("udp.srcport", "udp src port"),
        Field("udp.dstport", "udp dst port"),
        Field("udp.length", "udp[4:2]"),
        Field("sctp.port", "sctp port"),
        Field("sctp.srcport", "sctp src port"),
        Field("sctp.dstport", "sctp dst port"),
        Field("icmp.type", "icmp[icmptype]"),
        Field("icmp.code", "icmp[icmpcode]"),
        Field("icmpv6.type", "icmp6[icmp6type]"),
        Field("icmpv6.code", "icmp6[icmp6code]"),
        Field("eth.addr", "ether host"),
        Field("eth.src", "ether src"),
        Field("eth.dst", "ether dst"),
        Field("eth.type", "ether proto"),
        Field("vlan.id", "vlan"),
        Field("frame.len", "len"),
        Field("arp.opcode", "arp[6:2]"),
        Field("arp.src.proto_ipv4", "arp src host"),
        Field("arp.dst.proto_ipv4", "arp dst host"),
    )
}

_SIGNS: Final = {
    "==": "=",
    "=": "=",
    "eq": "=",
    "!=": "!=",
    "ne": "!=",
    ">": ">",
    "gt": ">",
    ">=": ">=",
    "ge": ">=",
    "<": "<",
    "lt": "<",
    "<=": "<=",
    "le": "<=",
}
_COMPARISON: Final = re.compile(
    r"\s*(==|!=|>=|<=|=|>|<|(?:eq|ne|gt|ge|lt|le)\b)\s*([^\s()&|]+)", re.ASCII
)


def capture_filter(text: str, start: int, end: int) -> str | None:
    """Return the capture filter for the comparison that begins with the word `text[start:end]`.

    None if the word is no field known here. Where nothing is compared, the word VALUE stands for
    what is missing.
    """
    field = FIELDS.get(text[start:end].lower())
    if field is None:
        return None
    comparison = _COMPARISON.match(text, end)
    sign, value = (_SIGNS[comparison[1]], comparison[2]) if comparison else ("=", "VALUE")
    if field.flag:
        is_set = (value.lower() not in {"0", "false"}) == (sign != "!=")
        return f"{field.capture} {'!=' if is_set else '='} 0"
    if "[" in field.capture or field.capture == "len":
        return f"{field.capture} {sign} {value}"
    return _qualified(field.capture, sign, value)


def _qualified(qualifiers: str, sign: str, value: str) -> str:
    """Return the capture filter for a field that is an address, a port, or a VLAN."""
    if "/" in value:
        qualifiers = qualifiers.replace("host", "net")
    if sign in {"=", "!="}:
        return f"{'not ' if sign == '!=' else ''}{qualifiers} {value}"
    if qualifiers.endswith("port"):
        return f"{qualifiers}range FIRST-LAST"
    return f"{qualifiers} VALUE"
