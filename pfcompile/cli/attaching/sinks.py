"""Where reported packets go: a capture file, or lines on standard output."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Protocol

from pfcompile import __version__
from pfcompile.captures.formats import description, pcap, pcapng
from pfcompile.captures.formats.records import NANOSECONDS, Interface, Record
from pfcompile.captures.output import STANDARD_OUTPUT, Output
from pfcompile.captures.summary import summarize
from pfcompile.captures.writer import NANOSECOND_DIALECT, Format
from pfcompile.facts.link_types import linktype_of_dlt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pfcompile.kernel.attach import Counters, ReportedPacket


class Sink(Protocol):
    """Where packets go."""

    @property
    def is_on_terminal(self) -> bool:
        """Whether it writes to a terminal."""

    def take(self, packets: Iterable[ReportedPacket]) -> None:
        """Take packets, and hand them on; raises CaptureError, BrokenPipeError."""

    def change_filter(self, expression: str) -> None:
        """Say that the packets to come are those of another filter."""

    def close(self, counters: Counters) -> None:
        """Hand on what was taken, and end with what was counted; raises as `take`."""


class Lines:
    """Prints a line for each packet on standard output."""

    def __init__(self, dlt: int, snaplen: int) -> None:
        self._output = Output(STANDARD_OUTPUT)
        self._interface = Interface(0, linktype_of_dlt(dlt), snaplen, NANOSECONDS)

    @property
    def is_on_terminal(self) -> bool:
        """Whether somebody looks on."""
        return sys.stdout is not None and sys.stdout.isatty()

    def take(self, packets: Iterable[ReportedPacket]) -> None:
        """Print packets; raises CaptureError, BrokenPipeError."""
        for packet in packets:
            moment, data, length, _ = packet
            record = Record(moment, data, length, self._interface, memoryview(data), 0)
            self._output.write(f"{summarize(record)}\n".encode())
        self._output.flush()

    def change_filter(self, expression: str) -> None:
        """Do nothing: lines say nothing of filters."""

    def close(self, counters: Counters) -> None:
        """Print what was taken."""
        del counters
        self._output.close()


class PcapFile:
    """Writes a pcap file, its times in nanoseconds."""

    is_on_terminal = False

    def __init__(self, path: str, dlt: int, snaplen: int) -> None:
        """Begin the file; raises CaptureError."""
        self._output = Output(path)
        self._output.write(pcap.encode_header(NANOSECOND_DIALECT, linktype_of_dlt(dlt), snaplen))
        self._output.flush()

    def take(self, packets: Iterable[ReportedPacket]) -> None:
        """Write packets; raises CaptureError, BrokenPipeError."""
        for moment, data, length, _ in packets:
            self._output.write(pcap.encode_record(NANOSECOND_DIALECT, moment, data, length))
        self._output.flush()

    def change_filter(self, expression: str) -> None:
        """Do nothing: pcap files have no place for filters."""

    def close(self, counters: Counters) -> None:
        """Write what was taken; raises CaptureError."""
        del counters
        self._output.close()


class PcapngFile:
    """Writes a pcapng file: with the place and the filter, and at its end what was counted."""

    is_on_terminal = False

    def __init__(self, path: str, dlt: int, snaplen: int, place: str, expression: str) -> None:
        """Begin the file; raises CaptureError."""
        self._output = Output(path)
        self._described = description.Described(place, linktype_of_dlt(dlt), snaplen, "")
        self._system = f"{os.uname().sysname} {os.uname().release}"
        self._began = time.time_ns()
        self._interfaces = 0
        self._written = 0
        self._output.write(description.section(f"pfcompile {__version__}", self._system, ()))
        self.change_filter(expression)
        self._output.flush()

    def take(self, packets: Iterable[ReportedPacket]) -> None:
        """Write packets; raises CaptureError, BrokenPipeError."""
        for moment, data, length, _ in packets:
            block = pcapng.encode_packet(self._interfaces - 1, moment, data, length)
            self._output.write(block)
            self._written += 1
        self._output.flush()

    def change_filter(self, expression: str) -> None:
        """Begin another interface description, which has the filter: no block changes one."""
        described = self._described._replace(filter=" ".join(expression.split()))
        self._output.write(description.interface(described, self._system))
        self._interfaces += 1

    def close(self, counters: Counters) -> None:
        """Write what was taken and what was counted; raises CaptureError."""
        counts = description.Counts(counters.matched_packets, counters.lost, self._written)
        number = self._interfaces - 1
        block = description.statistics(number, self._began, time.time_ns(), counts)
        self._output.write(block)
        self._output.close()


def open_sink(
    path: str | None, form: Format | None, dlt: int, snaplen: int, place: str, expression: str
) -> Sink:
    """Return where packets go.

    Args:
        path: A file, "-" for standard output; None for lines on standard output.
        form: The file's format.
        dlt: What packets begin with.
        snaplen: How many bytes of each are reported.
        place: Where they are from.
        expression: The filter.

    Raises:
        CaptureError: The file cannot be written.
    """
    if path is None:
        return Lines(dlt, snaplen)
    if form is Format.PCAPNG:
        return PcapngFile(path, dlt, snaplen, place, expression)
    return PcapFile(path, dlt, snaplen)
