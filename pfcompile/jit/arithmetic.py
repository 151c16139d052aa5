"""What operations compute, in LLVM's instructions.

A separate reading of the RFC from `pfcompile.ebpf.arithmetic`, which tests hold it to. LLVM's
divisions are undefined for a divisor of 0 and for the smallest number divided by -1, its shifts for
amounts from the width on: none of these ever reaches it.

Source: RFC 9669, sections 4.1, 4.2, 4.3 and 5.3.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from llvmlite import ir

from pfcompile.ebpf.isa import Arithmetic, Atomic, Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Value: TypeAlias = Any
Builder: TypeAlias = Any
"""llvmlite has no types."""

I64: Final = ir.IntType(64)
_Binary: TypeAlias = "Callable[[Builder, Value, Value], Value]"


def emit_alu(builder: Builder, operation: Arithmetic, width: int, a: Value, b: Value) -> Value:
    """Return what `operation` leaves in its destination, 64 bits.

    Args:
        builder: Where instructions go.
        operation: The operation.
        width: 32 or 64.
        a: The destination before, 64 bits.
        b: The second operand, 64 bits; the operations that have one operand ignore it.
    """
    kind = ir.IntType(width)
    result = _ARITHMETIC[operation](builder, builder.trunc(a, kind), builder.trunc(b, kind))
    return builder.zext(result, I64)


def emit_condition(builder: Builder, condition: Condition, width: int, a: Value, b: Value) -> Value:
    """Return, in one bit, whether a conditional jump is taken; operands as for `emit_alu`."""
    kind = ir.IntType(width)
    return _CONDITIONS[condition](builder, builder.trunc(a, kind), builder.trunc(b, kind))


def emit_plain_atomic(
    builder: Builder, operation: Atomic, old: Value, operand: Value, expected: Value
) -> Value:
    """Return what an atomic operation leaves in memory, all values of the operation's width."""
    if operation is Atomic.CMPXCHG:
        return builder.select(builder.icmp_unsigned("==", old, expected), operand, old)
    return _PLAIN[ATOMIC_NAMES[operation]](builder, old, operand)


def _constant(like: Value, number: int) -> Value:
    return ir.Constant(like.type, number)


def _divide(builder: Builder, a: Value, b: Value) -> Value:
    is_zero = builder.icmp_unsigned("==", b, _constant(b, 0))
    safe = builder.select(is_zero, _constant(b, 1), b)
    return builder.select(is_zero, _constant(a, 0), builder.udiv(a, safe))


def _remainder(builder: Builder, a: Value, b: Value) -> Value:
    is_zero = builder.icmp_unsigned("==", b, _constant(b, 0))
    safe = builder.select(is_zero, _constant(b, 1), b)
    return builder.select(is_zero, a, builder.urem(a, safe))


def _safe_signed(builder: Builder, b: Value) -> tuple[Value, Value, Value]:
    """Return whether `b` is 0, whether it is -1, and a divisor that is neither."""
    is_zero = builder.icmp_signed("==", b, _constant(b, 0))
    is_minus_one = builder.icmp_signed("==", b, _constant(b, -1))
    safe = builder.select(builder.or_(is_zero, is_minus_one), _constant(b, 1), b)
    return is_zero, is_minus_one, safe


def _divide_signed(builder: Builder, a: Value, b: Value) -> Value:
    is_zero, is_minus_one, safe = _safe_signed(builder, b)
    quotient = builder.select(is_minus_one, builder.neg(a), builder.sdiv(a, safe))
    return builder.select(is_zero, _constant(a, 0), quotient)


def _remainder_signed(builder: Builder, a: Value, b: Value) -> Value:
    # Divided by 1, which stands for -1 too, the remainder is 0.
    is_zero, _, safe = _safe_signed(builder, b)
    return builder.select(is_zero, a, builder.srem(a, safe))


def _shift(name: str) -> _Binary:
    def emit(builder: Builder, a: Value, b: Value) -> Value:
        amount = builder.and_(b, _constant(b, b.type.width - 1))
        return getattr(builder, name)(a, amount)

    return emit


