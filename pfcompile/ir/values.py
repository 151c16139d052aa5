"""Values: what a test compares. Pure, and interned: equal values are the same object.

Build them with the functions at the end (`const`, `load`, ...), never by calling a class, so that
`is` compares them and a dictionary finds them at once. All are unsigned 32-bit words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from weakref import WeakValueDictionary

from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.ranges import RangeList, normal

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Const:
    """A number."""

    value: int


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Load:
    """`size` (1, 2 or 4) packet bytes, big-endian, from `base + offset` modulo 2**32.

    `base` is None for a constant offset. A load that leaves the captured bytes ends the filter
    with "no match".
    """

    size: int
    base: Value | None
    offset: int


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class PacketLength:
    """The packet's length on the wire."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Ancillary:
    """A word of the packet's metadata in the Linux kernel, loaded with `size` 1, 2 or 4.

    `offset` counts from SKF_AD_OFF (linux/filter.h).
    """

    offset: int
    size: int


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Arithmetic:
    """Two values joined by an operator. Negation is `0 - x`."""

    op: ArithmeticOp
    left: Value
    right: Value


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Variable:
    """What the last `Let` of this number on the way here has set; every path has set it."""

    number: int


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Numbers:
    """A set of numbers, the right side of an IN test and nothing else."""

    ranges: RangeList


Value: TypeAlias = Const | Load | PacketLength | Ancillary | Arithmetic | Variable | Numbers

REMEMBERED: Final = 4096
"""Values whose properties are kept: a filter asks for those of the same few again and again."""

_interned: Final[WeakValueDictionary[tuple[Any, ...], Any]] = WeakValueDictionary()


def _intern(*key: Any) -> Any:
    """Return the one object of class key[0] with the fields key[1:]."""
    found = _interned.get(key)
    if found is None:
        found = _interned.setdefault(key, key[0](*key[1:]))
    return found


def const(value: int) -> Const:
    """Return the constant `value` modulo 2**32."""
    made: Const = _intern(Const, value & WORD)
    return made


def load(size: int, base: Value | None, offset: int) -> Load:
    """Return `size` bytes at `base + offset`; a constant base becomes part of the offset."""
    if isinstance(base, Const):
        offset += base.value
        base = None
    made: Load = _intern(Load, size, base, offset & WORD)
    return made


def packet_length() -> PacketLength:
    """Return the packet's length on the wire."""
    made: PacketLength = _intern(PacketLength)
    return made


def ancillary(offset: int, size: int = 4) -> Ancillary:
    """Return a word of the kernel's metadata."""
    made: Ancillary = _intern(Ancillary, offset, size)
    return made


def arithmetic(op: ArithmeticOp, left: Value, right: Value) -> Arithmetic:
    """Return `left op right`, not simplified."""
    made: Arithmetic = _intern(Arithmetic, op, left, right)
    return made


def variable(number: int) -> Variable:
    """Return the variable of that number."""
    made: Variable = _intern(Variable, number)
    return made


def numbers(ranges: Iterable[tuple[int, int]]) -> Numbers:
    """Return the set of all numbers in any of `ranges`, given by first and last."""
    made: Numbers = _intern(Numbers, normal(ranges))
    return made


def add(left: Value, right: Value) -> Value:
    """Return the sum of two parts of an offset, constants added up."""
    match left, right:
        case Const(value=a), Const(value=b):
            return const(a + b)
        case Const(value=0), other:
            return other
        case other, Const(value=0):
            return other
        case Const(), other:
            return add(other, left)
        case Arithmetic(op=ArithmeticOp.ADD, left=base, right=Const(value=a)), Const(value=b):
            return add(base, const(a + b))
        case _:
            return arithmetic(ArithmeticOp.ADD, left, right)


def split_offset(value: Value) -> tuple[Value | None, int]:
    """Return `value` as a base and a constant: the two parts of a load's offset."""
    match value:
        case Const(value=k):
            return None, k
        case Arithmetic(op=ArithmeticOp.ADD, left=base, right=Const(value=k)):
            return base, k
        case _:
            return value, 0


def load_at(size: int, address: Value) -> Load:
    """Return `size` bytes at the computed offset `address`."""
    base, offset = split_offset(address)
    return load(size, base, offset)


def parts(value: Value) -> tuple[Value, ...]:
    """Return the values that `value` is made of directly."""
    match value:
        case Load(base=base):
            return () if base is None else (base,)
        case Arithmetic(left=left, right=right):
            return (left, right)
        case Const() | PacketLength() | Ancillary() | Variable() | Numbers():
            return ()


@lru_cache(REMEMBERED)
def may_end(value: Value) -> bool:
    """Return whether computing `value` may end the filter with "no match": a division by zero.

    Unlike a load that leaves a packet that is cut off, this happens to whole packets too, so such a
    value may neither be left out nor be computed earlier.
    """
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Arithmetic) and node.op in _DIVISIONS:
            match node.right:
                case Const(value=divisor) if divisor:
                    pass
                case _:
                    return True
        waiting += parts(node)
    return False


_DIVISIONS: Final = frozenset({ArithmeticOp.DIV, ArithmeticOp.MOD})


@lru_cache(REMEMBERED)
def variables(value: Value) -> frozenset[Variable]:
    """Return the variables that `value` is computed from."""
    found = set()
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Variable):
            found.add(node)
        waiting += parts(node)
    return frozenset(found)
