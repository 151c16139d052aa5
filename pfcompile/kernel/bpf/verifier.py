"""What the kernel's verifier says of a program that it does not take.

Source: Documentation/bpf/verifier.rst of Linux.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.kernel.bpf.refusals import Asked, BpfError

if TYPE_CHECKING:
    from collections.abc import Sequence

LOG_SIZES: Final = (1 << 18, 1 << 22, 1 << 26)
"""Bytes of room for the verifier's log, one after the other until it fits."""
_SHOWN_LINES: Final = 12


class VerifierError(BpfError):
    """The kernel does not take a program, and says why.

    Attributes:
        log: The last lines of the verifier's log.
        lines_left_out: How many came before; at least, where there was no room for all.
    """

    def __init__(self, name: str, errno: int, log: Sequence[str], lines_left_out: int) -> None:
        super().__init__(Asked.LOAD, errno, name)
        self.log = tuple(log)
        self.lines_left_out = lines_left_out

    def __str__(self) -> str:
        """Draw the log below the message."""
        left_out = [f"... {self.lines_left_out} lines left out"] if self.lines_left_out else []
        return "\n    ".join((super().__str__(), *left_out, *self.log))


def last_lines(log: str) -> tuple[list[str], int]:
    """Return the lines of a log that are shown, and how many came before them."""
    lines = log.splitlines()
    return lines[-_SHOWN_LINES:], max(0, len(lines) - _SHOWN_LINES)
