"""What a primitive means, before it is a graph: tests joined by and, or and not.

Operands count from left to right, and the right one is looked at only where the left one leaves
the matter open. That shows only where a load runs off the packet, and where an `Assign` on the way
sets a variable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, assert_never

from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Accept, Branch, Builder, Graph, Let, Reject, Test
from pfcompile.ir.values import (
    Const,
    Value,
    Variable,
    add,
    ancillary,
    arithmetic,
    const,
    load_at,
    numbers,
)
from pfcompile.syntax.tree import Junction, RelationOp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pfcompile.errors import Span
    from pfcompile.ir.graph import Label, Origins


@dataclass(frozen=True, slots=True)
class Always:
    """True or false whatever the packet."""

    truth: bool


@dataclass(frozen=True, slots=True)
class Check:
    """One test."""

    test: Test


@dataclass(frozen=True, slots=True)
class Opposite:
    """True where the operand is false."""

    operand: Formula


@dataclass(frozen=True, slots=True)
class Joined:
    """Operands joined from left to right, `and` and `or` having one precedence."""

    first: Formula
    rest: tuple[tuple[Junction, Formula], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What `then` or `otherwise` is, as the condition is true or false."""

    condition: Formula
    then: Formula
    otherwise: Formula


@dataclass(frozen=True, slots=True)
class Assign:
    """True, after setting a variable."""

    variable: Variable
    value: Value


@dataclass(frozen=True, slots=True)
class Marked:
    """A formula and the part of the expression that it comes from."""

    formula: Formula
    origin: Span


Formula: TypeAlias = Always | Check | Opposite | Joined | Choice | Assign | Marked

TRUE = Always(truth=True)
FALSE = Always(truth=False)


def every(*operands: Formula) -> Formula:
    """Return the conjunction of `operands`, TRUE for none."""
    return _join(Junction.AND, operands)


def some(*operands: Formula) -> Formula:
    """Return the disjunction of `operands`, FALSE for none."""
    return _join(Junction.OR, operands)


def _join(junction: Junction, operands: Sequence[Formula]) -> Formula:
    neutral, final = (TRUE, FALSE) if junction is Junction.AND else (FALSE, TRUE)
    kept = [operand for operand in operands if operand != neutral]
    if not kept:
        return neutral
    if kept[0] == final:
        return final
    if len(kept) == 1:
        return kept[0]
    return Joined(kept[0], tuple((junction, operand) for operand in kept[1:]))


def one_of_two(condition: Formula, then: Formula, otherwise: Formula) -> Formula:
    """Return `then` where `condition` is true, else `otherwise`."""
    if otherwise == FALSE:
        return every(condition, then)
    if then == TRUE:
        return some(condition, otherwise)
    return Choice(condition, then, otherwise)


def opposite(operand: Formula) -> Formula:
    """Return the negation of `operand`."""
    match operand:
        case Always(truth=truth):
            return Always(not truth)
        case Opposite(operand=inner):
            return inner
        case _:
            return Opposite(operand)


# Tests


def compare(op: Comparison, left: Value, right: Value | int) -> Formula:
    """Return `left op right`."""
    return Check(Test(op, left, const(right) if isinstance(right, int) else right))


def equal(left: Value, right: Value | int, mask: int = WORD) -> Formula:
    """Return `left & mask == right`; the mask of a whole word is left out."""
    return compare(Comparison.EQ, masked(left, mask), right)


def member(left: Value, ranges: Sequence[tuple[int, int]]) -> Formula:
    """Return whether `left` is in any of `ranges`, given by first and last number."""
    if len(ranges) == 1:
        low, high = ranges[0]
        return equal(left, low) if low == high else every(at_least(left, low), at_most(left, high))
    return Check(Test(Comparison.IN, left, numbers(ranges)))


def above(left: Value, right: Value | int) -> Formula:
    """Return `left > right`, unsigned."""
    return compare(Comparison.GT, left, right)


def at_least(left: Value, right: Value | int) -> Formula:
    """Return `left >= right`, unsigned."""
    return compare(Comparison.GE, left, right)


def at_most(left: Value, right: Value | int) -> Formula:
    """Return `left <= right`, unsigned."""
    return opposite(above(left, right))


def has_bits(left: Value, bits: int) -> Formula:
    """Return whether `left` has any of `bits`."""
    return compare(Comparison.SET, left, bits)


def masked(value: Value, mask: int) -> Value:
    """Return `value & mask`."""
    return value if mask == WORD else arithmetic(ArithmeticOp.AND, value, const(mask))


def related(op: RelationOp, left: Value, right: Value | int) -> Formula:
    """Return the test for an operator of the language."""
    match op:
        case RelationOp.EQ:
            return equal(left, right)
        case RelationOp.NE:
            return opposite(equal(left, right))
        case RelationOp.GT:
            return above(left, right)
        case RelationOp.GE:
            return at_least(left, right)
        case RelationOp.LT:
            return opposite(at_least(left, right))
        case RelationOp.LE:
            return at_most(left, right)
        case _:
            assert_never(op)


# Values


def byte(address: Value, offset: int = 0) -> Value:
    """Return the byte at `address + offset`."""
    return load_at(1, add(address, const(offset)))


def half(address: Value, offset: int = 0) -> Value:
    """Return the two bytes at `address + offset`, big-endian."""
    return load_at(2, add(address, const(offset)))


def word(address: Value, offset: int = 0) -> Value:
    """Return the four bytes at `address + offset`, big-endian."""
    return load_at(4, add(address, const(offset)))


def metadata(offset: int, size: int) -> Value:
    """Return a word of the kernel's metadata, by its offset from SKF_AD_OFF."""
    return ancillary(offset, size)


def sized(size: int, address: Value, offset: int = 0) -> Value:
    """Return `size` bytes at `address + offset`, big-endian."""
    return load_at(size, add(address, const(offset)))


ZERO: Const = const(0)


def to_graph(formula: Formula, variables: Iterable[Variable]) -> Graph:
    """Return the graph of a whole filter; its variables start as 0."""
    builder = Builder()
    label = _build(builder, formula, builder.add(Accept()), builder.add(Reject()), ())
    for variable in variables:
        label = builder.add(Let(variable, ZERO, label))
    return builder.finish(label)


def _build(builder: Builder, formula: Formula, yes: Label, no: Label, origins: Origins) -> Label:
    """Return where `formula` begins, if it goes on to `yes` where it is true and else to `no`."""
    match formula:
        case Always(truth=truth):
            return yes if truth else no
        case Check(test=test):
            return builder.add(Branch(test, yes, no, origins))
        case Assign(variable=variable, value=value):
            return builder.add(Let(variable, value, yes, origins))
        case Opposite(operand=operand):
            return _build(builder, operand, no, yes, origins)
        case Marked(formula=inner, origin=own):
            return _build(builder, inner, yes, no, (own,))
        case Choice(condition=condition, then=then, otherwise=otherwise):
            yes, no = (_build(builder, each, yes, no, origins) for each in (then, otherwise))
            return _build(builder, condition, yes, no, origins)
        case Joined(first=first, rest=rest):
            # From the right: what an operand is joined with is where its own way goes on. A chain
            # of ten thousand is a loop, not a recursion.
            for junction, operand in reversed(rest):
                start = _build(builder, operand, yes, no, origins)
                if junction is Junction.AND:
                    yes = start
                else:
                    no = start
            return _build(builder, first, yes, no, origins)
