"""How the records of a pcap file are laid out, as far as a scan needs to know.

Timestamps are not looked at, so their unit makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pfcompile.captures.limits import largest_packet
from pfcompile.captures.pcap import RECORD_HEADER_LENGTH

if TYPE_CHECKING:
    from pfcompile.captures.records import PcapHeader


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of record.

    Attributes:
        byte_order: "<" or ">", as `struct` spells it.
        lengths: Which of the two length words is which (`captures.pcap.VERSIONS`).
        prefix: Bytes before the packet, 16 or more.
        longest: The most bytes of a packet; a greater captured length is damage.
    """

    byte_order: str
    lengths: str
    prefix: int
    longest: int

    @classmethod
    def of(cls, header: PcapHeader) -> Self:
        """Return the layout of the records behind a file header."""
        dialect = header.dialect
        return cls(
            dialect.byte_order,
            dialect.lengths,
            RECORD_HEADER_LENGTH + dialect.extra_header,
            largest_packet(header.interface.dlt),
        )
