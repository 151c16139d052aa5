"""What the conformance plugin needs of object files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.ebpf.elf.objects import read

if TYPE_CHECKING:
    from pfcompile.ebpf.isa import Instruction
    from pfcompile.ebpf.machine.code import Environment


def load(data: bytes) -> tuple[tuple[Instruction, ...], Environment]:
    """Return the program of an object file with what it calls, and its maps and variables.

    Raises:
        ProgramError: The file is damaged, it does not tell which of several programs is meant, or
            it is for a big-endian machine; see `read`, `EbpfObject.entry` and
            `EbpfObject.environment`.
    """
    found = read(data)
    return found.program().instructions, found.environment()
