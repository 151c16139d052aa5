"""What a command costs before it has done anything: `python benchmarks/startup.py [--runs N]`.

Every command runs in fresh processes, one after the other and all of them again, with the byte code
of its modules cached. Printed are the processor times, user and system, in milliseconds, and then
what the imports of two commands cost, as `python -X importtime` has it: the modules that take
longest themselves, and the sums of packages. That measuring makes imports a little slower.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parent.parent
FILTER: Final = "tcp port 443"
CAPTURE: Final = ROOT / "pcaps" / "ethernet.pcap"
IMPORT_RUNS: Final = 5
MODULES_SHOWN: Final = 25

_MAIN: Final = (sys.executable, "-c", "from pfcompile.cli import main; main()")
"""What the command `pfcompile` runs, whether it is installed or not."""

DUMP: Final = (*_MAIN, FILTER, "--dump")
_COUNT: Final = (*_MAIN, "filter", "-r", str(CAPTURE), "--count", FILTER)
INTERPRETED: Final = (*_COUNT, "--engine", "interp")
NATIVE: Final = (*_COUNT, "--engine", "native")

COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "import click": (sys.executable, "-c", "import click"),
    "import pfcompile": (sys.executable, "-c", "import pfcompile"),
    "pfcompile.compile(EXPR)": (
        *(sys.executable, "-c"),
        f"import pfcompile; pfcompile.compile({FILTER!r})",
    ),
    "pfcompile --version": (*_MAIN, "--version"),
    "pfcompile EXPR --dump": DUMP,
    "pfcompile filter --count, interpreted": INTERPRETED,
    "pfcompile filter --count, native": NATIVE,
    "the same, its code not cached": (*NATIVE, "--no-cache"),
    "tcpdump -d EXPR": ("tcpdump", "-d", FILTER),
    "tcpdump --count": ("tcpdump", "-r", str(CAPTURE), "--count", FILTER),
}

_IMPORT: Final = re.compile(r"import time:\s*([0-9]+) \|\s*[0-9]+ \|\s*(\S+)")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="What commands cost before they do anything.")
    parser.add_argument("--runs", type=int, default=25, help="how often each command runs")
    runs = parser.parse_args().runs

    print(f"processor time in ms, {runs} runs{'':19} least  median")
    for name, times in processor_times(runs).items():
        print(f"  {name:40} {min(times):7.1f} {statistics.median(times):7.1f}")
    for name, command in (("pfcompile EXPR --dump", DUMP), ("the same filter, native", NATIVE)):
        report_imports(name, command)


def processor_times(runs: int) -> dict[str, list[float]]:
    """Return the milliseconds of each run of each command that there is on this machine."""
    commands = {name: code for name, code in COMMANDS.items() if shutil.which(code[0])}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, command in commands.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            run(command)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            if turn:  # the first has compiled what was not yet cached
                times[name].append(1000 * spent)
    return times


def run(command: tuple[str, ...], **environment: str) -> str:
    """Run a command to its end, with byte code cached; return what it says on standard error."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        command,
        env=variables,
        check=True,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    return done.stderr


def report_imports(name: str, command: tuple[str, ...]) -> None:
    """Print what the imports of a command cost."""
    fastest: dict[str, int] = {}
    for _ in range(IMPORT_RUNS):
        for module, spent in import_times(command):
            fastest[module] = min(spent, fastest.get(module, spent))
    print(f"\n{name}: {len(fastest)} modules, {sum(fastest.values()) / 1000:.1f} ms; ms themselves")
    for module, spent in Counter(fastest).most_common(MODULES_SHOWN):
        print(f"  {module:40} {spent / 1000:7.2f}")
    sums: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for module, spent in fastest.items():
        sums[package_of(module)] += spent
        counts[package_of(module)] += 1
    print("  by package")
    for package, spent in sums.most_common():
        print(f"  {package:27} {counts[package]:4} modules {spent / 1000:7.2f}")


def import_times(command: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Yield the modules that a command loads, each with its own microseconds."""
    for line in run(command, PYTHONPROFILEIMPORTTIME="1").splitlines():
        if found := _IMPORT.match(line):
            yield found[2], int(found[1])


def package_of(module: str) -> str:
    """Return what a module is counted under: a part of pfcompile, a library, or Python itself."""
    first, *others = module.split(".")
    if first == "pfcompile":
        return ".".join([first, *others[:1]])
    return first if first in {"click", "ply", "llvmlite", "numpy"} else "Python"


if __name__ == "__main__":
    main()
