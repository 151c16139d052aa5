"""Scans, which filter whole blocks of a capture: what they are asked for, and what they tell.

They are given from above (`jit/scan`): here is only what they promise.
"""

from __future__ import annotations

from enum import Enum
from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pfcompile.captures.formats import pcap, pcapng
from pfcompile.captures.formats.records import PcapHeader, Record
from pfcompile.captures.sources.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from mmap import mmap

    from pfcompile.captures.formats.layouts import Layout
    from pfcompile.captures.formats.records import Interface

NO_LIMIT: Final = (1 << 64) - 1

SLACK: Final = 64 * 1024
"""So many bytes behind the end of a block are readable, whatever they hold: what scans blocks may
load from there before it knows whether a packet has those bytes."""

ROW: Final = ("offset", "data", "ticks", "captured", "wire", "interface", "matched")
"""What a scan can take down of a packet, 64 bits each: where its record starts in the file and its
bytes in the block, its time, captured and wire length, where the words of its interface start
(bytes from the first; and `UNTIMED`), and a bit for each filter that it matches."""


UNTIMED: Final = 1
"""Added to `interface` in the row of a packet that has no time, whose ticks say nothing; no number
of ticks could tell, since each may be a time."""


class Rows(Enum):
    """Which packets are taken down as rows."""

    NONE = "none"
    MATCHED = "matched"
    ALL = "all"


class Wanted(NamedTuple):
    """What a scan is to find beside the sums.

    Attributes:
        copies: The matching records, unchanged.
        times: The earliest and the latest time, and in pcapng the sums of each interface.
        rows: What is known of single packets.
        limit: Whether to stop behind a number of matches of the first filter.
    """

    copies: bool = False
    times: bool = False
    rows: Rows = Rows.NONE
    limit: bool = False


class Sums(NamedTuple):
    """What has been counted.

    Attributes:
        packets: Packets.
        bytes: Their captured bytes.
        matched: For each filter, the packets that match.
        matched_bytes: For each filter, their captured bytes.
    """

    packets: int
    bytes: int
    matched: tuple[int, ...]
    matched_bytes: tuple[int, ...]

    def since(self, before: Sums) -> Sums:
        """Return what has been counted after `before`."""
        return Sums(
            self.packets - before.packets,
            self.bytes - before.bytes,
            tuple(a - b for a, b in zip(self.matched, before.matched, strict=True)),
            tuple(a - b for a, b in zip(self.matched_bytes, before.matched_bytes, strict=True)),
        )


class Extent(NamedTuple):
    """Packets with times: how many, their captured bytes, and the first and last time in ticks.

    The times are None where no packet has one.
    """

    packets: int
    bytes: int
    first: int | None
    last: int | None


class Counted(NamedTuple):
    """What a scan has counted of an interface.

    Attributes:
        path: The file.
        section: The number of the section within it, from 1; 0 in pcap.
        interface: The interface.
        everything: All its packets.
        matched: Those that the first filter matches.
    """

    path: str
    section: int
    interface: Interface
    everything: Extent
    matched: Extent


class Tallied(NamedTuple):
    """What a scan has counted in filters that count more than matches.

    Attributes:
        counters: Each such filter, as it was given, with its counters.
    """

    counters: tuple[tuple[object, tuple[int, ...]], ...]


class Scans(Protocol):
    """Gives what filters a capture in blocks; None where the interpreter is to do it.

    Threads may ask at the same time; a scan is for one of them.
    """

    @property
    def wanted(self) -> Wanted:
        """What is taken down of packets."""

    def pcap(self, header: PcapHeader) -> BlockScan | None:
        """Return a scan of a pcap file, with nothing counted."""

    def pcapng(self, byte_order: str) -> BlockScan | None:
        """Return a scan of pcapng sections of a byte order, with nothing counted."""

    def choose(self, scan: BlockScan, interface: Interface) -> int | None:
        """Let a scan of pcapng sections know the filter for an interface; return its number.

        None where there can be none, as for a link type that does not exist.

        Raises:
            FilterError: The expression is wrong for it.
        """


class Memory(NamedTuple):
    """Where the records of a block are.

    Attributes:
        memory: Has them, and `SLACK` bytes more.
        start: Index of the first.
        end: Index behind the last byte.
        base: The place in the file of the memory's first byte; may be negative.
        reads_at: Index of where later blocks are read to, behind what is carried over.
        size: Bytes that are read at a time.
    """

    memory: bytearray | mmap
    start: int
    end: int
    base: int
    reads_at: int
    size: int


