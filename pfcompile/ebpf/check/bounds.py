"""Intervals of numbers of 32 or 64 bits, unsigned and signed at once.

A pair of intervals holds the numbers that lie in both. The operations return what surely contains
every result, and all numbers of the width where a result may wrap.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from pfcompile.ebpf.arithmetic import signed


class Bounds(NamedTuple):
    """Numbers between bounds, all inclusive.

    Attributes:
        umin: The least, as unsigned: 0 up.
        umax: The greatest, as unsigned.
        smin: The least, as signed: -2**(width - 1) up.
        smax: The greatest, as signed.
    """

    umin: int
    umax: int
    smin: int
    smax: int

    def covers(self, other: Bounds) -> bool:
        """Tell whether all of `other` lies inside."""
        return (
            self.umin <= other.umin
            and other.umax <= self.umax
            and self.smin <= other.smin
            and other.smax <= self.smax
        )


@cache
def everything(width: int) -> Bounds:
    """Return the bounds that exclude nothing."""
    half = 1 << (width - 1)
    return Bounds(0, 2 * half - 1, -half, half - 1)


def unsigned(width: int, least: int, most: int) -> Bounds:
    """Return the numbers from `least` to `most`; everything where they do not fit."""
    full = everything(width)
    if least < 0 or most > full.umax:
        return full
    if (least > full.smax) == (most > full.smax):
        return Bounds(least, most, signed(least, width), signed(most, width))
    return full._replace(umin=least, umax=most)


def with_sign(width: int, least: int, most: int) -> Bounds:
    """Return the signed numbers from `least` to `most`; everything where they do not fit."""
    full = everything(width)
    if least < full.smin or most > full.smax:
        return full
    if (least < 0) == (most < 0):
        return Bounds(least & full.umax, most & full.umax, least, most)
    return full._replace(smin=least, smax=most)


def intersect(a: Bounds, b: Bounds) -> Bounds:
    """Return what lies in both; crossed bounds where that is nothing."""
    return Bounds(
        max(a.umin, b.umin), min(a.umax, b.umax), max(a.smin, b.smin), min(a.smax, b.smax)
    )


def unite(a: Bounds, b: Bounds) -> Bounds:
    """Return the least bounds around both."""
    return Bounds(
        min(a.umin, b.umin), max(a.umax, b.umax), min(a.smin, b.smin), max(a.smax, b.smax)
    )


def widen(width: int, old: Bounds, new: Bounds) -> Bounds:
    """Return `old` without the bounds that `new` does not keep, so that a loop's end is found."""
    full = everything(width)
    return Bounds(
        old.umin if old.umin <= new.umin else full.umin,
        old.umax if old.umax >= new.umax else full.umax,
        old.smin if old.smin <= new.smin else full.smin,
        old.smax if old.smax >= new.smax else full.smax,
    )


def agree(width: int, bounds: Bounds) -> Bounds:
    """Return the same numbers, with what each interval says of the other put in."""
    half = 1 << (width - 1)
    umin, umax, smin, smax = bounds
    if (umin >= half) == (umax >= half):
        smin, smax = max(smin, signed(umin, width)), min(smax, signed(umax, width))
    if (smin < 0) == (smax < 0):
        full = 2 * half - 1
        umin, umax = max(umin, smin & full), min(umax, smax & full)
    return Bounds(umin, umax, smin, smax)


def add(width: int, a: Bounds, b: Bounds) -> Bounds:
    """Return the sums."""
    return intersect(
        unsigned(width, a.umin + b.umin, a.umax + b.umax),
        with_sign(width, a.smin + b.smin, a.smax + b.smax),
    )


def subtract(width: int, a: Bounds, b: Bounds) -> Bounds:
    """Return the differences."""
    return intersect(
        unsigned(width, a.umin - b.umax, a.umax - b.umin),
        with_sign(width, a.smin - b.smax, a.smax - b.smin),
    )


def multiply(width: int, a: Bounds, b: Bounds) -> Bounds:
    """Return the products."""
    corners = (a.smin * b.smin, a.smin * b.smax, a.smax * b.smin, a.smax * b.smax)
    return intersect(
        unsigned(width, a.umin * b.umin, a.umax * b.umax),
        with_sign(width, min(corners), max(corners)),
    )


def divide(width: int, a: Bounds, b: Bounds) -> Bounds:
    """Return the unsigned quotients; dividing by zero gives 0."""
    least = 0 if b.umin == 0 else a.umin // b.umax
    return unsigned(width, least, a.umax // max(b.umin, 1))


def remainder(width: int, a: Bounds, b: Bounds) -> Bounds:
    """Return the unsigned remainders; dividing by zero leaves what there was."""
    if b.umin == 0:
        return unsigned(width, 0, a.umax)
    if a.umax < b.umin:
        return a
    return unsigned(width, 0, min(a.umax, b.umax - 1))


def divide_signed(width: int, a: Bounds, b: Bounds) -> Bounds:
    """Return the signed quotients: no farther from 0 than what is divided."""
    if b.smin > 0:
        # Towards zero, and monotonic in both: the corners have the extremes.
        corners = [_towards_zero(x, y) for x in (a.smin, a.smax) for y in (b.smin, b.smax)]
        return with_sign(width, min(corners), max(corners))
    farthest = max(abs(a.smin), abs(a.smax))
    return with_sign(width, -farthest, farthest)


def remainder_signed(width: int, a: Bounds, b: Bounds) -> Bounds:
    """Return the signed remainders, which have the sign of what is divided."""
    least, most = min(a.smin, 0), max(a.smax, 0)
    if b.smin > 0 or b.smax < 0:
        limit = max(abs(b.smin), abs(b.smax)) - 1
        least, most = max(least, -limit), min(most, limit)
    return with_sign(width, least, most)


def shift_left(width: int, a: Bounds, amount: Bounds) -> Bounds:
    """Return `a << amount`; the amount is 0 to `width` - 1."""
    return intersect(
        unsigned(width, a.umin << amount.umin, a.umax << amount.umax),
        with_sign(
            width,
            a.smin << (amount.umax if a.smin < 0 else amount.umin),
            a.smax << (amount.umin if a.smax < 0 else amount.umax),
        ),
    )


def shift_right(width: int, a: Bounds, amount: Bounds) -> Bounds:
    """Return `a >> amount`, filled with zeros."""
    return unsigned(width, a.umin >> amount.umax, a.umax >> amount.umin)


def shift_right_signed(width: int, a: Bounds, amount: Bounds) -> Bounds:
    """Return `a >> amount`, filled with the sign."""
    return with_sign(
        width,
        a.smin >> (amount.umin if a.smin < 0 else amount.umax),
        a.smax >> (amount.umax if a.smax < 0 else amount.umin),
    )


def _towards_zero(a: int, b: int) -> int:
    size = abs(a) // abs(b)
    return size if (a < 0) == (b < 0) else -size
