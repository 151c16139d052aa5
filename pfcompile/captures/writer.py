"""Write captures: kept records unchanged, or put into the other format."""

from __future__ import annotations

from contextlib import contextmanager
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, assert_never

from pfcompile.captures.formats import pcap, pcapng
from pfcompile.captures.formats.limits import MAXIMUM_SNAPLEN, largest_packet
from pfcompile.captures.formats.records import (
    NANOSECONDS,
    Interface,
    InterfaceBlock,
    Item,
    OtherBlock,
    PcapDialect,
    PcapHeader,
    Record,
    Section,
)
from pfcompile.captures.output import Output
from pfcompile.errors import CaptureError, InternalError
from pfcompile.facts.link_types import describe, dlt_of_linktype, linktype_of_dlt

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from pfcompile.captures.blocks.scans import Run


class Format(Enum):
    """A file format, by the name that the command line has for it."""

    PCAP = "pcap"
    PCAPNG = "pcapng"


SUFFIXES: Final[dict[str, Format]] = {
    ".pcap": Format.PCAP,
    ".pcapng": Format.PCAPNG,
    ".ntar": Format.PCAPNG,
}
"""Endings of file names that ask for a format."""

MICROSECONDS: Final = PcapDialect(
    pcap.MICROSECONDS_MAGIC.number, "<", 1_000_000, 0, pcap.CAPTURED_FIRST
)
NANOSECOND_DIALECT: Final = PcapDialect(
    pcap.NANOSECONDS_MAGIC.number, "<", NANOSECONDS, 0, pcap.CAPTURED_FIRST
)


def named_format(path: str) -> Format | None:
    """Return the format that a file name asks for, or None."""
    return SUFFIXES.get(PurePath(path).suffix.lower())


class PcapWriter:
    """Writes a pcap file.

    The first input's header is kept, and so are the records of every input that has the same
    layout; others are written anew in it. From pcapng the times are in microseconds, or in
    nanoseconds when the first kept packet's interface has a finer unit; a later interface's times
    are rounded down to that.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._dialect: PcapDialect | None = None
        self._linktype = 0
        self._first: Interface | None = None
        self._unchanged = False

    def write(self, item: Item) -> None:
        """Take one item.

        Raises:
            CaptureError: The output cannot be written, or cannot hold this packet: a pcap file
                has one link type, times from 1970
                to 2106, and bounded packets.
            BrokenPipeError: Nobody reads the pipe any more.
        """
        match item:
            case Record():
                self._write_record(item)
            case PcapHeader():
                self._first = self._first or item.interface
                if self._dialect is None:
                    self._start(item.dialect, item.interface.linktype, item.raw)
                self._unchanged = item.dialect == self._dialect
            case InterfaceBlock():
                self._first = self._first or item.interface
            case Section():
                self._unchanged = False
            case OtherBlock():
                pass  # there is no place for it
            case _:
                assert_never(item)

    def write_run(self, run: Run, number: int) -> None:
        """Take the records that a filter has kept of some blocks; raises as `write`."""
        header = run.structure.header
        if header is None or not self._unchanged:
            for record in run.records(number):
                self._write_record(record)
            return
        self._check_link_type(header.interface)
        self._output.write_run(run.kept(number), run.structure.record_ends)

    def write_packet(
        self, interface: Interface, timestamp_ns: int, data: bytes, wire_length: int
    ) -> None:
        """Write a packet that comes from no file; raises as `write`."""
        dialect = self._dialect or self._start_like(interface)
        self._check_link_type(interface)
        longest = largest_packet(interface.dlt)
        if len(data) > longest:
            raise CaptureError(
                f"a pcap file holds at most {longest} bytes of such a packet, but there is one of "
                f"{len(data)}; write pcapng",
                self._output.path,
            )
        try:
            record = pcap.encode_record(dialect, timestamp_ns, data, wire_length)
        except ValueError as error:
            raise CaptureError(str(error), self._output.path) from error
        self._output.write(record)

    def flush(self) -> None:
        """Hand on what is finished; raises as `write`."""
        self._output.flush()

    def close(self) -> None:
        """Write what is left, and at least a file header; raises as `write`."""
        if self._dialect is None:
            self._start_like(self._first or Interface(0, linktype_of_dlt(1), MAXIMUM_SNAPLEN))
        self._output.close()

    def _write_record(self, record: Record) -> None:
        if self._unchanged:
            self._check_link_type(record.interface)
            self._output.write(record.raw)
            return
        self.write_packet(record.interface, record.timestamp_ns, record.data, record.wire_length)

    def _start_like(self, interface: Interface) -> PcapDialect:
        fine = interface.ticks_per_second > MICROSECONDS.ticks_per_second
        dialect = NANOSECOND_DIALECT if fine else MICROSECONDS
        header = pcap.encode_header(dialect, interface.linktype, interface.filter_snaplen)
        self._start(dialect, interface.linktype, header)
        return dialect

    def _start(self, dialect: PcapDialect, linktype: int, header: bytes) -> None:
        self._dialect = dialect
        self._linktype = linktype
        self._output.write(header)

    def _check_link_type(self, interface: Interface) -> None:
        if interface.linktype != self._linktype:
            raise CaptureError(
                f"a pcap file has one link type, but there are packets of "
                f"{describe(dlt_of_linktype(self._linktype))} and of {describe(interface.dlt)}; "
                "write pcapng",
                self._output.path,
            )


class PcapngWriter:
    """Writes a pcapng file.

    Blocks are kept unchanged, but for a stated section length, which would no longer be true, and
    the custom blocks that must not be copied. A pcap input becomes a section of its own.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._decimals: int | None = None  # of the times in the section that this writer made

    def write(self, item: Item) -> None:
        """Take one item.

        Raises:
            CaptureError: The output cannot be written.
            BrokenPipeError: Nobody reads the pipe any more.
        """
        match item:
            case Record():
                if self._decimals is None:
                    self._output.write(item.raw)
                else:
                    self._write_encoded(item, self._decimals)
            case PcapHeader():
                fine = item.interface.ticks_per_second > MICROSECONDS.ticks_per_second
                self._decimals = 9 if fine else 6
                self._output.write(
                    pcapng.encode_section()
                    + pcapng.encode_interface(
                        item.interface.linktype, item.interface.snaplen, decimals=self._decimals
                    )
                )
            case Section():
                self._decimals = None
                self._output.write(pcapng.without_length(item.raw))
            case InterfaceBlock():
                self._output.write(item.raw)
            case OtherBlock():
                if item.kind != pcapng.CUSTOM_BLOCK_NOT_COPIED:
                    self._output.write(item.raw)
            case _:
                assert_never(item)

    def write_run(self, run: Run, number: int) -> None:
        """Take the records that a filter has kept of some blocks; raises as `write`."""
        if self._decimals is None:
            self._output.write_run(run.kept(number), run.structure.record_ends)
            return
        for record in run.records(number):
            self._write_encoded(record, self._decimals)

    def flush(self) -> None:
        """Hand on what is finished; raises as `write`."""
        self._output.flush()

    def close(self) -> None:
        """Write what is left; raises as `write`."""
        self._output.close()

    def _write_encoded(self, record: Record, decimals: int) -> None:
        ticks = record.timestamp_ns // 10 ** (9 - decimals)
        self._output.write(pcapng.encode_packet(0, ticks, record.data, record.wire_length))


