"""The ways in which `scan.py` filters a capture, and the clock that they race against."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from measure import EN10MB, ROOT
from scan_inputs import read_through

from pfcompile.captures import filtering
from pfcompile.captures.blocks.scans import Wanted
from pfcompile.captures.filtering import Plan, Tally
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.files import Engine, Programs, program_for
from pfcompile.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scan_inputs import Capture, Inputs
    from scan_report import Report

    from pfcompile.captures.formats.records import Item

NULL: Final = Path("/dev/null")

LOOP_SOURCE: Final = Path(__file__).with_name("scan_loop.c")

WALK: Final = (Instruction(Op.RET_K, 0, 0, 0),)
"""The program that costs nothing: what its run takes is walking the record headers."""

_COUNT: Final = re.compile(r"\d+")


def _nothing_to_do() -> None:
    pass


class Way(NamedTuple):
    """One way to filter a capture.

    Attributes:
        filtered: Filters it; returns how many packets match, or None where that is not told.
        prepare: What has to be done before each time, and does not count.
    """

    filtered: Callable[[], int | None]
    prepare: Callable[[], None] = _nothing_to_do


class Took(NamedTuple):
    """What a way has taken.

    Attributes:
        seconds: The median.
        count: How many packets match; None where that is not told.
    """

    seconds: float
    count: int | None

    @property
    def ms(self) -> str:
        """The median in milliseconds."""
        return f"{1000 * self.seconds:.1f}"


def race(capture: Capture, ways: Mapping[str, Way], repeat: int) -> dict[str, Took]:
    """Return what each way takes: all of them one after the other, and again, `repeat` times.

    Before each of them the file is read: the page cache may have lost it, and what is left of it in
    the processor's caches depends on how long the one before has taken. The first round does not
    count.

    Raises:
        SystemExit: A way counts otherwise than before.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    counts: dict[str, int | None] = {}
    for turn in range(repeat + 1):
        for name, way in ways.items():
            way.prepare()
            read_through(capture.path)
            start = time.perf_counter()
            count = way.filtered()
            taken = time.perf_counter() - start
            if count != counts.setdefault(name, count):
                stop(f"{name} counts {counts[name]}, and then {count}")
            if turn:
                times[name].append(taken)
    return {name: Took(statistics.median(each), counts[name]) for name, each in times.items()}


@dataclass(frozen=True, slots=True)
class Bench:
    """What a section of the benchmark is given.

    Attributes:
        inputs: Makes the captures.
        peers: Other programs.
        work: A folder for what is needed for a while.
        repeat: How often everything is measured.
        report: Prints.
        skipped: What takes long, and is left out.
    """

    inputs: Inputs
    peers: Peers
    work: Path
    repeat: int
    report: Report
    skipped: frozenset[str]


def check_counts(what: str, counts: Mapping[str, int | None]) -> int:
    """Return the number of matches that all ways have counted that tell it.

    Raises:
        SystemExit: They have counted different numbers.
    """
    told = {name: count for name, count in counts.items() if count is not None}
    if len(set(told.values())) != 1:
        stop(f"different counts for {what!r}: {told}")
    return next(iter(told.values()))


def counts_of(took: Mapping[str, Took]) -> dict[str, int | None]:
    """Return what each way has counted."""
    return {name: each.count for name, each in took.items()}


def stop(reason: str) -> NoReturn:
    """End the benchmark: what it measures is not what it should."""
    sys.exit(f"scan.py: {reason}")


