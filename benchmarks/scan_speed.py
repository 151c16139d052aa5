"""How fast captures are filtered and written: the sections `scan`, `lists` and `write`."""

from __future__ import annotations

import filecmp
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lists import list_of
from scan_inputs import FILTERS, HALF, IMIX, LIST, LIST_LENGTHS, MEGABYTE, SMALL, SNAP
from scan_report import Table
from scan_ways import (
    NULL,
    Took,
    Way,
    check_counts,
    count_here,
    counts_of,
    here,
    programs_of,
    race,
    read,
    remove,
    stop,
    tell,
    walked,
    written_here,
)

from pfcompile.errors import FilterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scan_inputs import Capture, Kind
    from scan_ways import Bench

TMPFS: Final = Path("/dev/shm")  # noqa: S108 - a folder in it is made, with a name of its own

_LONGEST_WITH_TCPDUMP: Final = 1000
"""libpcap's compile time grows with the cube of the length: this takes it half a minute."""

_LONG: Final = 1000
"""Hosts from which on tcpdump runs once."""


def scan(bench: Bench) -> None:
    """Measure the filters on each kind of traffic."""
    for kind in (SMALL, IMIX, SNAP):
        capture = bench.inputs.capture(kind)
        times = Table(
            f"{kind.name}: {capture}; ms",
            (
                *("filter", "matches", "tcpdump --count", "tcpdump -w /dev/null", "libpcap loop"),
                *("ours", "ours -j 2", "--mmap", "--mmap -j 2", "walking", "reading"),
                "ours, ns a packet",
            ),
        )
        ratios = Table(
            f"{kind.name}: times faster than tcpdump --count, and the time over that of reading",
            (
                *("filter", "libpcap loop", "ours", "ours -j 2", "--mmap", "--mmap -j 2"),
                "over reading",
            ),
        )
        for name, text in FILTERS.items():
            tell(f"scan: {kind.name}, {name}")
            took = race(capture, scan_ways(bench, capture, text), bench.repeat)
            matches = check_counts(text, counts_of(took))
            times.add(name, f"{matches:,}", *_scan_times(capture, took))
            ratios.add(name, *_scan_ratios(bench, kind, name, took))
        bench.report.show(times)
        bench.report.show(ratios)


def scan_ways(bench: Bench, capture: Capture, text: str) -> dict[str, Way]:
    """Return all ways to count what a filter matches, and the floors."""
    peers = bench.peers
    filters = programs_of(text)
    ways = {
        "tcpdump": peers.counted(peers.tcpdump(capture, "--count", text)),
        "tcpdump -w": peers.written(peers.tcpdump(capture, "-w", str(NULL), text), NULL),
        "loop": peers.counted(peers.looped(capture, text)),
        "ours": here(capture, filters),
        "two": here(capture, filters, jobs=2),
        "mapped": here(capture, filters, mapped=True),
        "mapped, two": here(capture, filters, jobs=2, mapped=True),
        "walking": walked(capture),
        "reading": read(capture),
    }
    return {name: way for name, way in ways.items() if name != "loop" or peers.loop}


def _scan_times(capture: Capture, took: Mapping[str, Took]) -> list[str]:
    """Return a row of times behind the number of matches."""
    names = (
        *("tcpdump", "tcpdump -w", "loop", "ours", "two", "mapped", "mapped, two"),
        *("walking", "reading"),
    )
    return [
        *(took[name].ms if name in took else "-" for name in names),
        f"{1e9 * took['ours'].seconds / capture.packets:.2f}",
    ]


def _scan_ratios(bench: Bench, kind: Kind, name: str, took: Mapping[str, Took]) -> list[str]:
    """Return a row of ratios behind the filter's name."""
    report, what = bench.report, f"{kind.name}, {name}"
    faster = {way: took["tcpdump"].seconds / each.seconds for way, each in took.items()}
    over = took["ours"].seconds / took["reading"].seconds
    target = kind.listed if name == LIST else kind.compared
    return [
        report.at_least(what, faster["loop"], None) if "loop" in faster else "-",
        report.at_least(f"{what}, over tcpdump", faster["ours"], target),
        report.at_least(f"{what}, -j 2 over tcpdump", faster["two"], kind.two_threads),
        report.at_least(f"{what}, --mmap over tcpdump", faster["mapped"], None),
        report.at_least(f"{what}, --mmap -j 2 over tcpdump", faster["mapped, two"], None),
        report.at_most(f"{what}, over reading", over, kind.over_reading, "x"),
    ]


def lists(bench: Bench) -> None:
    """Measure lists of hosts, with what compiling them takes."""
    capture = bench.inputs.capture(SMALL)
    texts = dict(_compilable(bench, {length: list_of("host", length) for length in LIST_LENGTHS}))
    tell("lists: scanning")
    took = race(capture, _list_ways(bench, capture, texts), bench.repeat)
    table = Table(
        f"lists of hosts, {SMALL.name}: {capture}; ms, compiling included but where it says scan",
        ("hosts", "matches", "tcpdump --count", "ours", "scan", "ns a packet", "over tcpdump"),
    )
    for length, text in texts.items():
        ways = {way: took.get(f"{way} {length}") for way in ("tcpdump", "compiled", "scan")}
        ways["tcpdump"] = ways["tcpdump"] or _run_once(bench, capture, length, text)
        known = {way: each for way, each in ways.items() if each is not None}
        matches = check_counts(f"{length} hosts", counts_of(known))
        table.add(str(length), f"{matches:,}", *_list_cells(bench, capture, length, known))
    bench.report.show(table)
    shortest, longest = min(LIST_LENGTHS), max(LIST_LENGTHS)
    if {shortest, longest} <= texts.keys():
        growth = took[f"scan {longest}"].seconds / took[f"scan {shortest}"].seconds
        what = f"a packet with {longest} hosts over one with {shortest}"
        bench.report.say(f"{what}: {bench.report.at_most(what, growth, 1.3, 'x')}")


