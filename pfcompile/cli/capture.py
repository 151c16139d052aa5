"""`pfcompile capture`: packets from interfaces, filtered in the kernel, into files or as lines.

The options are tcpdump's. Exit status: 0 when the capture ended as it was asked to, also by a
signal or because nobody reads on; 1 where the kernel refused, the interface went away or the output
cannot be written; 2 for a bad expression or usage; 130 when a second signal broke off the rest.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import click

from pfcompile.captures.output import STANDARD_OUTPUT
from pfcompile.captures.writer import Format, named_format
from pfcompile.cli import common
from pfcompile.cli.capturing import workers
from pfcompile.cli.capturing.control import Control
from pfcompile.cli.capturing.files import Files, Lines, Sink
from pfcompile.cli.capturing.loop import Budget, Loop
from pfcompile.cli.capturing.rotation import Rotation, size
from pfcompile.cli.capturing.sources import Plan, Source, open_sources
from pfcompile.errors import PfcompileError
from pfcompile.kernel.blocks import RecordFormat
from pfcompile.kernel.hardware_types import capture_link_type
from pfcompile.kernel.interfaces import ANY_INTERFACE, find_interface, interfaces
from pfcompile.kernel.opening import MAX_SNAPLEN
from pfcompile.kernel.ring import DEFAULT_BUFFER_BYTES
from pfcompile.kernel.ring_programs import Direction

_KIBIBYTE: Final = 1024
_FILE_TIMEOUT_MS: Final = 1000
"""How long a packet may wait in a block that does not fill, as in tcpdump."""
_SOON_TIMEOUT_MS: Final = 100
"""The same where the end waits for a packet or for the clock, or where a file has the packets of
several interfaces, which are to be in order."""
_READER_TIMEOUT_MS: Final = 10
"""The same where somebody looks on."""
_MOST_WORKERS: Final = 256


@click.command("capture")
@click.option(
    "-i", "--interface", "names", multiple=True, metavar="IFACE", help="Capture on IFACE, or `any`."
)
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
@click.option(
    "-Q",
    "direction",
    type=click.Choice([each.value for each in Direction]),
    default=Direction.BOTH.value,
    help="Capture what comes in or goes out only.",
)
@click.option("-O", "unoptimized", is_flag=True, help="Do not run the optimiser.")
@click.option("-F", "file", metavar="FILE", help="Read the expression from FILE; SIGHUP: again.")
@click.option("-n", "no_names", is_flag=True, help="Look no names up in the expression.")
@common.protochain_headers_option
@click.option("-U", "unbuffered", is_flag=True, help="Write packets as soon as they come.")
@click.option(
    "-B",
    "buffer_size",
    type=click.IntRange(1, 1 << 20),
    default=DEFAULT_BUFFER_BYTES // _KIBIBYTE,
    metavar="KIB",
    show_default=True,
    help="Size of the ring that the kernel fills, for each interface.",
)
@click.option("-C", "file_bytes", callback=size, metavar="SIZE", help="Begin another file at SIZE.")
@click.option(
    "-G", "seconds", type=click.IntRange(min=1), metavar="SECONDS", help="And after SECONDS."
)
@click.option(
    "-W",
    "files",
    type=click.IntRange(min=1),
    metavar="N",
    help="With -C, write the first of N files again; with -G, end behind N.",
)
@click.option(
    "-z",
    "after",
    metavar="COMMAND",
    help="With -C or -G, run COMMAND on each file that is complete, as `-z gzip`.",
)
@click.option(
    "--format", "form", type=click.Choice([each.value for each in Format]), help="Format of OUT."
)
@click.option("--comment", "comments", multiple=True, metavar="TEXT", help="Comment on it, pcapng.")
@click.option(
    "--fanout",
    "worker_count",
    type=click.IntRange(1, _MOST_WORKERS),
    default=1,
    metavar="N",
    help="Share the packets among N workers, which write OUT.0, OUT.1, ...",
)
@click.option("-D", "list_interfaces", is_flag=True, help="List the interfaces and exit.")
@click.argument("words", nargs=-1, metavar="[EXPR]...")
def command(
    *,
    names: tuple[str, ...],
    path: str | None,
    count: int | None,
    snaplen: int,
    plain: bool,
    direction: str,
    unoptimized: bool,
    file: str | None,
    no_names: bool,
    protochain_headers: int,
    unbuffered: bool,
    buffer_size: int,
    file_bytes: int | None,
    seconds: int | None,
    files: int | None,
    after: str | None,
    form: str | None,
    comments: tuple[str, ...],
    worker_count: int,
    list_interfaces: bool,
    words: tuple[str, ...],
) -> None:
    """Capture packets from interfaces that match EXPR.

    Without -w, prints a line for each. SIGINT and SIGTERM end the capture cleanly; how many
    packets there were, and how many the kernel had to drop, is then said on standard error, and
    meanwhile with SIGUSR1. SIGHUP reads FILE again.
    """
    if list_interfaces:
        for row in (*interfaces(), ANY_INTERFACE):
            click.echo(str(row))
        return
    if not names:
        known = ", ".join(row.name for row in (*interfaces(), ANY_INTERFACE))
        raise click.UsageError(f"capture on which interface? -i one of: {known}")
    rotation = Rotation(file_bytes, seconds, files)
    chosen = _format(path, form, comments)
    _check_output(path, rotation, worker_count)
    _check_command(after, rotation)
    text = common.expression(words, file)
    at_once = unbuffered or not _is_file(path)
    plan = Plan(
        text,
        snaplen=snaplen or MAX_SNAPLEN,
        optimize=not unoptimized,
        resolver=common.resolver(no_names=no_names),
        protochain_headers=protochain_headers,
        promiscuous=not plain,
        buffer_bytes=buffer_size * _KIBIBYTE,
        timeout_ms=_timeout_ms(
            at_once=at_once,
            soon=seconds is not None or count is not None or len(names) > 1,
        ),
        direction=Direction(direction),
        format=chosen,
        native=path is not None,
    )
    try:
        if path is not None and chosen is RecordFormat.PCAP:
            _check_link_types(names)
        opened = open_sources(plan, list(names), worker_count)
        sources = [source for each in opened for source in each]
        try:
            sinks = [
                _sink(
                    path,
                    each,
                    rotation,
                    comments=comments,
                    suffix=f".{number}" if worker_count > 1 else "",
                    after=after,
                )
                for number, each in enumerate(opened)
            ]
            control = Control(
                sources,
                file=None if file == STANDARD_OUTPUT else file,
                shows=path is not None,
                may_block=not _is_file(path),
            )
            _run(opened, sinks, control, count, at_once)
        finally:
            for source in sources:
                source.close()
        common.leave(0)
    except PfcompileError as error:
        common.fail(error)
    except KeyboardInterrupt:
        raise click.Abort from None


def _timeout_ms(*, at_once: bool, soon: bool) -> int:
    """Return how long a packet may wait in a block."""
    if at_once:
        return _READER_TIMEOUT_MS
    return _SOON_TIMEOUT_MS if soon else _FILE_TIMEOUT_MS


def _run(
    opened: list[list[Source]],
    sinks: list[Sink],
    control: Control,
    count: int | None,
    at_once: bool,
) -> None:
    """Move packets until there are `count` of them, a signal comes or the reader has gone."""
    budget = Budget(count)
    alone = len(opened) == 1
    attend = control.attend if alone else lambda: None
    control.loops = [
        Loop(sources, sink, budget, at_once=at_once, attend=attend)
        for sources, sink in zip(opened, sinks, strict=True)
    ]
    try:
        with control.signals(), control.loops[0].natively() if alone else nullcontext():
            control.say_where()
            try:
                if alone:
                    control.loops[0].run()
                else:
                    workers.run(control.loops, control)
            except BrokenPipeError:
                pass  # whoever reads has had enough, as with `| head`
            finally:
                control.say_counts()
                lost = [error for loop in control.loops for error in loop.lost]
                for error in lost:
                    common.complain(error)
    finally:
        for loop in control.loops:
            loop.close()
    if any(loop.is_broken_off for loop in control.loops):
        raise KeyboardInterrupt
    if lost:
        sys.exit(common.STATUS_FAILED)


def _sink(
    path: str | None,
    sources: list[Source],
    rotation: Rotation,
    *,
    comments: tuple[str, ...],
    suffix: str,
    after: str | None,
) -> Sink:
    if path is None:
        return Lines()
    return Files(path, sources, rotation, comments=comments, suffix=suffix, after=after)


def _format(path: str | None, form: str | None, comments: tuple[str, ...]) -> RecordFormat:
    """Return what is asked for, or what the name of the output says, or pcap."""
    if path is None:
        if form is not None or comments:
            raise click.UsageError("--format and --comment are about the file of -w")
        return RecordFormat.PCAP
    named = Format(form) if form is not None else named_format(path)
    if named is None and comments:
        named = Format.PCAPNG
    if comments and named is Format.PCAP:
        raise click.UsageError("a pcap file has no place for a comment; write pcapng")
    return RecordFormat.PCAPNG if named is Format.PCAPNG else RecordFormat.PCAP


def _check_output(path: str | None, rotation: Rotation, worker_count: int) -> None:
    """Raise UsageError where the output cannot be what is asked for."""
    if path == STANDARD_OUTPUT and sys.stdout.isatty():
        raise click.UsageError("a capture is not written to a terminal")
    several = rotation.is_wanted or worker_count > 1
    if several and path in {None, STANDARD_OUTPUT}:
        raise click.UsageError("-C, -G and --fanout write several files: name them with -w")
    if rotation.files is not None and not rotation.is_wanted:
        raise click.UsageError("-W counts the files of -C or -G")


def _check_command(after: str | None, rotation: Rotation) -> None:
    """Raise UsageError for a command that cannot be run on files."""
    if after is None:
        return
    if not rotation.is_wanted:
        raise click.UsageError("-z runs a command on the files of -C or -G")
    if shutil.which(after) is None:
        raise click.UsageError(f"-z: there is no command '{after}'")


def _check_link_types(names: tuple[str, ...]) -> None:
    """Raise UsageError where a pcap file cannot hold what comes."""
    found = {capture_link_type(find_interface(name)).name for name in names}
    if len(found) > 1:
        kinds = " and ".join(sorted(found))
        raise click.UsageError(
            f"a pcap file has one link type, and these interfaces have {kinds}; write pcapng"
        )


def _is_file(path: str | None) -> bool:
    """Tell whether the output is a file; of a pipe or a terminal, somebody waits at the end."""
    if path is None or path == STANDARD_OUTPUT:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    file = Path(path)
    return file.is_file() or not file.exists()
