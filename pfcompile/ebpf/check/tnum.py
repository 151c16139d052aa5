"""Numbers of which some bits are known: "tristate numbers".

`value` has the bits known to be 1, `mask` those that are not known; no bit is in both. Operations
are exact on each bit where that is cheap, and otherwise allow too much, never too little.

Source: Vishwanathan, Shachnai, Narayana, Nagarakatte, "Sound, Precise, and Fast Abstract
Interpretation with Tristate Numbers", CGO 2022, where addition, subtraction and multiplication
are proved.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pfcompile.ebpf.arithmetic import MASK32, MASK64


class Tnum(NamedTuple):
    """A set of numbers of 64 bits.

    Attributes:
        value: Bits that are 1.
        mask: Bits that can be either.
    """

    value: int
    mask: int

    def contains(self, number: int) -> bool:
        """Tell whether `number`, 0 to 2**64 - 1, is in the set."""
        return number & ~self.mask == self.value

    def covers(self, other: Tnum) -> bool:
        """Tell whether all of `other` is in the set."""
        return not other.mask & ~self.mask and other.value & ~self.mask == self.value


ANY: Final = Tnum(0, MASK64)


def within(least: int, most: int) -> Tnum:
    """Return the smallest set that has all of `least` to `most`: what they begin with alike."""
    mask = (1 << (least ^ most).bit_length()) - 1
    return Tnum(least & ~mask, mask)


def add(a: Tnum, b: Tnum) -> Tnum:
    """Return the set of sums: a bit is unknown where a carry may or may not come in."""
    value = a.value + b.value
    unknown = a.mask + b.mask + value ^ value | a.mask | b.mask
    return _tnum(value, unknown)


def subtract(a: Tnum, b: Tnum) -> Tnum:
    """Return the set of differences."""
    value = a.value - b.value
    unknown = (value + a.mask ^ value - b.mask) | a.mask | b.mask
    return _tnum(value, unknown)


def multiply(a: Tnum, b: Tnum) -> Tnum:
    """Return the set of products: the sum of what each bit of `a` contributes."""
    total = Tnum(a.value * b.value & MASK64, 0)
    unknown = Tnum(0, 0)
    value, mask = a.value, a.mask
    while value or mask:
        if value & 1:
            unknown = add(unknown, Tnum(0, b.mask))
        elif mask & 1:
            unknown = add(unknown, Tnum(0, b.value | b.mask))
        value, mask = value >> 1, mask >> 1
        b = Tnum(b.value << 1 & MASK64, b.mask << 1 & MASK64)
    return add(total, unknown)


def both(a: Tnum, b: Tnum) -> Tnum:
    """Return the set of `a & b`."""
    ones = a.value & b.value
    return Tnum(ones, (a.value | a.mask) & (b.value | b.mask) & ~ones)


def either(a: Tnum, b: Tnum) -> Tnum:
    """Return the set of `a | b`."""
    ones = a.value | b.value
    return Tnum(ones, (a.mask | b.mask) & ~ones)


def differing(a: Tnum, b: Tnum) -> Tnum:
    """Return the set of `a ^ b`."""
    unknown = a.mask | b.mask
    return Tnum((a.value ^ b.value) & ~unknown, unknown)


def shift_left(a: Tnum, amount: int) -> Tnum:
    """Return the set of `a << amount`, cut to 64 bits."""
    return Tnum(a.value << amount & MASK64, a.mask << amount & MASK64)


def shift_right(a: Tnum, amount: int) -> Tnum:
    """Return the set of `a >> amount`."""
    return Tnum(a.value >> amount, a.mask >> amount)


def sign_extend(a: Tnum, width: int) -> Tnum:
    """Return the low `width` bits, the highest of them repeated above."""
    low, sign = (1 << width) - 1, 1 << (width - 1)
    above = MASK64 & ~low
    return Tnum(
        a.value & low | (above if a.value & sign else 0),
        a.mask & low | (above if a.mask & sign else 0),
    )


def cut(a: Tnum, width: int) -> Tnum:
    """Return the low `width` bits."""
    low = (1 << width) - 1
    return Tnum(a.value & low, a.mask & low)


def intersect(a: Tnum, b: Tnum) -> Tnum | None:
    """Return what is in both sets, None where that is nothing."""
    mask = a.mask & b.mask
    if (a.value ^ b.value) & ~a.mask & ~b.mask:
        return None
    return Tnum((a.value | b.value) & ~mask, mask)


def unite(a: Tnum, b: Tnum) -> Tnum:
    """Return the smallest set that has both."""
    mask = a.mask | b.mask | a.value ^ b.value
    return Tnum(a.value & ~mask, mask)


def widen(old: Tnum, new: Tnum) -> Tnum:
    """Return a set that has both, with nothing known from the lowest bit on that was lost.

    Else a number that is counted up would lose one bit at a time.
    """
    joined = unite(old, new)
    lost = joined.mask & ~old.mask
    mask = joined.mask | MASK64 & -(lost & -lost)
    return Tnum(joined.value & ~mask, mask)


def join_halves(high: Tnum, low: Tnum) -> Tnum:
    """Return the high 32 bits of one with the low 32 of the other."""
    return Tnum(high.value & ~MASK32 | low.value & MASK32, high.mask & ~MASK32 | low.mask & MASK32)


def _tnum(value: int, unknown: int) -> Tnum:
    unknown &= MASK64
    return Tnum(value & MASK64 & ~unknown, unknown)
