"""Attached filters: `python benchmarks/attach.py [--prefixes N] [--packets N]`; needs root.

Printed are how long it takes to read a file of prefixes, to load them into the sets of a filter and
to change one; what a packet costs in the kernel, with and without sets, counts by source and
reports (BPF_PROG_TEST_RUN, nanoseconds a packet); and how many packets a second are reported to
Python while they are sent over a veth pair as fast as it goes.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pfcompile  # noqa: E402 - found through the line above
from pfcompile.kernel.attach import (  # noqa: E402 - the same
    Action,
    Prefixes,
    Report,
    SetRule,
    WantedSet,
    Xdp,
    attach,
    attachments,
)
from pfcompile.kernel.bpf.links import Link, XdpMode  # noqa: E402 - the same
from pfcompile.kernel.bpf.programs import LoadedProgram  # noqa: E402 - the same
from tests.kernel.namespaces import LEFT, pair, raw_sender, udp  # noqa: E402 - the same
from tests.kernel.sending import BATCH, send  # noqa: E402 - the same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.kernel.attach import Attachment
    from tests.kernel.namespaces import Pair

EXPRESSION: Final = "udp"
_RUNS: Final = 1_000_000
_CHANGES: Final = 1000
_MAIN: Final = (sys.executable, "-c", "from pfcompile.cli import main; main()")


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long the block took."""
    began = time.perf_counter()
    yield
    print(f"{what:58} {time.perf_counter() - began:8.3f} s", flush=True)


def write_prefixes(path: Path, count: int) -> None:
    """Write different networks of 8 to 31 bits, in no order, one in ten of them of IPv6."""
    chosen = random.Random(7)
    found: set[str] = set()
    while len(found) < count:
        length = chosen.choice((16, 20, 22, 23, 24, 24, 24, 26, 28, 30, 31))
        if chosen.random() < 0.1:
            bits = chosen.getrandbits(2 * length)
            number = 0x20010DB8 << 96 | bits << 96 - 2 * length
            groups = (f"{number >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))
            found.add(f"{':'.join(groups)}/{32 + 2 * length}")
        else:
            number = chosen.getrandbits(length) << 32 - length
            octets = ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
            found.add(f"{octets}/{length}")
    path.write_text("\n".join(found) + "\n")


def on(cable: Pair, action: Action = Action.COUNT, **more: object) -> Attachment:
    """Attach the filter at XDP."""
    program = pfcompile.compile(EXPRESSION)
    return cable.left.call(attach, Xdp(LEFT, XdpMode.NATIVE), program, action, **more)  # type: ignore[arg-type]


def nanoseconds(session: Attachment) -> int:
    """Return what a packet costs."""
    number = session.description().maps["pf_description"]
    (found,) = (each for each in attachments() if each.id == number)
    with Link.by_id(found.holder) as link, LoadedProgram.by_id(link.info().program_id) as program:
        return program.test_run(udp(53, bytes(18)), repeat=_RUNS).duration_ns


def measure_sets(cable: Pair, path: Path, count: int) -> None:
    """Load, change and look up."""
    with timed(f"{count} prefixes read from a file"):
        prefixes = Prefixes.read(path)
    with timed("attached with a set of them"):
        session = on(cable, sets=[WantedSet(SetRule("many"), prefixes)])
    with session:
        members = session.sets["many"]
        extra = [f"10.{n >> 8 & 255}.{n & 255}.77" for n in range(_CHANGES)]
        with timed(f"{_CHANGES} addresses added one by one"):
            for text in extra:
                members.add(text)
        with timed("the same taken out"):
            for text in extra:
                members.discard(text)
        print(f"{'a packet, both addresses looked up':58} {nanoseconds(session):8} ns")
        with timed("all of them taken out"):
            members.difference_update(prefixes)
    with on(cable, sets=[WantedSet(SetRule("many"), Prefixes())]) as session:
        number = str(session.description().maps["pf_description"])
        with timed(f"pfcompile map add -f, {count} prefixes"):
            command = [*_MAIN, "map", "add", "many", "--of", number, "-f", str(path)]
            subprocess.run(command, check=True, cwd=ROOT)
        with timed("detached"):
            session.close()


def measure_costs(cable: Pair) -> None:
    """Say what the parts of a program cost a packet."""
    with on(cable) as session:
        print(f"{'a packet, counted':58} {nanoseconds(session):8} ns")
    with on(cable, sources=1000) as session:
        print(f"{'and by its source':58} {nanoseconds(session):8} ns")
    with on(cable, sets=[WantedSet(SetRule("none", is_exception=True), Prefixes())]) as session:
        print(f"{'counted, and looked up in an empty set':58} {nanoseconds(session):8} ns")
    with on(cable, Action.REPORT, report=Report(64)) as session:
        print(f"{'reported, but there is no room any more':58} {nanoseconds(session):8} ns")


def measure_reports(cable: Pair, packets: int) -> None:
    """Read what is reported while it is sent."""
    batches = max(1, packets // BATCH)
    for most in (64, 1500):
        with (
            on(cable, Action.REPORT, report=Report(most, 1 << 26)) as session,
            session.reports() as reports,
            raw_sender(cable) as raw,
        ):
            began = time.perf_counter()
            send(raw, batches)
            sent = time.perf_counter() - began
            read = 0
            reading = time.perf_counter()
            while found := reports.read(0.5, 1024):
                read += len(found)
                last = time.perf_counter()
            counted = session.counters()
            speed = read / (last - reading) / 1e6
            print(
                f"{batches * BATCH} packets sent in {sent:.2f} s, up to {most} bytes reported:"
                f" {counted.lost} lost, {read} read at {speed:.2f} million/s"
            )


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--prefixes", type=int, default=1_000_000)
    parser.add_argument("--packets", type=int, default=200_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, pair() as cable:
        path = Path(folder) / "prefixes"
        write_prefixes(path, given.prefixes)
        measure_sets(cable, path, given.prefixes)
        measure_costs(cable)
        measure_reports(cable, given.packets)


if __name__ == "__main__":
    main()
