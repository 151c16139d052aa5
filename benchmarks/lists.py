"""What long lists of hosts, ports and networks cost, beside libpcap: `python benchmarks/lists.py`.

The first table: processor time and memory to compile `host A or B or ...`, instructions, the
longest path, and the instructions executed on a packet, averaged over some. Each compile has a
process of its own, so that its peak memory is its own. libpcap's time grows with the cube of the
length, so it has a limit; lists longer than one that it could not do are not tried. The second:
both programs run by libpcap's own bpf_filter() on a capture of 1,000,000 packets, interleaved, the
best of several runs, with and without what reading costs. Exits with status 1 if the programs
disagree or a target is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypedDict

from measure import EN10MB, Program
from offline import REJECT, OfflineRun, traffic, write_capture

import pfcompile
from pfcompile.cbpf.isa import Instruction
from pfcompile.cbpf.ways import way_lengths
from tests.generator.seed import SEED
from tests.oracles.libpcap import Libpcap, Refused
from tests.oracles.walk import executed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.shared_captures import Captured

LENGTHS: Final = (10, 30, 100, 200, 300, 1000, 3000)
TARGETS: Final = {200: 4.0, 1000: 15.0}
"""How many times faster than libpcap's program ours must be on lists of so many hosts."""

TIME_LIMIT: Final = 400
"""Seconds of processor time for a process that compiles, so that a busy machine changes nothing."""

MEMORY_LIMIT: Final = 8 << 30
"""Bytes of address space for a compile: libpcap would take all that the machine has."""

PACKETS: Final = 1_000_000
COUNTED: Final = 1000
"""Packets on which executed instructions are counted."""

RUNS: Final = 5

_RNG: Final = random.Random(SEED)
HOSTS: Final = [10 << 24 | low for low in _RNG.sample(range(1 << 24), max(LENGTHS))]
PORTS: Final = _RNG.sample(range(1 << 16), max(LENGTHS))
NETS: Final = [10 << 24 | low << 8 for low in _RNG.sample(range(1 << 16), max(LENGTHS))]


def _dotted(address: int) -> str:
    return ".".join(str(byte) for byte in address.to_bytes(4, "big"))


WORDS: Final = {
    "host": [_dotted(address) for address in HOSTS],
    "port": [str(port) for port in PORTS],
    "net": [f"{_dotted(address)}/24" for address in NETS],
}
"""What lists are made of; a shorter list is the beginning of a longer one."""


class Told(TypedDict):
    """What a process that has compiled a list tells as JSON; see `Compiled`."""

    program: list[Instruction]
    why: str
    seconds: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class Compiled:
    """What became of one list.

    Attributes:
        program: The program; empty if there is none.
        why: Why there is none.
        seconds: Processor time for compiling, or until the refusal; 0 if it came to no end.
        megabytes: Memory that it added to the process, at the peak, in MiB.
    """

    program: Program = ()
    why: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0

    def row(self, packets: Sequence[Captured]) -> str:
        """Return the columns of the table; executed instructions are averaged over `packets`."""
        cost = f"{self.seconds:8.3f} s {self.megabytes:7.1f} MB" if self.seconds else " " * 21
        if not self.program:
            return f"{cost} {self.why:>23}"
        average = executed(self.program, packets) / len(packets)
        return f"{cost} {len(self.program):6} {way_lengths(self.program).longest:6} {average:9.1f}"


def list_of(kind: str, length: int) -> str:
    """Return a filter for a list."""
    return f"{kind} " + " or ".join(WORDS[kind][:length])


