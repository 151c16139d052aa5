"""Tests of values as the language writes them with accessors: `tcp[13] & 2 != 0`.

An offset is a sum. Where a protocol's first byte stands is one too, so that what an accessor counts
from is taken out of it, and what is left is the number in the brackets.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from pfcompile.decompile import spelling
from pfcompile.decompile.constants import with_names
from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.ranges import complement
from pfcompile.ir.values import (
    Ancillary,
    Arithmetic,
    Const,
    Load,
    Numbers,
    PacketLength,
    Value,
    Variable,
    const,
)
from pfcompile.passes.fold import upper_bound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.ir.graph import Test

_LARGEST_INDEX: Final = 4096
"""Behind a protocol's first byte; the link header takes any."""

_LONGEST: Final = 200
"""Characters of a comparison: longer ones stand deep in chains of headers, and take long to read
for the compiler, too."""

_LONG_NUMBER: Final = 2048
"""What equals a longer one is hardly ever a length or a count."""

_LINK: Final = ("ether", "radio")
_NETWORK: Final = ("ip", "ip6", "arp", "rarp")
_OVER_IPV4: Final = frozenset({"tcp", "udp", "icmp", "sctp", "igmp", "pim", "vrrp"})


class Accessors:
    """Writes values with the accessors of some place in an expression."""

    def __init__(
        self, names: Sequence[tuple[str, Sequence[Load]]], longest: int = _LONGEST
    ) -> None:
        """Take each accessor's name and what byte 0 behind it is, as one load or several.

        What is written is no longer than `longest` characters.
        """
        self._longest = longest
        self._sums = {
            name: [_sum(base.base, base.offset) for base in bases] for name, bases in names
        }

    def relations(self, test: Test) -> Iterator[str]:
        """Yield a test, and its negation, in all ways that it can be written."""
        tried: set[tuple[str, str]] = set()
        for names in self._choices():
            left = self._written(test.left, names)
            right = "" if isinstance(test.right, Numbers) else self._written(test.right, names)
            if left is None or right is None or (left, right) in tried or left.isdigit():
                continue
            if _length(test, left, right) > self._longest:
                continue
            tried.add((left, right))
            yield from map(with_names, _compared(test, left, right))

    def _choices(self) -> Iterator[tuple[str, ...]]:
        """Yield which accessors to use, the first that fits: one protocol's and what carries it."""
        link = tuple(name for name in _LINK if self._sums.get(name))
        for name, sums in self._sums.items():
            if name in link or not sums:
                continue
            below = "ip" if name in _OVER_IPV4 else "ip6" if name == "icmp6" else name
            yield (name, below, *link)
        yield link

    def _written(self, value: Value, names: Sequence[str], *, inside: bool = False) -> str | None:
        match value:
            case Const(value=k):
                return spelling.number(k)
            case PacketLength():
                return "len"
            case Load():
                return self._accessor(value, names)
            case Arithmetic(op=op, left=left, right=right):
                op, right = _usual(op, right)
                if op is ArithmeticOp.AND and isinstance(right, Const):
                    a = self._written(left, names, inside=True)
                    written = f"{a} & {spelling.mask(right.value)}"
                    return None if a is None else f"({written})" if inside else written
                a = self._written(left, names, inside=True)
                b = self._written(right, names, inside=True)
                if a is None or b is None:
                    return None
                return f"({a} {op.value} {b})" if inside else f"{a} {op.value} {b}"
            case Ancillary() | Variable() | Numbers():
                return None

    def _accessor(self, load: Load, names: Sequence[str]) -> str | None:
        """Return a load as some accessor's."""
        terms, constant = _sum(load.base, load.offset)
        for name in names:
            for base_terms, base in self._sums.get(name, ()):
                index = constant - base & WORD
                if base_terms - terms or (index > _LARGEST_INDEX and name not in _LINK):
                    continue
                written = self._index(terms - base_terms, index, names)
                if written is not None:
                    size = "" if load.size == 1 else f":{load.size}"
                    return f"{name}[{written}{size}]"
        return None

    def _index(self, terms: Counter[Value], constant: int, names: Sequence[str]) -> str | None:
        pieces = [self._written(term, names, inside=True) for term in terms.elements()]
        if constant or not pieces:
            pieces.append(spelling.number(constant))
        found = [piece for piece in pieces if piece is not None]
        return " + ".join(found) if len(found) == len(pieces) else None


def _usual(op: ArithmeticOp, right: Value) -> tuple[ArithmeticOp, Value]:
    """Return `+ 0xfffffffe` as the `- 2` that somebody wrote."""
    if op is ArithmeticOp.ADD and isinstance(right, Const) and right.value >> 31:
        return ArithmeticOp.SUB, const(-right.value)
    return op, right


def _sum(base: Value | None, offset: int) -> tuple[Counter[Value], int]:
    """Return an offset as its terms and a constant."""
    terms: Counter[Value] = Counter()
    waiting = [] if base is None else [base]
    while waiting:
        match waiting.pop():
            case Arithmetic(op=ArithmeticOp.ADD, left=left, right=right):
                waiting += (left, right)
            case Const(value=k):
                offset += k
            case other:
                terms[other] += 1
    return terms, offset & WORD


def _length(test: Test, left: str, right: str) -> int:
    """Return about how long a comparison is to write."""
    times = len(test.right.ranges) if isinstance(test.right, Numbers) else 1
    return times * len(left) + len(right)


_RELATIONS: Final = {
    Comparison.EQ: ("=", "!="),
    Comparison.GT: (">", "<="),
    Comparison.GE: (">=", "<"),
}


def _compared(test: Test, left: str, right: str) -> Iterator[str]:
    """Yield a comparison and its negation, which a guard tells from `not`."""
    if isinstance(test.right, Numbers):
        bound = upper_bound(test.left)
        yield spelling.compared(left, test.right.ranges, bound)
        yield spelling.compared(left, complement(test.right.ranges, bound), bound)
    elif test.op is Comparison.SET:
        if isinstance(test.right, Const):
            right = spelling.mask(test.right.value)
        if isinstance(test.left, Arithmetic):
            left = f"({left})"
        yield f"{left} & {right} != 0"
        yield f"{left} & {right} = 0"
    else:
        match test.left, test.right:
            case Arithmetic(op=ArithmeticOp.AND, right=Const()), Const(value=bits):
                right = spelling.mask(bits)
            case _, Const(value=k) if test.op is Comparison.EQ and k >= _LONG_NUMBER:
                right = hex(k)
        for sign in _RELATIONS[test.op]:
            yield f"{left} {sign} {right}"
