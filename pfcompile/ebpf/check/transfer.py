"""What arithmetic does to sets of numbers.

Of constants the one meaning in `pfcompile.ebpf.arithmetic` tells; what is here extends it to sets,
so that for all a in A and b in B, `alu(op, width, a, b)` is in `operate(op, width, A, B)`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.arithmetic import MASK64, alu
from pfcompile.ebpf.check import bounds, tnum
from pfcompile.ebpf.check.bounds import Bounds, everything
from pfcompile.ebpf.check.scalars import ZERO, Scalar, between, constant, surely, word
from pfcompile.ebpf.check.tnum import ANY, Tnum
from pfcompile.ebpf.isa import Arithmetic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def operate(op: Arithmetic, width: int, a: Scalar, b: Scalar) -> Scalar:
    """Return the numbers that `op` can leave in its destination.

    Args:
        op: The operation.
        width: 32 or 64.
        a: The destination before.
        b: The second operand; the operations that have one operand ignore it.
    """
    x, y = a.constant, b.constant
    if x is not None and y is not None:
        return constant(alu(op, width, x, y))
    if op in _MOVES:
        return b if width == 64 else word(b)
    if op in _EXTENSIONS:
        return _extended(b, _EXTENSIONS[op], width)
    if op in _SWAPS:
        return _swapped(a, *_SWAPS[op])
    if op is Arithmetic.NEG:
        return operate(Arithmetic.SUB, width, ZERO, a)
    if op in _SHIFTS:
        return _shifted(op, width, a, b)
    if op in _DIVISIONS:
        return _divided(op, width, a, b)
    by_bits, by_bounds = _RINGS[op]
    bits = by_bits(a.bits, b.bits)
    # The low half of a result depends on the low halves of the operands only.
    low = by_bounds(32, a.low, b.low)
    if width == 64:
        return surely(bits, by_bounds(64, a.wide, b.wide), low)
    return _word(tnum.cut(bits, 32), low)


def _word(bits: Tnum, low: Bounds) -> Scalar:
    """Return numbers with a high half of zeros."""
    return surely(bits, bounds.unsigned(64, low.umin, low.umax), low)


def _anything(width: int, _a: Bounds, _b: Bounds) -> Bounds:
    return everything(width)


def _at_most_either(width: int, a: Bounds, b: Bounds) -> Bounds:
    """Bound `a & b`: no greater than either."""
    return bounds.unsigned(width, 0, min(a.umax, b.umax))


def _at_least_either(width: int, a: Bounds, b: Bounds) -> Bounds:
    """Bound `a | b`: no less than either."""
    return everything(width)._replace(umin=max(a.umin, b.umin))


_RINGS: Final[
    Mapping[
        Arithmetic,
        tuple[Callable[[Tnum, Tnum], Tnum], Callable[[int, Bounds, Bounds], Bounds]],
    ]
] = MappingProxyType(
    {
        Arithmetic.ADD: (tnum.add, bounds.add),
        Arithmetic.SUB: (tnum.subtract, bounds.subtract),
        Arithmetic.MUL: (tnum.multiply, bounds.multiply),
        Arithmetic.AND: (tnum.both, _at_most_either),
        Arithmetic.OR: (tnum.either, _at_least_either),
        Arithmetic.XOR: (tnum.differing, _anything),
    }
)
"""The operations whose low bits depend on low bits only, on bits and on bounds."""

_DIVISIONS: Final[Mapping[Arithmetic, Callable[[int, Bounds, Bounds], Bounds]]] = MappingProxyType(
    {
        Arithmetic.DIV: bounds.divide,
        Arithmetic.MOD: bounds.remainder,
        Arithmetic.SDIV: bounds.divide_signed,
        Arithmetic.SMOD: bounds.remainder_signed,
    }
)

_SHIFTS: Final[Mapping[Arithmetic, Callable[[int, Bounds, Bounds], Bounds]]] = MappingProxyType(
    {
        Arithmetic.LSH: bounds.shift_left,
        Arithmetic.RSH: bounds.shift_right,
        Arithmetic.ARSH: bounds.shift_right_signed,
    }
)

_MOVES: Final = frozenset({Arithmetic.MOV})

_EXTENSIONS: Final[Mapping[Arithmetic, int]] = MappingProxyType(
    {Arithmetic.MOVSX8: 8, Arithmetic.MOVSX16: 16, Arithmetic.MOVSX32: 32}
)
"""The bits that are kept."""

_SWAPS: Final[Mapping[Arithmetic, tuple[int, bool]]] = MappingProxyType(
    {
        Arithmetic.LE16: (16, False),
        Arithmetic.LE32: (32, False),
        Arithmetic.LE64: (64, False),
        Arithmetic.BE16: (16, True),
        Arithmetic.BE32: (32, True),
        Arithmetic.BE64: (64, True),
        Arithmetic.BSWAP16: (16, True),
        Arithmetic.BSWAP32: (32, True),
        Arithmetic.BSWAP64: (64, True),
    }
)
"""The bits that are kept, and whether their bytes change places."""


def _divided(op: Arithmetic, width: int, a: Scalar, b: Scalar) -> Scalar:
    result = _DIVISIONS[op](width, a.bounds(width), b.bounds(width))
    return surely(wide=result) if width == 64 else _word(ANY, result)


def _shifted(op: Arithmetic, width: int, a: Scalar, b: Scalar) -> Scalar:
    # Masking is what shifts do, but it would forget the least of a range that needs none.
    is_small = b.wide.umax < width
    amount = b if is_small else operate(Arithmetic.AND, 64, b, constant(width - 1))
    result = _SHIFTS[op](width, a.bounds(width), amount.wide)
    by = amount.constant
    bits = ANY if by is None else _shifted_bits(op, width, a.bits, by)
    if width == 64:
        return surely(bits, result)
    return _word(bits, result)


def _shifted_bits(op: Arithmetic, width: int, bits: Tnum, by: int) -> Tnum:
    if op is Arithmetic.LSH:
        return tnum.cut(tnum.shift_left(bits, by), width)
    if op is Arithmetic.RSH:
        return tnum.shift_right(tnum.cut(bits, width), by)
    # A copy of the sign above, so that the shift brings the right bits in.
    extended = tnum.sign_extend(bits, width)
    high = MASK64 & ~(MASK64 >> by)
    sign = 1 << 63
    shifted = tnum.shift_right(extended, by)
    filled = Tnum(
        shifted.value | (high if extended.value & sign else 0),
        shifted.mask | (high if extended.mask & sign else 0),
    )
    return tnum.cut(filled, width)


def _extended(b: Scalar, kept: int, width: int) -> Scalar:
    half = 1 << (kept - 1)
    limits = b.wide if kept == 32 and -half <= b.wide.smin and b.wide.smax < half else b.low
    if not -half <= limits.smin <= limits.smax < half:
        limits = bounds.with_sign(32, -half, half - 1)
    bits = tnum.sign_extend(b.bits, kept)
    low = everything(32)._replace(smin=limits.smin, smax=limits.smax)
    if width == 64:
        return surely(bits, bounds.with_sign(64, limits.smin, limits.smax), low)
    return surely(tnum.cut(bits, 32), bounds.unsigned(64, 0, 2**32 - 1), low)


def _swapped(a: Scalar, kept: int, is_reversed: bool) -> Scalar:
    if not is_reversed:
        cut = operate(Arithmetic.AND, 64, a, constant((1 << kept) - 1))
        return a if kept == 64 or a.wide.umax < 1 << kept else cut
    size = kept // 8
    value, mask = (
        int.from_bytes((part & (1 << kept) - 1).to_bytes(size, "little"), "big") for part in a.bits
    )
    return surely(Tnum(value, mask), between(0, (1 << kept) - 1).wide)
