"""Captures walked by something faster than `pcap.walk` and `pcapng.walk`, block by block.

What scans a block is given from above: this layer knows only what it promises (`BlockScan`). Where
a scan stops, the rest is done as the walkers do it, so that the end of the file and its damage are
found in one way and told in one voice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self

from pfcompile.captures import pcap, pcapng
from pfcompile.captures.block import BLOCK_SIZE, Block
from pfcompile.captures.layouts import NO_FILTER
from pfcompile.captures.pcapng import SectionState
from pfcompile.captures.records import InterfaceBlock, PcapHeader, Record, Section
from pfcompile.captures.window import Window
from pfcompile.errors import CaptureError, FilterError, InternalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pfcompile.captures.block import Memory, Reads
    from pfcompile.captures.layouts import Layout
    from pfcompile.captures.records import Interface, Item

NO_LIMIT: Final = (1 << 64) - 1

AHEAD: Final = 16 << 20
"""Bytes that are counted before anybody is told: the disk permitting, it takes two milliseconds."""

SLACK: Final = 64 * 1024
"""So many bytes behind the end of a block are readable, whatever they hold: what scans blocks may
load from there before it knows whether a packet has those bytes."""

ROW: Final = ("offset", "data", "ticks", "captured", "wire", "interface", "matched")
"""What a scan can take down of a packet, 64 bits each: where its record starts in the file and its
bytes in the block, its time, captured and wire length, where the words of its interface start
(bytes from the first), and a bit for each filter that it matches."""


UNTIMED: Final = (1 << 64) - 1
"""The ticks in a row of a packet that has no time."""


class Rows(Enum):
    """Which packets are taken down as rows."""

    NONE = "none"
    MATCHED = "matched"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Wanted:
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


@dataclass(frozen=True, slots=True)
class Counted:
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


class Scans(Protocol):
    """Gives what filters a capture in blocks; None where the interpreter is to do it.

    Threads may ask at the same time; a scan is for one of them.
    """

    @property
    def keeps(self) -> bool:
        """Whether matching records are kept, or only counted."""

    @property
    def times(self) -> bool:
        """Whether times are taken down, and in pcapng the sums of each interface."""

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


class BlockScan(Protocol):
    """Filters the records of one kind in blocks of memory; keeps the sums of all of them."""

    @property
    def layout(self) -> Layout:
        """The records."""

    @property
    def memory(self) -> bytearray:
        """The memory of the last block."""

    def scan(self, memory: Memory, reads: Reads, limit: int) -> tuple[int, int, int]:
        """Walk the records of a block and what may be read behind it.

        Args:
            memory: Where the block is, and where more is read to.
            reads: What may be read.
            limit: Stop behind so many matches of the first filter since the beginning.

        Returns:
            Where in the memory it stopped, where what is read ends there, and the place in the file
            of the memory's first byte.
        """

    def sums(self) -> Sums:
        """Return the sums since the beginning."""

    def kept(self, number: int) -> memoryview:
        """Return the records that filter `number` has kept since `forget_kept`."""

    def rows(self) -> memoryview:
        """Return the rows, numbers as in `ROW`, since `forget_kept`."""

    def forget_kept(self) -> None:
        """Make room: the memory of what has been kept is used again."""

    def extents(self, interface: int) -> tuple[Extent, Extent]:
        """Return the extent of an interface's packets, and of those that the first filter keeps."""

    def begin_section(self) -> None:
        """Forget the interfaces."""

    def set_interface(self, index: int, chosen: int, snaplen: int) -> None:
        """Tell of an interface, a new one behind the others or one of them.

        Args:
            index: Its number within the section.
            chosen: Which of the link types' filters it has; `NO_FILTER` for none yet.
            snaplen: Where simple packets are cut.
        """


@dataclass(frozen=True, slots=True)
class Structure:
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
    def memory(self) -> bytearray:
        """The memory of the last block, which rows tell places in."""

    def rows(self) -> memoryview:
        """Return the rows, numbers as in `ROW`."""

    def kept(self, number: int) -> memoryview:
        """Return the records of a filter, unchanged, one behind the other."""


@dataclass(frozen=True, slots=True)
class Run:
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