class Reads(NamedTuple):
    """What may be read behind a block.

    Attributes:
        descriptor: The file.
        wanted: How many bytes; 0 for none.
    """

    descriptor: int
    wanted: int


class BlockScan(Protocol):
    """Filters the records of one kind in blocks of memory; keeps the sums of all of them."""

    @property
    def layout(self) -> Layout:
        """The records."""

    @property
    def memory(self) -> bytearray | mmap:
        """The memory of the last block."""

    def scan(self, memory: Memory, reads: Reads, limit: int) -> tuple[int, int, int]:
        """Walk the records of a block and what may be read behind it.

        Args:
            memory: Where the block is, and where more is read to.
            reads: What may be read: with what is in the block, less than 2**32 bytes.
            limit: Stop behind so many matches of the first filter since the beginning.

        Returns:
            Where in the memory it stopped, where what is read ends there, and the place in the file
            of the memory's first byte.
        """

    def sums(self) -> Sums:
        """Return the sums since the beginning."""

    def counters(self) -> Sequence[tuple[object, tuple[int, ...]]]:
        """Return each filter that counts more than matches with its counters since the beginning.

        None of them may be left out when they are added up, and none taken twice.
        """

    def kept(self, number: int) -> memoryview:
        """Return the records that filter `number` has kept since `forget_kept`."""

    def rows(self) -> memoryview:
        """Return the rows, numbers as in `ROW`, since `forget_kept`."""

    def detached(self) -> Kept:
        """Return what has been kept since `forget_kept`, in memory that this uses no more."""

    def forget_kept(self) -> None:
        """Make room: the memory of what has been kept is used again."""

    def extents(self, interface: int) -> tuple[Extent, Extent]:
        """Return the extent of an interface's packets, and of those that the first filter keeps."""

    def set_interface(self, index: int, chosen: int, snaplen: int) -> None:
        """Tell of an interface, a new one behind the others or one of them.

        Args:
            index: Its number within the section.
            chosen: Which of the link types' filters it has; `NO_FILTER` for none yet.
            snaplen: Where simple packets are cut.
        """


class Structure(NamedTuple):
    """What is known of a file before its packets.

    Attributes:
        header: That of a pcap file; None in pcapng.
        section: The section's state in pcapng.
    """

    header: PcapHeader | None = None
    section: pcapng.SectionState | None = None

    @property
    def interfaces(self) -> Sequence[Interface]:
        """The interfaces by their numbers."""
        if self.header is not None:
            return [self.header.interface]
        return [] if self.section is None else self.section.interfaces

    def records(self, content: bytes, path: str = "") -> Iterator[Record]:
        """Yield whole records that lie one behind the other."""
        window = Window(BytesIO(content), path)
        if self.header is not None:
            yield from pcap.walk(window, self.header)
        elif self.section is not None:
            for item in pcapng.walk(window, self.section):
                if isinstance(item, Record):
                    yield item

    def record_ends(self, content: bytes) -> list[int]:
        """Return where each of some whole records, one behind the other, ends."""
        return [record.offset + len(record.raw) for record in self.records(content)]


class Kept(Protocol):
    """Has what filters have kept."""

    @property
    def memory(self) -> bytearray | mmap:
        """The memory of the last block, which rows tell places in."""

    def rows(self) -> memoryview:
        """Return the rows, numbers as in `ROW`."""

    def kept(self, number: int) -> memoryview:
        """Return the records of a filter, unchanged, one behind the other."""

    def detached(self) -> Kept:
        """Return the same in memory that nobody else uses."""


class Run(NamedTuple):
    """What the scan of some blocks kept and counted.

    Attributes:
        structure: What the records need to be read.
        sums: What was counted since the run before.
        scan: Has the records, until the next item is asked for.
        path: The file's name, for errors.
    """

    structure: Structure
    sums: Sums
    scan: Kept
    path: str

    def kept(self, number: int = 0) -> memoryview:
        """Return the records that a filter kept, unchanged, one behind the other."""
        return self.scan.kept(number)

    def records(self, number: int = 0) -> Iterator[Record]:
        """Yield the records that a filter kept one by one; their offsets count from the first."""
        return self.structure.records(bytes(self.kept(number)), self.path)
