"""What filtering costs beside the scan: the sections `process`, `compile` and `instructions`."""

from __future__ import annotations

import re
import resource
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from measure import EN10MB
from scan_inputs import FILTERS, LIST, SMALL
from scan_report import Table
from scan_ways import NULL, Way, check_counts, counts_of, programs, race, ready, stop, tell

from pfcompile.captures.formats.records import PcapHeader
from pfcompile.captures.reader import open_source, read_items
from pfcompile.files import program_for

if TYPE_CHECKING:
    from scan_inputs import Capture
    from scan_ways import Bench

    from pfcompile.program import Program

TWENTY: Final = "tcp port 443 or 80 or 22"
"""A filter of twenty instructions."""

MOST_INSTRUCTIONS: Final = 20
"""The time to compile has a target up to so many."""

_COMPILE_RUNS: Final = 25
"""How often a filter is compiled: that takes milliseconds."""

_TIMES_LARGER: Final = 4

_LITTLE: Final = 1_020
"""Packets of a file of 100 KB."""

_FEW_PACKETS: Final = 100_000
_MORE_PACKETS: Final = 300_000

_WALK: Final = (sys.executable, str(Path(__file__).with_name("scan.py")), "--walk")
"""The command that only walks the record headers of a file."""

_EXECUTED: Final = re.compile(r"I\s+refs:\s+([0-9,]+)")
"""What cachegrind says last."""


def process(bench: Bench) -> None:
    """Measure the whole command, on a file, on a larger one, and on a little one."""
    capture = bench.inputs.capture(SMALL)
    _commands(bench, capture, FILTERS, cold=2.0, two=2.3)
    if "large" not in bench.skipped:
        filters = {name: text for name, text in FILTERS.items() if name != LIST}
        large = bench.inputs.repeated(capture, _TIMES_LARGER)
        _commands(bench, large, filters, cold=4.0, two=5.5)
    _little(bench)


def _commands(
    bench: Bench, capture: Capture, filters: dict[str, str], *, cold: float, two: float
) -> None:
    """Print what commands take, with the targets for a cold start, on one thread and on two."""
    table = Table(
        f"whole commands, {SMALL.name}: {capture}; ms",
        (
            *("filter", "tcpdump --count", "cold", "cold -j 2", "code cached", "cached -j 2"),
            *("cold over tcpdump", "cold -j 2 over tcpdump", "cached", "cached -j 2"),
        ),
    )
    names = ("tcpdump", "cold", "cold two", "cached", "cached two")
    for name, text in filters.items():
        tell(f"process: {capture}, {name}")
        took = race(capture, _process_ways(bench, capture, text), bench.repeat)
        check_counts(text, counts_of(took))
        ratios = {way: took["tcpdump"].seconds / took[way].seconds for way in names}
        what = f"command, {capture}, {name}, cold"
        table.add(
            *(name, *(took[way].ms for way in names)),
            bench.report.at_least(what, ratios["cold"], cold),
            bench.report.at_least(f"{what} -j 2", ratios["cold two"], two),
            *(bench.report.at_least("", ratios[way], None) for way in ("cached", "cached two")),
        )
    bench.report.show(table)


def _process_ways(bench: Bench, capture: Capture, text: str) -> dict[str, Way]:
    """Return the commands; the round that does not count fills the cache."""
    peers = bench.peers
    count = ("--count", text)
    return {
        "tcpdump": peers.counted(peers.tcpdump(capture, *count)),
        "cold": peers.counted(peers.ours(capture, "--no-cache", *count)),
        "cold two": peers.counted(peers.ours(capture, "--no-cache", "-j", "2", *count)),
        "cached": peers.counted(peers.ours(capture, *count)),
        "cached two": peers.counted(peers.ours(capture, "-j", "2", *count)),
    }


def _little(bench: Bench) -> None:
    """Print the processor time of commands on a file that is little work."""
    capture = bench.inputs.capture(SMALL, _LITTLE)
    table = Table(
        f"a little file: {capture.size:,} bytes, {capture.packets:,} packets; "
        "processor time, user and system, ms",
        ("filter", "tcpdump --count", "ours, cold"),
    )
    for name, text in FILTERS.items():
        tell(f"process: a little file, {name}")
        theirs = bench.peers.counted(bench.peers.tcpdump(capture, "--count", text))
        ours = bench.peers.counted(bench.peers.ours(capture, "--no-cache", "--count", text))
        check_counts(text, {"tcpdump": theirs.filtered(), "ours": ours.filtered()})
        seconds = _processor_time(ours, bench.repeat)
        table.add(
            name,
            f"{1000 * _processor_time(theirs, bench.repeat):.1f}",
            bench.report.at_most(f"a little file, {name}", 1000 * seconds, 350.0),
        )
    bench.report.show(table)


