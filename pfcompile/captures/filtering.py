"""Which packets of a capture match: the policy above the walkers.

This layer knows no compiler: it is given a function that makes a matcher for a link type, and
asks it once for each that occurs. `scan` is the one loop over packets. It can be given something
that filters blocks of a pcap file at once; then it sees their counts, and what was kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from pfcompile.captures import native, pcap
from pfcompile.captures.native import BlockScanner, Run
from pfcompile.captures.output import is_same_file
from pfcompile.captures.reader import Source, name_of, open_source, read_items, walk_items
from pfcompile.captures.records import Interface, InterfaceBlock, Item, PcapHeader, Record
from pfcompile.captures.window import Window
from pfcompile.captures.writer import Format, open_writer
from pfcompile.errors import CaptureError
from pfcompile.facts.link_types import KNOWN_DLTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Matcher: TypeAlias = Callable[[bytes, int], int]
"""Takes a packet's captured bytes and its wire length; not 0 means that it matches."""

ProgramFor: TypeAlias = Callable[[int, int], Matcher]
"""Makes the matcher for a link type (its DLT number) and a snapshot length."""


ScannerFor: TypeAlias = Callable[[Source, PcapHeader], BlockScanner | None]
"""Gives what filters the blocks of a pcap file at once; None: its packets go one by one."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What filtering has done.

    Attributes:
        packets: Packets read.
        matched: Those of them that matched.
        bytes: Captured bytes of the packets read, without headers.
        matched_bytes: Captured bytes of those that matched.
        seconds: Time from the start to now.
    """

    packets: int
    matched: int
    bytes: int
    matched_bytes: int
    seconds: float


@dataclass(slots=True)
class Tally:
    """The counts of a run that goes on; still true when it is interrupted."""

    packets: int = 0
    matched: int = 0
    bytes: int = 0
    matched_bytes: int = 0
    started: float = field(default_factory=time.monotonic)

    def stats(self) -> Stats:
        """Return the counts as they are now."""
        return Stats(
            self.packets,
            self.matched,
            self.bytes,
            self.matched_bytes,
            time.monotonic() - self.started,
        )


Walk: TypeAlias = "Callable[[Window, PcapHeader], Iterator[Record | Run]]"
"""Walks the records of a pcap file, one by one or in runs."""


class Destination(Protocol):
    """Where kept records, and the structure of the inputs, go."""

    def write(self, item: Item) -> None:
        """Take one item; a record only if it matched."""

    def flush(self) -> None:
        """Hand on what is finished: the next read may block."""


@runtime_checkable
class RunDestination(Protocol):
    """A destination that takes the kept records of a block together."""

    def write_run(self, run: Run) -> None:
        """Take what a scan of one block has kept."""


class Matchers:
    """The filter for each link type that occurs, made when the first packet needs it.

    Attributes:
        path: The capture that is being read, for errors.
    """

    def __init__(self, program_for: ProgramFor, path: str = "") -> None:
        self.path = path
        self._program_for = program_for
        self._made: dict[int, Matcher] = {}
        self._unused: Interface | None = None

    def __bool__(self) -> bool:
        """Tell whether any has been made."""
        return bool(self._made)

    def matcher(self, interface: Interface) -> Matcher:
        """Return the filter for the interface's link type.

        Raises:
            CaptureError: There is no such link type.
            FilterError: The expression is wrong for it.
        """
        dlt = interface.dlt
        matcher = self._made.get(dlt)
        if matcher is None:
            if dlt not in KNOWN_DLTS:
                raise CaptureError(f"unknown data link type {dlt}", self.path)
            matcher = self._made[dlt] = self._program_for(dlt, interface.filter_snaplen)
        return matcher

    def note(self, interface: Interface) -> None:
        """Remember an interface that may turn out to have no packets."""
        if self._unused is None:
            self._unused = interface

    def check(self) -> None:
        """Make one filter if no packet has needed any, so that a bad expression is never silent."""
        if not self._made and self._unused is not None:
            self.matcher(self._unused)


def scan(
    items: Iterable[Item | Run],
    matchers: Matchers,
    destination: Destination,
    tally: Tally,
    limit: int | None = None,
) -> bool:
    """Give the records that match, and everything that is no record, to `destination`.

    Args:
        items: What a capture is made of.
        matchers: The filter.
        destination: Takes what is kept.
        tally: Counts, on from what it says.
        limit: Stop when the tally has this many matches, at least 1; None: do not stop.

    Returns:
        Whether there may be more to scan: False when the limit is reached.
    """
    interface: Interface | None = None
    match: Matcher | None = None
    for item in items:
        if isinstance(item, Record):
            if match is None or item.interface is not interface:
                interface = item.interface
                match = matchers.matcher(interface)
            tally.packets += 1
            tally.bytes += len(item.data)
            if not match(item.data, item.wire_length):
                continue
            tally.matched += 1
            tally.matched_bytes += len(item.data)
            destination.write(item)
            if tally.matched == limit:
                return False
        elif isinstance(item, Run):
            _keep_run(item, destination, tally)
            if tally.matched == limit:
                return False
        else:
            if isinstance(item, PcapHeader):
                matchers.matcher(item.interface)
            elif isinstance(item, InterfaceBlock):
                matchers.note(item.interface)
            destination.write(item)
    return True


