"""A program around a filter, being written: what its parts have in common.

The parts hold the same in the same registers, and have places of their own on the stack.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.builder import Builder
from pfcompile.ebpf.isa import (
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
    Arithmetic,
    Atomic,
    Condition,
    Wide,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.ebpf.isa import Register
    from pfcompile.kernel.attach.rows import Row

CONTEXT: Final = R6
LENGTH: Final = R7
COUNTERS: Final = R8
SPARE: Final = R9
"""What these registers hold, once set; the last is for the part that runs."""

_LOOKUP: Final = 1
_UPDATE: Final = 2
"""Numbers of helpers, linux/bpf.h."""
_FROM_NETWORK_HEADER: Final = 1
"""BPF_HDR_START_NET, linux/bpf.h."""


def network_order(number: int) -> int:
    """Return what a number of 16 bits in network order is read as on this machine."""
    return int.from_bytes(number.to_bytes(2, "big"), sys.byteorder)


class Writer:
    """A program under way.

    Attributes:
        code: Its instructions.
        row: The kind of place.
    """

    def __init__(self, row: Row, maps: Sequence[str]) -> None:
        """Begin.

        Args:
            row: The kind of place.
            maps: The names of its maps, as it numbers them.
        """
        self.code = Builder()
        self.row = row
        self._number = {name: number for number, name in enumerate(maps)}

    def take_map(self, register: Register, name: str) -> None:
        """Set a register to a map."""
        self.code.wide(register, self._number[name], Wide.MAP_INDEX)

    def take_stack(self, register: Register, place: int) -> None:
        """Set a register to a place on the stack, counted from R10."""
        self.code.mov(register, R10).alu(Arithmetic.ADD, register, place)

    def look_up(self, name: str, key: int) -> None:
        """Set R0 to the address of a map's value, 0 for none; the key is on the stack."""
        self.take_stack(R2, key)
        self.take_map(R1, name)
        self.code.call(_LOOKUP)

    def update(self, name: str, key: int, value: int, flags: int) -> None:
        """Set a key's value; both are on the stack."""
        self.take_stack(R2, key)
        self.take_stack(R3, value)
        self.take_map(R1, name)
        self.code.mov(R4, flags).call(_UPDATE)

    def add(self, base: Register, offset: int, value: Register | int) -> None:
        """Add to a number of 64 bits in this CPU's part of a map."""
        b = self.code
        if self.row.is_interrupted:
            b.mov(R1, value).atomic(Atomic.ADD, 64, base, offset, R1)
        else:
            b.load(64, R1, base, offset).alu(Arithmetic.ADD, R1, value).store(64, base, offset, R1)

    def load_packet(self, place: int, length: int, failed: str) -> None:
        """Copy packet bytes, from where R2 says, to the stack; go to a label where they are not."""
        self.take_stack(R3, place)
        self.code.mov(R4, length)
        self.call_loader()
        self.code.jump_if(Condition.NE, R0, 0, failed)

    def call_loader(self) -> None:
        """Copy R4 packet bytes from R2 on to where R3 says; R0 is 0 if they are all there."""
        form = self.row.forms[-1]
        assert form.load_helper is not None
        self.code.mov(R1, CONTEXT)
        if form.is_from_network:
            self.code.mov(R5, _FROM_NETWORK_HEADER)
        self.code.call(form.load_helper)

    def clear_stack(self, place: int, size: int) -> None:
        """Set bytes on the stack to 0, a multiple of 4."""
        for offset in range(0, size, 4):
            self.code.store(32, R10, place + offset, 0)

    def copy_stack(self, source: int, target: int, size: int) -> None:
        """Copy bytes on the stack, a multiple of 4."""
        for offset in range(0, size, 4):
            self.code.load(32, R1, R10, source + offset).store(32, R10, target + offset, R1)
