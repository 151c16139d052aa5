"""Compute what is known without a packet, and write tests in one way.

Before::
    b0:  br (len + 2) + 3 == 10, b1, b2
    b1:  br (ldb[x] & 255) > 300, b3, b2
    b2:  ...
After::
    b0:  br len == 5, b1, b2

Sound because every rewrite is an identity of arithmetic modulo 2**32, or follows from a load of n
bytes being less than 256**n. A value that is no longer needed is no longer loaded, which shows only
where the packet is cut off before it; but a division by what may be zero stays, since that ends the
filter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pfcompile.errors import FilterError
from pfcompile.ir.arithmetic import WORD, ArithmeticOp, alu
from pfcompile.ir.comparison import Comparison, holds
from pfcompile.ir.graph import (
    Accept,
    Block,
    Branch,
    Builder,
    Graph,
    Label,
    Let,
    Reject,
    Test,
    rebuild,
    used_values,
)
from pfcompile.ir.ranges import complement, contains, within
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
    arithmetic,
    const,
    load_at,
    may_end,
    numbers,
    parts,
    split_offset,
)
from pfcompile.ir.values import add as add_offsets


def fold(graph: Graph) -> Graph:
    """Return `graph` with values and tests simplified.

    What has no value for any packet, such as a division by the constant 0, is left as it is: see
    `check_arithmetic`.
    """
    simplify = Simplifier()
    return rebuild(graph, lambda builder, block: _rewrite(builder, block, simplify))


def check_arithmetic(graph: Graph) -> None:
    """Raise FilterError for a division by 0, or a shift by more than 31 bits, by a constant.

    Asked of a graph without dead blocks, since what is never computed does no harm.
    """
    for block in graph.blocks:
        if isinstance(block, Branch | Let):
            for value in used_values(block):
                message = _meaningless(value)
                if message is not None:
                    raise FilterError(message, span=min(block.origins, default=None))


def _meaningless(value: Value) -> str | None:
    waiting = [value]
    while waiting:
        node = waiting.pop()
        match node:
            case Arithmetic(op=op, right=Const(value=0)) if op in _DIVISIONS:
                return _DIVISIONS[op]
            case Arithmetic(op=op, right=Const(value=k)) if op in _SHIFTS and k > _LARGEST_SHIFT:
                return "shift by more than 31 bits"
            case _:
                waiting += parts(node)
    return None


def _rewrite(builder: Builder, block: Block, simplify: Simplifier) -> Label:
    match block:
        case Branch(test=test, yes=yes, no=no, origins=origins):
            plain = Test(test.op, simplify(test.left), simplify(test.right))
            if plain.may_end:
                return builder.add(Branch(plain, yes, no, origins))
            decided = decide(plain)
            if decided is None:
                plain, swapped = canonical(plain)
                if swapped:
                    yes, no = no, yes
                decided = decide(plain)
            if decided is not None:
                return yes if decided else no
            return builder.add(Branch(plain, yes, no, origins))
        case Let(variable=variable, value=value, next=after, origins=origins):
            return builder.add(Let(variable, simplify(value), after, origins))
        case Accept() | Reject():
            return builder.add(block)


_IDENTITY: Final = {
    # x op 0 == x
    ArithmeticOp.ADD: 0,
    ArithmeticOp.SUB: 0,
    ArithmeticOp.OR: 0,
    ArithmeticOp.XOR: 0,
    ArithmeticOp.LSH: 0,
    ArithmeticOp.RSH: 0,
    # and these
    ArithmeticOp.MUL: 1,
    ArithmeticOp.DIV: 1,
    ArithmeticOp.AND: WORD,
}
_ANNIHILATOR: Final = {
    ArithmeticOp.MUL: (0, 0),
    ArithmeticOp.AND: (0, 0),
    ArithmeticOp.OR: (WORD, WORD),
    ArithmeticOp.MOD: (1, 0),
}
"""Operator to the right operand that decides the result, and the result."""

_COMMUTATIVE: Final = frozenset(
    {
        ArithmeticOp.ADD,
        ArithmeticOp.MUL,
        ArithmeticOp.AND,
        ArithmeticOp.OR,
        ArithmeticOp.XOR,
    }
)
_SHIFTS: Final = frozenset({ArithmeticOp.LSH, ArithmeticOp.RSH})
_LARGEST_SHIFT: Final = 31
_DIVISIONS: Final = {
    ArithmeticOp.DIV: "division by zero",
    ArithmeticOp.MOD: "modulus by zero",
}


@lru_cache(REMEMBERED)
def upper_bound(value: Value) -> int:
    """Return a number that `value` never exceeds."""
    match value:
        case Const(value=k):
            return k
        case Load(size=size) | Ancillary(size=size):
            # Metadata is a whole word however many bytes are asked for.
            return WORD if isinstance(value, Ancillary) else (1 << 8 * size) - 1
        case Arithmetic(op=ArithmeticOp.AND, left=left, right=right):
            return min(upper_bound(left), upper_bound(right))
        case Arithmetic(op=ArithmeticOp.OR | ArithmeticOp.XOR, left=left, right=right):
            return (1 << max(upper_bound(left), upper_bound(right)).bit_length()) - 1
        case Arithmetic(op=ArithmeticOp.RSH, left=left, right=Const(value=k)) if k < 32:
            return upper_bound(left) >> k
        case Arithmetic(op=ArithmeticOp.LSH, left=left, right=Const(value=k)) if k < 32:
            return min(upper_bound(left) << k, WORD)
        case Arithmetic(op=ArithmeticOp.DIV, left=left, right=Const(value=k)) if k:
            return upper_bound(left) // k
        case Arithmetic(op=ArithmeticOp.MOD, right=Const(value=k)) if k:
            return k - 1
        case Arithmetic(op=ArithmeticOp.ADD, left=left, right=right):
            return min(upper_bound(left) + upper_bound(right), WORD)
        case _:
            return WORD


def _fits(op: ArithmeticOp, right: Value) -> bool:
    """Return whether `right` may stand at the right of an operator, as far as is known."""
    if not isinstance(right, Const):
        return True
    if op in _DIVISIONS:
        return right.value != 0
    return op not in _SHIFTS or right.value <= _LARGEST_SHIFT


def _is_plainly_constant(value: Value) -> bool:
    """Return whether a value is made of numbers only."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, Const | Arithmetic):
            return False
        waiting += parts(node)
    return True


