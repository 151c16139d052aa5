"""What is known of a number in a register: its bits, its range, and the range of its low half.

Each of the three says something of the others (a *reduced product*): `scalar` puts that in, so that
two scalars which hold the same knowledge tend to be equal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from pfcompile.ebpf.arithmetic import MASK32, MASK64, signed
from pfcompile.ebpf.check import bounds, tnum
from pfcompile.ebpf.check.bounds import Bounds, everything
from pfcompile.ebpf.check.tnum import ANY, Tnum

_ROUNDS: Final = 3
"""How often knowledge goes round: more changes nothing that programs depend on."""
_WORD: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Scalar:
    """A set of numbers of 64 bits, made by `scalar`.

    Attributes:
        bits: What is known of single bits.
        wide: Bounds of the number.
        low: Bounds of its low 32 bits.
        link: Values of a state with the same link, but 0, are equal.
    """

    bits: Tnum
    wide: Bounds
    low: Bounds
    link: int = 0

    @property
    def constant(self) -> int | None:
        """The number, 0 to 2**64 - 1, where it is only one."""
        return None if self.bits.mask else self.bits.value

    @property
    def fits_word(self) -> bool:
        """Whether the high 32 bits are zeros."""
        return self.wide.umax <= MASK32

    def contains(self, number: int) -> bool:
        """Tell whether a number, 0 to 2**64 - 1, is in the set."""
        return (
            self.bits.contains(number)
            and self.wide.covers(_single(number, 64))
            and self.low.covers(_single(number & MASK32, 32))
        )

    def covers(self, other: Scalar) -> bool:
        """Tell whether all of `other` is in the set; says nothing of links."""
        return (
            self.wide.covers(other.wide)
            and self.low.covers(other.low)
            and self.bits.covers(other.bits)
        )

    def bounds(self, width: int) -> Bounds:
        """Return the bounds of the low `width` bits, 32 or 64."""
        return self.wide if width == 64 else self.low

    def unlinked(self) -> Scalar:
        """Return the same set without its link."""
        return replace(self, link=0) if self.link else self


def _single(number: int, width: int) -> Bounds:
    as_signed = signed(number, width)
    return Bounds(number, number, as_signed, as_signed)


@lru_cache(maxsize=4096)
def constant(number: int) -> Scalar:
    """Return the set of one number, 0 to 2**64 - 1."""
    return Scalar(Tnum(number, 0), _single(number, 64), _single(number & MASK32, 32))


UNKNOWN: Final = Scalar(ANY, everything(64), everything(32))
"""All numbers."""
ZERO: Final = constant(0)


def scalar(
    bits: Tnum = ANY,
    wide: Bounds = UNKNOWN.wide,
    low: Bounds = UNKNOWN.low,
    link: int = 0,
) -> Scalar | None:
    """Return the numbers that all three allow, None where there is none."""
    for _ in range(_ROUNDS):
        before = (bits, wide, low)
        wide = _tightened(64, wide, bits)
        low = _tightened(32, low, tnum.cut(bits, 32))
        wide, low = _exchanged(wide, low)
        if wide.umin > wide.umax or wide.smin > wide.smax:
            return None
        if low.umin > low.umax or low.smin > low.smax:
            return None
        common = tnum.intersect(bits, tnum.within(wide.umin, wide.umax))
        half = Tnum(0, MASK64 & ~MASK32)
        near = tnum.within(low.umin, low.umax)
        known = common and tnum.intersect(common, tnum.either(half, near))
        if known is None:
            return None
        bits = known
        if (bits, wide, low) == before:
            break
    if not bits.mask:
        number = constant(bits.value)
        inside = wide.covers(number.wide) and low.covers(number.low)
        return (replace(number, link=link) if link else number) if inside else None
    return Scalar(bits, wide, low, link)


def surely(
    bits: Tnum = ANY, wide: Bounds = UNKNOWN.wide, low: Bounds = UNKNOWN.low, link: int = 0
) -> Scalar:
    """Return `scalar(...)` of knowledge about a number that there is."""
    made = scalar(bits, wide, low, link)
    assert made is not None, (bits, wide, low)
    return made


@lru_cache(maxsize=256)
def between(least: int, most: int) -> Scalar:
    """Return the numbers from `least` to `most`, unsigned."""
    return surely(wide=bounds.unsigned(64, least, most))


def word(number: Scalar) -> Scalar:
    """Return the low half, the high one cleared."""
    if number.fits_word:
        return number
    low = number.low
    return surely(tnum.cut(number.bits, 32), bounds.unsigned(64, low.umin, low.umax), low)


def unite(a: Scalar, b: Scalar) -> Scalar:
    """Return a set that has both; without a link."""
    return surely(
        tnum.unite(a.bits, b.bits), bounds.unite(a.wide, b.wide), bounds.unite(a.low, b.low)
    )


def widen(old: Scalar, new: Scalar) -> Scalar:
    """Return a set that has both, without what `new` does not keep of `old`; without a link.

    Done again and again with ever more numbers, it comes to rest after a few times.
    """
    return surely(
        tnum.widen(old.bits, new.bits),
        bounds.widen(64, old.wide, new.wide),
        bounds.widen(32, old.low, new.low),
    )


def _tightened(width: int, limits: Bounds, bits: Tnum) -> Bounds:
    """Put what the bits say into the bounds."""
    sign = 1 << (width - 1)
    value, most = bits.value, bits.value | bits.mask
    by_bits = Bounds(
        value,
        most,
        signed(value | bits.mask & sign, width),
        signed(most & ~(bits.mask & sign), width),
    )
    return bounds.agree(width, bounds.intersect(limits, by_bits))


def _exchanged(wide: Bounds, low: Bounds) -> tuple[Bounds, Bounds]:
    """Put what the bounds of the number and of its low half say into each other."""
    if wide.umin >> 32 == wide.umax >> 32 and wide.umin <= wide.umax:
        part = bounds.unsigned(32, wide.umin & MASK32, wide.umax & MASK32)
        low = bounds.agree(32, bounds.intersect(low, part))
    elif wide.smin >= -_WORD // 2 and wide.smax < _WORD // 2:
        part = everything(32)._replace(smin=wide.smin, smax=wide.smax)
        low = bounds.agree(32, bounds.intersect(low, part))
    # The high half is at least that of the least number, and at most that of the greatest.
    by_low = everything(64)._replace(
        umin=wide.umin & ~MASK32 | low.umin, umax=wide.umax & ~MASK32 | low.umax
    )
    return bounds.agree(64, bounds.intersect(wide, by_low)), low
