"""What `pfcompile conformance-plugin --native` runs programs with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.ebpf.machine.starts import NoData, RawPacket
from pfcompile.jit.native import native

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.ebpf.isa import Instruction
    from pfcompile.ebpf.machine.code import Environment


def run(
    program: Sequence[Instruction], memory: bytes, environment: Environment | None = None
) -> int:
    """Return R0 at the end, 0 to 2**64 - 1.

    Args:
        program: Any; it is checked first.
        memory: R1 is its address and R2 its length; both are 0 where it is empty.
        environment: What the program can call, and its maps and variables; without one, the
            helpers of `HELPERS`.

    Raises:
        ProgramError: The program is not valid, or was stopped.
    """
    start = RawPacket(memory) if memory else NoData()
    return native(program, environment).run(start)
