"""The counters that a program keeps on each CPU, and their sums."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.kernel.bpf.kinds import MapKind
from pfcompile.kernel.bpf.maps import create_map

if TYPE_CHECKING:
    from pfcompile.kernel.bpf.maps import Map

_LAYOUT: Final = struct.Struct("=6Q")
COUNTERS_MAP: Final = "pf_counters"
"""The map's name in the kernel."""
SEEN: Final = 0
MATCHED: Final = 16
REPORTED: Final = 32
LOST: Final = 40
"""Where counters are; bytes are counted behind the packets of the same name."""
KEY: Final = bytes(4)
"""The only key of their map."""


class Counters(NamedTuple):
    """What was counted, since the program was attached.

    A packet is what passes as one: at tc and cgroups that may be one of 64 KB which a network card
    is going to cut, or has put together. Its bytes count from where the filter reads it.

    Attributes:
        seen_packets: Packets that came by.
        seen_bytes: Their bytes.
        matched_packets: Those of them that matched.
        matched_bytes: Their bytes.
        reported: Events that were written.
        lost: Events for which there was no room, or nobody to read them.
    """

    seen_packets: int
    seen_bytes: int
    matched_packets: int
    matched_bytes: int
    reported: int
    lost: int

    def __sub__(self, before: Counters) -> Counters:
        """Return what was counted since `before`."""
        return Counters(*(new - old for new, old in zip(self, before, strict=True)))


def create() -> Map:
    """Make their map; raises KernelError."""
    return create_map(MapKind.PERCPU_ARRAY, 4, _LAYOUT.size, 1, name=COUNTERS_MAP)


def read(counters: Map) -> Counters:
    """Return the sums over all CPUs.

    Raises:
        KernelError: EBADF where the map is closed.
    """
    values = (_LAYOUT.unpack(each) for each in counters.each(KEY))
    return Counters(*map(sum, zip(*values, strict=True)))
