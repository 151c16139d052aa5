"""What a conditional jump tells about two numbers, on each of its two ways.

Every test is brought to one of a few questions (a < b, a <= b, a == b, bits in common) and its
opposite; the answer to one narrows both sets.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pfcompile.ebpf.arithmetic import MASK32, MASK64
from pfcompile.ebpf.check import bounds, tnum
from pfcompile.ebpf.check.bounds import Bounds, everything
from pfcompile.ebpf.check.scalars import Scalar, scalar
from pfcompile.ebpf.check.tnum import Tnum
from pfcompile.ebpf.isa import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Pair: TypeAlias = tuple[Scalar, Scalar]


class Ways(NamedTuple):
    """What both numbers can be where the jump is taken, and where not; None: it never happens."""

    taken: Pair | None
    passed: Pair | None


OPPOSITE: Final[Mapping[Condition, Condition]] = MappingProxyType(
    {
        Condition.EQ: Condition.NE,
        Condition.NE: Condition.EQ,
        Condition.GT: Condition.LE,
        Condition.LE: Condition.GT,
        Condition.GE: Condition.LT,
        Condition.LT: Condition.GE,
        Condition.SGT: Condition.SLE,
        Condition.SLE: Condition.SGT,
        Condition.SGE: Condition.SLT,
        Condition.SLT: Condition.SGE,
    }
)
"""The test that holds where another does not; `SET` has none."""

MIRRORED: Final[Mapping[Condition, Condition]] = MappingProxyType(
    {
        Condition.EQ: Condition.EQ,
        Condition.NE: Condition.NE,
        Condition.GT: Condition.LT,
        Condition.LT: Condition.GT,
        Condition.GE: Condition.LE,
        Condition.LE: Condition.GE,
        Condition.SGT: Condition.SLT,
        Condition.SLT: Condition.SGT,
        Condition.SGE: Condition.SLE,
        Condition.SLE: Condition.SGE,
    }
)
"""The same test with its operands exchanged."""


def compare(op: Condition, width: int, a: Scalar, b: Scalar) -> Ways:
    """Return what `a` and `b` can be on both ways of a conditional jump.

    Args:
        op: The test.
        width: 32 or 64: the low bits that are compared.
        a: What `dst` holds.
        b: The second operand.
    """
    if op is Condition.SET:
        return Ways(_with_common_bits(width, a, b), _without_common_bits(width, a, b))
    return Ways(_HOLDING[op](width, a, b), _HOLDING[OPPOSITE[op]](width, a, b))


def narrowed(width: int, number: Scalar, limits: Bounds) -> Scalar | None:
    """Return those of a set whose low `width` bits lie in `limits`."""
    if width == 64:
        wide = bounds.intersect(number.wide, limits)
        return number if wide == number.wide else scalar(number.bits, wide, number.low, number.link)
    low = bounds.intersect(number.low, limits)
    if low == number.low:
        return number
    return scalar(number.bits, number.wide, low, number.link)


def _pair(a: Scalar | None, b: Scalar | None) -> Pair | None:
    return None if a is None or b is None else (a, b)


def _equal(width: int, a: Scalar, b: Scalar) -> Pair | None:
    limits = bounds.intersect(a.bounds(width), b.bounds(width))
    if width == 64:
        bits = tnum.intersect(a.bits, b.bits)
        if bits is None:
            return None
        low = bounds.intersect(a.low, b.low)
        return _pair(scalar(bits, limits, low, a.link), scalar(bits, limits, low, b.link))
    bits = tnum.intersect(tnum.cut(a.bits, 32), tnum.cut(b.bits, 32))
    if bits is None:
        return None
    return _pair(
        scalar(tnum.join_halves(a.bits, bits), a.wide, limits, a.link),
        scalar(tnum.join_halves(b.bits, bits), b.wide, limits, b.link),
    )


def _unequal(width: int, a: Scalar, b: Scalar) -> Pair | None:
    return _pair(_other_than(width, a, b), _other_than(width, b, a))


def _other_than(width: int, number: Scalar, other: Scalar) -> Scalar | None:
    """Cut the one number of `other`, where it is one, off the ends of `number`."""
    theirs, ours = other.bounds(width), number.bounds(width)
    if theirs.umin != theirs.umax:
        return number
    limits = Bounds(
        ours.umin + (ours.umin == theirs.umin),
        ours.umax - (ours.umax == theirs.umin),
        ours.smin + (ours.smin == theirs.smin),
        ours.smax - (ours.smax == theirs.smin),
    )
    return narrowed(width, number, limits)


def _less(width: int, a: Scalar, b: Scalar, gap: int) -> Pair | None:
    """Let `a` be at least `gap` less than `b`, unsigned."""
    full, ours, theirs = everything(width), a.bounds(width), b.bounds(width)
    return _pair(
        narrowed(width, a, full._replace(umax=theirs.umax - gap)),
        narrowed(width, b, full._replace(umin=ours.umin + gap)),
    )


def _less_signed(width: int, a: Scalar, b: Scalar, gap: int) -> Pair | None:
    """Let `a` be at least `gap` less than `b`, signed."""
    full, ours, theirs = everything(width), a.bounds(width), b.bounds(width)
    return _pair(
        narrowed(width, a, full._replace(smax=theirs.smax - gap)),
        narrowed(width, b, full._replace(smin=ours.smin + gap)),
    )


def _exchanged(pair: Pair | None) -> Pair | None:
    return None if pair is None else (pair[1], pair[0])


_HOLDING: Final[Mapping[Condition, Callable[[int, Scalar, Scalar], Pair | None]]] = (
    MappingProxyType(
        {
            Condition.EQ: _equal,
            Condition.NE: _unequal,
            Condition.LT: lambda width, a, b: _less(width, a, b, 1),
            Condition.LE: lambda width, a, b: _less(width, a, b, 0),
            Condition.GT: lambda width, a, b: _exchanged(_less(width, b, a, 1)),
            Condition.GE: lambda width, a, b: _exchanged(_less(width, b, a, 0)),
            Condition.SLT: lambda width, a, b: _less_signed(width, a, b, 1),
            Condition.SLE: lambda width, a, b: _less_signed(width, a, b, 0),
            Condition.SGT: lambda width, a, b: _exchanged(_less_signed(width, b, a, 1)),
            Condition.SGE: lambda width, a, b: _exchanged(_less_signed(width, b, a, 0)),
        }
    )
)
"""What follows where a test holds."""


def _looked_at(width: int) -> int:
    return MASK64 if width == 64 else MASK32


def _with_common_bits(width: int, a: Scalar, b: Scalar) -> Pair | None:
    mask = _looked_at(width)
    possible = (a.bits.value | a.bits.mask) & (b.bits.value | b.bits.mask) & mask
    if not possible:
        return None
    if possible & (possible - 1):
        return (a, b)
    # Only one bit can be common: both have it.
    return _pair(_with_bits(a, possible, possible), _with_bits(b, possible, possible))


def _without_common_bits(width: int, a: Scalar, b: Scalar) -> Pair | None:
    mask = _looked_at(width)
    if a.bits.value & b.bits.value & mask:
        return None
    return _pair(_with_bits(a, b.bits.value & mask, 0), _with_bits(b, a.bits.value & mask, 0))


def _with_bits(number: Scalar, which: int, value: int) -> Scalar | None:
    bits = tnum.intersect(number.bits, Tnum(value, MASK64 & ~which))
    return bits and scalar(bits, number.wide, number.low, number.link)
