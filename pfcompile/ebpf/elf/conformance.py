"""What the conformance plugin needs of object files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.ebpf.elf.objects import read

if TYPE_CHECKING:
    from pfcompile.ebpf.isa import Instruction


def program_of(data: bytes) -> tuple[Instruction, ...]:
    """Return the only program of an object file, with what it calls.

    Raises:
        ProgramError: It is damaged, or has another number of programs; see `read`.
    """
    return read(data).program().instructions
