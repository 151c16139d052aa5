"""Time to filter a capture file: tcpdump's beside ours, as ratios.

Run it with the project's Python: `python benchmarks/scan.py [--size MB] [--repeat N]`. It makes
two files from a seed, packets of 64 to 100 bytes and the usual mix (64, 570 and 1,500 bytes), and
counts the matches of each filter in four ways, one after the other, several times over:

* tcpdump: `tcpdump -r FILE --count FILTER`, its process from start to end;
* process: `pfcompile filter -r FILE --count FILTER`, the same;
* code: our native code in this process, compiled before;
* floor: the same with a filter that is no work: reading, and walking the record headers.

The medians are printed, and how many times longer tcpdump takes. All must count the same.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from measure import EN10MB, ROOT

from pfcompile.captures import native, pcap
from pfcompile.captures.reader import walk_items
from pfcompile.captures.window import Window
from pfcompile.captures.writer import MICROSECONDS
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.compiler import compile as compile_filter
from pfcompile.jit.scan import Layout, Scanner
from tests.generator.seed import SEED

if TYPE_CHECKING:
    from collections.abc import Sequence

HOSTS: Final = [f"10.{n}.{n * 3 % 256}.{n * 7 % 256}" for n in range(1, 201)]
FILTERS: Final = {
    "tcp port": "tcp port 443",
    "host": "host 10.1.2.3",
    "ip6 or arp": "ip6 or arp",
    "flags": "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not port 22",
    "net and ports": "src net 10.0.0.0/8 and (udp portrange 1000-2000 or icmp)",
    "200 hosts": " or ".join(f"host {each}" for each in HOSTS),
    "vlan": "tcp port 443 or (vlan and tcp port 443)",
}

REJECT: Final = (Instruction(Op.RET_K, 0, 0, 0),)
SNAPLEN: Final = 262_144
DIFFERENT_PACKETS: Final = 65_536
"""So many are made, and then repeated in random order: too many for a branch predictor."""

SMALL: Final = tuple(range(64, 101))
IMIX: Final = (64,) * 7 + (570,) * 4 + (1500,)


def make_file(path: Path, sizes: Sequence[int], size: int, rng: random.Random) -> None:
    """Write an Ethernet capture of about `size` bytes, with packets of `sizes`."""
    records = []
    for number in range(DIFFERENT_PACKETS):
        data = packet(rng, rng.choice(sizes))
        records.append(pcap.encode_record(MICROSECONDS, number * 1000, data, len(data)))
    with path.open("wb") as stream:
        written = stream.write(pcap.encode_header(MICROSECONDS, EN10MB, SNAPLEN))
        while written < size:
            written += stream.write(b"".join(rng.choices(records, k=4096)))


def packet(rng: random.Random, size: int) -> bytes:
    """Return a packet: 90 % IPv4, 8 % IPv6, 2 % ARP; one in 20 with a VLAN tag."""
    tag = b"\x81\x00\x00\x07" if rng.random() < 0.05 else b""
    ports = struct.pack(">2H", *(rng.choice((443, 22, 53, rng.getrandbits(16))) for _ in "12"))
    transport = ports + struct.pack(">2I2B", rng.getrandbits(32), 0, 0x50, rng.getrandbits(6))
    source, destination = (
        10 << 24 | rng.getrandbits(24) if rng.random() < 0.98 else 0x0A010203 for _ in "12"
    )
    protocol = rng.choices((6, 17, 1), (60, 35, 5))[0]
    kind = rng.random()
    if kind < 0.90:
        ether = b"\x08\x00"
        body = struct.pack(">BxH4x2BH2I", 0x45, size - 14, 64, protocol, 0, source, destination)
        body += transport
    elif kind < 0.98:
        ether = b"\x86\xdd"
        body = struct.pack(">IH2B", 6 << 28, 20, protocol, 64) + rng.randbytes(32) + transport
    else:
        ether = b"\x08\x06"
        body = struct.pack(">2H2BH6xI6xI", 1, 0x0800, 6, 4, 1, source, destination)
    return (rng.randbytes(12) + tag + ether + body).ljust(size, b"\0")[:size]


def scan(path: Path, scanner: Scanner) -> int:
    """Return how many packets a filter that has been compiled matches."""
    matched = 0
    with path.open("rb", buffering=0) as stream:
        window = Window(stream, str(path))
        for item in walk_items(window, lambda *place: native.walk(*place, scanner)):
            if isinstance(item, native.Run):
                matched += item.scanned.matched
    return matched


def count_in_process(command: Sequence[str]) -> int:
    """Return the number that a command prints first."""
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found = re.search(r"\d+", done.stdout)
    if found is None:
        raise SystemExit(f"no count from {command}: {done.stdout}")
    return int(found[0])


def measure(path: Path, text: str, repeat: int) -> dict[str, float]:
    """Return the median of the seconds of each way."""
    header = next(walk_items(Window(path.open("rb"), str(path)), pcap.walk))
    layout = Layout.of(header)
    start = time.perf_counter()
    program = compile_filter(text, EN10MB, SNAPLEN, savefile=True).instructions
    compiled = time.perf_counter()
    scanner = Scanner(program, layout, keep=False)
    times = {"filter": [compiled - start], "native": [time.perf_counter() - compiled]}
    floor = Scanner(REJECT, layout, keep=False)
    tcpdump = ["tcpdump", "-Z", "root", "-n", "-r", str(path), "--count", text]
    ours = [sys.executable, "-m", "pfcompile", "filter", "-n", "-r", str(path), "--count", text]
    ways = {
        "tcpdump": lambda: count_in_process(tcpdump),
        "process": lambda: count_in_process(ours),
        "code": lambda: scan(path, scanner),
        "floor": lambda: scan(path, floor),
    }
    counts = {}
    for turn in range(repeat + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            counts[name] = way()
            if turn:  # the first round fills the page cache
                times.setdefault(name, []).append(time.perf_counter() - start)
    if len({counts[name] for name in ("tcpdump", "process", "code")}) > 1:
        raise SystemExit(f"different counts for {text!r}: {counts}")
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256, metavar="MB", help="of each file")
    parser.add_argument("--repeat", type=int, default=5, metavar="N")
    arguments = parser.parse_args()
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory() as folder:
        for kind, sizes in {"small": SMALL, "imix": IMIX}.items():
            path = Path(folder) / f"{kind}.pcap"
            make_file(path, sizes, arguments.size << 20, rng)
            print(f"{kind}: {arguments.size} MB; milliseconds, and times faster than tcpdump")
            for name, text in FILTERS.items():
                took = measure(path, text, arguments.repeat)
                shown = "  ".join(
                    f"{way} {took[way] * 1e3:.0f} ({took['tcpdump'] / took[way]:.1f}x)"
                    for way in ("tcpdump", "process", "code", "floor")
                )
                made = f"compiled in {took['filter'] * 1e3:.1f} + {took['native'] * 1e3:.1f}"
                print(f"  {name:14} {shown}  {made}", flush=True)


if __name__ == "__main__":
    main()