def _keep_run(run: Run, destination: Destination, tally: Tally) -> None:
    """Count a scanned block, and give what it kept to `destination`."""
    scanned = run.scanned
    tally.packets += scanned.packets
    tally.bytes += scanned.bytes
    tally.matched += scanned.matched
    tally.matched_bytes += scanned.matched_bytes
    if isinstance(destination, RunDestination):
        destination.write_run(run)
        return
    for record in run.records():
        destination.write(record)


def filter_captures(
    sources: Sequence[Source],
    destination: Destination,
    program_for: ProgramFor,
    *,
    tally: Tally,
    on_damage: Callable[[CaptureError], None],
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
    scanner_for: ScannerFor | None = None,
) -> None:
    """Filter several captures, one after the other, into one destination.

    Args:
        sources: Paths, "-" for standard input, or binary streams.
        destination: Takes what is kept; not closed.
        program_for: Makes the filter for a link type.
        tally: Counts.
        on_damage: Told of an input that cannot be opened or is damaged; what was whole in it has
            been filtered, and the next input follows.
        limit: Stop after this many matches, at least 1.
        progress: Told the number of bytes read so far from all inputs, before every read.
        scanner_for: Gives what filters pcap files block by block; as `program_for` does.

    Raises:
        CaptureError: The destination cannot be written, or an input has a link type that does
            not exist.
    """
    matchers = Matchers(program_for)
    done = 0

    def before_read(count: int) -> None:
        nonlocal done
        # Before the filter is known to be good, nothing may touch an older output file.
        if matchers:
            try:
                destination.flush()
            except CaptureError as error:
                raise _OutputFailedError(error) from error
        done = finished + count
        if progress is not None:
            progress(done)

    try:
        for source in sources:
            finished = done
            matchers.path = name_of(source)
            walk: Walk = pcap.walk
            if scanner_for is not None:
                walk = partial(_walk, partial(scanner_for, source), tally, limit)
            items = _until_damage(source, on_damage, before_read, walk)
            if not scan(items, matchers, destination, tally, limit):
                return
    except _OutputFailedError as failure:
        raise failure.error from None
    matchers.check()


def read(source: Source, program_for: ProgramFor) -> Iterator[tuple[int, bytes]]:
    """Yield the time and the captured bytes of every packet that matches.

    Args:
        source: A path, "-" for standard input, or a binary stream; read as it is needed.
        program_for: Makes the filter for a link type and snapshot length; called once for each
            link type, when its first packet comes.

    Yields:
        Nanoseconds since 1970-01-01 UTC, and the packet.

    Raises:
        CaptureError: The capture cannot be opened or is damaged; after everything that is whole.
            Or it has a link type that does not exist.
    """
    matchers = Matchers(program_for, name_of(source))
    with open_source(source) as stream:
        for item in read_items(stream, name_of(source)):
            if isinstance(item, Record):
                if matchers.matcher(item.interface)(item.data, item.wire_length):
                    yield item.timestamp_ns, item.data
            elif isinstance(item, PcapHeader | InterfaceBlock):
                matchers.note(item.interface)
    matchers.check()


def filter_file(
    source: Source,
    destination: str | PathLike[str],
    program_for: ProgramFor,
    *,
    write_format: Format | None = None,
    limit: int | None = None,
    scanner_for: ScannerFor | None = None,
) -> Stats:
    """Write the packets that match to another capture file, unchanged.

    Args:
        source: A path, "-" for standard input, or a binary stream.
        destination: A path, or "-" for standard output; never the source itself.
        program_for: Makes the filter for a link type and snapshot length.
        write_format: The format; None takes it from the ending of the destination's name, or
            else from the source.
        limit: Stop after this many matches, at least 1.
        scanner_for: Gives what filters pcap files block by block; as `program_for` does.

    Raises:
        CaptureError: The source cannot be opened, is damaged or has a link type that does not
            exist, or the destination cannot be written. The destination holds whole records, and
            if the source was at fault all those before the fault.
    """
    if isinstance(source, str | PathLike) and is_same_file(destination, source):
        raise CaptureError("is the capture that is read", str(destination))
    damage: list[CaptureError] = []
    tally = Tally()
    with open_writer(destination, write_format) as writer:
        filter_captures(
            [source],
            writer,
            program_for,
            tally=tally,
            on_damage=damage.append,
            limit=limit,
            scanner_for=scanner_for,
        )
    if damage:
        raise damage[0]
    return tally.stats()


class _OutputFailedError(Exception):
    """Carries an error of the output through the reader, which would take it for damage."""

    def __init__(self, error: CaptureError) -> None:
        super().__init__(str(error))
        self.error = error


def _until_damage(
    source: Source,
    on_damage: Callable[[CaptureError], None],
    before_read: Callable[[int], None],
    walk: Walk,
) -> Iterator[Item | Run]:
    """Yield what is whole; errors of this input go to `on_damage`.

    What is raised while an item is being dealt with does not pass through here, so errors of the
    output are not taken for damage of the input.
    """
    try:
        with open_source(source) as stream:
            yield from walk_items(Window(stream, name_of(source), before_read=before_read), walk)
    except CaptureError as error:
        on_damage(error)


def _walk(
    scanner_for: Callable[[PcapHeader], BlockScanner | None],
    tally: Tally,
    limit: int | None,
    window: Window,
    header: PcapHeader,
) -> Iterator[Record | Run]:
    """Walk a pcap file block by block if there is what scans blocks, or else packet by packet."""
    scanner = scanner_for(header)
    if scanner is None:
        yield from pcap.walk(window, header)
        return
    remaining = None if limit is None else lambda: limit - tally.matched
    yield from native.walk(window, header, scanner, remaining)
