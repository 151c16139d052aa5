"""What a register, or eight bytes of stack, can hold: nothing yet, a number, or a pointer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.ebpf.check.scalars import ZERO, Scalar
from pfcompile.ebpf.maps.vocabulary import MapFlag

if TYPE_CHECKING:
    from pfcompile.ebpf.maps.vocabulary import MapSpec


@dataclass(frozen=True, slots=True)
class Unset:
    """Nothing that a program may read: never written, or gone."""

    def __str__(self) -> str:
        return "not set"


UNSET: Final = Unset()


@dataclass(frozen=True, slots=True)
class ContextArea:
    """The context."""

    def __str__(self) -> str:
        return "context"


@dataclass(frozen=True, slots=True)
class StackArea:
    """A stack frame, counted from its end, which is R10: its bytes are at -512 to -1.

    Attributes:
        frame: The number of the call, 0 for the program's own.
    """

    frame: int

    def __str__(self) -> str:
        return f"end of stack frame {self.frame}"


@dataclass(frozen=True, slots=True)
class PacketArea:
    """The packet, from its first byte; how many bytes there are, comparisons must show."""

    def __str__(self) -> str:
        return "packet"


@dataclass(frozen=True, slots=True)
class PacketEndArea:
    """What is behind the packet's last byte: only good to be compared with."""

    def __str__(self) -> str:
        return "packet end"


@dataclass(frozen=True, slots=True)
class MapArea:
    """A map itself, which only helpers look into."""

    spec: MapSpec

    def __str__(self) -> str:
        return f"map {self.spec.name or self.spec.type.name}"


@dataclass(frozen=True, slots=True)
class BlockArea:
    """Memory of a known size: the value of a map, or a variable.

    Attributes:
        size: In bytes.
        name: What to call it.
        is_record: Whether it was reserved in a ring buffer, and has to be given back.
        is_read_only: Whether programs may not write to it (BPF_F_RDONLY_PROG).
    """

    size: int
    name: str
    is_record: bool = False
    is_read_only: bool = False

    def __str__(self) -> str:
        return f"{self.name} of {self.size} bytes"


def value_of(spec: MapSpec) -> BlockArea:
    """Return the memory of a map's value."""
    is_read_only = bool(spec.flags & MapFlag.RDONLY_PROG)
    return BlockArea(spec.value_size, f"value of {MapArea(spec)}", is_read_only=is_read_only)


Area: TypeAlias = ContextArea | StackArea | PacketArea | PacketEndArea | MapArea | BlockArea


@dataclass(frozen=True, slots=True)
class Pointer:
    """An address: the start of an area, a constant, and a number that may vary.

    Attributes:
        area: What it points into.
        fixed: The constant, in bytes, signed.
        variable: The number, read as signed.
        identity: Into packets: pointers with the same one have the same variable part, and share
            what comparisons with the packet's end have shown; 0 for the packet's start. To blocks:
            those that came from the same call, so that one test for null answers for all.
        is_nullable: Whether it may be null instead.
    """

    area: Area
    fixed: int = 0
    variable: Scalar = ZERO
    identity: int = 0
    is_nullable: bool = False

    @property
    def least(self) -> int:
        """The lowest offset in the area."""
        return self.fixed + self.variable.wide.smin

    @property
    def most(self) -> int:
        """The highest offset in the area."""
        return self.fixed + self.variable.wide.smax

    @property
    def is_moved(self) -> bool:
        """Whether it may point elsewhere than to the area's start."""
        return bool(self.fixed) or self.variable.constant != 0

    def moved(self, by: int) -> Pointer:
        """Return the pointer `by` bytes farther."""
        return replace(self, fixed=self.fixed + by)


Value: TypeAlias = Unset | Scalar | Pointer


def describe(value: Value) -> str:
    """Return a value as a person reads it."""
    match value:
        case Unset():
            return str(value)
        case Scalar():
            return _describe_number(value)
        case Pointer():
            varies = value.variable.constant != 0
            parts = [
                str(value.area),
                f"{value.fixed:+d}" if value.fixed or not varies else "",
                f"+ ({_describe_number(value.variable)})" if varies else "",
                "or null" if value.is_nullable else "",
            ]
            return " ".join(part for part in parts if part)


def _describe_number(number: Scalar) -> str:
    """Return what is known, unsigned where that says it, and what bits say beyond bounds."""
    known = number.constant
    if known is not None:
        return str(known if known < 1 << 32 else number.wide.smin)
    wide = number.wide
    signed_is_nearer = wide.smax - wide.smin < wide.umax - wide.umin
    least, most = (wide.smin, wide.smax) if signed_is_nearer else (wide.umin, wide.umax)
    said = f"{least} to {most}"
    if most - least >= (1 << 64) - 1:
        said = "any number"
    low = number.low
    if not number.fits_word and low.umax - low.umin < (1 << 32) - 1:
        said += f", low half {low.umin} to {low.umax}"
    trailing = (number.bits.mask & -number.bits.mask).bit_length() - 1
    if trailing:
        said += f", low bits {number.bits.value & (1 << trailing) - 1:0{trailing}b}"
    return said
