"""Values as text: fields by name, other bytes as the filter language asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.fields import naming, numbers
from pfcompile.fields.situations import as_written
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.ir.text import ANCILLARY_NAMES, PRECEDENCE
from pfcompile.ir.values import (
    Ancillary,
    Arithmetic,
    Const,
    Load,
    Numbers,
    PacketLength,
    Value,
    Variable,
    add,
    const,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.fields.placing import Placed

_LARGEST_FACTOR: Final = 4
"""A shift of at most this is written as a product: `4 * ip.ihl`."""

_METADATA: Final = {"vlanp": "vlan_present"}
"""Where the names of listings are short."""


class Bits(NamedTuple):
    """Some bits of a load, which a test compares with a number.

    Attributes:
        load: The load.
        mask: Which bits.
        dropped: How many of the lowest are shifted out.
    """

    load: Load
    mask: int
    dropped: int


def loaded_bits(value: Value) -> Bits | None:
    """Return a value as some bits of a load, None where it is something else."""
    match value:
        case Load(size=size):
            return Bits(value, (1 << 8 * size) - 1, 0)
        case Arithmetic(op=ArithmeticOp.AND, left=left, right=Const(value=mask)):
            inner = loaded_bits(left)
            return inner and inner._replace(mask=inner.mask & mask << inner.dropped)
        case Arithmetic(op=ArithmeticOp.RSH, left=left, right=Const(value=k)) if k < 32:
            inner = loaded_bits(left)
            if inner is None:
                return None
            dropped = inner.dropped + k
            return Bits(inner.load, inner.mask >> dropped << dropped, dropped)
        case _:
            return None


class Writer:
    """Writes values in one situation."""

    def __init__(self, placed: Sequence[Placed], *, names_fields: bool = True) -> None:
        """Choose names.

        Args:
            placed: The headers that are known.
            names_fields: Whether to name fields; else all is asked for as bytes of headers.
        """
        self.placed = placed
        self._names_fields = names_fields

    def value(self, value: Value, least: int = 0) -> str:
        """Return a value; arithmetic that binds less than `least` stands in parentheses."""
        match value:
            case Const(value=k):
                return numbers.bare(k)
            case PacketLength():
                return "len"
            case Ancillary(offset=offset):
                name = ANCILLARY_NAMES.get(offset, str(offset))
                return f"meta.{_METADATA.get(name, name)}"
            case Variable(number=number):
                return f"v{as_written(number)}"
            case Numbers(ranges=ranges):
                return "{" + ", ".join(_range(low, high) for low, high in ranges) + "}"
            case Load():
                return self._field(value) or self.bytes_of(value)
            case Arithmetic():
                return self._arithmetic(value, least)

    def _arithmetic(self, value: Arithmetic, least: int) -> str:
        field = self._field(value)
        if field is not None:
            return f"({field})" if "*" in field and least > PRECEDENCE[ArithmeticOp.MUL] else field
        binding = PRECEDENCE[value.op]
        left, right = self.value(value.left, binding), self.value(value.right, binding + 1)
        written = f"{left} {value.op.value} {right}"
        return f"({written})" if binding < least else written

    def _field(self, value: Value) -> str | None:
        """Return a value as a field, or a small multiple of one; None where it is neither."""
        if not self._names_fields:
            return None
        factor = 0
        match value:
            case Arithmetic(op=ArithmeticOp.LSH, left=left, right=Const(value=k)) if k < 32:
                value, factor = left, k
            case _:
                pass
        bits = loaded_bits(value)
        found = None if bits is None else naming.pieces(bits.load, bits.mask, self.placed)
        if bits is None or found is None or len(found) != 1:
            return None
        piece = found[0]
        factor += piece.shift - bits.dropped
        if piece.mask != bits.mask or not piece.is_whole or not 0 <= factor <= _LARGEST_FACTOR:
            return None
        name = naming.joined(piece.names)
        return name if factor == 0 else f"{1 << factor} * {name}"

    def bytes_of(self, load: Load) -> str:
        """Return a load as the language asks for bytes."""
        known = naming.owner(load, self.placed)
        if known is None:
            start = const(0) if load.base is None else load.base
            known = "packet", add(start, const(load.offset))
        word, far = known
        return f"{word}{naming.brackets(self.value(far), load.size)}"


def _range(low: int, high: int) -> str:
    return numbers.bare(low) if low == high else f"{numbers.bare(low)}-{numbers.bare(high)}"
