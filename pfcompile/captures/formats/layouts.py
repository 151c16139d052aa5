"""How the records of a capture lie in the file, as far as a scan of whole blocks needs to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeAlias

from pfcompile.captures.formats.limits import LARGEST_BLOCK, largest_packet
from pfcompile.captures.formats.pcap import prefix_length

if TYPE_CHECKING:
    from pfcompile.captures.formats.records import PcapHeader

INTERFACE_WORDS: Final = (
    "filter",
    "snaplen",
    "packets",
    "bytes",
    "matched",
    "matched_bytes",
    "first",
    "last",
    "matched_first",
    "matched_last",
)
"""What a scan knows and counts of a pcapng interface, 64 bits each: which of its filters it has
(`NO_FILTER`: none yet), at which length simple packets are cut, and sums and times as of a file."""

NO_FILTER: Final = (1 << 64) - 1


class PcapLayout(NamedTuple):
    """The records of a pcap file.

    Attributes:
        byte_order: "<" or ">", as `struct` spells it.
        lengths: Which of the two length words is which (`captures.formats.pcap.VERSIONS`).
        prefix: Bytes before the packet, 16 or more.
        longest: The most bytes of a packet; a greater captured length is damage.
        ticks_per_second: The unit of the second timestamp word.
    """

    byte_order: str
    lengths: str
    prefix: int
    longest: int
    ticks_per_second: int

    @classmethod
    def of(cls, header: PcapHeader) -> Self:
        """Return the layout of the records behind a file header."""
        dialect = header.dialect
        return cls(
            dialect.byte_order,
            dialect.lengths,
            prefix_length(header),
            largest_packet(header.interface.dlt),
            dialect.ticks_per_second,
        )


class PcapngLayout(NamedTuple):
    """The packet blocks of a pcapng section.

    Attributes:
        byte_order: "<" or ">", as `struct` spells it.
        filters: How many link types the interfaces have, each with a filter of its own.
        longest: The most bytes of a block; a greater length is damage.
    """

    byte_order: str
    filters: int
    longest: int = LARGEST_BLOCK


Layout: TypeAlias = PcapLayout | PcapngLayout
