"""What the benchmarks share: their filters and packets, what they count, how they report it.

Importing this makes `pfcompile` and `tests` importable from a source tree that is not installed,
so a benchmark imports it before them.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pfcompile.cbpf.isa import Instruction  # noqa: E402 - found through the line above
from tests.shared_captures import CAPTURES, packets_of  # noqa: E402 - the same

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.shared_captures import Captured

Program: TypeAlias = tuple[Instruction, ...]

NETMASK: Final = 0xFFFFFF00
"""For `ip broadcast`, in host order."""

EN10MB: Final = 1
"""DLT_EN10MB, pcap/dlt.h."""

_FILTERS: Final = ROOT / "tests" / "filters" / "usual.txt"


def usual_filters() -> list[str]:
    """Return the expressions that are kept by hand; all of them compile on Ethernet."""
    lines = map(str.strip, _FILTERS.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def shared_packets() -> dict[int, list[Captured]]:
    """Return the packets of the shared captures by DLT value; none if the folder is missing."""
    found: dict[int, list[Captured]] = {}
    for path in CAPTURES:
        for dlt, packets in packets_of(path).items():
            found.setdefault(dlt, []).extend(packets)
    return found


def seconds_of(call: Callable[[], object], runs: int = 1) -> float:
    """Return the shortest of a few times that a call takes, in seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


@dataclass(frozen=True, slots=True)
class Measured:
    """One number of one filter.

    Attributes:
        link: The name of the link type.
        text: The filter.
        ours: What our program takes, more than 0.
        theirs: What libpcap's optimised program takes, more than 0.
    """

    link: str
    text: str
    ours: int
    theirs: int

    @property
    def ratio(self) -> float:
        """Ours over theirs; less than 1 is better."""
        return self.ours / self.theirs

    def __str__(self) -> str:
        return f"{self.ours} for {self.theirs}, {self.link}: {self.text!r}"


def report_ratios(what: str, rows: Sequence[Measured]) -> None:
    """Print how `rows` compare with libpcap, then every row where ours is more."""
    if not rows:
        print(f"  {what}: none measured")
        return
    shorter = sum(row.ours < row.theirs for row in rows)
    longer = sorted(
        (row for row in rows if row.ours > row.theirs), key=lambda row: row.ratio, reverse=True
    )
    worst = max(rows, key=lambda row: row.ratio)
    print(
        f"  {what}, {len(rows)} filters: {statistics.geometric_mean(row.ratio for row in rows):.3f}"
        f" geometric mean, {worst.ratio:.3f} worst; "
        f"{shorter} shorter, {len(rows) - shorter - len(longer)} equal, {len(longer)} longer"
    )
    for row in longer:
        print(f"    longer: {row}")
