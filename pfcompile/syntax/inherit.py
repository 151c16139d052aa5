"""Half-finished nodes of the grammar, and the walk that finishes them.

An identifier after `and` or `or` takes the qualifiers of the operand to its left, all three of
them. A parenthesis hands on, to what follows it, what was in force before it. So the qualifiers of
an identifier are known only on the way down from the top::

    host a or (port 1 or 2) or c        c is a host
    tcp port 80 and (host a or b) and 443        443 is a tcp port
    tcp or 80        nothing to inherit: an error, drawn when the identifier's turn comes
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pfcompile.errors import Span
from pfcompile.syntax import tree

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_DEPTH: Final = 100
"""Levels of parentheses, negations and arithmetic: far more than a person writes."""


class TooDeepError(Exception):
    """An expression nested deeper than `MAX_DEPTH`."""

    def __init__(self, span: Span) -> None:
        super().__init__(f"expression is nested too deeply: more than {MAX_DEPTH} levels")
        self.span = span


@dataclass(frozen=True, slots=True)
class Word:
    """A qualifier and where it stands; the value is None for one that was not written."""

    value: Any
    span: Span


@dataclass(frozen=True, slots=True)
class Head:
    """The qualifiers before an identifier."""

    qualifiers: tree.Qualifiers
    span: Span


@dataclass(frozen=True, slots=True)
class Negation:
    """A negated term or identifier."""

    operand: Partial
    span: Span


@dataclass(frozen=True, slots=True)
class Headed:
    """Qualifiers and the identifier, or list of them, that they are for."""

    head: Head
    identifiers: Partial
    span: Span


class Sequence:
    """Operands and what joins them, grown while they are read."""

    def __init__(self, first: Partial) -> None:
        self.first = first
        self.rest: list[tuple[tree.Junction, Partial]] = []

    def append(self, junction: tree.Junction, operand: Partial) -> None:
        """Add an operand at the right."""
        self.rest.append((junction, operand))

    @property
    def last(self) -> Partial:
        """The operand at the right."""
        return self.rest[-1][1] if self.rest else self.first

    @property
    def span(self) -> Span:
        """Where the whole sequence stands."""
        return Span(self.first.span.start, self.last.span.end)


@dataclass(frozen=True, slots=True)
class Group:
    """An expression in parentheses."""

    sequence: Sequence
    span: Span


class FieldList:
    """A field and the numbers to compare it with, grown while they are read."""

    def __init__(self, word: str, values: list[int], span: Span) -> None:
        self._word = word
        self._values = values
        self.span = span

    def extended(self, value: int, span: Span) -> FieldList:
        """Return this list with one number more."""
        self._values.append(value)
        self.span = span
        return self

    def finish(self, span: Span) -> tree.FieldValue:
        """Return the finished node."""
        return tree.FieldValue(self._word, tree.RelationOp.EQ, tuple(self._values), span)


Partial: TypeAlias = Sequence | Group | Negation | Headed | tree.Identifier | tree.Primitive


def group(sequence: Sequence, span: Span) -> Group:
    """Return `sequence` in parentheses; parentheses around parentheses add nothing."""
    if not sequence.rest and isinstance(sequence.first, Group):
        return Group(sequence.first.sequence, span)
    return Group(sequence, span)


_Qualifiers: TypeAlias = tree.Qualifiers | None


def finish(partial: Partial) -> tree.Expression:
    """Return the finished tree of a whole filter; raises TooDeepError."""
    return _finish(partial, None, MAX_DEPTH)[0]


# The symbols of the grammar that libpcap has generated code for once they are on the stack.
_OPERANDS: Final = frozenset(
    ("filter", "expression", "term", "rterm", "primitive", "field_list", "pid", "qid", "id", "nid")
)
_ARITHMETIC: Final = frozenset(("arithmetic", "narith"))


def finish_all(stack: Iterable[tuple[str, Any]]) -> list[tree.Expression]:
    """Return the operands that were complete when the parser met an error, left to right.

    They are what libpcap has generated code for by then, so that an error in one of them comes
    before the one that stopped the parser. Arithmetic that is not yet part of a relation comes as
    a comparison with 0.

    Args:
        stack: The parser's symbols and their values.

    Raises:
        TooDeepError: An operand is nested deeper than `MAX_DEPTH`.
    """
    finished: list[tree.Expression] = []
    qualifiers: _Qualifiers = None
    for symbol, value in stack:
        if symbol == "head":
            qualifiers = value.qualifiers
        elif symbol in _ARITHMETIC:
            zero = tree.Literal(0, value.span)
            relation = tree.Relation(tree.RelationOp.EQ, value, zero, value.span)
            finished.append(_finish(relation, None, MAX_DEPTH)[0])
        elif symbol in _OPERANDS:
            partial = value.finish(value.span) if isinstance(value, FieldList) else value
            node, qualifiers = _finish(partial, qualifiers, MAX_DEPTH)
            finished.append(node)
    return finished


def _finish(
    partial: Partial, inherited: _Qualifiers, depth: int
) -> tuple[tree.Expression, _Qualifiers]:
    """Return the finished node and the qualifiers that stand for what follows it."""
    if depth == 0:
        raise TooDeepError(partial.span)
    match partial:
        case Sequence():
            return _finish_sequence(partial, inherited, depth)
        case Group(sequence=sequence):
            return _finish(sequence, inherited, depth)[0], inherited
        case Negation():
            return _finish_negation(partial, inherited, depth)
        case Headed(head=head, identifiers=identifiers, span=span):
            node, _ = _finish(identifiers, head.qualifiers, depth - 1)
            return replace(node, span=span), head.qualifiers
        case (
            tree.Name()
            | tree.Number()
            | tree.IPv4()
            | tree.IPv6()
            | tree.Mac()
            | tree.ArcnetAddress()
        ):
            return tree.Qualified(inherited, partial, partial.span), inherited
        case tree.Relation(left=left, right=right):
            _limit_depth(left, depth)
            _limit_depth(right, depth)
            return partial, None
        case _:
            return partial, None


def _finish_negation(
    negation: Negation, inherited: _Qualifiers, depth: int
) -> tuple[tree.Expression, _Qualifiers]:
    operand: Partial = negation
    negated = False
    while isinstance(operand, Negation):
        operand, negated = operand.operand, not negated
    node, qualifiers = _finish(operand, inherited, depth - 1)
    if not negated:
        positive = node
    elif isinstance(node, tree.Not):
        positive = node.operand
    else:
        return tree.Not(node, negation.span), qualifiers
    return replace(positive, span=negation.span), qualifiers


def _finish_sequence(
    sequence: Sequence, inherited: _Qualifiers, depth: int
) -> tuple[tree.Expression, _Qualifiers]:
    # `(((a) or (b)) or (c)) or (d)`, which programs write, is one chain, however long.
    spine = [sequence]
    while isinstance(start := spine[-1].first, Group):
        spine.append(start.sequence)
    node, qualifiers = _finish(start, inherited, depth - 1)
    first, links = (node.first, [*node.links]) if isinstance(node, tree.Chain) else (node, [])
    for level in reversed(spine):
        if level is not spine[-1]:
            qualifiers = inherited
        for junction, operand in level.rest:
            node, qualifiers = _finish(operand, qualifiers, depth - 1)
            links.append(tree.Link(junction, node))
    if not links:
        return first, qualifiers
    return tree.Chain(first, tuple(links), sequence.span), qualifiers


def _limit_depth(arithmetic: tree.Arithmetic, limit: int) -> None:
    """Raise TooDeepError where arithmetic is nested deeper than `limit`, without recursion."""
    waiting = [(arithmetic, limit)]
    while waiting:
        node, left = waiting.pop()
        if left == 0:
            raise TooDeepError(node.span)
        match node:
            case tree.Binary(left=a, right=b):
                waiting += [(a, left - 1), (b, left - 1)]
            case tree.Negate(operand=a) | tree.Accessor(index=a):
                waiting.append((a, left - 1))
            case tree.Literal() | tree.Length():
                pass
