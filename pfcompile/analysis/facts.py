"""What is known of packet bytes and other values at one place in a graph.

Of every value: bits that are known, the range that it lies in, and numbers that it is not. Bits of
packet bytes are kept byte by byte, so that what `ldh[12]` has shown counts for `ldb[13]` as well.

Source: Begel, McCanne, Graham, "BPF+: Exploiting Global Data-flow Optimization in a Generalized
Packet Filter Architecture", SIGCOMM 1999, whose facts are equalities; ranges and known bits as in
Wegman and Zadeck's lattice of constants, taken further.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from pfcompile.ir.arithmetic import WORD, ArithmeticOp, alu
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.ranges import RangeList, complement, contains, within
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
    variables,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.ir.graph import Test

_MOST_EXCLUDED: Final = 16
"""How many numbers that a value is not are kept; to forget one is sound."""

_MOST_CANDIDATES: Final = 16
"""How many numbers that a value may be are kept; above, only their range and common bits."""


class Known(NamedTuple):
    """What is known of one value.

    Attributes:
        mask: Which bits are known.
        bits: What they are; 0 outside `mask`.
        low, high: The range it lies in, both ends included.
        excluded: Numbers in that range that it is not.
        among: The few numbers that it can be; None where they are not so few.
    """

    mask: int = 0
    bits: int = 0
    low: int = 0
    high: int = WORD
    excluded: frozenset[int] = frozenset()
    among: frozenset[int] | None = None

    @property
    def is_impossible(self) -> bool:
        """Whether no number fits."""
        return self.low > self.high

    def allows(self, number: int) -> bool:
        """Return whether the value may be `number`."""
        return (
            self.low <= number <= self.high
            and number & self.mask == self.bits
            and number not in self.excluded
            and (self.among is None or number in self.among)
        )

    def narrowed(self) -> Known:
        """Return the same knowledge with each part made as sharp as the others allow."""
        if self.among is not None:
            return one_of(frozenset(n for n in self.among if self.allows(n)))
        mask, bits = self.mask, self.bits
        low = max(self.low, bits)
        high = min(self.high, bits | (WORD & ~mask))
        if low > high:
            return IMPOSSIBLE
        # Leading bits that both ends share are known.
        unshared = (low ^ high).bit_length()
        shared = WORD & ~((1 << unshared) - 1)
        if (low ^ bits) & mask & shared:
            return IMPOSSIBLE
        mask, bits = mask | shared, bits | low & shared
        excluded = self.excluded
        if excluded:
            while low in excluded:
                low += 1
            while high in excluded:
                high -= 1
            if low > high:
                return IMPOSSIBLE
            excluded = frozenset(n for n in excluded if low < n < high)
        among = frozenset({low}) if low == high else None
        return Known(mask, bits, low, high, excluded, among)


ANYTHING: Final = Known()
IMPOSSIBLE: Final = Known(low=1, high=0)
_SIZED: Final = {
    size: Known(WORD & ~((1 << 8 * size) - 1), 0, 0, (1 << 8 * size) - 1) for size in (1, 2, 4)
}
"""What is known of a load before anything is known of the packet."""


@lru_cache(REMEMBERED)
def exactly(number: int) -> Known:
    """Return the knowledge that a value is `number`."""
    return Known(WORD, number, number, number, among=frozenset({number}))


def one_of(numbers: frozenset[int]) -> Known:
    """Return the knowledge that a value is one of a few numbers."""
    if not numbers:
        return IMPOSSIBLE
    ones, zeros = WORD, WORD
    for number in numbers:
        ones &= number
        zeros &= ~number
    return Known(ones | zeros, ones, min(numbers), max(numbers), among=numbers)


def both(a: Known, b: Known) -> Known:
    """Return what is known where `a` and `b` hold."""
    if a is b or b is ANYTHING:
        return a
    if (a.bits ^ b.bits) & a.mask & b.mask:
        return IMPOSSIBLE
    excluded = a.excluded | b.excluded
    if len(excluded) > _MOST_EXCLUDED:
        excluded = a.excluded
    return Known(
        a.mask | b.mask,
        a.bits | b.bits,
        max(a.low, b.low),
        min(a.high, b.high),
        excluded,
        a.among if b.among is None else b.among if a.among is None else a.among & b.among,
    ).narrowed()


def either(a: Known, b: Known) -> Known:
    """Return what is known where `a` or `b` holds."""
    if a is b:
        return a
    if a.among is not None and b.among is not None:
        candidates = a.among | b.among
        if len(candidates) <= _MOST_CANDIDATES:
            return one_of(candidates)
    mask = a.mask & b.mask & ~(a.bits ^ b.bits)
    excluded = frozenset(n for n in a.excluded | b.excluded if not a.allows(n) and not b.allows(n))
    return Known(mask, a.bits & mask, min(a.low, b.low), max(a.high, b.high), excluded)


_MOST_ROWS: Final = 64
"""Values that something is known of at one place."""

K = TypeVar("K")
V = TypeVar("V")

_ByteKey: TypeAlias = tuple[Value | None, int]


class Facts:
    """All that is known at one place. Never changed; `assume` and `forget` return others."""

    __slots__ = ("_answers", "_bytes", "_known", "_outcomes")

    def __init__(
        self,
        known: Mapping[Value, Known] | None = None,
        bytes_: Mapping[_ByteKey, tuple[int, int]] | None = None,
        outcomes: Mapping[Test, bool] | None = None,
    ) -> None:
        self._known: Mapping[Value, Known] = {} if known is None else known
        self._bytes: Mapping[_ByteKey, tuple[int, int]] = {} if bytes_ is None else bytes_
        # Of tests that say more than the facts about single values can hold.
        self._outcomes: Mapping[Test, bool] = {} if outcomes is None else outcomes
        self._answers: dict[Value, Known] = {}

    def of(self, value: Value) -> Known:
        """Return what is known of `value`."""
        answer = self._answers.get(value)
        if answer is None:
            answer = self._answers[value] = self._work_out(value)
        return answer

    def _work_out(self, value: Value) -> Known:
        match value:
            case Const(value=k):
                return exactly(k)
            case Load(size=size):
                computed = both(_SIZED[size], self._from_bytes(value))
            case PacketLength() | Ancillary() | Variable() | Numbers():
                computed = ANYTHING
            case Arithmetic(op=op, left=left, right=right):
                computed = _computed(op, self.of(left), self.of(right))
        own = self._known.get(value)
        return computed if own is None else both(computed, own)

    def _from_bytes(self, load: Load) -> Known:
        """Return what the known bits of its bytes say of a load."""
        mask = bits = 0
        if self._bytes:
            for i in range(load.size):
                byte_mask, byte_bits = self._bytes.get((load.base, load.offset + i & WORD), (0, 0))
                mask = mask << 8 | byte_mask
                bits = bits << 8 | byte_bits
        return Known(mask, bits).narrowed() if mask else ANYTHING

    def decide(self, test: Test) -> bool | None:
        """Return the outcome of `test` where it is known, else None."""
        if self._outcomes:
            remembered = self._outcomes.get(test)
            if remembered is not None:
                return remembered
        a = self.of(test.left)
        if isinstance(test.right, Numbers):
            return _decide_membership(a, test.right.ranges)
        b = self.of(test.right)
        match test.op:
            case Comparison.EQ:
                if test.left is test.right:
                    return True
                return _decide_equal(a, b)
            case Comparison.GT:
                return True if a.low > b.high else False if a.high <= b.low else None
            case Comparison.GE:
                return True if a.low >= b.high else False if a.high < b.low else None
            case Comparison.SET:
                if a.bits & b.bits:
                    return True
                may_be_set = (a.bits | ~a.mask) & (b.bits | ~b.mask) & WORD
                if may_be_set == 0:
                    return False
                if b.mask == WORD and 0 in a.excluded and a.bits == 0:
                    # Not 0, and all bits it can have are asked for.
                    return True if (~a.mask & WORD) & ~b.bits == 0 else None
                return None
            case Comparison.IN:
                raise AssertionError  # compares with a set, handled above

    def assume(self, test: Test, outcome: bool) -> Facts:
        """Return the facts where `test` has given `outcome`."""
        if isinstance(test.right, Numbers):
            facts = self if len(test.right.ranges) == 1 else self._remember(test, outcome)
            return facts._learn(test.left, _membership(test.right.ranges, outcome))
        if not isinstance(test.right, Const):
            return self._assume_values(test, outcome)
        k = test.right.value
        match test.op, outcome:
            case Comparison.EQ, True:
                return self._learn(test.left, exactly(k))
            case Comparison.EQ, False:
                return self._learn(test.left, Known(excluded=frozenset({k})))
            case Comparison.GT, True:
                return self._learn(test.left, Known(low=k + 1))
            case Comparison.GT, False:
                return self._learn(test.left, Known(high=k))
            case Comparison.GE, True:
                return self._learn(test.left, Known(low=k))
            case Comparison.GE, False:
                return self._learn(test.left, Known(high=k - 1))
            case Comparison.SET, False:
                return self._learn(test.left, Known(mask=k))
            case _:
                # Some bit of several is set: with one bit it is known which.
                if k & (k - 1) == 0:
                    return self._learn(test.left, Known(mask=k, bits=k))
                return self._remember(test, outcome)._learn(test.left, Known(low=1))

    def _assume_values(self, test: Test, outcome: bool) -> Facts:
        """Return the facts where a comparison of two unknown values has given `outcome`."""
        if test.op is Comparison.EQ and outcome:
            learnt = both(self.of(test.left), self.of(test.right))
            return self._learn(test.left, learnt)._learn(test.right, learnt)
        return self._remember(test, outcome)

    def _remember(self, test: Test, outcome: bool) -> Facts:
        return Facts(self._known, self._bytes, _with(self._outcomes, test, outcome))

    def _learn(self, value: Value, news: Known) -> Facts:
        if isinstance(value, Const):
            return self
        known = both(self.of(value), news)
        facts = Facts(_with(self._known, value, known), self._bytes, self._outcomes)
        if known.is_impossible:
            return facts
        match value:
            case Load():
                return facts._note_bytes(value, known)
            case Arithmetic(op=ArithmeticOp.AND, left=left, right=Const(value=mask)):
                sure = known.mask & mask
                return facts._learn(left, Known(mask=sure, bits=known.bits & mask))
            case Arithmetic(op=ArithmeticOp.RSH, left=left, right=Const(value=k)) if k < 32:
                return facts._learn(
                    left, Known(mask=known.mask << k & WORD, bits=known.bits << k & WORD)
                )
            case _:
                return facts

    def _note_bytes(self, load: Load, known: Known) -> Facts:
        noted = dict(self._bytes)
        for i in range(load.size):
            shift = 8 * (load.size - 1 - i)
            mask = known.mask >> shift & 0xFF
            if mask:
                key = (load.base, load.offset + i & WORD)
                old_mask, old_bits = noted.get(key, (0, 0))
                noted[key] = (old_mask | mask, old_bits | known.bits >> shift & 0xFF)
        while len(noted) > 4 * _MOST_ROWS:
            del noted[next(iter(noted))]
        return Facts(self._known, noted, self._outcomes)

    def forget(self, variable: Variable) -> Facts:
        """Return the facts that do not depend on `variable`."""
        known = {v: k for v, k in self._known.items() if variable not in variables(v)}
        bytes_ = {
            key: k
            for key, k in self._bytes.items()
            if key[0] is None or variable not in variables(key[0])
        }
        outcomes = {
            test: outcome
            for test, outcome in self._outcomes.items()
            if variable not in variables(test.left) and variable not in variables(test.right)
        }
        return Facts(known, bytes_, outcomes)

    def set_to(self, variable: Variable, value: Value) -> Facts:
        """Return the facts after `variable` was set to `value`."""
        known = self.of(value)
        facts = self.forget(variable)
        return Facts({**facts._known, variable: known}, facts._bytes, facts._outcomes)

    def met(self, other: Facts) -> Facts:
        """Return what is known where either these or the `other` facts hold."""
        known = {
            value: joined
            for value, mine in self._known.items()
            if value in other._known
            if (joined := either(mine, other._known[value])) != ANYTHING
        }
        bytes_ = {}
        for key, (mask, bits) in self._bytes.items():
            theirs = other._bytes.get(key)
            if theirs is not None:
                shared = mask & theirs[0] & ~(bits ^ theirs[1])
                if shared:
                    bytes_[key] = (shared, bits & shared)
        outcomes = {
            test: outcome
            for test, outcome in self._outcomes.items()
            if other._outcomes.get(test) is outcome
        }
        return Facts(known, bytes_, outcomes)


def _with(table: Mapping[K, V], key: K, value: V) -> dict[K, V]:
    """Return `table` with one more row, and without the oldest where they become too many.

    To forget a fact is sound, and keeps the work for each block of a long filter the same.
    """
    longer = {**table, key: value}
    if len(longer) > _MOST_ROWS:
        del longer[next(iter(longer))]
    return longer


def _membership(ranges: RangeList, inside: bool) -> Known:
    """Return what is known of a value that is in a set of numbers, or is not."""
    if not inside:
        ranges = complement(ranges)
    few = sum(high - low + 1 for low, high in ranges) if len(ranges) <= _MOST_CANDIDATES else WORD
    if few <= _MOST_CANDIDATES:
        return one_of(frozenset(n for low, high in ranges for n in range(low, high + 1)))
    gaps = [low for low, high in complement(ranges) if low == high][:_MOST_EXCLUDED]
    return Known(low=ranges[0][0], high=ranges[-1][1], excluded=frozenset(gaps)).narrowed()


def _decide_membership(known: Known, ranges: RangeList) -> bool | None:
    if known.among is not None:
        outcomes = {contains(ranges, number) for number in known.among}
        return outcomes.pop() if len(outcomes) == 1 else None
    inside = within(ranges, known.low, known.high)
    if not inside:
        return False
    return True if inside == ((known.low, known.high),) else None


def _decide_equal(a: Known, b: Known) -> bool | None:
    if a.among is not None and b.among is not None and not a.among & b.among:
        return False
    if a.low == a.high and b.low == b.high:
        return a.low == b.low
    if a.low == a.high:
        return None if b.allows(a.low) else False
    if b.low == b.high:
        return None if a.allows(b.low) else False
    if a.high < b.low or b.high < a.low or (a.bits ^ b.bits) & a.mask & b.mask:
        return False
    return None


def _computed(op: ArithmeticOp, a: Known, b: Known) -> Known:
    """Return what is known of `a op b`."""
    if a.is_impossible or b.is_impossible:
        return ANYTHING
    if a.low == a.high and b.low == b.high:
        result = alu(op, a.low, b.low)
        return ANYTHING if result is None else exactly(result)
    match op:
        case ArithmeticOp.AND:
            zeros = a.mask & ~a.bits | b.mask & ~b.bits
            ones = a.bits & b.bits
            return Known(zeros | ones, ones, 0, min(a.high, b.high)).narrowed()
        case ArithmeticOp.OR:
            zeros = a.mask & ~a.bits & b.mask & ~b.bits
            ones = a.bits | b.bits
            return Known(zeros | ones, ones, max(a.low, b.low)).narrowed()
        case ArithmeticOp.XOR:
            mask = a.mask & b.mask
            return Known(mask, (a.bits ^ b.bits) & mask).narrowed()
        case ArithmeticOp.LSH if b.low == b.high < 32:
            low_zeros = (1 << b.low) - 1
            mask = (a.mask << b.low | low_zeros) & WORD
            known = Known(mask, a.bits << b.low & WORD)
            if a.high << b.low <= WORD:
                known = both(known, Known(low=a.low << b.low, high=a.high << b.low))
            return known.narrowed()
        case ArithmeticOp.RSH if b.low == b.high < 32:
            mask = a.mask >> b.low | (WORD & ~(WORD >> b.low))
            return Known(mask, a.bits >> b.low, a.low >> b.low, a.high >> b.low).narrowed()
        case ArithmeticOp.ADD if a.high + b.high <= WORD:
            return Known(low=a.low + b.low, high=a.high + b.high).narrowed()
        case ArithmeticOp.SUB if a.low >= b.high:
            return Known(low=a.low - b.high, high=a.high - b.low).narrowed()
        case ArithmeticOp.MUL if a.high * b.high <= WORD:
            return Known(low=a.low * b.low, high=a.high * b.high).narrowed()
        case ArithmeticOp.DIV if b.low:
            return Known(low=a.low // b.high, high=a.high // b.low).narrowed()
        case ArithmeticOp.MOD if b.low:
            return Known(high=min(a.high, b.high - 1)).narrowed()
        case _:
            return ANYTHING
