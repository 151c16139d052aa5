"""32-bit words and conditions, known or symbolic: what proofs are written in.

A word is an int where its value is known and a z3 bit vector where it depends on the packet; a
condition is a bool or a z3 formula. Everything known is folded here with the same `alu` that the
interpreter uses, so that z3 sees only what the packet decides. z3 shares equal terms by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.ir.arithmetic import WORD, ArithmeticOp, alu
from pfcompile.prove.solver import z3

if TYPE_CHECKING:
    from collections.abc import Callable

Word: TypeAlias = "int | z3.BitVecRef"
Condition: TypeAlias = "bool | z3.BoolRef"

WORD_SORT: Final = z3.BitVecSort(32)


def word(value: Word) -> z3.BitVecRef:
    """Return `value` as a term of z3."""
    return z3.BitVecVal(value, WORD_SORT) if isinstance(value, int) else value


def arithmetic(op: ArithmeticOp, a: Word, b: Word) -> Word:
    """Return `a op b` modulo 2**32; where `b` is zero, a quotient or remainder means nothing.

    A shift by 32 or more gives 0, which is also what SMT-LIB says of bvshl and bvlshr.
    """
    if isinstance(a, int) and isinstance(b, int):
        folded = alu(op, a, b)
        return 0 if folded is None else folded
    if isinstance(b, int) and b in _LEAVES_ALONE[op]:
        return a
    if isinstance(b, int) and b in _GIVES_ZERO[op]:
        return 0
    return _TERMS[op](word(a), word(b))


# The right operands that change nothing, and those whose result is always zero.
_LEAVES_ALONE: Final[dict[ArithmeticOp, tuple[int, ...]]] = {
    ArithmeticOp.ADD: (0,),
    ArithmeticOp.SUB: (0,),
    ArithmeticOp.MUL: (1,),
    ArithmeticOp.DIV: (1,),
    ArithmeticOp.MOD: (),
    ArithmeticOp.AND: (WORD,),
    ArithmeticOp.OR: (0,),
    ArithmeticOp.XOR: (0,),
    ArithmeticOp.LSH: (0,),
    ArithmeticOp.RSH: (0,),
}
_GIVES_ZERO: Final[dict[ArithmeticOp, tuple[int, ...]]] = {
    ArithmeticOp.ADD: (),
    ArithmeticOp.SUB: (),
    ArithmeticOp.MUL: (0,),
    ArithmeticOp.DIV: (0,),
    ArithmeticOp.MOD: (0, 1),
    ArithmeticOp.AND: (0,),
    ArithmeticOp.OR: (),
    ArithmeticOp.XOR: (),
    ArithmeticOp.LSH: (),
    ArithmeticOp.RSH: (),
}
_TERMS: Final[dict[ArithmeticOp, Callable[[z3.BitVecRef, z3.BitVecRef], z3.BitVecRef]]] = {
    ArithmeticOp.ADD: lambda a, b: a + b,
    ArithmeticOp.SUB: lambda a, b: a - b,
    ArithmeticOp.MUL: lambda a, b: a * b,
    ArithmeticOp.DIV: z3.UDiv,
    ArithmeticOp.MOD: z3.URem,
    ArithmeticOp.AND: lambda a, b: a & b,
    ArithmeticOp.OR: lambda a, b: a | b,
    ArithmeticOp.XOR: lambda a, b: a ^ b,
    ArithmeticOp.LSH: lambda a, b: a << b,
    ArithmeticOp.RSH: z3.LShR,
}


def split(value: Word) -> tuple[Word, int]:
    """Return `value` as a sum: what the packet decides (0 if nothing) and a known word."""
    known = 0
    while not isinstance(value, int) and z3.is_app_of(value, z3.Z3_OP_BADD):
        left, right = value.arg(0), value.arg(1)
        if z3.is_bv_value(right):
            value, step = left, right
        elif z3.is_bv_value(left):
            value, step = right, left
        else:
            break
        known += step.as_long()
    return (0, known + value & WORD) if isinstance(value, int) else (value, known & WORD)


def equal(a: Word, b: Word) -> Condition:
    """Return when `a` is `b`."""
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    return word(a) == word(b)


def at_most(a: Word, b: Word) -> Condition:
    """Return when `a` is not above `b`, both unsigned."""
    if isinstance(a, int) and isinstance(b, int):
        return a <= b
    return z3.ULE(word(a), word(b))


def negation(condition: Condition) -> Condition:
    """Return when `condition` does not hold."""
    return not condition if isinstance(condition, bool) else z3.Not(condition)


def both(a: Condition, b: Condition) -> Condition:
    """Return when `a` and `b` hold."""
    if isinstance(a, bool):
        return b if a else False
    if isinstance(b, bool):
        return a if b else False
    return z3.And(a, b)


def either(conditions: list[Condition]) -> Condition:
    """Return when at least one of `conditions` holds."""
    if any(condition is True for condition in conditions):
        return True
    open_ = [condition for condition in conditions if condition is not False]
    if len(open_) < 2:
        return open_[0] if open_ else False
    return z3.Or(open_)


def same_term(a: Word, b: Word) -> bool:
    """Return whether `a` and `b` are written alike, which is enough to be equal."""
    if isinstance(a, int) or isinstance(b, int):
        return isinstance(a, int) and isinstance(b, int) and a == b
    return bool(a.eq(b))


def name_of_term(value: Word) -> int:
    """Return z3's number for a term, unique while the term is kept; -1 for any known word."""
    return -1 if isinstance(value, int) else int(value.get_id())


def choose(condition: Condition, then: Word, otherwise: Word) -> Word:
    """Return `then` where `condition` holds, else `otherwise`."""
    if isinstance(condition, bool):
        return then if condition else otherwise
    if same_term(then, otherwise):
        return then
    return z3.If(condition, word(then), word(otherwise))
