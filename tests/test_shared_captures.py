"""Real captures: packet by packet, our programs give the verdict of libpcap's unoptimised one.

The captures are those of tcpdump's own tests, some of them broken on purpose. Each gets random
expressions that suit its link types, from a seed of its own. Packets are taken as they were
captured: where one ends inside a header that a filter reads, programs that mean the same may
differ on it. Then one of them has run past the captured bytes, and the two agree on the packet
continued with zeros and with ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from pfcompile.captures.reader import read_records
from pfcompile.cbpf.interpreter import prepare
from pfcompile.cbpf.isa import Op
from pfcompile.cbpf.listing import tcpdump
from pfcompile.errors import CaptureError
from pfcompile.facts import link_types
from tests.comparison import SNAPLEN, Comparison, Unexplained
from tests.generator.expressions import Generator
from tests.generator.links import LINKS, Link
from tests.generator.seed import SEED, rerun

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.comparison import Program
    from tests.oracles.libpcap import Libpcap

FOLDER: Final = Path(__file__).parents[1].parent / "shared" / "captures"
CAPTURES: Final = sorted(FOLDER.glob("*.pcap*"))

pytestmark = pytest.mark.skipif(
    not CAPTURES, reason="the folder ../shared/captures with real captures is not here"
)

FEW, MANY = 8, 200
MOST_SHOWN: Final = 5

_NO_OPINION: Final = 77
"""What an unrolled `protochain` of libpcap returns where the original may never end."""

_PADDING: Final = 4096
"""Bytes put behind a packet; filters read further only at offsets that no packet has."""

_ALIKE: Final = {name: name for name in LINKS} | {"JUNIPER_MONITOR": "JUNIPER_GGSN"}
"""Whose expressions suit a link type; the others are as opaque as USER0."""

_DIVISIONS: Final = frozenset({Op.DIV_X, Op.MOD_X})
_SHIFTS: Final = frozenset({Op.LSH_X, Op.RSH_X})


@dataclass(frozen=True, slots=True)
class Captured:
    """A packet of a capture.

    Attributes:
        data: The captured bytes.
        wire_length: The length on the wire.
    """

    data: bytes
    wire_length: int


def packets_of(path: Path) -> dict[int, list[Captured]]:
    """Return the packets of a capture by link type (DLT value), until it ends or is damaged."""
    found: dict[int, list[Captured]] = {}
    with path.open("rb") as stream:
        try:
            for record in read_records(stream, path.name):
                packet = Captured(bytes(record.data), record.wire_length)
                found.setdefault(record.interface.dlt, []).append(packet)
        except CaptureError:
            pass  # what comes before the damage counts
    return found


@dataclass(slots=True)
class OnCapture(Comparison):
    """Compares programs on the packets of a capture, instead of for every packet there could be.

    Attributes:
        packets: What the programs are run on.
    """

    packets: list[Captured] = field(default_factory=list)

    def _same(self, text: str, which: str, ours: Program, theirs: Program) -> None:
        """Run both; the packets on which they differ must have an explanation."""
        verdicts = self._run(ours), self._run(theirs)
        kept = "unoptimised" if which.startswith("unoptimised") else "optimised"
        self.counts[f"verdicts compared, {kept}"] += len(self.packets)
        self.counts[f"matches, {kept}"] += sum(map(bool, verdicts[1]))
        for packet, one, other in zip(self.packets, *verdicts, strict=True):
            if one == other or other == _NO_OPINION:
                continue
            if not self._runs_past_the_end(packet, ours, theirs):
                raise Unexplained(
                    f"{text!r}\n{which}: {one} and {other} for {packet.data.hex()} of wire length"
                    f" {packet.wire_length}\n{tcpdump(ours)}--\n{tcpdump(theirs)}"
                )
            self.counts[f"known: the packet is cut off, {kept}"] += 1

    def _sample(self, text: str, ours: Program, theirs: Program) -> None:
        """Compare with an unrolled program as with any other."""
        self._same(text, "unoptimised, ours and libpcap's", ours, theirs)

    def _run(self, program: Program) -> list[int]:
        return [self._verdict(program, packet) for packet in self.packets]

    def _verdict(self, program: Program, packet: Captured) -> int:
        return self.libpcap.filter(program, packet.data, packet.wire_length)

    def _runs_past_the_end(self, packet: Captured, *programs: Program) -> bool:
        """Return whether a program stops at the end of the packet, and they agree if it goes on."""
        if not any(self._stops(program, packet) for program in programs):
            return False
        for filler in (b"\0", b"\xff"):
            longer = Captured(packet.data + filler * _PADDING, packet.wire_length)
            verdicts = {self._verdict(program, longer) for program in programs}
            still_stops = any(
                self._stops(program, longer) and not _divides(program) for program in programs
            )
            if len(verdicts) > 1 and not still_stops:
                return False
        return True

    def _stops(self, program: Program, packet: Captured) -> bool:
        """Return whether a load past the captured bytes ends a program (or a division by 0)."""
        marked = tuple(
            one._replace(k=SNAPLEN) if one.code == Op.RET_K and one.k == 0 else one
            for one in program
        )
        return self._verdict(marked, packet) == 0


def _divides(program: Program) -> bool:
    return any(one.code in _DIVISIONS for one in program)


def compare(libpcap: Libpcap, path: Path, count: int, record) -> None:
    """Compare `count` expressions for each link type of a capture."""
    unexplained: list[str] = []
    compared = 0
    for dlt, packets in packets_of(path).items():
        row = link_types.by_dlt(dlt)
        name = str(dlt) if row is None else row.name
        alike = LINKS[_ALIKE.get(name, "USER0")]
        link = Link(name, dlt, alike.features, newer=alike.newer)
        seed = f"{SEED} {path.name} {name}"
        comparison = OnCapture(libpcap, link, seed, packets=packets)
        expressions = Generator(seed, alike.name)
        for _ in range(count):
            compared += 1
            try:
                comparison.compare(expressions.expression())
            except Unexplained as found:
                unexplained.append(f"{name}: {found}")
        comparison.counts["captures"] += 1
        comparison.counts["packets"] += len(packets)
        record("libpcap counts", dict(comparison.counts))
    if unexplained:
        shown = "\n\n".join(unexplained[:MOST_SHOWN])
        again = f"{rerun('tests/test_shared_captures.py')} -k {path.stem}"
        pytest.fail(
            f"{path.name}: {len(unexplained)} of {compared} differ without a rule\n{shown}\n{again}",
            pytrace=False,
        )


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_a_capture(path, libpcap, record_property):
    compare(libpcap, path, FEW, record_property)


@pytest.mark.long
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_a_capture_at_length(path, libpcap, record_property):
    compare(libpcap, path, MANY, record_property)
