"""Which packets of a capture match: the policy above the walkers.

This layer knows no compiler: it is given a function that makes a matcher for a link type, and
asks it once for each that occurs. `scan` is the one loop over packets. It can be given something
that filters whole blocks of a capture; then it sees their sums, and what was kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, runtime_checkable

from pfcompile.captures.blocks.native import manner_for
from pfcompile.captures.blocks.parallel import read_captures
from pfcompile.captures.blocks.rows import packets_of
from pfcompile.captures.blocks.scans import NO_LIMIT, Counted, Run, Tallied
from pfcompile.captures.blocks.walking import walk_source
from pfcompile.captures.extents import Extents
from pfcompile.captures.formats.records import (
    Interface,
    InterfaceBlock,
    Item,
    PcapHeader,
    Record,
    Section,
)
from pfcompile.captures.output import is_same_file
from pfcompile.captures.reader import Source, name_of, open_source, read_items
from pfcompile.captures.writer import Format, open_writer
from pfcompile.errors import CaptureError, PfcompileError
from pfcompile.facts.link_types import KNOWN_DLTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pfcompile.captures.blocks.scans import Scans

Matcher: TypeAlias = Callable[[bytes, int], int]
"""Takes a packet's captured bytes and its wire length; not 0 means that it matches. Where there are
several filters, each has a bit, the first the lowest."""

ProgramFor: TypeAlias = Callable[[int, int], Matcher]
"""Makes the matcher for a link type (its DLT number) and a snapshot length."""

ScansFor: TypeAlias = "Callable[[Source], Scans | None]"
"""Gives what filters a capture in blocks; None: its packets go one by one."""


_BATCH: Final = 1024
"""Packets of a batch where they are looked at one by one."""


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
    """The counts of a run that goes on; still true when it is interrupted.

    Attributes:
        packets: Packets read.
        bytes: Their captured bytes.
        counts: For each filter, how many matched.
        count_bytes: For each filter, their captured bytes.
        extents: The same with times for each interface, of the first filter; None where nobody
            asks for it.
        started: When it began (`time.monotonic`).
        on_tallied: Is given what native code has counted in filters that count more than matches;
            packets that it has not seen go to the matchers.
    """

    packets: int = 0
    bytes: int = 0
    counts: list[int] = field(default_factory=lambda: [0])
    count_bytes: list[int] = field(default_factory=lambda: [0])
    extents: Extents | None = None
    started: float = field(default_factory=time.monotonic)
    on_tallied: Callable[[Tallied], None] | None = None

    @classmethod
    def of(cls, filters: int, *, extents: bool = False) -> Tally:
        """Return one for so many filters, with times or without."""
        made = Extents() if extents else None
        return cls(counts=[0] * filters, count_bytes=[0] * filters, extents=made)

    @property
    def matched(self) -> int:
        """How many packets the first filter matched."""
        return self.counts[0]

    def stats(self) -> Stats:
        """Return the counts as they are now, with those of the first filter."""
        seconds = time.monotonic() - self.started
        return Stats(self.packets, self.counts[0], self.bytes, self.count_bytes[0], seconds)


class Destination(Protocol):
    """Where kept records, and the structure of the inputs, go."""

    def write(self, item: Item) -> None:
        """Take one item; a record only if it matched."""

    def flush(self) -> None:
        """Hand on what is finished: the next read may block."""


@runtime_checkable
class RunDestination(Protocol):
    """A destination that takes the kept records of some blocks together."""

    def write_run(self, run: Run, number: int) -> None:
        """Take what filter `number` has kept."""


def check_link_type(dlt: int, path: str) -> None:
    """Raise CaptureError where there is no such link type (DLT value)."""
    if dlt not in KNOWN_DLTS:
        raise CaptureError(f"unknown data link type {dlt}", path)


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
        self._proved = False

    def __bool__(self) -> bool:
        """Tell whether any has been made."""
        return self._proved or bool(self._made)

    def matcher(self, interface: Interface) -> Matcher:
        """Return the filter for the interface's link type.

        Raises:
            CaptureError: There is no such link type.
            FilterError: The expression is wrong for it.
        """
        dlt = interface.dlt
        matcher = self._made.get(dlt)
        if matcher is None:
            check_link_type(dlt, self.path)
            matcher = self._made[dlt] = self._program_for(dlt, interface.filter_snaplen)
        return matcher

    def prove(self) -> None:
        """Take it from a scan that the expression is good."""
        self._proved = True

    def note(self, interface: Interface) -> None:
        """Remember an interface that may turn out to have no packets."""
        if self._unused is None:
            self._unused = interface

    def check(self) -> None:
        """Make one filter if no packet has needed any, so that a bad expression is never silent."""
        if not self and self._unused is not None:
            self.matcher(self._unused)


def scan(
    items: Iterable[Item | Run | Counted | Tallied],
    matchers: Matchers,
    destinations: Sequence[Destination],
    tally: Tally,
    limit: int | None = None,
) -> bool:
    """Give the records that match, and everything that is no record, to the destinations.

    Args:
        items: What a capture is made of.
        matchers: The filters.
        destinations: One for each filter; takes what that keeps.
        tally: Counts, on from what it says.
        limit: Stop when the tally has this many matches of the first filter, at least 1; None: do
            not stop.

    Returns:
        Whether there may be more to scan: False when the limit is reached.
    """
    interface: Interface | None = None
    match: Matcher | None = None
    section = 0
    extents = tally.extents
    several = len(destinations) > 1
    items = iter(items)
    for item in items:
        if isinstance(item, Record):
            if match is None or item.interface is not interface:
                interface = item.interface
                match = matchers.matcher(interface)
            tally.packets += 1
            tally.bytes += len(item.data)
            verdict = match(item.data, item.wire_length)
            if extents is not None:
                matches = verdict & 1 if several else verdict
                extents.add_packet(matchers.path, section, item, matches=bool(matches))
            if not verdict:
                continue
            for number, destination in enumerate(destinations):
                if not several or verdict >> number & 1:
                    tally.counts[number] += 1
                    tally.count_bytes[number] += len(item.data)
                    destination.write(item)
            if tally.matched == limit:
                return False
        elif isinstance(item, Run):
            if item.sums.packets:
                matchers.prove()
            _keep_run(item, destinations, tally)
            if tally.matched == limit:
                _add_counted(items, extents)
                return False
        elif isinstance(item, Counted):
            if extents is not None:
                extents.add(item)
        elif isinstance(item, Tallied):
            if tally.on_tallied is not None:
                tally.on_tallied(item)
        else:
            if isinstance(item, PcapHeader):
                matchers.matcher(item.interface)
            elif isinstance(item, InterfaceBlock):
                matchers.note(item.interface)
            elif isinstance(item, Section):
                section += 1
            if extents is not None and isinstance(item, PcapHeader | InterfaceBlock):
                extents.begin(matchers.path, section, item.interface)
            for destination in destinations:
                destination.write(item)
    return True


def _add_counted(items: Iterable[Item | Run | Counted | Tallied], extents: Extents | None) -> None:
    """Take what a scan tells at its end, which has come: nothing more is read."""
    if extents is not None:
        for item in items:
            if isinstance(item, Counted):
                extents.add(item)


def _keep_run(run: Run, destinations: Sequence[Destination], tally: Tally) -> None:
    """Count some scanned blocks, and give what they kept to the destinations."""
    sums = run.sums
    tally.packets += sums.packets
    tally.bytes += sums.bytes
    for number, destination in enumerate(destinations):
        tally.counts[number] += sums.matched[number]
        tally.count_bytes[number] += sums.matched_bytes[number]
        if isinstance(destination, RunDestination):
            destination.write_run(run, number)
            continue
        for record in run.records(number):
            destination.write(record)


@dataclass(frozen=True, slots=True)
class Plan:
    """What filtering is to do beside giving packets to destinations.

    Attributes:
        limit: Stop after this many matches of the first filter, at least 1; None: do not stop.
        jobs: How many threads scan, at least 1; the outcome is the same.
        scans_for: Gives what filters a capture in blocks, with as many filters as there are
            destinations; as `program_for` does.
        progress: Told now and then how many bytes have been read so far from all inputs.
        mapped: Whether files are mapped into memory instead of read; see `Block.map`.
    """

    limit: int | None = None
    jobs: int = 1
    scans_for: ScansFor | None = None
    progress: Callable[[int], None] | None = None
    mapped: bool = False


def filter_captures(
    sources: Sequence[Source],
    destinations: Sequence[Destination],
    program_for: ProgramFor,
    *,
    tally: Tally,
    on_damage: Callable[[CaptureError], None],
    plan: Plan = Plan(),
) -> None:
    """Filter several captures, one after the other, into a destination for each filter.

    Args:
        sources: Paths, "-" for standard input, or binary streams.
        destinations: Take what is kept; not closed.
        program_for: Makes the filters for a link type.
        tally: Counts.
        on_damage: Told of an input that cannot be opened or is damaged; what was whole in it has
            been filtered, and the next input follows.
        plan: What else there is to do.

    Raises:
        CaptureError: A destination cannot be written, or an input has a link type that does not
            exist.
        FilterError: The expression is wrong for a link type in the input.
    """
    matchers = Matchers(program_for)

    def before_read(count: int) -> None:
        # Before the filter is known to be good, nothing may touch an older output file.
        if matchers:
            try:
                for destination in destinations:
                    destination.flush()
            except CaptureError as error:
                raise _OutputFailedError(error) from error
        if plan.progress is not None:
            plan.progress(count)

    def left() -> int:
        return NO_LIMIT if plan.limit is None else plan.limit - tally.matched

    captures = read_captures(
        sources,
        plan.scans_for,
        jobs=plan.jobs,
        left=left,
        before_read=before_read,
        mapped=plan.mapped,
    )
    try:
        for source, items in captures:
            matchers.path = name_of(source)
            whole = until_damage(items, on_damage)
            if not scan(whole, matchers, destinations, tally, plan.limit):
                return
    except _OutputFailedError as failure:
        raise failure.error from None
    finally:
        captures.close()
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


def batches(
    source: Source, program_for: ProgramFor, scans: Scans | None
) -> Iterator[list[tuple[int, memoryview]]]:
    """Yield the time and the captured bytes of the packets that match, many at once.

    Args:
        source: As for `read`.
        program_for: As for `read`.
        scans: Takes the packets that match down as rows; None where there is nothing that does.

    Raises:
        CaptureError: As `read`.
    """
    matchers = Matchers(program_for, name_of(source))
    batch: list[tuple[int, memoryview]] = []
    try:
        for item in walk_source(source, scans, manner_for(scans, NO_LIMIT)):
            if isinstance(item, Run):
                matchers.prove()
                if packets := packets_of(item):
                    yield packets
            elif isinstance(item, Record):
                if matchers.matcher(item.interface)(item.data, item.wire_length):
                    batch.append((item.timestamp_ns, memoryview(item.data)))
                    if len(batch) == _BATCH:
                        yield batch
                        batch = []
            elif isinstance(item, PcapHeader | InterfaceBlock):
                matchers.note(item.interface)
    except PfcompileError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
    matchers.check()


def filter_file(
    source: Source,
    destination: str | PathLike[str],
    program_for: ProgramFor,
    *,
    write_format: Format | None = None,
    plan: Plan = Plan(),
) -> Stats:
    """Write the packets that match to another capture file, unchanged.

    Args:
        source: A path, "-" for standard input, or a binary stream.
        destination: A path, or "-" for standard output; never the source itself.
        program_for: Makes the filter for a link type and snapshot length.
        write_format: The format; None takes it from the ending of the destination's name, or
            else from the source.
        plan: What else there is to do.

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
            [source], [writer], program_for, tally=tally, on_damage=damage.append, plan=plan
        )
    if damage:
        raise damage[0]
    return tally.stats()


class _OutputFailedError(Exception):
    """Carries an error of the output through the reader, which would take it for damage."""

    def __init__(self, error: CaptureError) -> None:
        super().__init__(str(error))
        self.error = error


def until_damage(
    items: Iterator[Item | Run | Counted | Tallied], on_damage: Callable[[CaptureError], None]
) -> Iterator[Item | Run | Counted | Tallied]:
    """Yield what is whole; errors of this input go to `on_damage`.

    What is raised while an item is being dealt with does not pass through here, so errors of the
    output are not taken for damage of the input.
    """
    try:
        yield from items
    except CaptureError as error:
        on_damage(error)
