"""Tests in words: what is asked of which fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.fields import naming, numbers
from pfcompile.fields.expressions import Writer, loaded_bits
from pfcompile.fields.rows import Kind
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.values import Const, Numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pfcompile.fields.expressions import Bits
    from pfcompile.fields.naming import Piece
    from pfcompile.ir.graph import Test
    from pfcompile.ir.ranges import RangeList

_IN_A_TEST: Final = 2
"""In the filter language, unlike in C, `&` binds tighter than comparisons."""

_NETWORKS: Final = frozenset({Kind.IPV4, Kind.IPV6})


class Clause(NamedTuple):
    """What is asked of one field.

    Attributes:
        names: The field's name; several where it is one of several fields.
        asked: What stands behind the name.
    """

    names: tuple[str, ...]
    asked: str

    def __str__(self) -> str:
        """Write the clause."""
        return f"{naming.joined(self.names)}{self.asked}" if self.names else self.asked


class Phrase(NamedTuple):
    """Clauses, all or any of which must hold."""

    clauses: tuple[Clause, ...]
    joint: str = " and "

    def __str__(self) -> str:
        """Write the phrase."""
        return self.joint.join(map(str, self.clauses))


def united(phrases: Sequence[Phrase]) -> Phrase | None:
    """Return the one phrase that several are but for names, None where they are not."""
    first = phrases[0]
    form = [clause.asked for clause in first.clauses]
    for other in phrases[1:]:
        if other.joint != first.joint or [clause.asked for clause in other.clauses] != form:
            return None
    return Phrase(
        tuple(
            Clause(tuple(dict.fromkeys(n for p in phrases for n in p.clauses[i].names)), asked)
            for i, asked in enumerate(form)
        ),
        first.joint,
    )


def phrase(test: Test, writer: Writer) -> Phrase:
    """Return a test of settled values in words."""
    return _of_fields(test, writer) or of_bytes(test, writer)


def of_bytes(test: Test, writer: Writer) -> Phrase:
    """Return a test of settled values as a comparison of two of them."""
    return Phrase((Clause((), plain(test, writer)),))


def plain(test: Test, writer: Writer) -> str:
    """Return a test as a comparison of two values."""
    left, right = writer.value(test.left, _IN_A_TEST), writer.value(test.right, _IN_A_TEST)
    if test.op is Comparison.SET:
        return f"{left} & {right} != 0"
    return f"{left} {test.op.value} {right}"


def _of_fields(test: Test, writer: Writer) -> Phrase | None:
    """Return what a test asks of fields, None where it asks something else."""
    bits = loaded_bits(test.left)
    if bits is None:
        return None
    match test.op, test.right:
        case Comparison.EQ, Const(value=k):
            return _equal(bits, k << bits.dropped, writer)
        case Comparison.SET, Const(value=k):
            return _has_bits(bits, k << bits.dropped & bits.mask, writer)
        case Comparison.GT, Const(value=k):
            lowest = (k + 1 << bits.dropped) - 1
            return _ordered(bits, writer, lambda p: f" > {_plain(p, lowest >> p.shift)}")
        case Comparison.GE, Const(value=k):
            lowest = (k << bits.dropped) - 1
            return _ordered(bits, writer, lambda p: f" >= {_plain(p, (lowest >> p.shift) + 1)}")
        case Comparison.IN, Numbers(ranges=ranges):
            return _ordered(bits, writer, lambda p: f" in {_members(p, ranges, bits.dropped)}")
        case _:
            return None


def _equal(bits: Bits, number: int, writer: Writer) -> Phrase | None:
    found = naming.pieces(bits.load, bits.mask, writer.placed)
    if found is None or number & ~bits.mask:
        return None
    clauses = []
    for piece in found:
        mask, value = ((each & piece.mask) >> piece.shift for each in (bits.mask, number))
        asked = _asked_equal(piece, mask, value)
        if asked is None:
            return None
        clauses.append(Clause(piece.names, asked))
    return Phrase(tuple(clauses))


def _asked_equal(piece: Piece, mask: int, value: int) -> str | None:
    """Return what a comparison of some bits of a piece asks of its field."""
    field = piece.field
    is_full = mask == (1 << piece.bits) - 1
    if is_full and piece.is_whole:
        return f" == {numbers.text(field.kind, value)}"
    if field.kind in _NETWORKS and piece.first == 0:
        length = mask.bit_count()
        if mask == (1 << length) - 1 << piece.bits - length:
            return f" in {numbers.network(piece, value, length)}"
    where = _slice(piece)
    if where is None:
        return None
    if is_full:
        return f"{where} == {numbers.sliced(piece, value)}"
    if field.kind is Kind.TCP_FLAGS:
        return f"{where} & ({numbers.flags(mask)}) == {numbers.flags(value)}"
    return f"{where} & 0x{mask:x} == {numbers.bare(value)}"


def _has_bits(bits: Bits, asked: int, writer: Writer) -> Phrase | None:
    found = naming.pieces(bits.load, asked, writer.placed) if asked else None
    if found is None:
        return None
    clauses = []
    for piece in found:
        mask = (asked & piece.mask) >> piece.shift
        where = _slice(piece)
        if where is None:
            return None
        clauses.append(Clause(piece.names, where + _asked_bits(piece, mask)))
    return Phrase(tuple(clauses), " or ")


def _asked_bits(piece: Piece, mask: int) -> str:
    if mask == (1 << piece.bits) - 1:
        return " == 1" if piece.bits == 1 else " != 0"
    if piece.field.kind is Kind.TCP_FLAGS:
        names = numbers.flags(mask)
        return f" & {f'({names})' if '|' in names else names} != 0"
    return f" & 0x{mask:x} != 0"


def _ordered(bits: Bits, writer: Writer, ask: Callable[[Piece], str]) -> Phrase | None:
    """Return a comparison that needs one field, or bytes of one, and nothing beside it."""
    found = naming.pieces(bits.load, bits.mask, writer.placed)
    if found is None or len(found) != 1 or found[0].mask != bits.mask:
        return None
    where = _slice(found[0])
    return None if where is None else Phrase((Clause(found[0].names, where + ask(found[0])),))


def _slice(piece: Piece) -> str | None:
    """Return which bytes of its field a piece is: "" for all; None where it is no whole bytes."""
    if piece.is_whole:
        return ""
    if piece.first % 8 or piece.bits % 8:
        return None
    return naming.brackets(piece.first // 8, piece.bits // 8)


def _plain(piece: Piece, number: int) -> str:
    return numbers.plain(piece.field.kind, number) if piece.is_whole else f"0x{number:x}"


def _members(piece: Piece, ranges: RangeList, dropped: int) -> str:
    kind = piece.field.kind if piece.is_whole else Kind.BITS
    as_field = [
        (low << dropped >> piece.shift, (high + 1 << dropped) - 1 >> piece.shift)
        for low, high in ranges
    ]
    return numbers.members(kind, as_field, piece.field.bits)
