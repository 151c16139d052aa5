"""Captures beside tcpdump: `python benchmarks/capture.py [--packets N] [--runs N]`; needs root.

Packets are sent over a veth pair as fast as it goes, while `pfcompile capture` and tcpdump both
capture them with the same filter, at the same time and then each alone. Printed are, for each, the
packets in its file that are right (bytes, lengths and order), the drops that it reports, and its
processor seconds per million packets sent: from when it has said that it listens to its end, and in
brackets those of the whole process.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pfcompile import read  # noqa: E402 - found through the line above
from tests.kernel.namespaces import LEFT, pair, raw_sender  # noqa: E402 - the same
from tests.kernel.sending import BATCH, send, wanted  # noqa: E402 - the same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.kernel.namespaces import Pair

_MAIN: Final = (sys.executable, "-c", "from pfcompile.cli import main; main()", "capture")
_SETTLES_SECONDS: Final = 1.0

TENTH: Final = "udp port 53"
"""Takes one packet in ten."""
EVERY: Final = "udp"

TOOLS: Final[dict[str, tuple[str, ...]]] = {
    "pfcompile": _MAIN,
    "tcpdump": ("tcpdump", "-n"),
}


@dataclass(frozen=True, slots=True)
class Result:
    """What a capture came to."""

    right: bool
    packets: int
    dropped: int
    seconds: float
    whole_seconds: float


class Running:
    """A capture under way."""

    def __init__(self, cable: Pair, command: Sequence[str], path: Path) -> None:
        self.path = path
        self._process = cable.left.call(
            subprocess.Popen, command, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        self._told = ""
        assert self._process.stderr is not None
        while "listening on" not in self._told:
            line = self._process.stderr.readline()
            if not line:
                raise SystemExit(f"{command[0]}: {self._told}")
            self._told += line
        time.sleep(_SETTLES_SECONDS)
        self._began = self._processor_seconds()

    def end(self, expected: list[bytes]) -> Result:
        """End it, and look at its file."""
        self._process.send_signal(signal.SIGINT)
        assert self._process.stderr is not None
        told = self._process.stderr.read()
        _, _, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = 0
        whole = usage.ru_utime + usage.ru_stime
        found = [data for _, data in read(self.path)]
        dropped = re.search(r"(\d+) packets? dropped by kernel", told)
        if dropped is None:
            raise SystemExit(told)
        missing = int(dropped[1])
        right = found == expected if not missing else _is_part(found, expected)
        return Result(right, len(found), missing, whole - self._began, whole)

    def _processor_seconds(self) -> float:
        """Return the time of all threads so far (proc(5), /proc/pid/task/tid/schedstat)."""
        tasks = Path(f"/proc/{self._process.pid}/task").iterdir()
        return sum(int((each / "schedstat").read_text().split()[0]) for each in tasks) / 1e9


def _is_part(found: list[bytes], expected: list[bytes]) -> bool:
    """Return whether what was found is in order and without what was not sent."""
    rest = iter(expected)
    return all(each in rest for each in found)


def measure(
    cable: Pair, tools: Sequence[str], batches: int, expression: str, options: Sequence[str] = ()
) -> tuple[dict[str, Result], float]:
    """Send packets past some tools; return what each came to, and how many a second were sent."""
    expected = list(wanted(batches, 10 if expression == TENTH else 1))
    with tempfile.TemporaryDirectory() as folder:
        running = {}
        for tool in tools:
            path = Path(folder) / f"{tool}.pcap"
            command = (*TOOLS[tool], "-i", LEFT, "-w", str(path), *options, expression)
            running[tool] = Running(cable, command, path)
        with raw_sender(cable) as sock:
            began = time.perf_counter()
            send(sock, batches)
            took = time.perf_counter() - began
        time.sleep(_SETTLES_SECONDS)
        results = {tool: each.end(expected) for tool, each in running.items()}
    return results, batches * BATCH / took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="a filter that takes every packet")
    parser.add_argument("--buffer", metavar="KIB", help="-B of both; else each has its own")
    arguments = parser.parse_args()
    batches = arguments.packets // BATCH
    options = ("-B", arguments.buffer) if arguments.buffer else ()
    with pair() as cable:
        for tools in (("pfcompile", "tcpdump"), ("pfcompile",), ("tcpdump",)):
            for _ in range(arguments.runs):
                results, rate = measure(
                    cable, tools, batches, EVERY if arguments.all else TENTH, options
                )
                print(f"{' and '.join(tools)}, {rate / 1e6:.2f} million packets a second:")
                for tool, each in results.items():
                    millions = batches * BATCH / 1e6
                    print(
                        f"  {tool:10} {each.packets:8} packets"
                        f" {'right' if each.right else 'WRONG'}, {each.dropped} dropped,"
                        f" {each.seconds / millions:.3f} s ({each.whole_seconds / millions:.3f} s)"
                    )


if __name__ == "__main__":
    main()
