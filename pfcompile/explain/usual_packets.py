"""Packets as everybody knows them, for a filter to be tried on: ssh, http, DNS, ARP.

They go from a client to a server. One of the two is the first address that the filter names.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.explain.explanation import Tried
from pfcompile.explain.subject import walk
from pfcompile.explain.words.english import service_name
from pfcompile.facts import ethertypes, ip_protocols
from pfcompile.ir.arithmetic import WORD
from pfcompile.lower.lists import Ipv4List
from pfcompile.lower.qualified import qualified
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Direction, Kind, Proto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.explain.subject import Occurrence, Subject
    from pfcompile.program import Program

_HERE: Final = ipaddress.IPv4Address("192.0.2.1")
_THERE: Final = ipaddress.IPv4Address("198.51.100.2")
"""Addresses for documentation, RFC 5737."""
_HERE6: Final = ipaddress.IPv6Address("2001:db8::1")
_THERE6: Final = ipaddress.IPv6Address("2001:db8::2")
_CLIENT_PORT: Final = 50_000
_MOST_PORTS: Final = 6

_TCP, _UDP = ip_protocols.TCP, ip_protocols.UDP
_ALWAYS: Final = ((_TCP, 22), (_TCP, 80), (_TCP, 443), (_UDP, 53))


@dataclass(frozen=True, slots=True)
class _Sample:
    name: str
    ethertype: int
    payload: bytes


def try_usual(subject: Subject, program: Program) -> tuple[Tried, ...]:
    """Return what a filter does with usual packets; nothing where that says nothing.

    That is so where it takes none of them, looks behind tags or into tunnels, or asks for what is
    made up here: lengths and link addresses.
    """
    framed = _FRAMES.get(subject.options.dlt)
    if framed is None or any(map(_asks_what_is_made_up, subject.occurrences)):
        return ()
    tried = [
        Tried(sample.name, bool(program.match(frame)))
        for sample in _samples(subject)
        if (frame := framed(sample)) is not None
    ]
    return tuple(tried) if any(sample.matches for sample in tried) else ()


def _asks_what_is_made_up(occurrence: Occurrence) -> bool:
    match occurrence.node:
        case tree.LengthBound() | tree.LinkByte() | tree.Encapsulation() | tree.Way():
            return True
        case tree.Qualified(qualifiers=tree.Qualifiers(proto=Proto.LINK, kind=kind)):
            return kind is not Kind.PROTO
        case tree.Relation() as relation:
            return any(
                isinstance(node, tree.Length)
                or (isinstance(node, tree.Accessor) and node.proto is Proto.LINK)
                for node in walk(relation)
            )
        case _:
            return False


def _samples(subject: Subject) -> Iterator[_Sample]:
    named = next(_addresses(subject), None)
    source, to, of = _HERE, _THERE, ""
    if named is not None:
        address, is_source = named
        source, to = (address, _THERE) if is_source else (_HERE, address)
        of = f" {'from' if is_source else 'to'} {address}"
    ports = list(dict.fromkeys((*_ports(subject), *_ALWAYS)))[: len(_ALWAYS) + _MOST_PORTS]
    for protocol, port in sorted(ports, key=lambda each: (each[0] != _TCP, each[1])):
        title = "TCP" if protocol == _TCP else "UDP"
        service = service_name(port, (protocol,))
        name = f"{title} port {port}{'' if service is None else f' ({service})'}{of}"
        payload = _ipv4(source, to, protocol, _transport(protocol, port))
        yield _Sample(name, ethertypes.IP, payload)
    echo = _ipv4(source, to, ip_protocols.ICMP, b"\x08" + bytes(7))
    yield _Sample(f"ping{of}", ethertypes.IP, echo)
    yield _Sample(f"ARP request{of}", ethertypes.ARP, _arp(source, to))
    if not of:
        payload = _ipv6(_TCP, _transport(_TCP, 443))
        yield _Sample("TCP port 443 (https) over IPv6", ethertypes.IP6, payload)


def _addresses(subject: Subject) -> Iterator[tuple[ipaddress.IPv4Address, bool]]:
    """Yield the IPv4 addresses that a filter wants, and whether they may be the source."""
    for occurrence in subject.occurrences:
        node = occurrence.node
        if occurrence.negated or not isinstance(node, tree.Qualified):
            continue
        if isinstance(node.identifier, tree.Name):
            continue
        found = qualified(subject.at(occurrence), node)
        if isinstance(found, Ipv4List) and found.direction is not Direction.SRC_AND_DST:
            address, mask = found.values[0]
            # Of a network, its first host.
            number = address if mask == WORD else address + 1 & WORD
            yield ipaddress.IPv4Address(number), found.direction is not Direction.DST


def _ports(subject: Subject) -> Iterator[tuple[int, int]]:
    """Yield the ports that a filter names, each of TCP and UDP as it says."""
    protocols = {None: (_TCP, _UDP), tree.Proto.TCP: (_TCP,), tree.Proto.UDP: (_UDP,)}
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Qualified(
                qualifiers=tree.Qualifiers(kind=Kind.PORT, proto=proto),
                identifier=tree.Number(value=port),
            ) if proto in protocols:
                known = [
                    (number, port)
                    for number in protocols[proto]
                    if service_name(port, (number,)) is not None
                ]
                yield from known or [(protocols[proto][0], port)]
            case _:
                pass


def _transport(protocol: int, port: int) -> bytes:
    ports = _CLIENT_PORT.to_bytes(2, "big") + port.to_bytes(2, "big")
    if protocol == _UDP:
        return ports + b"\0\x08\0\0"
    return ports + bytes(8) + b"\x50\x18\xff\xff" + bytes(4)


def _ipv4(
    source: ipaddress.IPv4Address, to: ipaddress.IPv4Address, protocol: int, payload: bytes
) -> bytes:
    length = (20 + len(payload)).to_bytes(2, "big")
    start = b"\x45\0" + length + b"\0\0\x40\0\x40" + bytes([protocol]) + b"\0\0"
    return start + source.packed + to.packed + payload


def _ipv6(protocol: int, payload: bytes) -> bytes:
    start = b"\x60\0\0\0" + len(payload).to_bytes(2, "big") + bytes([protocol, 64])
    return start + _HERE6.packed + _THERE6.packed + payload


def _arp(source: ipaddress.IPv4Address, to: ipaddress.IPv4Address) -> bytes:
    start = b"\0\x01\x08\0\x06\x04\0\x01" + b"\x02\0\0\0\0\x01"
    return start + source.packed + bytes(6) + to.packed


def _ethernet(sample: _Sample) -> bytes:
    to = b"\xff" * 6 if sample.ethertype == ethertypes.ARP else b"\x02\0\0\0\0\x02"
    return to + b"\x02\0\0\0\0\x01" + sample.ethertype.to_bytes(2, "big") + sample.payload


def _cooked(sample: _Sample) -> bytes:
    return (
        b"\0\0\0\x01\0\x06\x02\0\0\0\0\x01\0\0"
        + sample.ethertype.to_bytes(2, "big")
        + (sample.payload)
    )


def _raw(sample: _Sample) -> bytes | None:
    return None if sample.ethertype == ethertypes.ARP else sample.payload


_FRAMES: Final = {1: _ethernet, 12: _raw, 113: _cooked}
"""Link type to how a packet is framed there."""
