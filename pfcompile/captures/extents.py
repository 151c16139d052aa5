"""How much there is of each interface of some captures: packets, bytes, first and last time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.captures.blocks.scans import Counted, Extent
    from pfcompile.captures.formats.records import Interface, Record


@dataclass(slots=True)
class Share:
    """Some packets of an interface.

    Attributes:
        packets: How many.
        bytes: Their captured bytes.
        first: The earliest time, nanoseconds since 1970; None where no packet has one.
        last: The latest.
    """

    packets: int = 0
    bytes: int = 0
    first: int | None = None
    last: int | None = None

    def add(self, packets: int, size: int, first: int | None, last: int | None) -> None:
        """Add other packets of the interface."""
        self.packets += packets
        self.bytes += size
        if first is not None:
            self.first = first if self.first is None else min(self.first, first)
        if last is not None:
            self.last = last if self.last is None else max(self.last, last)

    def add_share(self, other: Share) -> None:
        """Add what another share has."""
        self.add(other.packets, other.bytes, other.first, other.last)


@dataclass(slots=True)
class InterfaceExtent:
    """What there is of an interface.

    Attributes:
        path: The file.
        section: The number of its section in a pcapng file, from 1; 0 in pcap.
        interface: The interface.
        everything: All its packets.
        matched: Those that match.
    """

    path: str
    section: int
    interface: Interface
    everything: Share = field(default_factory=Share)
    matched: Share = field(default_factory=Share)


class Extents:
    """The interfaces of some captures, in the order in which they were met."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int, int], InterfaceExtent] = {}

    def __iter__(self) -> Iterator[InterfaceExtent]:
        return iter(self._found.values())

    def begin(self, path: str, section: int, interface: Interface) -> InterfaceExtent:
        """Return what there is of an interface, which may be new."""
        key = (path, section, interface.index)
        if key not in self._found:
            self._found[key] = InterfaceExtent(path, section, interface)
        return self._found[key]

    def add_packet(self, path: str, section: int, record: Record, *, matches: bool) -> None:
        """Add one packet."""
        found = self.begin(path, section, record.interface)
        time = record.timestamp_ns if record.has_time else None
        found.everything.add(1, len(record.data), time, time)
        if matches:
            found.matched.add(1, len(record.data), time, time)

    def add(self, counted: Counted) -> None:
        """Add what a scan has counted."""
        found = self.begin(counted.path, counted.section, counted.interface)
        for share, extent in (
            (found.everything, counted.everything),
            (found.matched, counted.matched),
        ):
            _add_extent(share, counted.interface, extent)


def _add_extent(share: Share, interface: Interface, extent: Extent) -> None:
    first, last = (
        None if ticks is None else interface.nanoseconds(ticks)
        for ticks in (extent.first, extent.last)
    )
    share.add(extent.packets, extent.bytes, first, last)
