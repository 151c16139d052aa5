"""Small pieces of English: lists, and numbers with their names."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pfcompile.facts import ip_protocols, services

if TYPE_CHECKING:
    from collections.abc import Sequence


def listed(words: Sequence[str], junction: str = "or") -> str:
    """Return "a", "a or b", "a, b or c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {junction} {words[-1]}"


def counted(number: int, noun: str) -> str:
    """Return "1 tag" or "2 tags"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


_NAMES = {
    ip_protocols.TCP: "TCP",
    ip_protocols.UDP: "UDP",
    ip_protocols.SCTP: "SCTP",
    ip_protocols.ICMP: "ICMP",
    ip_protocols.ICMP6: "ICMPv6",
    ip_protocols.IGMP: "IGMP",
    ip_protocols.ESP: "ESP",
    ip_protocols.AH: "AH",
    ip_protocols.PIM: "PIM",
    ip_protocols.IGRP: "IGRP",
}


def protocol_name(number: int) -> str:
    """Return what people call an IP protocol: "TCP", "protocol 89 (ospf)"."""
    known = _NAMES.get(number)
    if known is not None:
        return known
    row = next((row for row in ip_protocols.IP_PROTOCOLS if row.value == number), None)
    return f"protocol {number}" if row is None else f"protocol {number} ({row.names[0]})"


@cache
def _service_names() -> dict[tuple[str, int], str]:
    names: dict[tuple[str, int], str] = {}
    for row in services.SERVICES:
        for protocol in ("tcp", "udp", "sctp"):
            port = getattr(row, protocol)
            if port is not None:
                names.setdefault((protocol, port), row.name)
    # The first of several names for a port is not always the usual one.
    for name, protocol, port in (("smtp", "tcp", 25), ("sip", "tcp", 5060), ("sip", "udp", 5060)):
        names[protocol, port] = name
    return names


def service_name(port: int, protocols: Sequence[int]) -> str | None:
    """Return the usual name of a port of any of some protocols, or None."""
    words = {ip_protocols.TCP: "tcp", ip_protocols.UDP: "udp", ip_protocols.SCTP: "sctp"}
    for number in protocols:
        name = _service_names().get((words[number], port))
        if name is not None:
            return name
    return None


def port_words(low: int, high: int, protocols: Sequence[int]) -> str:
    """Return "80 (http)" or "8000 to 8100"."""
    if low != high:
        return f"{low} to {high}"
    name = service_name(low, protocols)
    return str(low) if name is None else f"{low} ({name})"
