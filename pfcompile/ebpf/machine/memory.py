"""The memory of one run: regions, each at addresses of its own.

Addresses are made up, so that no program learns or reaches one of the process it runs in. The high
32 bits of an address number a region, the low 32 are the offset in it: regions are 4 GiB apart, and
whatever runs over the end of one, or to before its start, hits nothing. Region 0 does not exist, so
that no pointer is null. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.ebpf.isa import MAX_CALL_FRAMES, STACK_SIZE
from pfcompile.ebpf.machine.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.ebpf.machine.contexts import Context

Buffer: TypeAlias = bytes | bytearray | memoryview

REGION_BITS: Final = 32
OFFSET_MASK: Final = (1 << REGION_BITS) - 1

PACKET_REGION: Final = 1
CONTEXT_REGION: Final = 2
FIRST_FRAME_REGION: Final = 3
FIRST_DECLARED_REGION: Final = 0x100
FIRST_DYNAMIC_REGION: Final = 0x100_0000
"""Values of maps, records of ring buffers, variables: numbered as a program gets to see them."""
FIRST_MAP_REGION: Final = 0x4000_0000
"""Where maps themselves are: programs hold their addresses, but cannot look behind them."""
CODE_REGION: Final = 0x6000_0000
"""Where instructions are, 8 bytes apart; programs can only call them."""

PACKET_ADDRESS: Final = PACKET_REGION << REGION_BITS
"""Where every run has its packet."""
CONTEXT_ADDRESS: Final = CONTEXT_REGION << REGION_BITS
"""Where every run has its context, or its metadata."""
CODE_ADDRESS: Final = CODE_REGION << REGION_BITS

NUMBERS: Final[Mapping[int, struct.Struct]] = MappingProxyType(
    {
        8: struct.Struct("<B"),
        16: struct.Struct("<H"),
        32: struct.Struct("<I"),
        64: struct.Struct("<Q"),
    }
)
"""How a number of so many bits lies in memory."""

SIGNED_NUMBERS: Final[Mapping[int, struct.Struct]] = MappingProxyType(
    {8: struct.Struct("<b"), 16: struct.Struct("<h"), 32: struct.Struct("<i")}
)
"""The same for signed numbers."""


def declared_address(number: int) -> int:
    """Return where the region is that was declared as the `number`th, counted from 0."""
    return (FIRST_DECLARED_REGION + number) << REGION_BITS


class Memory:
    """Regions by number, and all accesses to them.

    Attributes:
        readable: What can be read, by region; the steps of loads look here first.
        writable: The part of it that can be written; the same buffers.
    """

    __slots__ = (
        "_context",
        "_dynamic",
        "_frames",
        "_names",
        "_next_dynamic",
        "readable",
        "writable",
    )

    def __init__(self) -> None:
        self.readable: dict[int, Buffer] = {}
        self.writable: dict[int, Buffer] = {}
        self._names: dict[int, str] = {}
        self._context: Context | None = None
        self._dynamic: dict[int, tuple[int, Buffer]] = {}
        """Address and buffer by the buffer's identity, which nothing else has while it is here."""
        self._next_dynamic = FIRST_DYNAMIC_REGION
        self._frames = 0

    def add(self, region: int, name: str, data: Buffer, *, writable: bool = True) -> int:
        """Put `data` where `region` is, and return its address; `name` is for messages."""
        self.readable[region] = data
        if writable:
            self.writable[region] = data
        self._names[region] = name
        return region << REGION_BITS

    def add_context(self, context: Context) -> int:
        """Put a context, which is read and written field by field, at CONTEXT_ADDRESS."""
        self._context = context
        return CONTEXT_ADDRESS

    def address_of(self, data: bytearray, name: str) -> int:
        """Return the address of the value of a map, the same for the same one in all of a run."""
        known = self._dynamic.get(id(data))
        if known is None:
            # Numbers are never used again: what still points to a removed region is a fault.
            region, self._next_dynamic = self._next_dynamic, self._next_dynamic + 1
            known = (self.add(region, name, data), data)
            self._dynamic[id(data)] = known
        return known[0]

    def place_of(self, address: int) -> tuple[str, int] | None:
        """Return the name of the region that an address is in or right behind, and the offset."""
        region, offset = address >> REGION_BITS, address & OFFSET_MASK
        if self._context is not None and region == CONTEXT_REGION:
            layout = self._context.layout
            return (layout.name, offset) if offset < layout.size else None
        data = self.readable.get(region)
        return None if data is None or offset > len(data) else (self._names[region], offset)

    def remove(self, address: int) -> None:
        """Take away the region at `address`: to touch it again is a fault."""
        region = address >> REGION_BITS
        data = self.readable.pop(region, None)
        self.writable.pop(region, None)
        self._names.pop(region, None)
        self._dynamic.pop(id(data), None)

    def push_frame(self) -> int:
        """Add a stack frame of zeros and return the address of its end, which is R10.

        Raises:
            Fault: There are MAX_CALL_FRAMES already.
        """
        if self._frames == MAX_CALL_FRAMES:
            raise Fault(f"calls go deeper than {MAX_CALL_FRAMES} functions")
        region = FIRST_FRAME_REGION + self._frames
        self._frames += 1
        return self.add(region, f"stack frame {self._frames}", bytearray(STACK_SIZE)) + STACK_SIZE

    def pop_frame(self) -> None:
        """Take the last stack frame away."""
        self._frames -= 1
        self.remove((FIRST_FRAME_REGION + self._frames) << REGION_BITS)

    def frames(self) -> list[Buffer]:
        """Return the stack frames, the innermost last."""
        return [self.readable[FIRST_FRAME_REGION + number] for number in range(self._frames)]

    def load(self, address: int, width: int) -> int:
        """Return the number of `width` bits at `address`.

        Raises:
            Fault: Not all of it is in one region, or the context has no such field.
        """
        if self._context is not None and address >> REGION_BITS == CONTEXT_REGION:
            return self._context.load(address & OFFSET_MASK, width // 8)
        return int.from_bytes(self.read(address, width // 8), "little")

    def store(self, address: int, width: int, value: int) -> None:
        """Set the number of `width` bits at `address`, to the low bits of `value`.

        Raises:
            Fault: As of `load`, or it is read-only.
        """
        data = (value & (1 << width) - 1).to_bytes(width // 8, "little")
        if self._context is not None and address >> REGION_BITS == CONTEXT_REGION:
            self._context.store(address & OFFSET_MASK, data)
        else:
            self.write(address, data)

    def read(self, address: int, size: int, verb: str = "reads") -> bytes:
        """Return `size` bytes from `address` on.

        Args:
            address: Of the first of them.
            size: How many.
            verb: What is done to them, for messages.

        Raises:
            Fault: Not all of them are in one region.
        """
        data = self.readable.get(address >> REGION_BITS)
        offset = address & OFFSET_MASK
        if data is None or offset + size > len(data):
            raise Fault(self._why_not(verb, address, size))
        return bytes(data[offset : offset + size])

    def write(self, address: int, new: bytes, verb: str = "writes") -> None:
        """Set the bytes from `address` on.

        Args:
            address: Of the first of them.
            new: What they become.
            verb: What is done to them, for messages.

        Raises:
            Fault: Not all of them are in one region that can be written.
        """
        data = self.writable.get(address >> REGION_BITS)
        offset = address & OFFSET_MASK
        if data is None or isinstance(data, bytes) or offset + len(new) > len(data):
            raise Fault(self._why_not(verb, address, len(new)))
        data[offset : offset + len(new)] = new

    def _why_not(self, verb: str, address: int, size: int) -> str:
        region, offset = address >> REGION_BITS, address & OFFSET_MASK
        data = self.readable.get(region)
        access = f"{verb} {size} byte{'' if size == 1 else 's'}"
        if data is not None:
            place = f"{access} at offset {offset} of the {self._names[region]}"
            if offset + size <= len(data):
                return f"{place}, which is read-only"
            return f"{place}, which has {len(data)}"
        below = self.readable.get(region + 1)
        if below is not None and offset >= OFFSET_MASK // 2:
            distance = OFFSET_MASK + 1 - offset
            return (
                f"{access} {distance} byte{'' if distance == 1 else 's'} before the start of the "
                f"{self._names[region + 1]}"
            )
        where = "through a null pointer" if region == 0 else "where there is nothing"
        return f"{access} {where}, at 0x{address:x}"
