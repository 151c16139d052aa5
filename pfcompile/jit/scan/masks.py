"""Which packets of a capture one program matches, as arrays."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from pfcompile.captures.blocks.arrays import packet_arrays
from pfcompile.captures.blocks.scans import Rows, Wanted
from pfcompile.captures.sources.inputs import name_of
from pfcompile.errors import CaptureError
from pfcompile.facts.link_types import describe
from pfcompile.jit.scan.scans import CaptureScans, Scanners

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pfcompile.captures.blocks.arrays import PacketArrays
    from pfcompile.captures.formats.records import Interface
    from pfcompile.captures.sources.inputs import Source
    from pfcompile.cbpf.isa import Instruction


def mask(
    instructions: Sequence[Instruction],
    dlt: int,
    match: Callable[[bytes, int], int],
    capture: Source,
) -> PacketArrays:
    """Return the arrays of a capture; see `Program.mask`.

    Args:
        instructions: The program.
        dlt: The link type (DLT value) that it is for.
        match: Interprets it, where there is no native code.
        capture: As for `Program.mask`.
    """
    path = name_of(capture)

    def check(found: int) -> None:
        if found != dlt:
            raise CaptureError(
                f"has packets of {describe(found)}, but the program is for {describe(dlt)}", path
            )

    def programs_for(found: int, _snaplen: int) -> Sequence[Sequence[Instruction]]:
        check(found)
        return [instructions]

    def judge(interface: Interface, packet: bytes, wire_length: int) -> bool:
        check(interface.dlt)
        return bool(match(packet, wire_length))

    def give_up(reason: str) -> None:
        warnings.warn(
            f"no native code, so the interpreter filters: {reason}", RuntimeWarning, stacklevel=2
        )

    scanners = Scanners(programs_for, 1, Wanted(rows=Rows.ALL), cached=True, give_up=give_up)
    return packet_arrays(capture, CaptureScans(scanners, path), judge)