class Simplifier:
    """Simplifies values, each only once."""

    def __init__(self) -> None:
        self._known: dict[Value, Value] = {}

    def __call__(self, value: Value) -> Value:
        """Return the simplest value known to be equal to `value`."""
        found = self._known.get(value)
        if found is None:
            found = self._known[value] = self._simplify(value)
        return found

    def _simplify(self, value: Value) -> Value:
        match value:
            case Const() | PacketLength() | Ancillary() | Variable() | Numbers():
                return value
            case Load(base=None):
                return value
            case Load(size=size, base=base, offset=offset):
                assert base is not None
                return load_at(size, add_offsets(self(base), const(offset)))
            case Arithmetic(op=op, left=left, right=right):
                asked, left, right = right, self(left), self(right)
                if not _fits(op, right) and not _is_plainly_constant(asked):
                    # Not the writer's mistake: only the simplifier knows that it is constant.
                    right = asked
                simple = binary(op, left, right)
                if may_end(value) and not may_end(simple):
                    return arithmetic(op, left, right)
                return simple


def binary(op: ArithmeticOp, left: Value, right: Value) -> Value:
    """Return `left op right` for operands that are simple already."""
    if isinstance(right, Const):
        return _with_constant(op, left, right.value)
    if op in _COMMUTATIVE and isinstance(left, Const):
        return _with_constant(op, right, left.value)
    if op in _SHIFTS and isinstance(left, Const) and left.value == 0:
        return left
    if op is ArithmeticOp.ADD or op is ArithmeticOp.SUB:
        # Constants go outside, where a load's offset takes them.
        inner_left, k = split_offset(left)
        inner_right, j = split_offset(right)
        if k and inner_left is not None:
            return binary(ArithmeticOp.ADD, binary(op, inner_left, right), const(k))
        if j and inner_right is not None:
            outside = const(j if op is ArithmeticOp.ADD else -j)
            return binary(ArithmeticOp.ADD, binary(op, left, inner_right), outside)
    return arithmetic(op, left, right)


