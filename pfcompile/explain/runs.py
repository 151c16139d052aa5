"""Terms as they are tried one by one: single primitives, or long lists of values as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.explain.subject import moves, operands
from pfcompile.lower.context import Source
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Junction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.errors import Span
    from pfcompile.explain.subject import Subject

LONG: Final = 6
"""More neighbours than this that differ in their values only are one term."""

_MOVED_AT_RUN_TIME: Final = frozenset({"geneve", "vxlan"})


class Step(NamedTuple):
    """One level of the way down to a term.

    Attributes:
        chain: The chain that is gone through.
        operand: Which of its operands, the first being 0.
        negated: Whether an odd number of `not` stands before the chain.
    """

    chain: tree.Chain
    operand: int
    negated: bool

    def junction(self, operand: int) -> Junction:
        """Return what joins an operand to those before it, with `not` taken into the chain."""
        written = self.chain.links[max(operand, 1) - 1].junction
        return _opposite(written) if self.negated else written


@dataclass(frozen=True, slots=True)
class Run:
    """One term, or a list of them.

    Attributes:
        spans: Where its primitives stand.
        span: All of it.
        negated: Whether an odd number of `not` stands before it.
        way: The way down to it from the whole expression.
        can_be_taken: Whether it can be taken as true or false: not where what follows depends on
            what it reads.
        moves: Whether it moves what is looked for to its right, so that it says something even
            where it makes no difference itself.
        is_protocol: Whether it is the keyword of a protocol.
        written: It, with the qualifiers that it inherits.
    """

    spans: frozenset[Span]
    span: Span
    negated: bool
    way: tuple[Step, ...]
    can_be_taken: bool
    moves: bool
    is_protocol: bool
    written: str

    @property
    def junction(self) -> Junction | None:
        """What joins it to its neighbours, `not` taken into account; None where it is alone."""
        return self.way[-1].junction(self.way[-1].operand) if self.way else None

    @property
    def neutral(self) -> bool:
        """What it is taken as to be left out."""
        holds = self.junction is not Junction.OR
        return holds != self.negated


@dataclass(frozen=True, slots=True)
class Beside:
    """A part of an expression as it lies to a term outside of it.

    Attributes:
        span: Where it stands.
        written: It, with what it inherits.
        is_needed: Whether both must hold (`and`), or either (`or`).
    """

    span: Span
    written: str
    is_needed: bool


def is_needed(term: Run, other: Run) -> bool:
    """Return whether `and` joins two terms, or the parts of the expression that they stand in."""
    mine, its = _parting(term, other)
    return mine.junction(max(mine.operand, its.operand)) is Junction.AND


def beside(subject: Subject, term: Run, other: Run) -> Beside:
    """Return the largest part with `other` in it that is joined with a part with `term` in it."""
    mine, its = _parting(term, other)
    parts = operands(mine.chain)
    first = last = its.operand
    if its.operand < mine.operand:
        # What is joined by the same word to the left is a part each; what stands left of another
        # word is one part.
        begin = mine.operand
        while begin > 1 and mine.junction(begin - 1) is mine.junction(mine.operand):
            begin -= 1
        if its.operand < begin:
            first, last = 0, begin - 1
    span = parts[first].span.to(parts[last].span)
    written = subject.written(parts[first]) if first == last else subject.balanced(span)
    if mine.negated:
        is_compound = first != last or isinstance(parts[first], tree.Chain | tree.Not)
        written = f"not ({written})" if is_compound else f"not {written}"
    return Beside(span, written, is_needed(term, other))


def _parting(term: Run, other: Run) -> tuple[Step, Step]:
    """Return the steps at which the ways to two terms part."""
    steps = zip(term.way, other.way, strict=False)
    return next((mine, its) for mine, its in steps if mine.operand != its.operand)


def runs_of(subject: Subject) -> list[Run]:
    """Return the terms of an expression, from left to right."""
    return [_run(subject, *group) for group in _groups(subject.expression, (), negated=False)]


def _run(
    subject: Subject, group: list[tree.Primitive], way: tuple[Step, ...], negated: bool
) -> Run:
    first, last = group[0], group[-1]
    live = subject.options.source is Source.LIVE
    at_run_time = isinstance(first, tree.Encapsulation) and (
        first.word in _MOVED_AT_RUN_TIME or (live and first.word == "vlan")
    )
    span = first.span.to(last.span)
    return Run(
        frozenset(node.span for node in group),
        span,
        negated,
        way,
        not at_run_time,
        moves(first),
        isinstance(first, tree.Abbreviation),
        subject.written(first) if len(group) == 1 else subject.quoted(span),
    )


_Group = tuple[list[tree.Primitive], tuple[Step, ...], bool]


def _groups(node: tree.Expression, way: tuple[Step, ...], *, negated: bool) -> Iterator[_Group]:
    """Yield primitives, long lists together, with the way to them and whether they are negated."""
    match node:
        case tree.Chain(first=first, links=links):
            joined = [tree.Link(links[0].junction, first), *links]
            i = 0
            while i < len(joined):
                end = _end_of_list(joined, i)
                operand = joined[i].operand
                here = (*way, Step(node, i, negated))
                if end - i > LONG:
                    group = [_positive(each.operand) for each in joined[i:end]]
                    yield group, here, negated != isinstance(operand, tree.Not)
                    i = end
                else:
                    yield from _groups(operand, here, negated=negated)
                    i += 1
        case tree.Not(operand=operand):
            yield from _groups(operand, way, negated=not negated)
        case _:
            yield [node], way, negated


def _end_of_list(links: list[tree.Link], start: int) -> int:
    """Return where the list ends that begins at `start`."""
    end = start + 1
    while end < len(links) and _alike(links[start], links[end]):
        end += 1
    return end


def _alike(a: tree.Link, b: tree.Link) -> bool:
    """Return whether two neighbours differ in their values only."""
    if a.junction is not b.junction or isinstance(a.operand, tree.Not) is not isinstance(
        b.operand, tree.Not
    ):
        return False
    match _inner(a.operand), _inner(b.operand):
        case (
            tree.Qualified(qualifiers=x, identifier=one),
            tree.Qualified(qualifiers=y, identifier=other),
        ):
            return x == y and type(one) is type(other)
        case _:
            return False


def _inner(node: tree.Expression) -> tree.Expression:
    return node.operand if isinstance(node, tree.Not) else node


def _positive(node: tree.Expression) -> tree.Primitive:
    inner = _inner(node)
    assert isinstance(inner, tree.Qualified)
    return inner


def _opposite(junction: Junction) -> Junction:
    return Junction.OR if junction is Junction.AND else Junction.AND
