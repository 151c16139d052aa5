"""Where captured packets go: capture files, one after the other, or lines on a terminal."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pfcompile import __version__
from pfcompile.captures.formats import description, pcap
from pfcompile.captures.formats.records import NANOSECONDS, Interface, Record
from pfcompile.captures.output import STANDARD_OUTPUT, Output
from pfcompile.captures.summary import summarize
from pfcompile.captures.writer import NANOSECOND_DIALECT
from pfcompile.errors import CaptureError
from pfcompile.kernel.blocks import NO_LIMIT, PCAP_RECORD, RecordFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pfcompile.cli.capturing.rotation import Rotation
    from pfcompile.cli.capturing.sources import Source
    from pfcompile.kernel.blocks import Moved

_PCAP_HEADER_BYTES: Final = PCAP_RECORD.size


class Direct(NamedTuple):
    """A file that whole records may be written to without asking for each.

    Attributes:
        descriptor: Its file descriptor.
        went_out: Takes note of what was written, and writes what was not; to be called while
            interrupts are held.
    """

    descriptor: int
    went_out: Callable[[Moved], None]


class Sink(Protocol):
    """Where records go."""

    def room(self) -> int:
        """Return how many bytes fit before the next file."""

    def until(self) -> int:
        """Return in which second, counted from 1970, the next file begins."""

    def deadline(self) -> int:
        """Return in which second the next file begins even if no packet comes."""

    def take(self, source: Source, records: memoryview) -> None:
        """Take whole records."""

    def direct(self) -> Direct | None:
        """Return the file that records may be written to without asking; None for now or ever."""

    def turn(self, second: int) -> bool:
        """Go on in the next file, for a packet of some second; return whether there is one."""

    def flush(self) -> None:
        """Hand on what was taken."""

    def close(self) -> None:
        """Hand on what was taken, and end."""


class Lines:
    """Prints a line for each packet on standard output."""

    def __init__(self) -> None:
        self._output = Output(STANDARD_OUTPUT)

    def room(self) -> int:
        """Return that everything fits."""
        return NO_LIMIT

    def until(self) -> int:
        """Return that it never ends."""
        return NO_LIMIT

    def deadline(self) -> int:
        """Return that it never ends."""
        return NO_LIMIT

    def take(self, source: Source, records: memoryview) -> None:
        """Print packets."""
        linktype = source.ring.link_type.linktype
        interface = Interface(source.number, linktype, source.plan.snaplen, NANOSECONDS)
        for start, end in _pcap_records(records):
            seconds, nanoseconds, _, wire = PCAP_RECORD.unpack_from(records, start)
            raw = records[start:end]
            data = bytes(raw[_PCAP_HEADER_BYTES:])
            moment = seconds * NANOSECONDS + nanoseconds
            record = Record(moment, data, wire, interface, raw, 0)
            self._output.write(f"{summarize(record)}\n".encode())

    def direct(self) -> None:
        """Return that records are not what is written."""
        return

    def turn(self, _second: int) -> bool:
        """Return that there is but one output."""
        return False

    def flush(self) -> None:
        """Print what was taken."""
        self._output.flush()

    def close(self) -> None:
        """Print what was taken."""
        self._output.close()


class Files:
    """Writes capture files.

    Attributes:
        path: The name that was given.
    """

    def __init__(
        self,
        path: str,
        sources: Sequence[Source],
        rotation: Rotation,
        *,
        comments: Sequence[str] = (),
        suffix: str = "",
        after: str | None = None,
    ) -> None:
        """Begin the first file.

        Args:
            path: Its name, before the rotation's changes.
            sources: Where packets come from: all have the same format, and in pcap the same
                link type.
            rotation: When there is another file.
            comments: On the capture as a whole, in pcapng.
            suffix: Is put behind all names.
            after: A command that is run with the name of each file that is complete.
        """
        self.path = path
        self._sources = sources
        self._rotation = rotation
        self._comments = comments
        self._suffix = suffix
        self._after = after
        self._commands: list[subprocess.Popen[bytes]] = []
        self._format = sources[0].plan.format
        self._ends_of = _ENDS[self._format]
        self._number = 0
        self._files = 0
        self._told_filters: list[str] = []
        self._began = time.time_ns()
        self._begin(int(time.time()))

    def room(self) -> int:
        """Return how many bytes fit before the next file."""
        limit = self._rotation.bytes
        return NO_LIMIT if limit is None else limit - self._size

    def until(self) -> int:
        """Return in which second, counted from 1970, the next file begins."""
        seconds = self._rotation.seconds
        return NO_LIMIT if seconds is None else self._second + seconds

    def deadline(self) -> int:
        """Return in which second the next file begins even if no packet comes.

        Only where the capture ends with the last one: else there would be files without packets.
        """
        return self.until() if self._rotation.ends else NO_LIMIT

    def take(self, _source: Source, records: memoryview) -> None:
        """Write records; raises CaptureError, BrokenPipeError."""
        if self._format is RecordFormat.PCAPNG and self._filters() != self._told_filters:
            # What is told of an interface holds to its section's end: with another filter, another
            # section begins.
            header = self._header()
            self._size += len(header)
            self._output.write(header)
        self._size += len(records)
        self._output.write_run(records, self._ends_of)

    def direct(self) -> Direct | None:
        """Return the file, where it is the only one."""
        told = self._format is RecordFormat.PCAP or self._filters() == self._told_filters
        if not told or self._rotation.is_wanted:
            return None
        descriptor = self._output.direct()
        return None if descriptor is None else Direct(descriptor, self._went_out)

    def _went_out(self, moved: Moved) -> None:
        """Take note of what was written; raises as `take`."""
        self._output.went_out(moved.written, moved.records, moved.sent, self._ends_of)

    def turn(self, second: int) -> bool:
        """Go on in the next file; return whether there is one."""
        by_time = second >= self.until()
        if by_time and self._rotation.ends and self._files >= (self._rotation.files or 0):
            return False
        self.close()
        if by_time:
            self._number = 0
            self._begin(second)
        else:
            self._number = self._rotation.follows(self._number)
            self._begin(self._second)
        return True

    def flush(self) -> None:
        """Write what was taken; raises CaptureError, BrokenPipeError."""
        self._output.flush()

    def close(self) -> None:
        """End the file with its counts; raises CaptureError, BrokenPipeError."""
        if self._format is RecordFormat.PCAPNG:
            now = time.time_ns()
            for source in self._sources:
                counts = description.Counts(*source.ring.statistics(), source.captured)
                block = description.statistics(source.number, self._began, now, counts)
                self._output.write(block)
        self._output.close()
        if self._after is not None:
            self._run(self._after, self._output.path)

    def _run(self, command: str, path: str) -> None:
        """Begin to run a command on a file; nobody waits for its end."""
        self._commands = [each for each in self._commands if each.poll() is None]
        try:
            # In a session of its own, so that what interrupts the capture leaves it alone.
            process = subprocess.Popen(  # noqa: S603 - the user's own command
                [command, path], stdin=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            raise CaptureError(f"cannot run {command} on it: {error.strerror}", path) from error
        self._commands.append(process)

    def _begin(self, second: int) -> None:
        name = self._rotation.name(self.path, self._number, second) + self._suffix
        self._second = second
        self._files += 1
        self._output = Output(name)
        header = self._header()
        self._size = len(header)
        self._output.write(header)
        self._output.flush()  # a file has its header from the beginning, or cannot be written

    def _filters(self) -> list[str]:
        return [source.plan.text for source in self._sources]

    def _header(self) -> bytes:
        first = self._sources[0]
        self._told_filters = self._filters()
        if self._format is RecordFormat.PCAP:
            linktype = first.ring.link_type.linktype
            return pcap.encode_header(NANOSECOND_DIALECT, linktype, first.plan.snaplen)
        system = f"{os.uname().sysname} {os.uname().release}"
        header = description.section(f"pfcompile {__version__}", system, self._comments)
        for source, text in zip(self._sources, self._told_filters, strict=True):
            described = description.Described(
                source.ring.interface.name,
                source.ring.link_type.linktype,
                source.plan.snaplen,
                text.strip(),
            )
            header += description.interface(described, system)
        return header


def _pcap_records(content: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """Yield where each record begins and ends."""
    start = 0
    while start < len(content):
        _, _, captured, _ = PCAP_RECORD.unpack_from(content, start)
        yield start, start + PCAP_RECORD.size + captured
        start += PCAP_RECORD.size + captured


def _pcap_ends(content: bytes) -> list[int]:
    # What was not written as a whole may end within a header.
    ends = []
    start = 0
    while start + PCAP_RECORD.size <= len(content):
        _, _, captured, _ = PCAP_RECORD.unpack_from(content, start)
        start += PCAP_RECORD.size + captured
        ends.append(start)
    return ends


def _pcapng_ends(content: bytes) -> list[int]:
    ends = []
    start = 0
    while start + 8 <= len(content):
        (length,) = struct.unpack_from("<4xI", content, start)
        start += length
        ends.append(start)
    return ends


_ENDS: Final[dict[RecordFormat, Callable[[bytes], list[int]]]] = {
    RecordFormat.PCAP: _pcap_ends,
    RecordFormat.PCAPNG: _pcapng_ends,
}
