"""The optimiser held to its word: its program proved the same as the one that it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.cbpf.listing import tcpdump
from pfcompile.errors import InternalError, ProgramError
from pfcompile.prove.proof import prove
from pfcompile.prove.result import Different, Equal, Undecided

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction


def verify(
    optimized: Sequence[Instruction], unoptimized: Sequence[Instruction], *, timeout_ms: int
) -> None:
    """Return if both programs give the same verdict on every packet that neither reads past.

    Args:
        optimized: What is to be used.
        unoptimized: What it must mean.
        timeout_ms: How long the solver may take, in milliseconds.

    Raises:
        InternalError: They differ; with both programs and a packet that shows it.
        ProgramError: The solver gave up, which says nothing about the programs.
    """
    match prove(optimized, unoptimized, timeout_ms=timeout_ms):
        case Equal():
            return
        case Undecided(reason):
            raise ProgramError(
                f"undecided whether the optimised program is the same as the unoptimised one: "
                f"{reason}"
            )
        case Different() as found:
            raise InternalError(_story(optimized, unoptimized, found))


def _story(
    optimized: Sequence[Instruction], unoptimized: Sequence[Instruction], found: Different
) -> str:
    """Return what a bug report needs."""
    metadata = f", metadata {dict(found.ancillary)}" if found.ancillary else ""
    returned, meant = found.verdicts
    return (
        "the optimised program is not the same as the unoptimised one; please report this\n"
        f"packet: {found.packet.hex() or 'of no bytes'}\n"
        f"captured {len(found.packet)} bytes of {found.wire_length}{metadata}\n"
        f"optimised, returns {returned}:\n{tcpdump(optimized)}"
        f"unoptimised, returns {meant}:\n{tcpdump(unoptimized)}"
    )