def _compilable(bench: Bench, texts: Mapping[int, str]) -> Iterator[tuple[int, str]]:
    """Yield the lists that compile; the others miss their targets."""
    capture = bench.inputs.capture(SMALL, 1)
    for length, text in texts.items():
        try:
            count_here(capture, programs_of(text))
        except FilterError as error:
            bench.report.miss(f"{length} hosts: {error.message}")
        else:
            yield length, text


def _list_cells(bench: Bench, capture: Capture, length: int, took: Mapping[str, Took]) -> list[str]:
    """Return a row behind the number of matches."""
    ours, over = took["compiled"].seconds, "-"
    if "tcpdump" in took:
        what = f"{length} hosts, compiling included, over tcpdump"
        target = 400.0 if length == _LONG else None
        over = bench.report.at_least(what, took["tcpdump"].seconds / ours, target)
    return [
        took["tcpdump"].ms if "tcpdump" in took else "-",
        *(took[way].ms for way in ("compiled", "scan")),
        f"{1e9 * took['scan'].seconds / capture.packets:.2f}",
        over,
    ]


def _list_ways(bench: Bench, capture: Capture, texts: Mapping[int, str]) -> dict[str, Way]:
    ways = {}
    for length, text in texts.items():
        ways[f"scan {length}"] = here(capture, programs_of(text))
        ways[f"compiled {length}"] = _compiled_and_scanned(capture, text)
        if length < _LONG:
            ways[f"tcpdump {length}"] = bench.peers.counted(_tcpdump(bench, capture, length, text))
    return ways


def _compiled_and_scanned(capture: Capture, text: str) -> Way:
    return Way(lambda: count_here(capture, programs_of(text)))


def _tcpdump(bench: Bench, capture: Capture, length: int, text: str) -> list[str]:
    """Return the command for a list, which is in a file: it may be long."""
    path = bench.work / f"{length}-hosts"
    path.write_text(text)
    return bench.peers.tcpdump(capture, "--count", "-F", str(path))


def _run_once(bench: Bench, capture: Capture, length: int, text: str) -> Took | None:
    """Return what a long list takes tcpdump; None where that is too long."""
    if length > _LONGEST_WITH_TCPDUMP or "long" in bench.skipped:
        return None
    tell(f"lists: tcpdump with {length} hosts, which takes a minute")
    way = bench.peers.counted(_tcpdump(bench, capture, length, text))
    read(capture).filtered()
    start = time.perf_counter()
    count = way.filtered()
    return Took(time.perf_counter() - start, count)


def write(bench: Bench) -> None:
    """Measure writing half of the packets, to no file and to one in memory."""
    capture = bench.inputs.capture(SMALL)
    table = Table(
        f"half of {SMALL.name} written: {capture}; ms",
        (
            *("to", "tcpdump -w", "ours", "ours -j 2", "the command"),
            *("ours over tcpdump", "-j 2 over tcpdump", "the command over tcpdump"),
        ),
    )
    tell("write: /dev/null")
    _write_row(bench, capture, table, None, 7.0)
    if TMPFS.is_dir() and shutil.disk_usage(TMPFS).free > 4 * bench.inputs.size * MEGABYTE:
        tell("write: tmpfs")
        with tempfile.TemporaryDirectory(dir=TMPFS) as folder:
            _write_row(bench, capture, table, Path(folder), 3.5)
    else:
        tell(f"no room in {TMPFS}: writing there is not measured")
    bench.report.show(table)


def _write_row(
    bench: Bench, capture: Capture, table: Table, folder: Path | None, target: float
) -> None:
    """Add a row: writing to no file, or to files in a folder, which are compared."""
    names = ("tcpdump", "ours", "two", "command")
    outputs = {name: folder / f"{name}.pcap" if folder else NULL for name in names}
    ways = _write_ways(bench, capture, outputs)
    took = race(capture, ways, bench.repeat)
    check_counts(HALF, counts_of(took))
    for name, output in outputs.items():
        if folder and not filecmp.cmp(outputs["tcpdump"], output, shallow=False):
            stop(f"what {name} writes is not what tcpdump writes")
    where = "tmpfs" if folder else str(NULL)
    theirs = took["tcpdump"].seconds
    ratios = {name: theirs / took[name].seconds for name in names}
    table.add(
        *(where, *(took[name].ms for name in names)),
        bench.report.at_least(f"half written to {where}, over tcpdump", ratios["ours"], target),
        *(bench.report.at_least("", ratios[name], None) for name in ("two", "command")),
    )
    for output in outputs.values():
        remove(output)


def _write_ways(bench: Bench, capture: Capture, outputs: Mapping[str, Path]) -> dict[str, Way]:
    peers = bench.peers
    filters = programs_of(HALF, copies=True)
    theirs = peers.tcpdump(capture, "-w", str(outputs["tcpdump"]), HALF)
    command = peers.ours(capture, "--no-cache", "-w", str(outputs["command"]), HALF)
    return {
        "tcpdump": peers.written(theirs, outputs["tcpdump"]),
        "ours": written_here(capture, filters, outputs["ours"]),
        "two": written_here(capture, filters, outputs["two"], jobs=2),
        "command": peers.written(command, outputs["command"]),
    }
