"""eBPF programs with what a machine must know to run them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.isa import encode

if TYPE_CHECKING:
    from pfcompile.ebpf.isa import ByteOrder, Instruction

LICENSE: Final = "Dual MIT/GPL"
"""What a program says of itself when nobody says: compatible with helpers that ask for the GPL."""


@dataclass(frozen=True)
class EbpfProgram:
    """A program that a machine can run.

    Attributes:
        instructions: Its slots.
        target: What it is for: "socket", "tc", "xdp" or "user".
        program_type: BPF_PROG_TYPE_*, linux/bpf.h; None where the kernel cannot run it.
        flags: BPF_F_*, which the kernel is told when the program is loaded.
        license: What the program says of itself.
        name: At most 15 letters, digits, `_` and `.`, for the kernel's listings.
    """

    instructions: tuple[Instruction, ...]
    target: str
    program_type: int | None = None
    flags: int = 0
    license: str = LICENSE
    name: str = "pfcompile"

    def to_bytes(self, byte_order: ByteOrder = "little") -> bytes:
        """Return the instructions as the kernel and object files hold them, 8 bytes a slot."""
        return encode(self.instructions, byte_order)
