"""What eBPF's operations compute: the one meaning that interpreter, check and folder share.

Registers are unsigned 64-bit integers here. A 32-bit operation looks at the low halves of its
operands and clears the high half of its result. The machine is little-endian, so that `le16` only
cuts off what lies above 16 bits.

Source: RFC 9669, sections 4.1, 4.2, 4.3 and 5.3.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.isa import Arithmetic, Atomic, Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF
MASK32: Final = 0xFFFF_FFFF


def signed(value: int, width: int) -> int:
    """Return the low `width` bits of `value`, read as a two's complement number."""
    sign = 1 << (width - 1)
    return ((value & (2 * sign - 1)) ^ sign) - sign


def immediate(imm: int) -> int:
    """Return an instruction's signed 32-bit constant, widened as a 64-bit operand is."""
    return imm & MASK64


def alu(op: Arithmetic, width: int, a: int, b: int) -> int:
    """Return what `op` leaves in its destination.

    Args:
        op: The operation.
        width: 32 or 64.
        a: The destination before, 0 to 2**64 - 1.
        b: The second operand, 0 to 2**64 - 1; the operations that have one operand ignore it.

    Returns:
        0 to 2**64 - 1; of 32-bit operations, 0 to 2**32 - 1. Division by zero gives 0, and the
        remainder of it leaves what there was; the smallest number divided by -1 gives itself, with
        remainder 0; of an amount to shift by, the low 5 or 6 bits count.
    """
    mask = (1 << width) - 1
    return _ARITHMETIC[op](a & mask, b & mask, width) & mask


def jump_taken(op: Condition, width: int, a: int, b: int) -> bool:
    """Tell whether a conditional jump is taken.

    Args:
        op: The test.
        width: 32 or 64: the low bits that are looked at.
        a: The register in `dst`, 0 to 2**64 - 1.
        b: The second operand, 0 to 2**64 - 1.
    """
    mask = (1 << width) - 1
    return _CONDITIONS[op](a & mask, b & mask, width)


def atomic(op: Atomic, width: int, old: int, operand: int, r0: int) -> int:
    """Return what an atomic operation leaves in memory.

    Args:
        op: The operation.
        width: 32 or 64.
        old: What was there, 0 to 2**width - 1; an operation that fetches gives it back, a 32-bit
            one with the register's high half cleared.
        operand: The register in `src`, 0 to 2**64 - 1.
        r0: R0, which `CMPXCHG` compares with; the others ignore it.
    """
    mask = (1 << width) - 1
    return _ATOMIC[op](old & mask, operand & mask, r0 & mask) & mask


def _quotient(a: int, b: int, width: int) -> int:
    """Divide as signed, towards zero."""
    x, y = signed(a, width), signed(b, width)
    if y == 0:
        return 0
    size = abs(x) // abs(y)
    return size if (x < 0) == (y < 0) else -size


def _remainder(a: int, b: int, width: int) -> int:
    """Return the remainder of `_quotient`, which has the sign of what is divided."""
    x, y = signed(a, width), signed(b, width)
    if y == 0:
        return a
    size = abs(x) % abs(y)
    return -size if x < 0 else size


def _reversed(value: int, bits: int) -> int:
    """Return the low `bits` of `value`, their bytes in the other order."""
    size = bits // 8
    low = value & ((1 << bits) - 1)
    return int.from_bytes(low.to_bytes(size, "little"), "big")


_ARITHMETIC: Final[Mapping[Arithmetic, Callable[[int, int, int], int]]] = MappingProxyType(
    {
        Arithmetic.ADD: lambda a, b, _: a + b,
        Arithmetic.SUB: lambda a, b, _: a - b,
        Arithmetic.MUL: lambda a, b, _: a * b,
        Arithmetic.DIV: lambda a, b, _: a // b if b else 0,
        Arithmetic.SDIV: _quotient,
        Arithmetic.OR: lambda a, b, _: a | b,
        Arithmetic.AND: lambda a, b, _: a & b,
        Arithmetic.LSH: lambda a, b, width: a << (b & (width - 1)),
        Arithmetic.RSH: lambda a, b, width: a >> (b & (width - 1)),
        Arithmetic.NEG: lambda a, _b, _: -a,
        Arithmetic.MOD: lambda a, b, _: a % b if b else a,
        Arithmetic.SMOD: _remainder,
        Arithmetic.XOR: lambda a, b, _: a ^ b,
        Arithmetic.MOV: lambda _a, b, _: b,
        Arithmetic.MOVSX8: lambda _a, b, _: signed(b, 8),
        Arithmetic.MOVSX16: lambda _a, b, _: signed(b, 16),
        Arithmetic.MOVSX32: lambda _a, b, _: signed(b, 32),
        Arithmetic.ARSH: lambda a, b, width: signed(a, width) >> (b & (width - 1)),
        Arithmetic.LE16: lambda a, _b, _: a & 0xFFFF,
        Arithmetic.LE32: lambda a, _b, _: a & MASK32,
        Arithmetic.LE64: lambda a, _b, _: a,
        Arithmetic.BE16: lambda a, _b, _: _reversed(a, 16),
        Arithmetic.BE32: lambda a, _b, _: _reversed(a, 32),
        Arithmetic.BE64: lambda a, _b, _: _reversed(a, 64),
        Arithmetic.BSWAP16: lambda a, _b, _: _reversed(a, 16),
        Arithmetic.BSWAP32: lambda a, _b, _: _reversed(a, 32),
        Arithmetic.BSWAP64: lambda a, _b, _: _reversed(a, 64),
    }
)

_CONDITIONS: Final[Mapping[Condition, Callable[[int, int, int], bool]]] = MappingProxyType(
    {
        Condition.EQ: lambda a, b, _: a == b,
        Condition.GT: lambda a, b, _: a > b,
        Condition.GE: lambda a, b, _: a >= b,
        Condition.SET: lambda a, b, _: a & b != 0,
        Condition.NE: lambda a, b, _: a != b,
        Condition.SGT: lambda a, b, width: signed(a, width) > signed(b, width),
        Condition.SGE: lambda a, b, width: signed(a, width) >= signed(b, width),
        Condition.LT: lambda a, b, _: a < b,
        Condition.LE: lambda a, b, _: a <= b,
        Condition.SLT: lambda a, b, width: signed(a, width) < signed(b, width),
        Condition.SLE: lambda a, b, width: signed(a, width) <= signed(b, width),
    }
)

_ATOMIC: Final[Mapping[Atomic, Callable[[int, int, int], int]]] = MappingProxyType(
    {
        Atomic.ADD: lambda old, operand, _: old + operand,
        Atomic.OR: lambda old, operand, _: old | operand,
        Atomic.AND: lambda old, operand, _: old & operand,
        Atomic.XOR: lambda old, operand, _: old ^ operand,
        Atomic.FETCH_ADD: lambda old, operand, _: old + operand,
        Atomic.FETCH_OR: lambda old, operand, _: old | operand,
        Atomic.FETCH_AND: lambda old, operand, _: old & operand,
        Atomic.FETCH_XOR: lambda old, operand, _: old ^ operand,
        Atomic.XCHG: lambda _old, operand, _: operand,
        Atomic.CMPXCHG: lambda old, operand, r0: operand if old == r0 else old,
    }
)