def _sign_extended(bits: int) -> _Binary:
    def emit(builder: Builder, _a: Value, b: Value) -> Value:
        return builder.sext(builder.trunc(b, ir.IntType(bits)), b.type)

    return emit


def _cut(bits: int) -> _Binary:
    def emit(builder: Builder, a: Value, _b: Value) -> Value:
        return builder.zext(builder.trunc(a, ir.IntType(bits)), a.type)

    return emit


def _swapped(bits: int) -> _Binary:
    def emit(builder: Builder, a: Value, _b: Value) -> Value:
        return builder.zext(builder.bswap(builder.trunc(a, ir.IntType(bits))), a.type)

    return emit


def _plainly(name: str) -> _Binary:
    return lambda builder, a, b: getattr(builder, name)(a, b)


_ARITHMETIC: Final[Mapping[Arithmetic, _Binary]] = MappingProxyType(
    {
        Arithmetic.ADD: _plainly("add"),
        Arithmetic.SUB: _plainly("sub"),
        Arithmetic.MUL: _plainly("mul"),
        Arithmetic.DIV: _divide,
        Arithmetic.SDIV: _divide_signed,
        Arithmetic.OR: _plainly("or_"),
        Arithmetic.AND: _plainly("and_"),
        Arithmetic.LSH: _shift("shl"),
        Arithmetic.RSH: _shift("lshr"),
        Arithmetic.NEG: lambda builder, a, _b: builder.neg(a),
        Arithmetic.MOD: _remainder,
        Arithmetic.SMOD: _remainder_signed,
        Arithmetic.XOR: _plainly("xor"),
        Arithmetic.MOV: lambda _builder, _a, b: b,
        Arithmetic.MOVSX8: _sign_extended(8),
        Arithmetic.MOVSX16: _sign_extended(16),
        Arithmetic.MOVSX32: _sign_extended(32),
        Arithmetic.ARSH: _shift("ashr"),
        Arithmetic.LE16: _cut(16),
        Arithmetic.LE32: _cut(32),
        Arithmetic.LE64: _cut(64),
        Arithmetic.BE16: _swapped(16),
        Arithmetic.BE32: _swapped(32),
        Arithmetic.BE64: _swapped(64),
        Arithmetic.BSWAP16: _swapped(16),
        Arithmetic.BSWAP32: _swapped(32),
        Arithmetic.BSWAP64: _swapped(64),
    }
)


def _compare(sign: str, *, is_signed: bool = False) -> _Binary:
    name = "icmp_signed" if is_signed else "icmp_unsigned"
    return lambda builder, a, b: getattr(builder, name)(sign, a, b)


def _have_bits(builder: Builder, a: Value, b: Value) -> Value:
    return builder.icmp_unsigned("!=", builder.and_(a, b), _constant(a, 0))


_CONDITIONS: Final[Mapping[Condition, _Binary]] = MappingProxyType(
    {
        Condition.EQ: _compare("=="),
        Condition.GT: _compare(">"),
        Condition.GE: _compare(">="),
        Condition.SET: _have_bits,
        Condition.NE: _compare("!="),
        Condition.SGT: _compare(">", is_signed=True),
        Condition.SGE: _compare(">=", is_signed=True),
        Condition.LT: _compare("<"),
        Condition.LE: _compare("<="),
        Condition.SLT: _compare("<", is_signed=True),
        Condition.SLE: _compare("<=", is_signed=True),
    }
)

ATOMIC_NAMES: Final[Mapping[Atomic, str]] = MappingProxyType(
    {
        Atomic.ADD: "add",
        Atomic.OR: "or",
        Atomic.AND: "and",
        Atomic.XOR: "xor",
        Atomic.FETCH_ADD: "add",
        Atomic.FETCH_OR: "or",
        Atomic.FETCH_AND: "and",
        Atomic.FETCH_XOR: "xor",
        Atomic.XCHG: "xchg",
    }
)
"""LLVM's names for `atomicrmw`; compare-and-exchange is an instruction of its own."""

_PLAIN: Final[Mapping[str, _Binary]] = MappingProxyType(
    {
        "add": _plainly("add"),
        "or": _plainly("or_"),
        "and": _plainly("and_"),
        "xor": _plainly("xor"),
        "xchg": lambda _builder, _a, b: b,
    }
)
