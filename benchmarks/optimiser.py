"""How good our programs are beside libpcap's: `python benchmarks/optimiser.py [EXPRESSIONS]`.

For the usual filters on Ethernet and for random expressions over all link types, these of ours over
those of libpcap's optimised program: instructions, the longest path, and the instructions executed
on the packets of the shared captures that have the filter's link type. (A load past the end of a
packet ends both programs, each where it comes to it.) Random expressions are drawn until as many
are compared as were asked for; what became of the others is told.

Every program of ours is proved by z3 to mean what libpcap's unoptimised one means. Where the solver
gives up, packets are tried that lead down every branch. Where 1.10.6, which is asked, differs from
1.11, which we follow, the rules of the tests must explain it, and the expression is left out. One
that libpcap's optimiser miscompiles, shown by a packet on which its two programs differ, is left
out, too. Exits with status 1 if anything differs that has no explanation.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from measure import (
    NETMASK,
    Measured,
    Program,
    report_ratios,
    shared_packets,
    usual_filters,
)

import pfcompile
from pfcompile.cbpf.check import check_structure
from pfcompile.cbpf.interpreter import prepare
from pfcompile.cbpf.ways import way_lengths
from pfcompile.errors import ProgramError
from pfcompile.prove import Different, Equal, Undecided, prove
from tests.comparison import Comparison as RuledComparison
from tests.comparison import Unexplained
from tests.generator.expressions import Generator
from tests.generator.links import LINKS, Link
from tests.generator.packets import packets_for
from tests.generator.seed import SEED
from tests.oracles.libpcap import Libpcap, Refused
from tests.oracles.walk import executed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.shared_captures import Captured

EXPRESSIONS: Final = 1000

FAULT: Final = "without explanation"
UNDECIDED: Final = "compared, undecided by z3, sampled and found the same"
MISCOMPILED: Final = "left out, miscompiled by libpcap's optimiser"

PROOF_MS: Final = 5000
"""How long the solver may take."""

SAMPLES: Final = 2000
"""Packets tried where it gives up."""

PADDING: Final = bytes(70000)
"""Behind a sample, so that no program reads past its end: header lengths have 16 bits at most."""


def sample(text: str, first: Program, second: Program) -> Different | None:
    """Try packets that lead down the branches of either program; return one that tells them apart.

    Both run in our interpreter: libpcap's finds in scratch words what the stack held.
    """
    rng = random.Random(f"{SEED} {text}")
    machines = prepare(first), prepare(second)
    for program in (first, second):
        for packet in packets_for(program, rng, SAMPLES // 2):
            data = packet.data + PADDING
            one, other = (machine(data, packet.wire_length) for machine in machines)
            if one != other:
                return Different(data, packet.wire_length, (one, other))
    return None


@dataclass
class Comparison:
    """Compares programs, and keeps what was found.

    Attributes:
        libpcap: The oracle.
        packets: Captured packets by DLT value.
        sizes: Instructions.
        paths: Instructions on the longest path.
        runs: Instructions executed on all captured packets of the link type together.
        links: The link types compared.
        counts: What became of how many expressions.
        named: The expressions that are listed, by why.
    """

    libpcap: Libpcap
    packets: Mapping[int, Sequence[Captured]]
    sizes: list[Measured] = field(default_factory=list)
    paths: list[Measured] = field(default_factory=list)
    runs: list[Measured] = field(default_factory=list)
    links: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    named: dict[str, list[str]] = field(default_factory=dict)

    def add(self, text: str, link: Link) -> None:
        """Compare the programs of one expression."""
        self.counts["drawn"] += 1
        try:
            ours = pfcompile.compile(text, link.value, netmask=NETMASK).instructions
            plain, theirs = (
                self.libpcap.compile(text, link.value, optimize=optimize, netmask=NETMASK)
                for optimize in (False, True)
            )
            check_structure(plain)
            check_structure(theirs)
        except (pfcompile.FilterError, Refused):
            self._explain("left out, refused by one or both", text, link)
        except ProgramError:
            self._explain("left out, libpcap's program has a loop", text, link)
        else:
            self._compare(text, link, ours, plain, theirs)

    def _compare(
        self, text: str, link: Link, ours: Program, plain: Program, theirs: Program
    ) -> None:
        match self._relation(text, ours, plain), self._relation(text, theirs, plain):
            case Different(), _:
                self._explain("left out, means something else in 1.10.6", text, link)
                return
            case _, Different():
                self._name(MISCOMPILED, text, link)
                return
            case Equal(), _:
                self.counts["compared, proved by z3"] += 1
            case Undecided(), _:
                self._name(UNDECIDED, text, link)
        self.links.add(link.name)
        self.sizes.append(Measured(link.name, text, len(ours), len(theirs)))
        longest = way_lengths(ours).longest, way_lengths(theirs).longest
        self.paths.append(Measured(link.name, text, *longest))
        if packets := self.packets.get(link.value):
            counts = executed(ours, packets), executed(theirs, packets)
            self.runs.append(Measured(link.name, text, *counts))

    def _relation(
        self, text: str, first: Program, second: Program
    ) -> Equal | Different | Undecided:
        """Ask the solver; where it gives up, try packets."""
        answer = prove(first, second, timeout_ms=PROOF_MS)
        if isinstance(answer, Undecided):
            return sample(text, first, second) or answer
        return answer

    def _name(self, why: str, text: str, link: Link) -> None:
        self.counts[why] += 1
        self.named.setdefault(why, []).append(f"{link.name}: {text!r}")

    def _explain(self, why: str, text: str, link: Link) -> None:
        """Hold what cannot be compared directly to the rules about libpcap's versions."""
        rules = RuledComparison(self.libpcap, link, f"{SEED} {text}")
        try:
            rules.compare(text)
        except Unexplained as found:
            self._name(FAULT, str(found), link)
        self.counts[why] += 1
        self.counts.update(name for name in rules.counts if name.startswith("known: "))

    def report(self, title: str) -> None:
        """Print what was found."""
        print(f"{title}: {len(self.sizes)} compared, on {len(self.links)} link types")
        report_ratios("instructions", self.sizes)
        report_ratios("longest path", self.paths)
        report_ratios("executed", self.runs)
        for told in (UNDECIDED, MISCOMPILED, FAULT):
            self.counts[told] += 0  # is told where there is none, too
        for what, count in sorted(self.counts.items()):
            print(f"  {count} {what}")
            for name in self.named.get(what, ()):
                print(f"    {name}")
        print(flush=True)


def main() -> int:
    """Print both comparisons; return the exit status."""
    parser = argparse.ArgumentParser(description="How good our programs are beside libpcap's.")
    parser.add_argument("expressions", type=int, nargs="?", default=EXPRESSIONS)
    wanted = parser.parse_args().expressions
    packets = shared_packets()
    if not packets:
        print("executed instructions are not counted: the folder ../shared/captures is missing\n")
    with Libpcap() as libpcap:
        usual, mixed = Comparison(libpcap, packets), Comparison(libpcap, packets)
        for text in usual_filters():
            usual.add(text, LINKS["EN10MB"])
        usual.report("usual filters")
        generators = [Generator(f"{SEED} optimiser {name}", name) for name in LINKS]
        for generator in itertools.cycle(generators):
            if len(mixed.sizes) >= wanted:
                break
            mixed.add(generator.expression(), generator.link)
        mixed.report(f"random expressions, seed {SEED}")
    return 1 if usual.counts[FAULT] + mixed.counts[FAULT] else 0


if __name__ == "__main__":
    sys.exit(main())
