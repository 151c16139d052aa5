"""What counting the ways through a filter costs: `python benchmarks/heat.py [--size MB]`.

Captures are made from a seed, as for `scan.py`: packets of 64 to 100 bytes (small), and of 64, 570
and 1,500 bytes (imix), in random order, in the page cache. Each filter is run natively three times
over the same file, one after the other, and all of that again: the plain scan, which counts what
matches; counting the terms of the expression and the tests of the optimised graph; and the same
with the graph as it is written. The machine code is there before the clock starts. Printed are
medians in milliseconds, and the plain scan's speed as a multiple. Exits with status 1 where
counting has less than a third of the plain scan's speed, or counts other matches.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scan_inputs import FILTERS, IMIX, SMALL, Inputs

from pfcompile.captures import filtering
from pfcompile.captures.blocks.scans import Wanted
from pfcompile.captures.filtering import Plan, Tally
from pfcompile.explain.counting.captures import Counted, Reading
from pfcompile.files import Engine, Programs, program_for
from pfcompile.names.resolvers import NoNames

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.captures.formats.records import Item

SLOWEST: Final = 3.0
"""So many times as long as a plain scan may counting take."""


class Nothing:
    """Keeps nothing."""

    def write(self, item: Item) -> None:
        """Take an item."""

    def flush(self) -> None:
        """Do nothing."""


def plain(text: str, path: Path) -> Callable[[], int]:
    """Return what counts the packets that match; its code is made at the first call."""
    programs = Programs(
        [program_for(text)], Engine.NATIVE, wanted=Wanted(), complain=sys.exit, cached=False
    )

    def run() -> int:
        tally = Tally()
        filtering.filter_captures(
            [str(path)],
            [Nothing()],
            programs,
            tally=tally,
            on_damage=sys.exit,
            plan=Plan(scans_for=programs.scans),
        )
        return tally.matched

    return run


def heat(text: str, path: Path, *, optimize: bool) -> Callable[[], int]:
    """Return what counts the ways, and returns the matches of a run."""
    counted = Counted(
        text, optimize=optimize, snaplen=None, resolver=NoNames(), protochain_headers=6
    )
    programs = counted.programs(Reading(engine="native", cached=False, complain=sys.exit))
    before = 0

    def run() -> int:
        nonlocal before
        counted.read_with(programs, [str(path)], Reading())
        matched = counted.found().matched
        before, found = matched, matched - before
        return found

    return run


def main() -> int:
    """Print the table; return the exit status."""
    options = parser().parse_args()
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        inputs = Inputs(options.keep or Path(folder), options.size)
        for kind in (SMALL, IMIX):
            capture = inputs.capture(kind)
            print(f"\n| {kind.name}: {capture} | plain, ms | optimized | as written |")
            print("|---|---|---|---|")
            for name, text in FILTERS.items():
                ways = [
                    plain(text, capture.path),
                    heat(text, capture.path, optimize=True),
                    heat(text, capture.path, optimize=False),
                ]
                counts = {way() for way in ways}  # compiles, too
                times: list[list[float]] = [[] for _ in ways]
                for _ in range(options.repeat):
                    for way, taken in zip(ways, times, strict=True):
                        start = time.perf_counter()
                        counts.add(way())
                        taken.append(1000 * (time.perf_counter() - start))
                base, *others = map(statistics.median, times)
                ratios = [each / base for each in others]
                missed |= len(counts) != 1 or max(ratios) > SLOWEST
                cells = (f"{each:.0f} ({each / base:.1f} x)" for each in others)
                differ = "" if len(counts) == 1 else f" counts differ: {counts}"
                print(f"| {name} | {base:.0f} | {' | '.join(cells)} |{differ}", flush=True)
    return 1 if missed else 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--size", type=int, default=256, metavar="MB", help="of each capture")
    made.add_argument("--repeat", type=int, default=5, metavar="N", help="rounds that count")
    made.add_argument("--keep", type=Path, metavar="FOLDER", help="keep captures here")
    return made


if __name__ == "__main__":
    sys.exit(main())
