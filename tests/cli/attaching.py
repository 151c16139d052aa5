"""`pfcompile attach` and `pfcompile map` as processes in a network namespace."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from typing import TYPE_CHECKING

from tests.cli.capturing import COMMAND, PROJECT, SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.namespaces import Pair

PFCOMPILE = COMMAND[:-1]


class Attached:
    """An attachment that has begun: it has said so."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stderr is not None
        self.first_line = self.line()
        assert self.first_line.startswith(("xdp", "tc", "cgroup", "socket")), (
            self.first_line + process.stderr.read().decode()
        )

    def line(self) -> str:
        """Wait for the next line of standard error."""
        assert self.process.stderr is not None
        return self.process.stderr.readline().decode()

    def out_line(self) -> str:
        """Wait for the next line of standard output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode()

    def end(self, number: int = signal.SIGINT) -> tuple[int, bytes, str]:
        """Send a signal; return exit status, and the rest of standard output and error."""
        self.process.send_signal(number)
        return self.result()

    def result(self) -> tuple[int, bytes, str]:
        """Wait for the end; return as `end`."""
        out, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out, err.decode()


@contextlib.contextmanager
def attached(cable: Pair, *arguments: str) -> Iterator[Attached]:
    """Run `pfcompile attach` at the left end while the block runs."""
    process = cable.left.start(
        [*PFCOMPILE, "attach", *arguments],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    try:
        yield Attached(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def run(cable: Pair, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `pfcompile` at the left end to its end."""
    return cable.left.call(
        subprocess.run,
        [*PFCOMPILE, *arguments],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