class AutomaticWriter:
    """Writes the format that is asked for, or that the output's name has, or the first input's.

    Attributes:
        kept: Whether any packet has been written.
    """

    def __init__(self, output: Output, write_format: Format | None = None) -> None:
        """Choose the format, if it can be chosen yet.

        Args:
            output: Where the bytes go.
            write_format: What is asked for; None leaves it to the file name and the input.
        """
        self._output = output
        self._format = write_format or named_format(output.path)
        self._writer: PcapWriter | PcapngWriter | None = None
        self.kept = False

    def write(self, item: Item) -> None:
        """Take one item; raises as the format's writer."""
        writer = self._writer
        if writer is None:
            wanted = self._format
            if wanted is None:
                wanted = Format.PCAP if isinstance(item, PcapHeader) else Format.PCAPNG
            writer = (
                PcapWriter(self._output) if wanted is Format.PCAP else PcapngWriter(self._output)
            )
            self._writer = writer
        writer.write(item)
        self.kept = self.kept or isinstance(item, Record)

    def write_run(self, run: Run, number: int) -> None:
        """Take the records that a filter has kept of some blocks; raises as the format's writer.

        The header of their file was written before. What is kept may be blocks without packets.
        """
        if not run.kept(number):
            return
        if self._writer is None:
            raise InternalError("records came before their file's header")
        self._writer.write_run(run, number)
        self.kept = self.kept or run.sums.matched[number] > 0

    def flush(self) -> None:
        """Hand on what is finished; raises as the format's writer."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Write what is left; nothing, not even a file, when there was no input."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def open_writer(
    path: str | os.PathLike[str], write_format: Format | None = None
) -> Iterator[AutomaticWriter]:
    """Open a capture for writing; whatever ends the block, whole records are left.

    An error before the first kept packet, such as a bad expression, leaves an older file of that
    name as it was.

    Args:
        path: The file; "-" is standard output.
        write_format: The format; None takes it from the ending of the name, or from the input.

    Raises:
        CaptureError: The output cannot be opened or written, or cannot hold what it is given.
        BrokenPipeError: Nobody reads the pipe any more.
    """
    output = Output(path)
    writer = AutomaticWriter(output, write_format)
    try:
        yield writer
    except BaseException:
        if writer.kept:
            writer.close()
        else:
            output.abandon()
        raise
    writer.close()
