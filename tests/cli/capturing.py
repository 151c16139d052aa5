"""`pfcompile capture` as a process in a network namespace."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from scapy.all import RawPcapReader

from tests.kernel.namespaces import LEFT, Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

COMMAND = [
    sys.executable,
    "-c",
    "import sys; from pfcompile.cli import main; sys.exit(main())",
    "capture",
]
PROJECT = Path(__file__).parents[2]
SECONDS = 60


class Running:
    """A capture that has begun: it has said that it is listening."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stderr is not None
        self.first_line = process.stderr.readline().decode()
        assert self.first_line.startswith("listening on "), (
            self.first_line + process.stderr.read().decode()
        )

    def end(self, number: int = signal.SIGINT) -> tuple[int, bytes, str]:
        """Send a signal; return exit status, standard output and the rest of standard error."""
        self.process.send_signal(number)
        return self.result()

    def result(self) -> tuple[int, bytes, str]:
        out, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out or b"", err.decode()


@contextlib.contextmanager
def capture(
    cable: Pair,
    *arguments: str,
    interface: str = LEFT,
    stdout: int | IO[bytes] = subprocess.PIPE,
    command: Sequence[str] = COMMAND[:-1],
) -> Iterator[Running]:
    process = cable.left.start(
        [*command, "capture", "-i", interface, *arguments],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def run(cable: Pair, *arguments: str) -> subprocess.CompletedProcess[str]:
    return cable.left.call(
        subprocess.run,
        [*COMMAND, *arguments],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def packets_of(path: Path) -> list[bytes]:
    """Read a pcap file with scapy, which is somebody else's reader."""
    with RawPcapReader(str(path)) as reader:
        return [data for data, _ in reader]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def counts(stderr: str) -> tuple[int, int, int]:
    """Return the numbers of the three lines at the end: captured, received, dropped."""
    lines = stderr.splitlines()[-3:]
    for line, words in zip(
        lines, ("captured", "received by filter", "dropped by kernel"), strict=True
    ):
        assert line.endswith(f" packets {words}"), stderr
    first, second, third = (int(line.split()[0]) for line in lines)
    return first, second, third
