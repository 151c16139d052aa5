"""What compiling costs, beside libpcap: `python benchmarks/compile.py`.

Prints the processor time of the command from a cold start, and the time to compile each of the
usual filters with everything loaded, on Ethernet and on the other link types. libpcap is called
through ctypes in the same run, so its times contain that call's overhead of a few microseconds.
Long lists have a benchmark of their own, `lists.py`.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from functools import partial

from measure import EN10MB, NETMASK, seconds_of, usual_filters

import pfcompile
from pfcompile.facts import link_types
from tests.oracles.libpcap import Libpcap

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


def main() -> None:
    """Print the tables."""
    print("cold start, processor time (median of", COLD_RUNS, "runs)")
    for what, code in (
        ("python -c pass", ["-c", "pass"]),
        ("import pfcompile", ["-c", "import pfcompile"]),
        ('pfcompile "host 127.0.0.1" --dump', ["-m", "pfcompile", "host 127.0.0.1", "--dump"]),
    ):
        print(f"  {what:36} {cold_seconds(code) * 1000:7.0f} ms")

    filters = usual_filters()
    with Libpcap() as libpcap:
        ours = warm_seconds(filters, EN10MB)
        theirs = [
            seconds_of(partial(libpcap.compile, text, EN10MB, netmask=NETMASK), WARM_RUNS)
            for text in filters
        ]
    print(f"\nwarm, {len(filters)} usual filters      pfcompile    libpcap")
    for what, choose in (("median", statistics.median), ("slowest", max)):
        print(f"  {what:28} {choose(ours) * 1000:7.2f} ms {choose(theirs) * 1000:7.3f} ms")
    print("\nwarm, the usual filters that compile on each link type: median, slowest")
    for row in link_types.LINK_TYPES:
        times = warm_seconds(filters, row.dlt)
        if len(times) > len(filters) // 4:
            median, slowest = statistics.median(times) * 1000, max(times) * 1000
            print(f"  {row.name:26} {len(times):4} filters {median:7.2f} ms {slowest:7.2f} ms")


def warm_seconds(filters: list[str], dlt: int) -> list[float]:
    """Return the times to compile those filters that compile for a link type."""
    times = []
    for text in filters:
        call = partial(pfcompile.compile, text, dlt, netmask=NETMASK)
        try:
            times.append(seconds_of(call, WARM_RUNS))
        except pfcompile.FilterError:
            continue
    return times


if __name__ == "__main__":
    main()