def _with_constant(op: ArithmeticOp, left: Value, k: int) -> Value:
    if op in _DIVISIONS and k == 0:
        return arithmetic(op, left, const(k))
    if isinstance(left, Const):
        result = alu(op, left.value, k)
        assert result is not None
        return const(result)
    if op in _SHIFTS and k > _LARGEST_SHIFT:
        return arithmetic(op, left, const(k))
    if _IDENTITY.get(op) == k:
        return left
    decisive = _ANNIHILATOR.get(op)
    if decisive is not None and decisive[0] == k:
        return const(decisive[1])
    return _reduce(op, left, k)


def _reduce(op: ArithmeticOp, left: Value, k: int) -> Value:
    """Return `left op k` in a cheaper operator, or joined with an operation inside `left`."""
    power = k.bit_length() - 1 if k and k & (k - 1) == 0 else None
    match op:
        case ArithmeticOp.SUB:
            return binary(ArithmeticOp.ADD, left, const(-k))
        case ArithmeticOp.MUL if power is not None:
            return binary(ArithmeticOp.LSH, left, const(power))
        case ArithmeticOp.DIV if power is not None:
            return binary(ArithmeticOp.RSH, left, const(power))
        case ArithmeticOp.MOD if power is not None:
            return binary(ArithmeticOp.AND, left, const(k - 1))
        case ArithmeticOp.AND:
            return _mask(left, k)
        case ArithmeticOp.RSH if upper_bound(left) >> k == 0:
            return const(0)
        case ArithmeticOp.DIV | ArithmeticOp.MOD if upper_bound(left) < k:
            return const(0) if op is ArithmeticOp.DIV else left
        case _:
            pass
    match op, left:
        case (
            ArithmeticOp.ADD | ArithmeticOp.OR | ArithmeticOp.XOR | ArithmeticOp.MUL,
            Arithmetic(op=inner, left=base, right=Const(value=j)),
        ) if inner is op:
            joined = alu(op, j, k)
            assert joined is not None
            return _with_constant(op, base, joined)
        case (
            ArithmeticOp.LSH | ArithmeticOp.RSH,
            Arithmetic(op=inner, left=base, right=Const(value=j)),
        ) if inner is op:
            return _with_constant(op, base, j + k) if j + k < 32 else const(0)
        case ArithmeticOp.RSH, Arithmetic(op=ArithmeticOp.AND, left=base, right=Const(value=j)):
            # (x & j) >> k: the mask moved outside can be smaller, or vanish.
            shifted = binary(ArithmeticOp.RSH, base, const(k))
            return binary(ArithmeticOp.AND, shifted, const(j >> k))
        case _:
            return arithmetic(op, left, const(k))


def _mask(left: Value, mask: int) -> Value:
    """Return `left & mask`, without bits that `left` never has."""
    mask &= (1 << upper_bound(left).bit_length()) - 1
    if mask == 0:
        return const(0)
    if mask == (1 << upper_bound(left).bit_length()) - 1:
        return left
    match left:
        case Arithmetic(op=ArithmeticOp.AND, left=base, right=Const(value=j)):
            return _with_constant(ArithmeticOp.AND, base, j & mask)
        case _:
            return arithmetic(ArithmeticOp.AND, left, const(mask))


def decide(test: Test) -> bool | None:
    """Return what a test gives for every packet, or None where that depends on the packet."""
    op, left, right = test.op, test.left, test.right
    if isinstance(right, Numbers):
        inside = within(right.ranges, 0, upper_bound(left))
        if isinstance(left, Const):
            return contains(inside, left.value)
        return False if not inside else True if inside == ((0, upper_bound(left)),) else None
    if left is right and op is not Comparison.SET:
        return op is not Comparison.GT
    if isinstance(left, Const) and isinstance(right, Const):
        return holds(op, left.value, right.value)
    if isinstance(left, Const):
        if op is Comparison.EQ or op is Comparison.SET:
            return decide(Test(op, right, left))
        # k > x is not (x >= k); k >= x is not (x > k).
        mirrored = decide(Test(_MIRRORED[op], right, left))
        return None if mirrored is None else not mirrored
    if not isinstance(right, Const):
        return None
    k, bound = right.value, upper_bound(left)
    match op:
        case Comparison.EQ if k > bound:
            return False
        case Comparison.GT if k >= bound:
            return False
        case Comparison.GE if k == 0:
            return True
        case Comparison.GE if k > bound:
            return False
        case Comparison.SET if k & ((1 << bound.bit_length()) - 1) == 0:
            return False
        case _:
            return None


