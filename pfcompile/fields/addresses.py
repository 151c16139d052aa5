"""Where a load reads, in one form for each place.

`ldh[v0 + 16]` may read what `ldh[4 * ([14] & 15) + 16]` reads: a variable stands for what it was
set to on the way, and the parts of a sum may stand in any order. Here variables are replaced and
sums put in order, so that equal places are equal objects.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pfcompile.ir.arithmetic import WORD, ArithmeticOp, alu
from pfcompile.ir.graph import Test
from pfcompile.ir.text import print_value
from pfcompile.ir.values import (
    REMEMBERED,
    Ancillary,
    Arithmetic,
    Const,
    Load,
    Numbers,
    PacketLength,
    Value,
    Variable,
    add,
    arithmetic,
    const,
    load_at,
    parts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LARGEST: Final = 48
"""Parts of a value that is followed; what `protochain` computes doubles with every header."""


def settled(value: Value, meanings: Mapping[Variable, Value]) -> Value:
    """Return `value` with variables replaced by what they stand for, sums in order.

    Arithmetic on numbers is done, since graphs are looked at before their first pass as well.
    """
    match value:
        case Variable():
            return meanings.get(value, value)
        case Load(size=size, base=base, offset=offset):
            start = const(offset) if base is None else add(settled(base, meanings), const(offset))
            return load_at(size, start)
        case Arithmetic(op=ArithmeticOp.ADD, left=left, right=right):
            return total(settled(left, meanings), settled(right, meanings))
        case Arithmetic(op=op, left=left, right=right):
            return _computed(op, settled(left, meanings), settled(right, meanings))
        case Const() | PacketLength() | Ancillary() | Numbers():
            return value


def _computed(op: ArithmeticOp, left: Value, right: Value) -> Value:
    """Return `left op right`, a number where both are."""
    match left, right:
        case Const(value=a), Const(value=b):
            result = alu(op, a, b)
            return arithmetic(op, left, right) if result is None else const(result)
        case _:
            return arithmetic(op, left, right)


def settled_test(test: Test, meanings: Mapping[Variable, Value]) -> Test:
    """Return `test` of settled values."""
    return Test(test.op, settled(test.left, meanings), settled(test.right, meanings))


def total(*values: Value) -> Value:
    """Return the sum of settled values, in order: the same parts give the same object."""
    addends: list[Value] = []
    constant = 0
    waiting = list(values)
    while waiting:
        match waiting.pop():
            case Const(value=k):
                constant += k
            case Arithmetic(op=ArithmeticOp.ADD, left=left, right=right):
                waiting += (left, right)
            case other:
                addends.append(other)
    if not addends:
        return const(constant)
    # Any fixed order will do: values are interned, so that equal sums are then one object.
    first, *rest = sorted(addends, key=_order) if len(addends) > 1 else addends
    for each in rest:
        first = arithmetic(ArithmeticOp.ADD, first, each)
    return add(first, const(constant))


@lru_cache(REMEMBERED)
def _order(value: Value) -> tuple[bool, str]:
    """Return what a sum's parts are ordered by: variables first, as people write them."""
    return not isinstance(value, Variable), print_value(value)


def behind(start: Value, place: Load) -> Value | None:
    """Return how many bytes behind `start` a settled load reads; None where it has another base.

    Behind a TCP header's start, `tcp[4 * tcp.data_offset:4]` reads what is no constant.
    """
    written, far = place.base, place.offset
    match start:
        case Const(value=k):
            base, far = None, far - k
        case Arithmetic(op=ArithmeticOp.ADD, left=left, right=Const(value=k)):
            base, far = left, far - k
        case _:
            base = start
    left_over = list(_addends(written))
    for addend in _addends(base):
        if addend not in left_over:
            return None
        left_over.remove(addend)
    return total(*left_over, const(far))


def distance(start: Value, place: Load) -> int | None:
    """Return how many bytes behind `start` a settled load reads, None where it is no constant."""
    match behind(start, place):
        case Const(value=far):
            return far if far <= WORD >> 1 else far - WORD - 1
        case _:
            return None


def _addends(value: Value | None) -> Iterator[Value]:
    match value:
        case None:
            pass
        case Arithmetic(op=ArithmeticOp.ADD, left=left, right=right):
            yield from _addends(left)
            yield from _addends(right)
        case _:
            yield value


def is_small(value: Value) -> bool:
    """Return whether a value has few enough parts to be followed."""
    count = 0
    waiting = [value]
    while waiting:
        count += 1
        if count > LARGEST:
            return False
        waiting += parts(waiting.pop())
    return True
