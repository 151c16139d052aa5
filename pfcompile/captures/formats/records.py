"""What a walker yields: packets, and the parts of a file that are not packets.

Every item keeps the very bytes that it was read from, so that what is kept can be written
unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from pfcompile.captures.formats.limits import MAXIMUM_SNAPLEN, largest_packet
from pfcompile.facts.link_types import dlt_of_linktype

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Interface:
    """Where packets were captured: one for a pcap file, any number for a pcapng section.

    Attributes:
        index: Its number within its section, from 0.
        linktype: The link-type number in the file (LINKTYPE_, not DLT_), 0 to 65535.
        snaplen: The most bytes captured of a packet as the file says it, 0 to 2**32 - 1; 0 means
            that there was no limit.
        ticks_per_second: The unit of the timestamps in the file, 1 to 2**63.
        offset_seconds: Added to every timestamp (if_tsoffset), a signed 64-bit number.
    """

    index: int
    linktype: int
    snaplen: int
    ticks_per_second: int = 1_000_000
    offset_seconds: int = 0

    @property
    def dlt(self) -> int:
        """The link type that a filter is compiled for."""
        return dlt_of_linktype(self.linktype)

    @property
    def filter_snaplen(self) -> int:
        """The snapshot length that a filter is compiled for, 1 to 2**31 - 1.

        A file that names none, or nonsense, gets the most that its link type can have
        (libpcap: pcapint_adjust_snapshot).
        """
        if 0 < self.snaplen < 1 << 31:
            return self.snaplen
        return max(largest_packet(self.dlt), MAXIMUM_SNAPLEN)

    def nanoseconds(self, ticks: int) -> int:
        """Return a timestamp of this interface as nanoseconds since 1970, rounded down."""
        return self.offset_seconds * NANOSECONDS + ticks * NANOSECONDS // self.ticks_per_second


class PcapDialect(NamedTuple):
    """How the records of a pcap file are laid out.

    Attributes:
        magic: The magic number.
        byte_order: "<" or ">", as `struct` spells it.
        ticks_per_second: The unit of the second timestamp word.
        extra_header: Bytes of a record's header behind the usual 16.
        lengths: Which of the two length words is which.
    """

    magic: int
    byte_order: str
    ticks_per_second: int
    extra_header: int
    lengths: str


class Record(NamedTuple):
    """One packet.

    Attributes:
        timestamp_ns: Nanoseconds since 1970-01-01 UTC; 0 where the file has none (pcapng's
            simple packet block).
        data: The captured bytes.
        wire_length: The packet's length on the wire, 0 to 2**32 - 1.
        interface: Where it was captured.
        raw: The whole record or block as it is in the file, header and padding included.
        offset: Where `raw` starts in the file.
        has_time: Whether the file has its time.
    """

    timestamp_ns: int
    data: bytes
    wire_length: int
    interface: Interface
    raw: memoryview
    offset: int
    has_time: bool = True


@dataclass(frozen=True, slots=True)
class PcapHeader:
    """The header of a pcap file (24 bytes)."""

    raw: bytes
    dialect: PcapDialect
    interface: Interface


@dataclass(frozen=True, slots=True)
class Section:
    """A pcapng section header block: a new byte order, and no interfaces yet."""

    raw: bytes
    byte_order: str


@dataclass(frozen=True, slots=True)
class InterfaceBlock:
    """A pcapng interface description block."""

    raw: bytes
    interface: Interface


@dataclass(frozen=True, slots=True)
class OtherBlock:
    """A pcapng block that is neither a packet nor one of the above: names, statistics, secrets.

    Attributes:
        kind: The block type.
        raw: The whole block.
    """

    kind: int
    raw: bytes


Item: TypeAlias = PcapHeader | Section | InterfaceBlock | OtherBlock | Record
"""Anything that a capture is made of, in the order of the file."""
