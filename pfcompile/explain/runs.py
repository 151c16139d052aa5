"""Terms as they are tried one by one: single primitives, or long lists of values as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.explain.subject import is_inherited, qualifier_words
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Junction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.errors import Span
    from pfcompile.explain.subject import Subject

LONG: Final = 6
"""More neighbours than this that differ in their values only are one term."""

_MOVED_AT_RUN_TIME: Final = frozenset({"geneve", "vxlan"})


@dataclass(frozen=True, slots=True)
class Run:
    """One term, or a list of them.

    Attributes:
        spans: Where its primitives stand.
        span: All of it.
        negated: Whether an odd number of `not` stands before it.
        junction: What joins it to its neighbours, `not` taken into account; None where it stands
            alone.
        can_be_taken: Whether it can be taken as true or false: not where what follows depends on
            what it reads.
        is_protocol: Whether it is the keyword of a protocol.
        written: It with the qualifiers that it inherits, or None where it has its own.
    """

    spans: frozenset[Span]
    span: Span
    negated: bool
    junction: Junction | None
    can_be_taken: bool
    is_protocol: bool
    written: str | None
    place: Span

    @property
    def neutral(self) -> bool:
        """What it is taken as to be left out."""
        holds = self.junction is not Junction.OR
        return holds != self.negated


def runs_of(subject: Subject) -> list[Run]:
    """Return the terms of an expression, from left to right."""
    live = subject.options.source.name == "LIVE"
    return [
        _run(subject, group, negated=negated, junction=junction, live=live)
        for group, negated, junction in _groups(subject.expression, None, negated=False)
    ]


def _run(
    subject: Subject,
    group: list[tree.Primitive],
    *,
    negated: bool,
    junction: Junction | None,
    live: bool,
) -> Run:
    first, last = group[0], group[-1]
    span = first.span.to(last.span)
    tunnel = isinstance(first, tree.Encapsulation) and (
        first.word in _MOVED_AT_RUN_TIME or (live and first.word == "vlan")
    )
    written = None
    if len(group) == 1 and is_inherited(first):
        assert isinstance(first, tree.Qualified)
        assert first.qualifiers is not None
        written = f"{qualifier_words(first.qualifiers)} {subject.quoted(first.span)}"
    return Run(
        frozenset(node.span for node in group),
        span,
        negated,
        junction,
        not tunnel,
        isinstance(first, tree.Abbreviation),
        written,
        span,
    )


_Group = tuple[list[tree.Primitive], bool, Junction | None]


def _groups(node: tree.Expression, junction: Junction | None, *, negated: bool) -> Iterator[_Group]:
    """Yield primitives, long lists together, whether negated, and what joins them."""
    match node:
        case tree.Chain(first=first, links=links):
            joined = [tree.Link(links[0].junction, first), *links]
            i = 0
            while i < len(joined):
                end = _end_of_list(joined, i)
                link = joined[i]
                # Under `not`, `a and b` is `not a or not b`.
                here = _opposite(link.junction) if negated else link.junction
                if end - i > LONG:
                    group = [_positive(each.operand) for each in joined[i:end]]
                    is_not = isinstance(link.operand, tree.Not)
                    yield group, negated != is_not, here
                    i = end
                else:
                    yield from _groups(link.operand, here, negated=negated)
                    i += 1
        case tree.Not(operand=operand):
            yield from _groups(operand, junction, negated=not negated)
        case _:
            yield [node], negated, junction


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
        case tree.Qualified(qualifiers=x, identifier=one), tree.Qualified(
            qualifiers=y, identifier=other
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
