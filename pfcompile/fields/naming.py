"""What the bits are called that a load reads, by the headers that stand there."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, NamedTuple

from pfcompile.fields.addresses import behind, distance
from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.values import Arithmetic, Const, variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.fields.placing import Placed
    from pfcompile.fields.rows import Field, Header
    from pfcompile.ir.values import Load, Value


class Piece(NamedTuple):
    """Bits of a load that belong to one field.

    Attributes:
        names: The field's name; several where packets of several kinds come here.
        field: The field, or the first of several that are alike.
        first: Which of the field's bits is the piece's first.
        mask: Where the piece's bits stand in the loaded number.
        shift: How many bits of the number are below them.
    """

    names: tuple[str, ...]
    field: Field
    first: int
    mask: int
    shift: int

    @property
    def bits(self) -> int:
        """How many bits of the field the load has."""
        return (self.mask >> self.shift).bit_length()

    @property
    def is_whole(self) -> bool:
        """Whether the load has all of the field."""
        return self.bits == self.field.bits


def pieces(load: Load, mask: int, placed: Sequence[Placed]) -> list[Piece] | None:
    """Return the fields that have the bits `mask` of a settled load, None where some have none.

    One load may reach over the end of a header into the next one. The first field comes first.
    """
    found: list[Piece] = []
    left = mask
    for each in reversed(placed):
        far = distance(each.start, load)
        if far is None or far <= -load.size:
            continue
        here = _joined([_pieces(header, far, load.size, left) for header in each.headers])
        if here:
            found += here
            for piece in here:
                left &= ~piece.mask
            if not left:
                return sorted(found, key=lambda piece: -piece.shift)
    return None


def owner(load: Load, placed: Sequence[Placed]) -> tuple[str, Value] | None:
    """Return the word for the header that bytes without a name are in, and how far in it.

    None where no header is known that the language has a word for.
    """
    for each in reversed(placed):
        far = behind(each.start, load)
        words = [None if header is None else header.accessor for header in each.headers]
        if far is None or None in words or not _is_inside(far, each):
            continue
        return "/".join(word for word in words if word), far
    return None


def _is_inside(far: Value, placed: Placed) -> bool:
    """Return whether bytes `far` behind a header's start can be meant to be its own.

    A variable that is not followed leads anywhere, but not before the packet's first header.
    """
    match far:
        case Const(value=k) | Arithmetic(op=ArithmeticOp.ADD, right=Const(value=k)):
            if k > WORD >> 1:
                return False
        case _:
            pass
    return (isinstance(placed.start, Const) and placed.start.value == 0) or not variables(far)


def brackets(offset: object, size: int) -> str:
    """Return what stands behind a protocol's name to ask for its bytes."""
    return f"[{offset}]" if size == 1 else f"[{offset}:{size}]"


def _pieces(header: Header | None, far: int, size: int, mask: int) -> list[Piece] | None:
    """Return the pieces of one header that have some bits of `mask`; None for no known header."""
    if header is None:
        return None
    first, end = 8 * far, 8 * (far + size)
    cut = (_piece(header, field, first, end) for field in header.fields)
    found = [made for made in cut if made is not None and made.mask & mask]
    asked = mask & reduce(or_, (made.mask for made in found), 0)
    for part in header.parts:
        made = _piece(header, part, first, end)
        if made is not None and made.mask == asked and made.is_whole:
            return [made]
    return found


def _piece(header: Header, field: Field, first: int, end: int) -> Piece | None:
    """Return what the bits `first` to `end` of a header have of a field."""
    start, stop = max(field.start, first), min(field.end, end)
    if start >= stop:
        return None
    shift = end - stop
    mask = (1 << stop - start) - 1 << shift
    return Piece((f"{header.name}.{field.name}",), field, start - field.start, mask, shift)


def _joined(alternatives: Sequence[list[Piece] | None]) -> list[Piece] | None:
    """Return pieces with the names of all alternatives, None where they do not match."""
    first = alternatives[0]
    if not first or len(alternatives) == 1:
        return first
    for other in alternatives[1:]:
        if other is None or [_form(piece) for piece in other] != [_form(piece) for piece in first]:
            return None
    return [
        piece._replace(names=tuple(name for each in alternatives if each for name in each[i].names))
        for i, piece in enumerate(first)
    ]


def _form(piece: Piece) -> object:
    return piece.mask, piece.first, piece.field.bits, piece.field.kind


def joined(names: Sequence[str]) -> str:
    """Return several names as one: `tcp/udp.dstport`, `ip.proto/ip6.nexthdr`."""
    different = list(dict.fromkeys(names))
    fields = {name.rpartition(".")[2] for name in different}
    if len(fields) == 1:
        owners = [name.rpartition(".")[0] for name in different]
        return f"{'/'.join(owners)}.{fields.pop()}"
    return "/".join(different)
