"""Counts of matching packets by their source, kept on each CPU."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pfcompile.kernel.attach.addresses import NO_ROOM, NO_SOURCE, SOURCES_MAP
from pfcompile.kernel.bpf.kinds import MapKind
from pfcompile.kernel.bpf.maps import create_map

if TYPE_CHECKING:
    from pfcompile.kernel.bpf.maps import Map

Address: TypeAlias = IPv4Address | IPv6Address

_KEY: Final = struct.Struct("=I16s")
_VALUE: Final = struct.Struct("=2Q")
_IPV4_BYTES: Final = 4
_OTHERS: Final = (NO_SOURCE, NO_ROOM)


class SourceCount(NamedTuple):
    """What was counted of one source.

    Attributes:
        source: Its address; None for packets without an IP header and for those of sources that
            found no room.
        packets: Packets that matched.
        bytes: Their bytes.
    """

    source: Address | None
    packets: int
    bytes: int


def create(room: int) -> Map:
    """Make a map for so many sources; raises KernelError."""
    made = create_map(
        MapKind.PERCPU_HASH, _KEY.size, _VALUE.size, room + len(_OTHERS), name=SOURCES_MAP
    )
    try:
        nothing = bytes(made.value_bytes)
        for family in _OTHERS:
            made.set(_KEY.pack(family, bytes(16)), nothing)
    except BaseException:
        made.close()
        raise
    return made


def read(counts: Map) -> tuple[SourceCount, ...]:
    """Return the sums over all CPUs, the most packets first; raises KernelError."""
    found: dict[Address | None, tuple[int, int]] = {}
    for key, value in counts.items():
        source = _address(*_KEY.unpack(key))
        packets, size = found.get(source, (0, 0))
        for each in counts.split(value):
            more_packets, more_size = _VALUE.unpack(each)
            packets, size = packets + more_packets, size + more_size
        found[source] = packets, size
    rows = [SourceCount(source, *counted) for source, counted in found.items() if counted[0]]
    return tuple(sorted(rows, key=lambda row: (-row.packets, str(row.source))))


def _address(family: int, packed: bytes) -> Address | None:
    match family:
        case 4:
            return IPv4Address(packed[:_IPV4_BYTES])
        case 6:
            return IPv6Address(packed)
        case _:
            return None