_MIRRORED: Final = {Comparison.GT: Comparison.GE, Comparison.GE: Comparison.GT}


def _canonical_membership(left: Value, right: Numbers) -> tuple[Test, bool]:
    """Return membership in a set of one number, or all but one, as a comparison with that."""
    highest = upper_bound(left)
    inside = within(right.ranges, 0, highest)
    outside = complement(inside, highest)
    for ranges, swapped in ((inside, False), (outside, True)):
        if len(ranges) == 1:
            low, high = ranges[0]
            if low == high:
                return Test(Comparison.EQ, left, const(low)), swapped
            if high == highest:
                return Test(Comparison.GT, left, const(low - 1)), swapped
            if low == 0:
                return Test(Comparison.GT, left, const(high)), not swapped
    # Of the set and what is left of it, the one with fewer ranges is tested for.
    if len(outside) < len(inside):
        return Test(Comparison.IN, left, numbers(outside)), True
    return Test(Comparison.IN, left, numbers(inside)), False


def canonical(test: Test) -> tuple[Test, bool]:
    """Return the one way to write a test, and whether its outcome is turned round.

    Only for one that `decide` leaves open.

    The constant stands at the right; `>=` a constant is `>` the one below; a test of one bit or of
    "any bits" is `&`; what equality with a constant says of `x + 1` it says of `x`.
    """
    op, left, right = test.op, test.left, test.right
    if isinstance(right, Numbers):
        return _canonical_membership(left, right)
    if isinstance(left, Const) and not isinstance(right, Const):
        if op in {Comparison.EQ, Comparison.SET}:
            return canonical(Test(op, right, left))
        mirrored, swapped = canonical(Test(_MIRRORED[op], right, left))
        return mirrored, not swapped
    if not isinstance(right, Const):
        return test, False
    k = right.value
    match op, left:
        case Comparison.EQ, Arithmetic(op=ArithmeticOp.AND, left=base, right=Const(value=mask)):
            if k == 0:
                return Test(Comparison.SET, base, const(mask)), True
            if k == mask and mask & (mask - 1) == 0:
                return Test(Comparison.SET, base, const(mask)), False
        case Comparison.EQ, Arithmetic(op=ArithmeticOp.ADD, left=base, right=Const(value=j)):
            return canonical(Test(Comparison.EQ, base, const(k - j)))
        case Comparison.EQ, Arithmetic(op=ArithmeticOp.XOR, left=base, right=Const(value=j)):
            return canonical(Test(Comparison.EQ, base, const(k ^ j)))
        case Comparison.EQ, Arithmetic(op=ArithmeticOp.SUB, left=a, right=b) if k == 0:
            return canonical(Test(Comparison.EQ, a, b))
        case Comparison.GE, _:
            return canonical(Test(Comparison.GT, left, const(k - 1)))
        case Comparison.SET, Arithmetic(op=ArithmeticOp.AND, left=base, right=Const(value=mask)):
            return canonical(Test(Comparison.SET, base, const(mask & k)))
        case Comparison.GT, Arithmetic(op=ArithmeticOp.AND, left=base, right=Const(value=mask)) if (
            k == 0
        ):
            return Test(Comparison.SET, base, const(mask)), False
        case _:
            pass
    if op is Comparison.GT and k == 0:
        equal_zero, swapped = canonical(Test(Comparison.EQ, left, right))
        return equal_zero, not swapped
    if op is Comparison.SET:
        bits = (1 << upper_bound(left).bit_length()) - 1
        if k & bits == bits:
            # Any bit at all: "not equal to 0".
            return Test(Comparison.EQ, left, const(0)), True
        if k & bits != k:
            return Test(Comparison.SET, left, const(k & bits)), False
    return test, False
