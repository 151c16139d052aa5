"""What compiling costs, beside libpcap: `python benchmarks/compile.py`.

Prints the time to compile each of the usual filters with everything loaded, on Ethernet and on the
other link types. libpcap is called through ctypes in the same run, so its times contain that call's
overhead of a few microseconds. Long lists have a benchmark of their own, `lists.py`, as has what a
command costs from a cold start, `startup.py`.
"""

from __future__ import annotations

import statistics
from functools import partial

from measure import EN10MB, NETMASK, seconds_of, usual_filters

import pfcompile
from pfcompile.facts import link_types
from tests.oracles.libpcap import Libpcap

WARM_RUNS = 5


def main() -> None:
    """Print the tables."""
    filters = usual_filters()
    with Libpcap() as libpcap:
        ours = warm_seconds(filters, EN10MB)
        theirs = [
            seconds_of(partial(libpcap.compile, text, EN10MB, netmask=NETMASK), WARM_RUNS)
            for text in filters
        ]
    print(f"warm, {len(filters)} usual filters      pfcompile    libpcap")
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
