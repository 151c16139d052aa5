"""Real captures: packet by packet, our programs give the verdict of libpcap's unoptimised one.

The captures are those of tcpdump's own tests, some of them broken on purpose. Each gets random
expressions that suit its link types, from a seed of its own. Packets are taken as they were
captured: where one ends inside a header that a filter reads, programs that mean the same may
differ on it. Then one of them has run past the captured bytes, and the two agree on the packet
continued in several ways.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest

from pfcompile.cbpf.check import check_scratch
from pfcompile.cbpf.interpreter import prepare
from pfcompile.cbpf.isa import Op
from pfcompile.cbpf.listing import tcpdump
from pfcompile.errors import ProgramError
from pfcompile.facts import link_types
from tests.comparison import Comparison, Unexplained
from tests.generator.expressions import Generator
from tests.generator.links import LINKS, Link, alike
from tests.generator.seed import SEED, rerun
from tests.known_differences import RUN_TIME_HEADERS, respelt
from tests.oracles.walk import End, walk
from tests.shared_captures import CAPTURES, Captured, packets_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pfcompile.syntax import tree
    from tests.comparison import Program
    from tests.oracles.libpcap import Libpcap

pytestmark = pytest.mark.skipif(
    not CAPTURES, reason="the folder ../shared/captures with real captures is not here"
)

FEW, MANY = 8, 200
MOST_SHOWN: Final = 5

_NO_OPINION: Final = 77
"""What an unrolled `protochain` of libpcap returns where the original may never end."""

_PADDING: Final = 4096
"""Bytes put behind a packet; filters read further only at offsets that no packet has."""

_CONTINUATIONS: Final = (
    bytes(_PADDING),
    b"\xff" * _PADDING,
    *(random.Random(f"{SEED} {number}").randbytes(_PADDING) for number in range(6)),
)
"""How a packet that is cut off might go on."""

_SHIFTS: Final = frozenset({Op.LSH_X, Op.RSH_X})


Run: TypeAlias = "Callable[[Captured], int]"


@dataclass
class OnCapture(Comparison):
    """Compares programs on the packets of a capture, instead of for every packet there could be.

    Attributes:
        packets: What the programs are run on.
    """

    packets: list[Captured] = field(default_factory=list)
    # Whether libpcap's program may be one that has lost its offsets.
    _first_try: bool = False

    def _compare_respelt(
        self, expression: tree.Expression, text: str, said: str, ours: Program
    ) -> Program:
        """Compare with libpcap's program for `said`.

        Where libpcap may have lost its run-time offsets, its loads go astray. That is not laid to
        packets that are cut off before the expression was tried that keeps them.
        """
        self._first_try = (
            self.link.name in RUN_TIME_HEADERS and said == respelt(text, expression, self.link)[0]
        )
        return super()._compare_respelt(expression, text, said, ours)

    def _same(self, text: str, which: str, ours: Program, theirs: Program) -> None:
        """Run both; the packets on which they differ must have an explanation."""
        if which.startswith("unoptimised"):
            self._compare_runs(text, "unoptimised", ours, self._as_libpcap_runs(theirs))
        else:
            self._compare_runs(text, "optimised", ours, _Runner(theirs, _in_our_interpreter))

    def _sample(self, text: str, ours: Program, theirs: Program) -> None:
        """Compare with an unrolled program as with any other."""
        self._compare_runs(text, "unoptimised", ours, self._as_libpcap_runs(theirs))

    def _as_libpcap_runs(self, program: Program) -> _Runner:
        """Return a program to be run in libpcap's interpreter.

        That one leaves scratch memory as it finds it, and libpcap's programs for tunnels may read
        what they have not written. Ours sets those words to 0.
        """
        if _reads_unset_scratch(program):
            return _Runner(program, _in_our_interpreter)
        return _Runner(program, self._in_libpcap)

    def _in_libpcap(self, program: Program) -> Run:
        return lambda packet: self.libpcap.filter(program, packet.data, packet.wire_length)

    def _compare_runs(self, text: str, kept: str, program: Program, theirs: _Runner) -> None:
        ours = _Runner(program, _in_our_interpreter)
        self.counts[f"verdicts compared, {kept}"] += len(self.packets)
        for packet in self.packets:
            one, other = ours.run(packet), theirs.run(packet)
            self.counts[f"matches, {kept}"] += other > 0
            if other not in {one, _NO_OPINION}:
                reason = self._reason(packet, ours, theirs)
                if reason is None or (self._first_try and kept == "unoptimised"):
                    raise Unexplained(
                        f"{text!r}\n{kept}: {one} and {other} for {packet.data.hex()} of wire"
                        f" length {packet.wire_length}\n{tcpdump(ours.program)}--\n"
                        f"{tcpdump(theirs.program)}"
                    )
                self.counts[f"known: {reason}, {kept}"] += 1

    def _reason(self, packet: Captured, ours: _Runner, theirs: _Runner) -> str | None:
        """Return why two programs of one meaning differ on a packet."""
        shifts = any(one.code in _SHIFTS for each in (ours, theirs) for one in each.program)
        if shifts and len({self._in_libpcap(each.program)(packet) for each in (ours, theirs)}) == 1:
            return "a shift by 32 or more is another in the kernel"
        if not any(walk(one.program, packet).end is End.LOAD for one in (ours, theirs)):
            return None
        reason = "the packet is cut off"
        for more in _CONTINUATIONS:
            longer = Captured(packet.data + more, packet.wire_length)
            if ours.run(longer) != theirs.run(longer):
                if not any(walk(one.program, longer).end is End.LOAD for one in (ours, theirs)):
                    return None
                reason = "an offset that no packet has (Q8)"
        return reason


def _in_our_interpreter(program: Program) -> Run:
    machine = prepare(program)
    return lambda packet: machine(packet.data, packet.wire_length)


class _Runner:
    """A program and the interpreter that runs it.

    Attributes:
        program: The instructions.
        run: Gives the verdict on a packet.
    """

    def __init__(self, program: Program, interpreter: Callable[[Program], Run]) -> None:
        self.program = program
        self.run = interpreter(program)


def _reads_unset_scratch(program: Program) -> bool:
    try:
        check_scratch(program)
    except ProgramError:
        return True
    return False


def compare(libpcap: Libpcap, path: Path, count: int, record) -> None:
    """Compare `count` expressions for each link type of a capture."""
    unexplained: list[str] = []
    compared = 0
    for dlt, packets in packets_of(path).items():
        row = link_types.by_dlt(dlt)
        name = str(dlt) if row is None else row.name
        suited = LINKS[alike(name)]
        link = Link(name, dlt, suited.features, newer=suited.newer)
        seed = f"{SEED} {path.name} {name}"
        comparison = OnCapture(libpcap, link, seed, packets=packets)
        expressions = Generator(seed, suited.name)
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
            f"{path.name}: {len(unexplained)} of {compared} differ without a rule\n"
            f"{shown}\n{again}",
            pytrace=False,
        )


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_a_capture(path, libpcap, record_property):
    compare(libpcap, path, FEW, record_property)


@pytest.mark.long
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_a_capture_at_length(path, libpcap, record_property):
    compare(libpcap, path, MANY, record_property)
