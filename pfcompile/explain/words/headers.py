"""What bytes of headers are called, and the words for flags and types in them.

Where they stand is in the rows of `fields`; here are the words of plain English.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.facts.ip_protocols import IP_PROTOCOLS
from pfcompile.facts.named_constants import NAMED_CONSTANTS
from pfcompile.fields import network_headers, transport_headers
from pfcompile.syntax.tree import Proto

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.fields.rows import Header

FLAGS_BYTE: Final = NAMED_CONSTANTS["tcpflags"]
"""Where TCP has its flags."""

FLAG_WORDS: Final = {bit: word for word, bit in NAMED_CONSTANTS.items() if word.startswith("tcp-")}
"""Each bit of TCP's flags to the filter language's word for it."""

_FLAG_NAMES: Final = {
    bit: word.removeprefix("tcp-").upper().replace("PUSH", "PSH")
    for bit, word in FLAG_WORDS.items()
}

_TITLES: Final[dict[Proto, tuple[Header, Mapping[str, str]]]] = {
    Proto.TCP: (
        transport_headers.TCP,
        {
            "srcport": "source port",
            "dstport": "destination port",
            "seq": "sequence number",
            "ack": "acknowledgement number",
            "data_offset": "header length",
            "flags": "flags",
            "window": "window",
            "checksum": "checksum",
        },
    ),
    Proto.UDP: (
        transport_headers.UDP,
        {
            "srcport": "source port",
            "dstport": "destination port",
            "len": "length",
            "checksum": "checksum",
        },
    ),
    Proto.ICMP: (transport_headers.ICMP, {"type": "type", "code": "code"}),
    Proto.ICMP6: (transport_headers.ICMP6, {"type": "type", "code": "code"}),
    Proto.IP: (
        network_headers.IP,
        {
            "version ihl": "version and header length",
            "tos": "type of service",
            "len": "total length",
            "id": "identification",
            "flags": "flags",
            "flags frag_offset": "flags and fragment offset",
            "ttl": "time to live",
            "proto": "protocol",
            "checksum": "checksum",
            "src": "source address",
            "dst": "destination address",
        },
    ),
    Proto.IP6: (
        network_headers.IP6,
        {"len": "payload length", "nexthdr": "next header", "hop_limit": "hop limit"},
    ),
    Proto.ARP: (
        network_headers.ARP,
        {"hrd": "hardware type", "pro": "protocol type", "op": "operation"},
    ),
    Proto.RARP: (network_headers.RARP, {"op": "operation"}),
}
"""Of each protocol, the names of fields of its header, or of the first and last of several."""


def _placed(header: Header, names: str) -> tuple[int, int]:
    """Return the offset and size of the whole bytes that some fields are in."""
    of_name = {field.name: field for field in (*header.fields, *header.parts)}
    fields = [of_name[name] for name in names.split()]
    start = fields[0].start // 8
    return start, -(-fields[-1].end // 8) - start


HEADER_FIELDS: Final = {
    (proto, *_placed(header, names)): title
    for proto, (header, titles) in _TITLES.items()
    for names, title in titles.items()
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
    names = [name for bit, name in _FLAG_NAMES.items() if bits & bit]
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