@dataclass(frozen=True, slots=True)
class Manner:
    """How a capture is walked.

    Attributes:
        limit: How many matches of the first filter are wanted of it.
        block_size: Bytes to ask for at a time.
        ahead: How many bytes of a file may be scanned beside a block before a run is yielded.
        stop: Records that start at this place or behind are left out; None: all are walked.
        times: Whether the scans take down times, and each interface's extent is wanted.
    """

    limit: int = NO_LIMIT
    block_size: int = BLOCK_SIZE
    ahead: int = 0
    stop: int | None = None
    times: bool = False


def manner_for(scans: Scans | None, limit: int) -> Manner:
    """Return how to walk what `scans` filters."""
    if scans is None:
        return Manner(limit)
    ahead = 0 if scans.keeps or limit != NO_LIMIT else AHEAD
    return Manner(limit, ahead=ahead, times=scans.times)


def walk_pcap(
    window: Window, header: PcapHeader, scan: BlockScan, manner: Manner
) -> Iterator[Run | Counted]:
    """Yield what is kept and counted of the records behind the file header.

    Args:
        window: The file; what it has in memory is taken over.
        header: The file's header.
        scan: Filters the blocks.
        manner: How.

    Raises:
        CaptureError: As `pcap.walk`.
    """
    block = Block(window, manner.block_size, SLACK)
    prefix = pcap.prefix_length(header)
    limit, stop = manner.limit, manner.stop
    teller = _Teller(scan, Structure(header=header), window.path, manner)
    try:
        while True:
            moved = block.scan(scan, limit, manner.ahead, stop)
            yield from teller.rest()
            if stop is not None and block.offset >= stop:
                break
            # Mostly the scan has gone on to a record that is cut by the block's end: then more is
            # read, however much the record needs.
            if moved and limit == NO_LIMIT and block.extend(len(block) + 1, stop):
                continue
            needed = pcap.record_size(window, header, block.rest(prefix))
            if needed <= len(block):
                _check_limit(scan, limit, window)
                break
            if not block.extend(needed, stop):
                if not len(block):
                    break
                raise window.damaged(pcap.cut_short(len(block), needed))
    except (CaptureError, KeyboardInterrupt):
        yield from teller.rest()
        yield from teller.counted([header.interface])
        raise
    yield from teller.rest()
    yield from teller.counted([header.interface])


def walk_pcapng(
    window: Window, scans: Scans, manner: Manner, state: pcapng.SectionState | None = None
) -> Iterator[Item | Run | Counted]:
    """Yield what is kept and counted of the packet blocks of a file, and all other blocks.

    Args:
        window: The file, from the start of a block on.
        scans: Gives what filters the blocks.
        manner: How.
        state: The section that the first block belongs to; it is changed. None: there is none yet.

    Raises:
        CaptureError: As `pcapng.walk`.
        FilterError: The expression is wrong for the link type of an interface.
    """
    state = pcapng.SectionState() if state is None else state
    block = Block(window, manner.block_size, SLACK)
    section = _Section.begun(window, scans, manner, state) if state.byte_order else None
    try:
        while True:
            if section is not None and len(block):
                yield from section.scan(block)
            if manner.stop is not None and block.offset >= manner.stop:
                break
            needed = state.block_size(window, block.rest(pcapng.FRAME))
            if needed > len(block):
                if block.extend(needed, manner.stop):
                    continue
                if not len(block):
                    break
                raise window.damaged(pcapng.cut_short(len(block), needed))
            item = state.read(Window(BytesIO(block.rest(needed)), window.path, start=block.offset))
            if isinstance(item, Record) and section is not None:
                if section.has_filter(item.interface):
                    _check_limit(section.blocks, manner.limit, window)
                    break
                if section.choose(item.interface):
                    continue
                yield from section.end()
                section = None
            if isinstance(item, Record):
                break
            assert item is not None
            if section is not None:
                yield from section.teller.rest()
            if isinstance(item, Section) and section is not None:
                yield from section.end()
                manner = section.left()
            yield item
            block.skip(block.start + needed)
            if isinstance(item, Section):
                section = _Section.begun(window, scans, manner, state)
            elif isinstance(item, InterfaceBlock) and section is not None:
                section.describe(item.interface)
    except (CaptureError, FilterError, KeyboardInterrupt):
        if section is not None:
            yield from section.end()
        raise
    if section is not None:
        yield from section.end()
    else:
        yield from _one_by_one(window, block, manner, state)


