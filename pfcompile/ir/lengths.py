"""A header's length that the packet tells, as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.values import Value, add, arithmetic, const, load_at

if TYPE_CHECKING:
    from pfcompile.facts.link_layouts import LengthField


def told_length(field: LengthField) -> Value:
    """Return the length that a field of the packet tells, where it does."""
    if field.little_endian:
        assert field.size == 2
        high = arithmetic(ArithmeticOp.LSH, load_at(1, const(field.offset + 1)), const(8))
        value: Value = arithmetic(ArithmeticOp.OR, load_at(1, const(field.offset)), high)
    else:
        value = load_at(field.size, const(field.offset))
    return value if field.align == 1 else rounded_up(value, field.align)


def rounded_up(value: Value, unit: int, most: int = WORD) -> Value:
    """Return `value` rounded up to a multiple of `unit`, a power of two.

    `most` has all bits that the sum may have; a mask of no more is the same, and what the
    optimiser makes of it.
    """
    mask = ~(unit - 1) & most
    return arithmetic(ArithmeticOp.AND, add(value, const(unit - 1)), const(mask))