def peak_megabytes() -> float:
    """Return the most memory that this process has had, in MiB.

    Not from `getrusage`, whose peak begins with that of the process that started this one.
    Source: proc_pid_status(5), VmHWM.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status does not tell the peak of memory (VmHWM)")


def compile_here(compiler: str, kind: str, length: int) -> Told:
    """Compile a list in this process, which has compiled something short before.

    So neither loading modules nor opening a handle counts.
    """
    resource.setrlimit(resource.RLIMIT_CPU, (TIME_LIMIT, TIME_LIMIT + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    with Libpcap() as libpcap:
        compilers: dict[str, Callable[[str], Program]] = {
            "pfcompile": lambda text: pfcompile.compile(text, EN10MB).instructions,
            "libpcap": lambda text: libpcap.compile(text, EN10MB),
        }
        compiled = compilers[compiler]
        compiled("host 10.0.0.1 or 10.0.0.2")
        text = list_of(kind, length)
        program: Program = ()
        why = ""
        before = peak_megabytes()
        start = time.process_time()
        try:
            program = compiled(text)
        except pfcompile.FilterError as error:
            why = error.message.replace(" for classic BPF", "").partition(" instructions")[0]
        except Refused as error:
            why = str(error)
        seconds = time.process_time() - start
        return Told(
            program=list(program), why=why, seconds=seconds, megabytes=peak_megabytes() - before
        )


def compile_apart(compiler: str, kind: str, length: int) -> Compiled:
    """Compile a list in a process of its own, within the limits of time and memory."""
    command = [sys.executable, __file__, compiler, kind, str(length)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode == -signal.SIGXCPU:
        return Compiled(why=f"more than {TIME_LIMIT} s")
    if done.returncode:
        return Compiled(why=f"ended with status {done.returncode}")
    told: Told = json.loads(done.stdout)
    program = tuple(Instruction(*one) for one in told["program"])
    return Compiled(program, told["why"], told["seconds"], told["megabytes"])


Pair: TypeAlias = tuple[Program, Program]


def print_costs(packets: Sequence[Captured]) -> dict[tuple[str, int], Pair]:
    """Print the first table; return ours and libpcap's program for each list that has both."""
    print(f"compiled; executed instructions are the average over {len(packets)} packets")
    side = f"{'time':>10} {'memory':>10} {'length':>6} {'longest':>7} {'executed':>8}"
    print(f"{'':10} {'pfcompile':^45}   {'libpcap, optimised':^45}\n{'':10} {side}   {side}")
    pairs = {}
    for kind in WORDS:
        theirs = Compiled()
        for length in LENGTHS:
            ours = compile_apart("pfcompile", kind, length)
            if theirs.why:
                theirs = Compiled(why="not tried")
            else:
                theirs = compile_apart("libpcap", kind, length)
            name = f"{length:4} {kind}s"
            print(f"{name:10} {ours.row(packets)}   {theirs.row(packets)}", flush=True)
            if ours.program and theirs.program:
                pairs[kind, length] = ours.program, theirs.program
    return pairs


def print_runs(run: OfflineRun, pairs: Mapping[tuple[str, int], Pair]) -> list[str]:
    """Print the second table; return what went wrong."""
    print(f"\nrun by libpcap's bpf_filter() on {PACKETS:,} packets, the best of {RUNS}")
    print(f"{'':10} {'pfcompile':>11} {'libpcap':>11} {'reading':>11} {'times faster':>13}")
    print(f"{'':46} {'all':>6} {'net of reading':>15} {'matches':>8}")
    faults = [
        f"{length} hosts: not measured, {target:g} times faster is the target"
        for length, target in TARGETS.items()
        if ("host", length) not in pairs
    ]
    for (kind, length), programs in pairs.items():
        name = f"{length} {kind}s"
        times, matches = zip(
            *(zip(*map(run.run, (*programs, REJECT)), strict=True) for _ in range(RUNS)),
            strict=True,
        )
        ours, theirs, reading = (min(column) for column in zip(*times, strict=True))
        ratio = theirs / ours
        # Where ours costs no more than reading, the difference is noise.
        net = (theirs - reading) / max(ours - reading, 0.01 * reading)
        print(
            f"{name:10} {ours:9.3f} s {theirs:9.3f} s {reading:9.3f} s {ratio:6.1f}"
            f" {net:15.1f} {matches[0][0]:8}",
            flush=True,
        )
        if len({found[:2] for found in matches}) != 1 or matches[0][0] != matches[0][1]:
            faults.append(f"{name}: {matches} packets match, of ours, libpcap's and none")
        if kind == "host" and ratio < TARGETS.get(length, 0):
            faults.append(f"{name}: {ratio:.1f} times faster with reading, not {TARGETS[length]:g}")
    return faults


def main() -> int:
    """Print both tables; return the exit status."""
    parser = argparse.ArgumentParser(description="What long lists cost, beside libpcap.")
    one = parser.add_argument_group("one list, compiled in this process and told as JSON")
    one.add_argument("compiler", nargs="?", choices=("pfcompile", "libpcap"))
    one.add_argument("kind", nargs="?", choices=tuple(WORDS))
    one.add_argument("length", nargs="?", type=int)
    options = parser.parse_args()
    if options.length is not None:
        print(json.dumps(compile_here(options.compiler, options.kind, options.length)))
        return 0
    shortest = min(LENGTHS)
    hosts, ports = HOSTS[:shortest], PORTS[:shortest]
    print(f"lists and packets from seed {SEED}")
    pairs = print_costs(list(traffic(f"{SEED} few", COUNTED, hosts, ports)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "traffic.pcap")
        write_capture(path, traffic(f"{SEED} many", PACKETS, hosts, ports))
        faults = print_runs(OfflineRun(path), pairs)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