def _one_by_one(
    window: Window, block: Block, manner: Manner, state: SectionState
) -> Iterator[Item]:
    """Yield the blocks from here on where there is nothing that filters them in blocks."""
    window.put_back(block.rest(len(block)))
    while manner.stop is None or window.offset < manner.stop:
        item = state.read(window)
        if item is None:
            break
        yield item


class _Section:
    """The scan of a pcapng section.

    Attributes:
        blocks: Scans its blocks.
        teller: Tells what that comes to.
        interfaces: Those that the scan knows.
    """

    def __init__(
        self, window: Window, scans: Scans, blocks: BlockScan, manner: Manner, state: SectionState
    ) -> None:
        self.blocks = blocks
        # The interfaces of a later section are in a list of their own.
        structure = Structure(section=SectionState(state.byte_order, state.interfaces))
        self.teller = _Teller(blocks, structure, window.path, manner, state.number)
        self.interfaces: list[Interface] = []
        self._scans = scans
        self._manner = manner
        self._chosen: set[int] = set()
        for each in state.interfaces:
            self.describe(each)

    @classmethod
    def begun(
        cls, window: Window, scans: Scans, manner: Manner, state: SectionState
    ) -> Self | None:
        """Return one for the section that `state` is in; None where nothing scans it."""
        blocks = scans.pcapng(state.byte_order)
        return None if blocks is None else cls(window, scans, blocks, manner, state)

    def scan(self, block: Block) -> Iterator[Run]:
        """Scan what is in memory."""
        block.scan(self.blocks, self._manner.limit, self._manner.ahead, self._manner.stop)
        yield from self.teller.rest()

    def left(self) -> Manner:
        """Return how to go on behind this section: with as many matches as are wanted still."""
        if self._manner.limit == NO_LIMIT:
            return self._manner
        return replace(self._manner, limit=self._manner.limit - self.blocks.sums().matched[0])

    def describe(self, interface: Interface) -> None:
        """Let the scan know of an interface, which has no filter yet."""
        self.interfaces.append(interface)
        self.blocks.set_interface(interface.index, NO_FILTER, _cut(interface))

    def has_filter(self, interface: Interface) -> bool:
        """Return whether an interface has been given its filter."""
        return interface.index in self._chosen

    def choose(self, interface: Interface) -> bool:
        """Give an interface its filter; return whether there is one."""
        number = self._scans.choose(self.blocks, interface)
        if number is None:
            return False
        self.blocks.set_interface(interface.index, number, _cut(interface))
        self._chosen.add(interface.index)
        return True

    def end(self) -> Iterator[Run | Counted]:
        """Yield what has not been told."""
        yield from self.teller.rest()
        yield from self.teller.counted(self.interfaces)


def _cut(interface: Interface) -> int:
    """Return where the simple packets of an interface are cut."""
    return interface.snaplen or 0xFFFFFFFF


def _check_limit(scan: BlockScan, limit: int, window: Window) -> None:
    """Fail unless the limit is why a scan has stopped before a whole record."""
    if scan.sums().matched[0] < limit:
        raise InternalError(f"{window.path}: a scan has stopped at byte {window.offset}")


class _Teller:
    """Makes runs of what has been scanned, now and then."""

    def __init__(
        self, scan: BlockScan, structure: Structure, path: str, manner: Manner, section: int = 0
    ) -> None:
        self._scan = scan
        self._structure = structure
        self._path = path
        self._times = manner.times
        self._section = section
        self._told = scan.sums()

    def rest(self) -> Iterator[Run]:
        """Yield a run of what has not been told, if there is anything."""
        sums = self._scan.sums()
        since = sums.since(self._told)
        self._told = sums
        if since.packets:
            yield Run(self._structure, since, self._scan, self._path)
        self._scan.forget_kept()

    def counted(self, interfaces: Iterable[Interface]) -> Iterator[Counted]:
        """Yield the extents of interfaces, at their section's end, where they are wanted."""
        if self._times:
            for each in interfaces:
                everything, matched = self._scan.extents(each.index)
                yield Counted(self._path, self._section, each, everything, matched)
