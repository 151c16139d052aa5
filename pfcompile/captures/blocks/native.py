"""Captures walked by something faster than `pcap.walk` and `pcapng.walk`, block by block.

Where a scan stops, the rest is done as the walkers do it, so that the end of the file and its
damage are found in one way and told in one voice.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pfcompile.captures.blocks.block import BLOCK_SIZE, Block
from pfcompile.captures.blocks.scans import NO_LIMIT, SLACK, Counted, Rows, Run, Structure, Tallied
from pfcompile.captures.formats import pcap, pcapng
from pfcompile.captures.formats.layouts import NO_FILTER
from pfcompile.captures.formats.pcapng import SectionState
from pfcompile.captures.formats.records import InterfaceBlock, PcapHeader, Record, Section
from pfcompile.captures.sources.window import Window
from pfcompile.errors import CaptureError, FilterError, InternalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pfcompile.captures.blocks.scans import BlockScan, Scans
    from pfcompile.captures.formats.records import Interface, Item

AHEAD: Final = 16 << 20
"""Bytes that are counted before anybody is told: the disk permitting, it takes two milliseconds."""


KEPT_AHEAD: Final = 8 << 20
"""Bytes that are walked before what is kept of them is handed on. Writing half of small packets to
/dev/null took a sixth longer with 2 MB, with two threads half as long again; with 16 MB as long."""


class Manner(NamedTuple):
    """How a capture is walked.

    Attributes:
        limit: How many matches of the first filter are wanted of it.
        block_size: Bytes to ask for at a time.
        ahead: How many bytes of a file may be scanned beside a block before a run is yielded.
        stop: Records that start at this place or behind are left out; None: all are walked.
        times: Whether the scans take down times, and each interface's extent is wanted.
        mapped: Whether files are mapped into memory instead of read; see `Block.map`.
    """

    limit: int = NO_LIMIT
    block_size: int = BLOCK_SIZE
    ahead: int = 0
    stop: int | None = None
    times: bool = False
    mapped: bool = False


def manner_for(scans: Scans | None, limit: int, *, mapped: bool = False) -> Manner:
    """Return how to walk what `scans` filters."""
    if scans is None:
        return Manner(limit)
    ahead = AHEAD
    if scans.wanted.copies:
        ahead = KEPT_AHEAD
    if scans.wanted.rows is not Rows.NONE or limit != NO_LIMIT:
        ahead = 0
    return Manner(limit, ahead=ahead, times=scans.wanted.times, mapped=mapped)


def walk_pcap(
    window: Window, header: PcapHeader, scan: BlockScan, manner: Manner
) -> Iterator[Run | Counted | Tallied]:
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
    if manner.mapped:
        block.map(manner.stop)
    prefix = pcap.prefix_length(header)
    limit, stop = manner.limit, manner.stop
    teller = _Teller(scan, Structure(header=header), window.path, manner)
    try:
        while True:
            moved = block.scan(scan, limit, manner.ahead, stop)
            yield from teller.rest()
            if _is_enough(scan, limit) or (stop is not None and block.offset >= stop):
                break
            # Mostly the scan has gone on to a record that is cut by the block's end: then more is
            # read, however much the record needs.
            if moved and limit == NO_LIMIT and block.extend(len(block) + 1, stop):
                continue
            needed = pcap.record_size(window, header, block.rest(prefix))
            if needed <= len(block):
                raise _stopped_early(window)
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
) -> Iterator[Item | Run | Counted | Tallied]:
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
    if manner.mapped:
        block.map(manner.stop)
    section = _Section.begun(window, scans, manner, state) if state.byte_order else None
    try:
        while True:
            if section is not None and len(block):
                yield from section.scan(block)
                if _is_enough(section.blocks, manner.limit):
                    break
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
                    raise _stopped_early(window)
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
        return self._manner._replace(limit=self._manner.limit - self.blocks.sums().matched[0])

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

    def end(self) -> Iterator[Run | Counted | Tallied]:
        """Yield what has not been told."""
        yield from self.teller.rest()
        yield from self.teller.counted(self.interfaces)


def _cut(interface: Interface) -> int:
    """Return where the simple packets of an interface are cut."""
    return interface.snaplen or 0xFFFFFFFF


def _is_enough(scan: BlockScan, limit: int) -> bool:
    """Return whether as many packets have matched as are wanted."""
    return limit != NO_LIMIT and scan.sums().matched[0] >= limit


def _stopped_early(window: Window) -> InternalError:
    return InternalError(f"{window.path}: a scan has stopped at byte {window.offset}")


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
        if since.packets or self._scan.kept(0):
            yield Run(self._structure, since, self._scan, self._path)
        self._scan.forget_kept()

    def counted(self, interfaces: Iterable[Interface]) -> Iterator[Counted | Tallied]:
        """Yield, at their section's end, the extents of interfaces and counters that are wanted."""
        if counters := self._scan.counters():
            yield Tallied(tuple(counters))
        if self._times:
            for each in interfaces:
                everything, matched = self._scan.extents(each.index)
                yield Counted(self._path, self._section, each, everything, matched)
