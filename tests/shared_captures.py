"""The real captures beside the project, for tests and benchmarks: those of tcpdump's own tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pfcompile.captures.reader import read_records
from pfcompile.errors import CaptureError

FOLDER: Final = Path(__file__).parents[1].parent / "shared" / "captures"

CAPTURES: Final = sorted(FOLDER.glob("*.pcap*"))
"""None where the folder is missing."""


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
