"""Captures filtered in memory, by native code and by the interpreter, for comparison."""

from __future__ import annotations

import os
from io import BytesIO, FileIO
from typing import TYPE_CHECKING, NamedTuple

from pfcompile.captures.blocks.native import Manner
from pfcompile.captures.blocks.scans import NO_LIMIT, Wanted
from pfcompile.captures.blocks.walking import walk_window
from pfcompile.captures.extents import Extents
from pfcompile.captures.filtering import Matchers, Tally, scan
from pfcompile.captures.formats import pcap, pcapng
from pfcompile.captures.formats.layouts import PcapLayout, PcapngLayout
from pfcompile.captures.formats.records import OtherBlock, Record
from pfcompile.captures.sources.window import Window
from pfcompile.cbpf.interpreter import prepare
from pfcompile.errors import CaptureError
from pfcompile.facts.link_types import KNOWN_DLTS
from pfcompile.jit.scan import Scan, Scanner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.cbpf.isa import Instruction


class Outcome(NamedTuple):
    """What filtering has come to: the counts, what is kept, times of interfaces, and the error."""

    packets: int
    bytes: int
    matched: int
    matched_bytes: int
    kept: bytes
    extents: list
    error: str | None


class _Collected:
    """A destination that remembers what it takes."""

    def __init__(self) -> None:
        self.kept = bytearray()

    def write(self, item) -> None:
        self.kept += item.raw

    def flush(self) -> None:
        pass


class _CollectedRuns(_Collected):
    """The same for runs, whose bytes must be records, and in pcapng other blocks between them."""

    def __init__(self, *, copies: bool) -> None:
        super().__init__()
        self._copies = copies

    def write_run(self, run, number) -> None:
        kept = bytes(run.kept(number))
        self.kept += kept
        records = list(run.records(number))
        assert b"".join(bytes(item.raw) for item in _items_of(run, kept)) == kept
        assert run.structure.record_ends(kept) == [r.offset + len(r.raw) for r in records]
        if self._copies:
            assert len(records) == run.sums.matched[number]
            assert sum(len(r.data) for r in records) == run.sums.matched_bytes[number]


def _items_of(run, kept: bytes):
    """Return the records, and other blocks, that a run has kept."""
    window, structure = Window(BytesIO(kept), "run"), run.structure
    if structure.header is not None:
        return list(pcap.walk(window, structure.header))
    items = list(pcapng.walk(window, structure.section))
    assert all(isinstance(item, Record | OtherBlock) for item in items)
    return items


def _file_of(content: bytes) -> FileIO:
    """Return a file without a name that has some content."""
    stream = FileIO(os.memfd_create("capture"), "r+")
    stream.write(content)
    stream.seek(0)
    return stream


class Filter:
    """A program both ways; native code is made once for each kind of record.

    It is a `captures.blocks.scans.Scans`.
    """

    def __init__(
        self,
        program: Sequence[Instruction],
        others: Mapping[int, Sequence[Instruction]] | None = None,
    ) -> None:
        """Prepare.

        Args:
            program: What filters all link types.
            others: Link types (DLT values) that have a program of their own.
        """
        self._program = program
        self._others = others or {}
        self._scanners: dict = {}
        self._wanted = Wanted()
        self._dlts: list[int] = []

    def interpreted(self, content: bytes, limit: int | None = None) -> Outcome:
        """Filter a capture packet by packet."""
        items = walk_window(Window(BytesIO(content), "made"), None, Manner())
        return self._filtered(items, _Collected(), limit)

    def native(
        self,
        content: bytes,
        limit: int | None = None,
        *,
        block_size: int = 1 << 18,
        keep=True,
        ahead=0,
        mapped=False,
    ) -> Outcome:
        """Filter a capture in blocks.

        With `ahead` it is one in a file, whose blocks follow natively; a file may also be mapped.
        """
        self._wanted = Wanted(copies=keep, times=True, limit=limit is not None)
        self._dlts = []
        most = NO_LIMIT if limit is None else limit
        manner = Manner(most, block_size, ahead=ahead, times=True, mapped=mapped)
        in_file = mapped or ahead > 0
        with _file_of(content) if in_file else BytesIO(content) as stream:
            window = Window(stream, "made", block_size=min(block_size, 1 << 18))
            assert (window.descriptor is not None) == in_file
            items = _without_records(walk_window(window, self, manner))
            return self._filtered(items, _CollectedRuns(copies=keep), limit)

    @property
    def wanted(self) -> Wanted:
        return self._wanted

    def pcap(self, header) -> Scan:
        self._dlts = [header.interface.dlt]
        return self._scan(PcapLayout.of(header))

    def pcapng(self, byte_order) -> Scan:
        return Scan(PcapngLayout(byte_order, 0), self._wanted, 1)

    def choose(self, scan, interface) -> int | None:
        if interface.dlt not in KNOWN_DLTS:
            return None
        if interface.dlt not in self._dlts:
            self._dlts.append(interface.dlt)
        if scan.layout.filters < len(self._dlts):
            scan.use(self._scanner(scan.layout._replace(filters=len(self._dlts))))
        return self._dlts.index(interface.dlt)

    def _scan(self, layout) -> Scan:
        made = Scan(layout, self._wanted, 1)
        made.use(self._scanner(layout))
        return made

    def _scanner(self, layout) -> Scanner:
        programs = [[self._program_of(dlt)] for dlt in self._dlts]
        key = (layout, self._wanted, *(id(each) for (each,) in programs))
        if key not in self._scanners:
            self._scanners[key] = Scanner(programs, layout, self._wanted)
        return self._scanners[key]

    def _program_of(self, dlt: int) -> Sequence[Instruction]:
        return self._others.get(dlt, self._program)

    def _filtered(self, items, destination, limit) -> Outcome:
        error = None
        matchers = Matchers(lambda dlt, _snaplen: prepare(self._program_of(dlt)), "made")
        tally = Tally(extents=Extents())
        try:
            scan(items, matchers, [destination], tally, limit)
        except CaptureError as caught:
            error = str(caught)
        return Outcome(
            tally.packets,
            tally.bytes,
            tally.counts[0],
            tally.count_bytes[0],
            bytes(destination.kept),
            list(tally.extents),
            error,
        )


def _without_records(items):
    """Yield items, no packet that can be filtered among them: those are filtered in blocks."""
    for item in items:
        assert not (isinstance(item, Record) and item.interface.dlt in KNOWN_DLTS), item
        yield item


def agree(each: Filter, content: bytes, note: str, **options) -> Outcome:
    """Require that both ways of filtering come to the same; return what they come to."""
    limit = options.pop("limit", None)
    expected = each.interpreted(content, limit)
    found = each.native(content, limit, **options)
    if limit is not None:  # times are told at the end, which nobody asks for any more
        expected, found = expected._replace(extents=[]), found._replace(extents=[])
    assert found == expected, f"{note}\nnative {found}\ninterpreter {expected}"
    return expected
