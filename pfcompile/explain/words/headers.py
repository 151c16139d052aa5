"""What bytes of headers are called, and the words for flags and types in them.

Sources: RFC 791, 8200, 9293, 768, 792, 4443, 826; IEEE 802.3.
"""

from __future__ import annotations

from typing import Final

from pfcompile.facts.ip_protocols import IP_PROTOCOLS
from pfcompile.facts.named_constants import NAMED_CONSTANTS
from pfcompile.syntax.tree import Proto

TCP_FLAGS: Final = (
    (0x01, "FIN"),
    (0x02, "SYN"),
    (0x04, "RST"),
    (0x08, "PSH"),
    (0x10, "ACK"),
    (0x20, "URG"),
    (0x40, "ECE"),
    (0x80, "CWR"),
)

FLAGS_BYTE: Final = 13
"""Where TCP has its flags."""

HEADER_FIELDS: Final = {
    (Proto.TCP, 0, 2): "source port",
    (Proto.TCP, 2, 2): "destination port",
    (Proto.TCP, 4, 4): "sequence number",
    (Proto.TCP, 8, 4): "acknowledgement number",
    (Proto.TCP, 12, 1): "header length",
    (Proto.TCP, FLAGS_BYTE, 1): "flags",
    (Proto.TCP, 14, 2): "window",
    (Proto.TCP, 16, 2): "checksum",
    (Proto.UDP, 0, 2): "source port",
    (Proto.UDP, 2, 2): "destination port",
    (Proto.UDP, 4, 2): "length",
    (Proto.UDP, 6, 2): "checksum",
    (Proto.ICMP, 0, 1): "type",
    (Proto.ICMP, 1, 1): "code",
    (Proto.ICMP6, 0, 1): "type",
    (Proto.ICMP6, 1, 1): "code",
    (Proto.IP, 0, 1): "version and header length",
    (Proto.IP, 1, 1): "type of service",
    (Proto.IP, 2, 2): "total length",
    (Proto.IP, 4, 2): "identification",
    (Proto.IP, 6, 1): "flags",
    (Proto.IP, 6, 2): "flags and fragment offset",
    (Proto.IP, 8, 1): "time to live",
    (Proto.IP, 9, 1): "protocol",
    (Proto.IP, 10, 2): "checksum",
    (Proto.IP, 12, 4): "source address",
    (Proto.IP, 16, 4): "destination address",
    (Proto.IP6, 4, 2): "payload length",
    (Proto.IP6, 6, 1): "next header",
    (Proto.IP6, 7, 1): "hop limit",
    (Proto.ARP, 0, 2): "hardware type",
    (Proto.ARP, 2, 2): "protocol type",
    (Proto.ARP, 6, 2): "operation",
    (Proto.RARP, 6, 2): "operation",
}
"""(protocol, offset, size) to the name of the field."""


def _messages(proto: Proto) -> dict[int, str]:
    prefix = f"{proto.value}-"
    return {value: name for name, value in NAMED_CONSTANTS.items() if name.startswith(prefix)}


VALUES: Final = {
    (Proto.ICMP, 0, 1): _messages(Proto.ICMP),
    (Proto.ICMP6, 0, 1): _messages(Proto.ICMP6),
    (Proto.ARP, 6, 2): {1: "request", 2: "reply"},
    (Proto.RARP, 6, 2): {3: "request", 4: "reply"},
    (Proto.IP, 9, 1): {row.value: row.names[0] for row in IP_PROTOCOLS},
    (Proto.IP6, 6, 1): {row.value: row.names[0] for row in IP_PROTOCOLS},
}
"""(protocol, offset, size) to what its values are called."""


def flag_names(bits: int) -> str:
    """Return the names of TCP's flags among eight bits: "SYN and ACK"."""
    names = [name for bit, name in TCP_FLAGS if bits & bit]
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