class Peers(NamedTuple):
    """Other programs, as ways.

    Attributes:
        cache: The cache folder of ours, where it uses one.
        loop: A loop around libpcap, compiled; None where that was not possible.
    """

    cache: Path
    loop: Path | None

    def tcpdump(self, capture: Capture, *words: str) -> list[str]:
        """Return a command; `words` are options and the filter."""
        return ["tcpdump", "-Z", "root", "-n", "-r", str(capture.path), *words]

    def ours(self, capture: Capture, *words: str) -> list[str]:
        """Return the command `pfcompile filter`, whether it is installed or not."""
        main = "from pfcompile.cli import main; main()"
        return [sys.executable, "-c", main, "filter", "-r", str(capture.path), *words]

    def looped(self, capture: Capture, text: str) -> list[str]:
        """Return the command that runs the loop, which must be there."""
        return [str(self.loop), str(capture.path), text]

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; return what it says.

        Raises:
            SystemExit: It fails.
        """
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONHASHSEED": "0",  # so that two runs execute the same
            "XDG_CACHE_HOME": str(self.cache),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            stop(f"{' '.join(command)[:200]} fails: {done.stderr}")
        return done

    def counted(self, command: list[str]) -> Way:
        """Return the way of a command that prints how many packets match, and nothing else."""

        def count() -> int:
            said = self.run(command).stdout
            found = _COUNT.search(said)
            return int(found[0]) if found else stop(f"no count from {command[:3]}: {said!r}")

        return Way(count)

    def written(self, command: list[str], output: Path) -> Way:
        """Return the way of a command that writes packets, and does not say how many."""

        def write() -> None:
            self.run(command)

        return Way(write, lambda: remove(output))


def remove(output: Path) -> None:
    """Remove a file, if there is one and it is no device."""
    if output != NULL:
        output.unlink(missing_ok=True)


def compiled_loop(folder: Path) -> Path | None:
    """Return the loop around libpcap; None, and a message, where it cannot be compiled."""
    if shutil.which("gcc") is None:
        tell("no gcc, so no loop around libpcap")
        return None
    loop = folder / LOOP_SOURCE.stem
    command = ["gcc", "-O2", "-o", str(loop), str(LOOP_SOURCE), "-lpcap"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tell(f"gcc cannot compile the loop around libpcap, so there is none: {done.stderr}")
        return None
    return loop


def tell(message: str) -> None:
    """Say on standard error what is going on."""
    print(message, file=sys.stderr, flush=True)


class Nowhere:
    """A destination that takes nothing."""

    def write(self, item: Item) -> None:
        """Take an item."""

    def flush(self) -> None:
        """Do nothing."""


def programs(compiled: Callable[[int, int], Program], *, copies: bool = False) -> Programs:
    """Return a filter that runs as native code, compiled when it is first needed and not cached.

    Args:
        compiled: What compiles the expression.
        copies: Whether the packets that match are wanted, or only their number.
    """
    wanted = Wanted(copies=copies)
    return Programs([compiled], Engine.NATIVE, wanted=wanted, cached=False, complain=stop)


def programs_of(text: str, *, copies: bool = False) -> Programs:
    """Return `programs` for an expression."""
    return programs(program_for(text), copies=copies)


def ready(program: tuple[Instruction, ...]) -> Callable[[int, int], Program]:
    """Return what "compiles" a program that there is already, for Ethernet."""
    made = Program(program, EN10MB, 262_144)
    return lambda _dlt, _snaplen: made


def tally_here(path: Path, filters: Programs, *, jobs: int = 1, mapped: bool = False) -> Tally:
    """Return what is in a capture, counted in this process by the whole library.

    Raises:
        SystemExit: The capture is damaged.
    """
    tally = Tally()
    plan = Plan(jobs=jobs, scans_for=filters.scans, mapped=mapped)
    filtering.filter_captures(
        [str(path)], [Nowhere()], filters, tally=tally, on_damage=_damaged, plan=plan
    )
    return tally


def count_here(capture: Capture, filters: Programs, *, jobs: int = 1, mapped: bool = False) -> int:
    """Return how many packets match, as `tally_here` counts them.

    Raises:
        SystemExit: The capture is damaged, or has another number of packets than it should.
    """
    tally = tally_here(capture.path, filters, jobs=jobs, mapped=mapped)
    if tally.packets != capture.packets:
        stop(f"{tally.packets} packets read of {capture.packets} in {capture.path}")
    return tally.matched


def here(capture: Capture, filters: Programs, *, jobs: int = 1, mapped: bool = False) -> Way:
    """Return the way of `count_here`."""
    return Way(lambda: count_here(capture, filters, jobs=jobs, mapped=mapped))


def written_here(capture: Capture, filters: Programs, output: Path, *, jobs: int = 1) -> Way:
    """Return the way to write the packets that match to a file, in this process."""
    plan = Plan(jobs=jobs, scans_for=filters.scans)

    def write() -> int:
        return filtering.filter_file(str(capture.path), output, filters, plan=plan).matched

    return Way(write, lambda: remove(output))


def walked(capture: Capture) -> Way:
    """Return the way to read a capture and walk its record headers; it tells no count."""
    filters = programs(ready(WALK))

    def walk() -> None:
        count_here(capture, filters)

    return Way(walk)


def read(capture: Capture) -> Way:
    """Return the way to read a capture and no more."""
    return Way(lambda: read_through(capture.path))


def _damaged(error: Any) -> NoReturn:
    stop(str(error))
