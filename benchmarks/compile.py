"""What compiling costs, beside libpcap: `python benchmarks/compile.py`.

Prints the processor time of the command from a cold start, import by import, and of compiling each
of the usual filters with everything loaded. libpcap is called through ctypes in the same run, so
its times contain that call's overhead of a few microseconds.
"""

from __future__ import annotations

import random
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pfcompile  # noqa: E402 - found through the line above
from pfcompile.facts import link_types  # noqa: E402 - the same
from tests.oracles.libpcap import Libpcap  # noqa: E402 - the same

if TYPE_CHECKING:
    from collections.abc import Callable

NETMASK = 0xFFFFFF00
LIST_LENGTHS = (10, 100, 1000, 3000)
LIBPCAP_LIST = 100
COLD_RUNS = 7
WARM_RUNS = 5


def cold_seconds(code: list[str]) -> float:
    """Return the median processor time of a fresh interpreter running `code`."""
    times = []
    for _ in range(COLD_RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *code], stdout=subprocess.DEVNULL, check=True, cwd="/")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(times)


def warm_seconds(compiled: Callable[[], object]) -> float:
    """Return the shortest of a few times that a call takes."""
    times = []
    for _ in range(WARM_RUNS):
        start = time.perf_counter()
        compiled()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print both tables."""
    print("cold start, processor time (median of", COLD_RUNS, "runs)")
    for what, code in (
        ("python -c pass", ["-c", "pass"]),
        ("import pfcompile", ["-c", "import pfcompile"]),
        ('pfcompile "host 127.0.0.1" --dump', ["-m", "pfcompile", "host 127.0.0.1", "--dump"]),
    ):
        print(f"  {what:36} {cold_seconds(code) * 1000:7.0f} ms")

    lines = (ROOT / "tests/filters/usual.txt").read_text().splitlines()
    filters = [line for line in map(str.strip, lines) if line and not line.startswith("#")]
    ours, theirs, lengths = [], [], []
    with Libpcap() as libpcap:
        for text in filters:
            program = pfcompile.compile(text, netmask=NETMASK)
            ours.append(warm_seconds(lambda text=text: pfcompile.compile(text, netmask=NETMASK)))
            peer = libpcap.compile(text, 1, optimize=True, netmask=NETMASK)
            theirs.append(
                warm_seconds(
                    lambda text=text: libpcap.compile(text, 1, optimize=True, netmask=NETMASK)
                )
            )
            lengths.append((len(program.instructions), len(peer)))
    print(f"\nwarm, {len(filters)} usual filters      pfcompile    libpcap")
    for what, choose in (("median", statistics.median), ("slowest", max)):
        print(f"  {what:28} {choose(ours) * 1000:7.2f} ms {choose(theirs) * 1000:7.3f} ms")
    ratio = statistics.geometric_mean(a / b for a, b in lengths)
    shorter = sum(a < b for a, b in lengths)
    longer = sum(a > b for a, b in lengths)
    print(
        f"\ninstructions over libpcap's: {ratio:.3f} (geometric mean); "
        f"{shorter} shorter, {len(lengths) - shorter - longer} equal, {longer} longer"
    )
    lists()
    print("\nwarm, the usual filters that compile on each link type: median, slowest")
    for row in link_types.LINK_TYPES:
        times = [seconds for text in filters if (seconds := on_link(text, row.dlt)) is not None]
        if len(times) > len(filters) // 4:
            median, slowest = statistics.median(times) * 1000, max(times) * 1000
            print(f"  {row.name:26} {len(times):4} filters {median:7.2f} ms {slowest:7.2f} ms")


def lists() -> None:
    """Print what long lists cost; libpcap is asked for the short ones, its time grows cubically."""
    rng = random.Random(1)
    print("\nlists                     pfcompile                     libpcap")
    with Libpcap() as libpcap:
        for kind, value in (
            ("host", lambda: f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}"),
            ("port", lambda: str(rng.randrange(65536))),
            ("net", lambda: f"10.{rng.randrange(256)}.{rng.randrange(256)}.0/24"),
        ):
            for count in LIST_LENGTHS:
                text = f"{kind} " + " or ".join(value() for _ in range(count))
                start = time.perf_counter()
                try:
                    ours = f"{len(pfcompile.compile(text).instructions)} instructions"
                except pfcompile.FilterError as error:
                    ours = error.message.partition(":")[2].partition(",")[0].strip()
                seconds = time.perf_counter() - start
                peer = ""
                if count <= LIBPCAP_LIST:
                    start = time.perf_counter()
                    length = len(libpcap.compile(text, 1, optimize=True))
                    peer = f"{time.perf_counter() - start:8.3f} s, {length} instructions"
                print(f"  {count:5} {kind:5} {seconds:8.3f} s, {ours:18} {peer}")


def on_link(text: str, dlt: int) -> float | None:
    """Return the time to compile a filter for a link type, None where it does not compile there."""
    try:
        return warm_seconds(lambda: pfcompile.compile(text, dlt, netmask=NETMASK))
    except pfcompile.FilterError:
        return None


if __name__ == "__main__":
    main()
