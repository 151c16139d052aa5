"""Sums and products in one order: `a + b` and `b + a` are one value, whoever computes them."""

from __future__ import annotations

from functools import lru_cache, reduce
from typing import Final
from weakref import WeakKeyDictionary

from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Test
from pfcompile.ir.values import REMEMBERED, Arithmetic, Const, Load, Value, const, load_at
from pfcompile.passes.fold import binary

_COMMUTATIVE: Final = frozenset(
    {ArithmeticOp.ADD, ArithmeticOp.MUL, ArithmeticOp.AND, ArithmeticOp.OR, ArithmeticOp.XOR}
)

_places: Final[WeakKeyDictionary[Value, int]] = WeakKeyDictionary()
"""Which value was met first: any order will do, as long as it is one."""


def _place(value: Value) -> int:
    return _places.setdefault(value, len(_places))


@lru_cache(REMEMBERED)
def ordered(value: Value) -> Value:
    """Return a simple value with the operands of what is commutative in order."""
    match value:
        case Load(size=size, base=base, offset=offset) if base is not None:
            return load_at(size, binary(ArithmeticOp.ADD, ordered(base), const(offset)))
        case Arithmetic(op=op) if op in _COMMUTATIVE:
            terms = sorted(map(ordered, _terms(value, op)), key=_key)
            return reduce(lambda left, right: binary(op, left, right), terms)
        case Arithmetic(op=op, left=left, right=right):
            return binary(op, ordered(left), ordered(right))
        case _:
            return value


def _key(value: Value) -> tuple[bool, int]:
    """Return what values are sorted by: constants come last."""
    return isinstance(value, Const), _place(value)


def _terms(value: Value, op: ArithmeticOp) -> list[Value]:
    """Return what is added up, or multiplied, ..., in a value."""
    found: list[Value] = []
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Arithmetic) and node.op is op:
            waiting += (node.left, node.right)
        else:
            found.append(node)
    return found


def ordered_test(test: Test) -> Test:
    """Return a test of simple values, these in order, and those that are compared as well."""
    left, right = ordered(test.left), ordered(test.right)
    both_open = not isinstance(left, Const) and not isinstance(right, Const)
    is_symmetric = test.op in {Comparison.EQ, Comparison.SET}
    if both_open and is_symmetric and _place(left) > _place(right):
        left, right = right, left
    return Test(test.op, left, right)
