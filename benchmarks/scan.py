"""How fast captures are filtered, beside tcpdump: `python benchmarks/scan.py [--only SECTION]`.

It makes its captures from a seed, about 1 GB each: packets of 64 to 100 bytes (small), 64, 570 and
1,500 bytes (imix), and 1,500 bytes cut at 96 (snap). All ways to filter them run one after the
other and all of them again, five times over, with the files in the page cache; the medians are
printed, the ratios over tcpdump, and whether the targets are met. The sections:

* scan: counting what seven filters match. tcpdump and a loop around libpcap are processes from
  start to end, ours is the whole library in this process, with the code compiled; "walking" is the
  same with a program that rejects all, and "reading" nothing but reading the file. What is mapped
  instead of read has no targets;
* lists: lists of 10 to 3,000 hosts, with what compiling them takes;
* process: the command `pfcompile filter --count` from start to end, without cached code and with;
  on a file four times the size; and its processor time on a file of 100 KB;
* write: writing half of the packets, to /dev/null and to memory;
* compile: what compiling takes;
* instructions: those that a packet takes, by cachegrind.

All of it takes half an hour, 8 GB of disk and as much memory for the page cache. What starting a
command costs is in `startup.py`. Exits with status 1 if a target is missed, or if two ways count
differently.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scan_costs import compiling, instructions, process
from scan_inputs import FILTERS, LIST, Inputs
from scan_report import Report
from scan_speed import lists, scan, write
from scan_ways import WALK, Bench, Peers, compiled_loop, programs, ready, stop, tally_here

from tests.generator.seed import SEED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SECTIONS: Final[Mapping[str, Callable[[Bench], None]]] = {
    "scan": scan,
    "lists": lists,
    "process": process,
    "write": write,
    "compile": compiling,
    "instructions": instructions,
}


def main() -> int:
    """Print the sections that are asked for; return the exit status."""
    options = parser().parse_args()
    if options.walk is not None:
        tally_here(options.walk, programs(ready(WALK)))
        return 0
    if shutil.which("tcpdump") is None:
        stop("tcpdump is not installed")
    report = Report(options.markdown)
    with ExitStack() as folders:
        work = Path(folders.enter_context(tempfile.TemporaryDirectory()))
        kept = options.keep or work
        kept.mkdir(parents=True, exist_ok=True)
        bench = Bench(
            Inputs(kept, options.size),
            Peers(work / "cache", compiled_loop(work)),
            work,
            options.repeat,
            report,
            frozenset(options.skip),
        )
        report.say(heading(bench))
        for name, section in SECTIONS.items():
            if name in (options.only or SECTIONS):
                section(bench)
    report.end()
    return 1 if report.missed else 0


def heading(bench: Bench) -> str:
    """Return what is to be known before the tables."""
    done = bench.peers.run(["tcpdump", "--version"])
    version = ", ".join((done.stdout + done.stderr).splitlines()[:2])
    lines = [
        f"medians of {bench.repeat} interleaved runs; captures from seed {SEED}; {version}",
        *(f"- {name}: `{text}`" for name, text in FILTERS.items() if name not in {text, LIST}),
        f"- {LIST}: `{FILTERS[LIST][:32]}...`",
    ]
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--only", action="append", choices=SECTIONS, help="this section (repeatable)")
    made.add_argument("--size", type=int, default=1000, metavar="MB", help="of each capture")
    made.add_argument("--repeat", type=int, default=5, metavar="N", help="rounds that count")
    made.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep captures here, and use what is here"
    )
    made.add_argument(
        "--skip",
        action="append",
        default=[],
        choices=("large", "long"),
        help="leave out the capture of four times the size, or tcpdump with 1,000 hosts",
    )
    made.add_argument("--markdown", action="store_true", help="print Markdown")
    made.add_argument(
        "--walk", type=Path, metavar="FILE", help="only walk this file's records, for cachegrind"
    )
    return made


if __name__ == "__main__":
    sys.exit(main())
