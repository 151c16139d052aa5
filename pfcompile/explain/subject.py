"""An expression as warnings and words look at it: its tree, and its terms one by one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.errors import FilterError
from pfcompile.explain.shortening import shortened
from pfcompile.lower.context import Context, Options
from pfcompile.lower.formula import FALSE
from pfcompile.lower.link_protocol import link_protocol
from pfcompile.lower.lowering import frames
from pfcompile.syntax import tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.errors import Span
    from pfcompile.lower.frame import Frame
    from pfcompile.syntax.tree import Junction


LONGEST_QUOTED: Final = 48
"""Characters of a part of the text that messages quote."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One primitive at its place in the text.

    Attributes:
        node: The primitive.
        frame: The headers as it sees them.
        negated: Whether an odd number of `not` stands before it.
        moved: The encapsulations to its left, which have moved what it looks at.
    """

    node: tree.Primitive
    frame: Frame
    negated: bool
    moved: tuple[tree.Encapsulation | tree.AtmType, ...]

    @property
    def span(self) -> Span:
        """Where it stands."""
        return self.node.span


@dataclass(frozen=True)
class Subject:
    """An expression for a link type.

    Attributes:
        text: The expression.
        expression: What it was read as.
        options: The link type and what else its meaning depends on.
        occurrences: Its primitives, from left to right.
    """

    text: str
    expression: tree.Expression
    options: Options
    occurrences: tuple[Occurrence, ...]

    @classmethod
    def of(cls, text: str, expression: tree.Expression, options: Options) -> Subject:
        """Return the subject for a tree; raises FilterError where it means nothing here."""
        found = frames(expression, text, options)
        negated = dict(_polarities(expression))
        moved: tuple[tree.Encapsulation | tree.AtmType, ...] = ()
        occurrences = []
        for node, frame in found:
            occurrences.append(Occurrence(node, frame, negated[id(node)], moved))
            if moves(node):
                assert isinstance(node, tree.Encapsulation | tree.AtmType)
                moved = (*moved, node)
        return cls(text, expression, options, tuple(occurrences))

    def at(self, occurrence: Occurrence) -> Context:
        """Return a context in which the primitive can be lowered again by itself."""
        return Context(self.text, self.options, occurrence.frame)

    def quoted(self, span: Span, longest: int = LONGEST_QUOTED) -> str:
        """Return a part of the text in one line, shortened in the middle where it is longer."""
        return shortened(" ".join(self.text[span.start : span.end].split()), longest)

    def balanced(self, span: Span, longest: int = LONGEST_QUOTED) -> str:
        """Return a part of the text as `quoted` does, with the parentheses that it lacks."""
        part = self.quoted(span, longest)
        missing = part.count("(") - part.count(")")
        return "(" * max(0, -missing) + part + ")" * max(0, missing)

    def written(self, node: tree.Expression) -> str:
        """Return an operand with the qualifiers that it inherits."""
        match node:
            case tree.Qualified(qualifiers=tree.Qualifiers() as qualifiers) if is_inherited(node):
                return f"{qualifier_words(qualifiers)} {self.quoted(node.span)}"
            case tree.Not(operand=inner) if is_inherited(inner):
                return f"not {self.written(inner)}"
            case _:
                return self.balanced(node.span)

    def carries(self, occurrence: Occurrence, protocol: int) -> bool:
        """Return whether a packet can have a protocol where `occurrence` looks for it."""
        return can_carry(self.at(occurrence), protocol)

    @cached_property
    def chains(self) -> tuple[tree.Chain, ...]:
        """All chains, outer ones first."""
        return tuple(node for node in walk(self.expression) if isinstance(node, tree.Chain))


def can_carry(context: Context, protocol: int) -> bool:
    """Return whether the frame's link type has that protocol at all."""
    try:
        return link_protocol(context, protocol, tree.NOWHERE) != FALSE
    except FilterError:
        return False


def moves(node: tree.Expression) -> bool:
    """Return whether a primitive moves what is looked for to its right."""
    match node:
        case tree.Encapsulation(word=word):
            return word != "pppoed"
        case tree.AtmType(word=word):
            return word == "lane"
        case _:
            return False


def _polarities(node: tree.Expression, *, negated: bool = False) -> Iterator[tuple[int, bool]]:
    """Yield each primitive's identity, and whether it is negated."""
    match node:
        case tree.Chain(first=first, links=links):
            yield from _polarities(first, negated=negated)
            for link in links:
                yield from _polarities(link.operand, negated=negated)
        case tree.Not(operand=operand):
            yield from _polarities(operand, negated=not negated)
        case _:
            yield id(node), negated


Node: TypeAlias = tree.Expression | tree.Arithmetic


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all below it, from left to right."""
    yield node
    match node:
        case tree.Chain(first=first, links=links):
            yield from walk(first)
            for link in links:
                yield from walk(link.operand)
        case tree.Not(operand=operand) | tree.Negate(operand=operand):
            yield from walk(operand)
        case tree.Relation(left=left, right=right) | tree.Binary(left=left, right=right):
            yield from walk(left)
            yield from walk(right)
        case tree.Accessor(index=index):
            yield from walk(index)
        case _:
            pass


def operands(chain: tree.Chain) -> list[tree.Expression]:
    """Return what a chain joins, from left to right."""
    return [chain.first, *(link.operand for link in chain.links)]


def junctions(chain: tree.Chain) -> frozenset[Junction]:
    """Return what a chain joins its operands with: one word, or both."""
    return frozenset(link.junction for link in chain.links)


def value_of(node: tree.Arithmetic) -> int | None:
    """Return the number that arithmetic without a packet in it is, modulo 2**32, or None."""
    from pfcompile.ir.arithmetic import WORD, alu  # noqa: PLC0415 - only where there is arithmetic

    match node:
        case tree.Literal(value=value):
            return value
        case tree.Negate(operand=operand):
            inner = value_of(operand)
            return None if inner is None else -inner & WORD
        case tree.Binary(op=op, left=left, right=right):
            a, b = value_of(left), value_of(right)
            return None if a is None or b is None else alu(op, a, b)
        case _:
            return None


def is_inherited(node: tree.Expression) -> bool:
    """Return whether this is an identifier without qualifiers of its own."""
    return isinstance(node, tree.Qualified) and node.span == node.identifier.span


def qualifier_words(qualifiers: tree.Qualifiers) -> str:
    """Return qualifiers as they are written: "tcp dst port"."""
    words = (qualifiers.proto, qualifiers.direction, qualifiers.kind)
    return " ".join(word.value for word in words if word is not None)
