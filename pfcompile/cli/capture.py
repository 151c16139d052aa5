"""`pfcompile capture`: packets from an interface, filtered in the kernel, into a file or as lines.

The options are tcpdump's. Exit status: 0 when the capture ended as it was asked to, also by a
signal or because nobody reads on; 1 where the kernel refused, the interface went away or the output
cannot be written; 2 for a bad expression or usage; 130 when a second signal broke off the writing.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import click

from pfcompile.captures import pcap
from pfcompile.captures.output import STANDARD_OUTPUT, Output
from pfcompile.captures.records import NANOSECONDS, Interface, PcapHeader, Record
from pfcompile.captures.summary import summarize
from pfcompile.captures.writer import NANOSECOND_DIALECT, AutomaticWriter
from pfcompile.cli import common
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import KernelError, PfcompileError
from pfcompile.kernel.hardware_types import capture_link_type
from pfcompile.kernel.interfaces import (
    ANY_INTERFACE,
    find_interface,
    interfaces,
    ipv4_netmask,
)
from pfcompile.kernel.packet_socket import (
    DEFAULT_BUFFER_BYTES,
    MAX_SNAPLEN,
    Packet,
    PacketSocket,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from pfcompile.names.answers import Resolver


_ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_KIBIBYTE: Final = 1024


@click.command("capture")
@click.option("-i", "--interface", metavar="IFACE", help="Capture on IFACE, or on `any`.")
@click.option("-w", "path", metavar="OUT", help="Write the packets to OUT; `-` is standard output.")
@click.option("-c", "count", type=click.IntRange(min=1), metavar="N", help="End after N packets.")
@click.option(
    "-s",
    "snaplen",
    type=click.IntRange(0, MAX_SNAPLEN),
    default=MAX_SNAPLEN,
    metavar="SNAPLEN",
    help=f"Keep SNAPLEN bytes of each packet; 0 is {MAX_SNAPLEN}.",
)
@click.option("-p", "plain", is_flag=True, help="Leave the interface out of promiscuous mode.")
@click.option("-O", "unoptimized", is_flag=True, help="Do not run the optimiser.")
@click.option("-F", "file", metavar="FILE", help="Read the expression from FILE.")
@click.option("-n", "no_names", is_flag=True, help="Look no names up in the expression.")
@common.protochain_headers_option
@click.option("-U", "unbuffered", is_flag=True, help="Write each packet at once.")
@click.option(
    "-B",
    "buffer_size",
    type=click.IntRange(1, 1 << 20),
    default=DEFAULT_BUFFER_BYTES // _KIBIBYTE,
    metavar="KIB",
    help="Size of the kernel's queue in KiB.",
)
@click.option("-D", "list_interfaces", is_flag=True, help="List the interfaces and exit.")
@click.argument("words", nargs=-1, metavar="[EXPR]...")
def command(
    *,
    interface: str | None,
    path: str | None,
    count: int | None,
    snaplen: int,
    plain: bool,
    unoptimized: bool,
    file: str | None,
    no_names: bool,
    protochain_headers: int,
    unbuffered: bool,
    buffer_size: int,
    list_interfaces: bool,
    words: tuple[str, ...],
) -> None:
    """Capture packets from an interface that match EXPR.

    Without -w, prints a line for each. SIGINT and SIGTERM end the capture cleanly; how many
    packets there were, and how many the kernel had to drop, is then said on standard error.
    """
    if list_interfaces:
        for row in (*interfaces(), ANY_INTERFACE):
            click.echo(str(row))
        return
    if interface is None:
        names = ", ".join(row.name for row in (*interfaces(), ANY_INTERFACE))
        raise click.UsageError(f"capture on which interface? -i one of: {names}")
    if path == STANDARD_OUTPUT and sys.stdout.isatty():
        raise click.UsageError("a capture is not written to a terminal")
    text = common.expression(words, file)
    try:
        with _open(
            interface,
            text,
            snaplen=snaplen or MAX_SNAPLEN,
            optimize=not unoptimized,
            resolver=common.resolver(no_names=no_names),
            protochain_headers=protochain_headers,
            promiscuous=not plain,
            buffer_bytes=buffer_size * _KIBIBYTE,
        ) as packets:
            _run(packets, path, snaplen or MAX_SNAPLEN, count, unbuffered=unbuffered)
    except PfcompileError as error:
        common.fail(error)
    except KeyboardInterrupt:
        raise click.Abort from None


def _open(
    interface: str,
    text: str,
    *,
    snaplen: int,
    optimize: bool,
    resolver: Resolver,
    protochain_headers: int,
    promiscuous: bool,
    buffer_bytes: int,
) -> PacketSocket:
    """Compile the expression for the interface and start capturing.

    A mistake in the expression is found before any privilege is needed.
    """
    where = find_interface(interface)
    program = compile_text(
        text,
        link_type=capture_link_type(where).dlt,
        snaplen=snaplen,
        netmask=ipv4_netmask(where),
        optimize=optimize,
        live=True,
        resolver=resolver,
        protochain_headers=protochain_headers,
    )
    return PacketSocket(
        where.name,
        program.instructions,
        snaplen=snaplen,
        promiscuous=promiscuous,
        buffer_bytes=buffer_bytes,
    )


class Sink(Protocol):
    """Where captured packets go."""

    def write(self, record: Record) -> None:
        """Take one packet."""

    def flush(self) -> None:
        """Hand on what was taken."""

    def close(self) -> None:
        """Hand on what was taken, and end."""


class Lines:
    """Prints a line for each packet on standard output."""

    def __init__(self) -> None:
        self._output = Output(STANDARD_OUTPUT)

    def write(self, record: Record) -> None:
        """Print one packet."""
        self._output.write(f"{summarize(record)}\n".encode())

    def flush(self) -> None:
        """Print what was taken."""
        self._output.flush()

    def close(self) -> None:
        """Print what was taken."""
        self._output.close()


def _open_file(path: str, source: Interface) -> Sink:
    """Start a capture file: pcap with nanoseconds, or pcapng where its name ends so."""
    writer = AutomaticWriter(Output(path))
    header = pcap.encode_header(NANOSECOND_DIALECT, source.linktype, source.snaplen)
    writer.write(PcapHeader(header, NANOSECOND_DIALECT, source))
    return writer


def _record(packet: Packet, source: Interface) -> Record:
    """Return a packet as the writers and the summary take it."""
    raw = pcap.encode_record(NANOSECOND_DIALECT, *packet)
    return Record(*packet, source, memoryview(raw), 0)


def _run(
    packets: PacketSocket, path: str | None, snaplen: int, count: int | None, *, unbuffered: bool
) -> None:
    """Move packets until there are `count` of them, a signal comes or the reader has gone."""
    captured = 0
    source = Interface(0, packets.link_type.linktype, snaplen, NANOSECONDS)
    at_once = unbuffered or not _is_file(path)
    sink = Lines() if path is None else _open_file(path, source)
    with _ended_by_signals(packets):
        sink.flush()  # a file has its header from the beginning, or cannot be written
        _say_where(packets)
        try:
            for packet in _packets(packets, sink, count):
                sink.write(_record(packet, source))
                captured += 1
                if at_once:
                    sink.flush()
            sink.close()
        except KernelError:
            sink.close()  # the interface is lost, but not what came before
            raise
        except BrokenPipeError:
            pass  # whoever reads has had enough, as with `| head`
        finally:
            _say_counts(captured, packets)


def _packets(packets: PacketSocket, sink: Sink, count: int | None) -> Iterator[Packet]:
    """Yield packets until there are `count`, or a signal comes; flush `sink` before each wait."""
    left = count
    while not packets.stopped and left != 0:
        packet = packets.receive()
        if packet is None:
            sink.flush()
            packets.wait()
            continue
        if left is not None:
            left -= 1
        yield packet


@contextmanager
def _ended_by_signals(packets: PacketSocket) -> Iterator[None]:
    """End the capture with SIGINT or SIGTERM; a second one breaks off what still blocks."""

    def end(_number: int, _frame: FrameType | None) -> None:
        if packets.stopped:
            raise KeyboardInterrupt
        packets.stop()

    before = {number: signal.signal(number, end) for number in _ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_where(packets: PacketSocket) -> None:
    """Say on standard error what is captured."""
    link_type = packets.link_type
    place = "" if packets.filters_in_kernel else ", filtering outside the kernel"
    click.echo(
        f"listening on {packets.interface.name},"
        f" link-type {link_type.name} ({link_type.description}){place}",
        err=True,
    )


def _say_counts(captured: int, packets: PacketSocket) -> None:
    """Say on standard error how many packets there were."""
    counts = packets.statistics()
    click.echo(f"{captured} packets captured", err=True)
    click.echo(f"{counts.received} packets received by filter", err=True)
    click.echo(f"{counts.dropped} packets dropped by kernel", err=True)


def _is_file(path: str | None) -> bool:
    """Tell whether the output is a file; of a pipe or a terminal, somebody waits at the end."""
    if path is None or path == STANDARD_OUTPUT:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    file = Path(path)
    return file.is_file() or not file.exists()
