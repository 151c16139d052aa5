"""How long our programs are beside libpcap's: `python benchmarks/optimiser.py [EXPRESSIONS]`.

Prints, for the usual filters on Ethernet and for random expressions over all link types, the number
of instructions and the longest path over those of libpcap's optimised program: geometric mean,
worst, how many are shorter, equal and longer. Every one of our programs is proved to mean what
libpcap's unoptimised one means; where that fails (libpcap 1.10.6 differs from 1.11) the expression
is left out and counted.
"""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pfcompile  # noqa: E402 - found through the line above
from pfcompile.cbpf.isa import Instruction, successors  # noqa: E402 - the same
from pfcompile.prove import Equal, prove  # noqa: E402 - the same
from tests.generator.expressions import Generator  # noqa: E402 - the same
from tests.generator.links import LINKS  # noqa: E402 - the same
from tests.generator.seed import SEED  # noqa: E402 - the same
from tests.oracles.libpcap import Libpcap, Refused  # noqa: E402 - the same

NETMASK = 0xFFFFFF00
EXPRESSIONS = 1000
Program = tuple[Instruction, ...]


def longest_path(program: Program) -> int:
    """Return how many instructions a packet takes at most."""
    longest = [0] * len(program)
    for position in range(len(program) - 1, -1, -1):
        after = successors(position, program[position])
        longest[position] = 1 + max((longest[target] for target in after), default=0)
    return longest[0]


@dataclass
class Comparison:
    """Ratios of ours over libpcap's, and what was left out."""

    lengths: list[float] = field(default_factory=list)
    paths: list[float] = field(default_factory=list)
    worst: tuple[float, str] = (0.0, "")
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, libpcap: Libpcap, text: str, dlt: int) -> None:
        """Compare the programs of one expression."""
        try:
            plain = libpcap.compile(text, dlt, optimize=False, netmask=NETMASK)
            theirs = libpcap.compile(text, dlt, optimize=True, netmask=NETMASK)
            ours = pfcompile.compile(text, dlt, netmask=NETMASK).instructions
        except (Refused, pfcompile.FilterError):
            self.outcomes["refused by one or both"] += 1
            return
        if any(each.k >> 31 and each.code == 0x05 for each in theirs):
            self.outcomes["libpcap's loops"] += 1
            return
        answer = prove(ours, plain)
        if not isinstance(answer, Equal):
            self.outcomes[f"{type(answer).__name__.lower()}, left out"] += 1
            return
        ratio = len(ours) / len(theirs)
        self.lengths.append(ratio)
        self.paths.append(longest_path(ours) / longest_path(theirs))
        self.worst = max(self.worst, (ratio, f"{len(ours)} for {len(theirs)}: {text!r}"))

    def report(self, title: str) -> None:
        """Print what was found."""
        print(f"{title}: {len(self.lengths)} compared and proved")
        for what, ratios in (("instructions", self.lengths), ("longest path", self.paths)):
            shorter, longer = sum(r < 1 for r in ratios), sum(r > 1 for r in ratios)
            print(
                f"  {what:13} {statistics.geometric_mean(ratios):.3f} geometric mean, "
                f"{max(ratios):.2f} worst; {shorter} shorter, "
                f"{len(ratios) - shorter - longer} equal, {longer} longer"
            )
        print(f"  worst: {self.worst[1]}")
        for outcome, count in self.outcomes.most_common():
            print(f"  {count} {outcome}")


def main() -> None:
    """Print both comparisons."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else EXPRESSIONS
    lines = (ROOT / "tests/filters/usual.txt").read_text().splitlines()
    with Libpcap() as libpcap:
        usual = Comparison()
        for text in lines:
            if text.strip() and not text.startswith("#"):
                usual.add(libpcap, text.strip(), 1)
        usual.report("usual filters on Ethernet")
        mixed = Comparison()
        links = [link for link in LINKS.values() if not link.newer]
        generators = [(link.value, Generator(SEED + link.value, link.name)) for link in links]
        for number in range(count):
            dlt, generator = generators[number % len(generators)]
            mixed.add(libpcap, generator.expression(), dlt)
        mixed.report(f"random expressions on {len(links)} link types, seed {SEED}")


if __name__ == "__main__":
    main()
