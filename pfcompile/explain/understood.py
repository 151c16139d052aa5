"""An expression written out as it is read: inherited qualifiers, and all parentheses.

::

    not port 22 and 80 or host a
    ((not port 22) and port 80) or host a

What is written here parses to the same meaning. Numbers of arithmetic stay as they were written,
unless they were octal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from pfcompile.errors import Span
from pfcompile.facts.link_layouts import Encoding
from pfcompile.facts.named_constants import NAMED_CONSTANTS
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Kind, Proto
from pfcompile.syntax.unparse import unparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.facts.link_layouts import LinkLayout
    from pfcompile.lower.frame import Frame


class Piece(NamedTuple):
    """A part of the text that is written out.

    Attributes:
        text: As it is printed.
        term: The number of the primitive it is, or None for what joins primitives.
    """

    text: str
    term: int | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """An expression written out.

    Attributes:
        text: All of it.
        spans: Where each primitive stands in it, in their order.
    """

    text: str
    spans: tuple[Span, ...]


def write_out(text: str, node: tree.Expression, frames: Sequence[Frame]) -> Written:
    """Return an expression written out.

    Args:
        text: What it was read from.
        node: Its tree.
        frames: What each of its primitives sees, in their order.
    """
    return _together(_Writer(text, frames).pieces(node))


def link_word(layout: LinkLayout) -> str:
    """Return the word for a link type's own header."""
    match layout.encoding:
        case Encoding.ETHERNET:
            return "ether"
        case Encoding.WLAN:
            return "wlan"
        case _:
            return "link"


def _together(pieces: list[Piece]) -> Written:
    spans: list[Span] = []
    length = 0
    for piece in pieces:
        if piece.term is not None:
            spans.append(Span(length, length + len(piece.text)))
        length += len(piece.text)
    return Written("".join(piece.text for piece in pieces), tuple(spans))


_OPEN, _CLOSE = Piece("("), Piece(")")


class _Writer:
    """Writes one expression, counting its primitives."""

    def __init__(self, text: str, frames: Sequence[Frame]) -> None:
        self.text = text
        self.frames = frames
        self.number = 0

    def pieces(self, node: tree.Expression) -> list[Piece]:
        """Return a whole expression, without parentheses around it."""
        match node:
            case tree.Chain(first=first, links=links):
                written = self.operand(first)
                before = links[0].junction
                for link in links:
                    if link.junction is not before:
                        written = [_OPEN, *written, _CLOSE]
                        before = link.junction
                    written += [Piece(f" {link.junction.value} "), *self.operand(link.operand)]
                return written
            case tree.Not(operand=operand):
                inner = self.pieces(operand)
                if isinstance(operand, tree.Chain):
                    inner = [_OPEN, *inner, _CLOSE]
                return [Piece("not "), *inner]
            case _:
                self.number += 1
                return [Piece(self.primitive(node), self.number)]

    def operand(self, node: tree.Expression) -> list[Piece]:
        """Return an operand of a chain, in parentheses unless it is one primitive."""
        written = self.pieces(node)
        return [_OPEN, *written, _CLOSE] if isinstance(node, tree.Chain | tree.Not) else written

    def primitive(self, node: tree.Primitive) -> str:
        """Return one primitive with all its qualifiers."""
        match node:
            case tree.Relation(op=op, left=left, right=right):
                return f"{self.arithmetic(left)} {op.value} {self.arithmetic(right)}"
            case tree.Qualified(qualifiers=tree.Qualifiers() as qualifiers):
                kind = qualifiers.kind or Kind.HOST
                written = unparse(replace(node, qualifiers=replace(qualifiers, kind=kind)))
                if isinstance(node.identifier, tree.Number):
                    value = node.identifier
                    written = written.removesuffix(str(value.value)) + self.number_as(value)
                return self.named_link(written) if qualifiers.proto is Proto.LINK else written
            case tree.Cast(proto=Proto.LINK):
                return self.named_link(unparse(node))
            case _:
                return unparse(node)

    def named_link(self, written: str) -> str:
        """Return a primitive that begins with `link` under the word for this link type."""
        return f"{self.link}{written.removeprefix(Proto.LINK.value)}"

    @property
    def link(self) -> str:
        """The word for the link header that the current primitive sees."""
        return link_word(self.frames[self.number - 1].layout)

    def arithmetic(self, node: tree.Arithmetic) -> str:
        """Return arithmetic with parentheses around every operation."""
        match node:
            case tree.Literal():
                return self.number_as(node)
            case tree.Length():
                return "len"
            case tree.Accessor(proto=proto, index=index, size=size):
                name = self.link if proto is Proto.LINK else proto.value
                tail = "" if size == 1 else f":{size}"
                inner = self.arithmetic(index)
                return f"{name}[{inner if tail else _bare(inner, index)}{tail}]"
            case tree.Negate(operand=operand):
                return f"(-{self.arithmetic(operand)})"
            case tree.Binary(op=op, left=left, right=right):
                return f"({self.arithmetic(left)} {op.value} {self.arithmetic(right)})"

    def number_as(self, node: tree.Literal | tree.Number) -> str:
        """Return a number, as it was written if that is a name or hexadecimal."""
        word = self.text[node.span.start : node.span.end].strip("() \t\r\n")
        return word if word in NAMED_CONSTANTS or word[:2] in {"0x", "0X"} else str(node.value)


def _bare(text: str, node: tree.Arithmetic) -> str:
    """Return what stands in brackets anyway, without parentheses around all of it."""
    return text[1:-1] if isinstance(node, tree.Binary | tree.Negate) else text