def _processor_time(way: Way, repeat: int) -> float:
    """Return the median of the seconds of processor time, user and system, of a command."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    times = []
    for _ in range(repeat):
        before = spent()
        way.filtered()
        times.append(spent() - before)
    return statistics.median(times)


def compiling(bench: Bench) -> None:
    """Measure compiling, in a process that has compiled something before."""
    capture = bench.inputs.capture(SMALL, _LITTLE)
    header = _header(capture)
    table = Table(
        "compiling; ms, LLVM loaded",
        ("filter", "instructions", "to classic BPF", "from there to native code"),
    )
    for name, text in {**FILTERS, TWENTY: TWENTY}.items():
        tell(f"compile: {name}")
        classic, program = _classic_seconds(text, header)
        native = _native_seconds(program, capture, header)
        length = len(program.instructions)
        target = 8.0 if length <= MOST_INSTRUCTIONS else None
        table.add(
            *(name, str(length), f"{1000 * classic:.1f}"),
            bench.report.at_most(f"native code of {name}", 1000 * native, target),
        )
    bench.report.show(table)


def _header(capture: Capture) -> PcapHeader:
    with open_source(str(capture.path)) as stream:
        first = next(read_items(stream, str(capture.path)))
    assert isinstance(first, PcapHeader)
    return first


def _classic_seconds(text: str, header: PcapHeader) -> tuple[float, Program]:
    """Return the median of the seconds that a filter takes to compile, and its program."""
    compiled = program_for(text)
    times = []
    for _ in range(_COMPILE_RUNS):
        start = time.perf_counter()
        program = compiled(EN10MB, header.interface.filter_snaplen)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]), program


def _native_seconds(program: Program, capture: Capture, header: PcapHeader) -> float:
    """Return the median of the seconds from a program to native code that counts."""
    times = []
    for _ in range(_COMPILE_RUNS):
        scans = programs(ready(program.instructions)).scans(str(capture.path))
        start = time.perf_counter()
        if scans is None or scans.pcap(header) is None:
            stop("no native code")
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def instructions(bench: Bench) -> None:
    """Count the instructions that a packet takes."""
    if shutil.which("valgrind") is None:
        tell("no valgrind: instructions are not counted")
        return
    few = bench.inputs.capture(SMALL, _FEW_PACKETS)
    more = bench.inputs.capture(SMALL, _MORE_PACKETS)
    table = Table(
        f"instructions a packet, {SMALL.name}, by cachegrind: a file of {more.packets:,} packets "
        f"less one of {few.packets:,}",
        ("filter", "tcpdump --count", "tcpdump -w /dev/null", "libpcap loop", "ours"),
    )
    for name, text in FILTERS.items():
        tell(f"instructions: {name}")
        counts = zip(
            *(_executed_by_all(bench, capture, text) for capture in (few, more)), strict=True
        )
        table.add(name, *(_a_packet(*pair) for pair in counts))
    bench.report.show(table)
    walk = [_executed(bench, [*_WALK, str(capture.path)]) for capture in (few, more)]
    bench.report.say(f"walking the record headers: {_a_packet(*walk)} instructions a packet")


def _executed_by_all(bench: Bench, capture: Capture, text: str) -> list[int | None]:
    """Return what each command executes to count what a filter matches."""
    peers = bench.peers
    return [
        _executed(bench, peers.tcpdump(capture, "--count", text)),
        _executed(bench, peers.tcpdump(capture, "-w", str(NULL), text)),
        _executed(bench, peers.looped(capture, text)) if peers.loop else None,
        _executed(bench, peers.ours(capture, "--no-cache", "--engine", "native", "--count", text)),
    ]


def _executed(bench: Bench, command: list[str]) -> int:
    """Return how many instructions a command executes."""
    bench.peers.run(command)  # so that the byte code of changed modules is there
    cachegrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no"]
    said = bench.peers.run([*cachegrind, f"--cachegrind-out-file={NULL}", *command]).stderr
    found = _EXECUTED.search(said)
    return int(found[1].replace(",", "")) if found else stop(f"cachegrind says {said!r}")


def _a_packet(few: int | None, more: int | None) -> str:
    """Return how many instructions each packet takes that one file has more than another."""
    if few is None or more is None:
        return "-"
    return f"{(more - few) / (_MORE_PACKETS - _FEW_PACKETS):.1f}"
