"""What `not` covers, and what it makes of `and` and `or`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.errors import Span
from pfcompile.explain.codes import warning
from pfcompile.explain.explanation import Related
from pfcompile.explain.subject import is_inherited, operands, qualifier_words, value_of
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Direction, Junction, Kind, RelationOp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.subject import Subject


def first_only(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `not port 22 and 80`: the second is not negated, though it inherits the rest."""
    for chain in subject.chains:
        parts = operands(chain)
        start = 0
        while start < len(parts):
            followers = _inheriting(parts[start + 1 :])
            node = parts[start]
            if (
                isinstance(node, tree.Not)
                and isinstance(node.operand, tree.Qualified)
                and followers
            ):
                junction = chain.links[start].junction
                yield _covers_first(subject, node, node.operand, followers, junction)
            start += 1 + len(followers)


def _inheriting(parts: Sequence[tree.Expression]) -> list[tree.Qualified]:
    """Return the identifiers at the beginning of `parts` that have no qualifiers of their own."""
    found: list[tree.Qualified] = []
    for part in parts:
        if not (isinstance(part, tree.Qualified) and is_inherited(part)):
            break
        found.append(part)
    return found


def _covers_first(
    subject: Subject,
    negation: tree.Not,
    first: tree.Qualified,
    followers: Sequence[tree.Qualified],
    junction: Junction,
) -> FilterWarning:
    head = _head(subject, negation, first)
    names = [subject.quoted(each.identifier.span) for each in (first, *followers)]
    read = " ".join(f"{junction.value} {head} {name}" for name in names[1:])
    asked = _all_of(names[1:], head)
    if junction is Junction.OR:
        outcome = f"{asked} is let through, not left out"
    elif _is_all(subject, negation, followers):
        outcome = f"nothing but {asked} matches"
    else:
        outcome = f"{asked} is asked for, not left out"
    what = f"`not` covers only {head} {names[0]}; then comes `{read}`, so that {outcome}"
    related = tuple(
        Related(each.span, f"read as {junction.value} {head} {name}")
        for each, name in zip(followers, names[1:], strict=True)
    )
    return warning(
        "PF112",
        negation.span.to(followers[-1].span),
        what,
        f"to leave out {'both' if len(names) == 2 else 'all'}: not {head} ({' or '.join(names)})",
        *related,
    )


def _is_all(subject: Subject, negation: tree.Not, followers: Sequence[tree.Qualified]) -> bool:
    """Return whether a negation and what follows it are all of the expression."""
    whole = subject.expression.span
    return (whole.start, whole.end) == (negation.span.start, followers[-1].span.end)


def _all_of(names: Sequence[str], head: str) -> str:
    """Return what must be there: "port 80", or "port 80 and port 443 together"."""
    if len(names) == 1:
        return f"{head} {names[0]}"
    return f"{' and '.join(f'{head} {name}' for name in names)} together"


def _head(subject: Subject, negation: tree.Not, first: tree.Qualified) -> str:
    """Return the qualifiers before an identifier, without the `not` that may stand among them."""
    start = min(negation.span.start, first.span.start)
    words = subject.quoted(Span(start, first.identifier.span.start)).replace("!", " ").split()
    written = " ".join(word.strip("()") for word in words if word != "not").strip()
    if written:
        return written
    # It is inherited itself, as in `port 21 and not 22 and 80`.
    assert first.qualifiers is not None
    return qualifier_words(first.qualifiers)


def both_at_once(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `port 22 and 80`, which few packets have both of."""
    for chain in subject.chains:
        parts = operands(chain)
        for before, link in zip(parts, chain.links, strict=False):
            match before, link:
                case (
                    tree.Qualified(qualifiers=tree.Qualifiers() as qualifiers),
                    tree.Link(junction=Junction.AND, operand=tree.Qualified() as after),
                ) if (
                    is_inherited(after)
                    and qualifiers == after.qualifiers
                    and qualifiers.kind is Kind.PORT
                ):
                    first, second = (
                        subject.quoted(each.identifier.span) for each in (before, after)
                    )
                    head = qualifier_words(qualifiers)
                    yield warning(
                        "PF115",
                        before.span.to(after.span),
                        _both(first, second, qualifiers.direction),
                        f"write {head} {first} or {second} for packets with either",
                    )
                case _:
                    pass


def _both(first: str, second: str, direction: Direction | None) -> str:
    """Return what it takes to have two ports, of one direction or of both."""
    match direction:
        case Direction.SRC | Direction.DST:
            which = "source" if direction is Direction.SRC else "destination"
            return f"a packet has one {which} port, which cannot be both {first} and {second}"
        case Direction.SRC_AND_DST:
            return f"no port of a packet can be both {first} and {second}"
        case _:
            return (
                f"a packet must have both {first} and {second} here, one as its source port and "
                "one as its destination port"
            )


def unlike_either(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `not a or not b`, which leaves out only what is both."""
    for chain in subject.chains:
        parts = operands(chain)
        for before, link in zip(parts, chain.links, strict=False):
            if link.junction is Junction.OR and _unlike_alike(before, link.operand):
                one, other = (_positive(subject, each) for each in (before, link.operand))
                said = f"this leaves out only packets for which both `{one}` and `{other}` hold"
                if _exclude_each_other(before, link.operand):
                    said += ", and there are none"
                yield warning(
                    "PF116",
                    before.span.to(link.operand.span),
                    said,
                    f"to leave out either: {_neither(subject, before, link.operand, one, other)}",
                )


def _neither(subject: Subject, a: tree.Expression, b: tree.Expression, one: str, other: str) -> str:
    """Return how to leave out both; comparisons stay about packets of their protocol."""
    if isinstance(a, tree.Relation):
        return f"{subject.quoted(a.span)} and {subject.quoted(b.span)}"
    return f"not ({one} or {other})"


def _unlike_alike(a: tree.Expression, b: tree.Expression) -> bool:
    """Return whether both deny a value of the same kind of thing."""
    match a, b:
        case tree.Not(operand=tree.Qualified() as x), tree.Not(operand=tree.Qualified() as y):
            return x.qualifiers == y.qualifiers
        case (
            tree.Relation(op=RelationOp.NE, left=tree.Accessor(proto=p)) as x,
            tree.Relation(op=RelationOp.NE, left=tree.Accessor(proto=q)) as y,
        ):
            return p is q and value_of(x.right) is not None and value_of(y.right) is not None
        case _:
            return False


def _exclude_each_other(a: tree.Expression, b: tree.Expression) -> bool:
    """Return whether two comparisons ask one field for two values."""
    match a, b:
        case tree.Relation(left=x, right=one), tree.Relation(left=y, right=other):
            return x == y and value_of(one) != value_of(other)
        case _:
            return False


def _positive(subject: Subject, node: tree.Expression) -> str:
    """Return what an operand denies."""
    match node:
        case tree.Not(operand=tree.Qualified() as inner):
            head = _head(subject, node, inner)
            return f"{head} {subject.quoted(inner.identifier.span)}"
        case tree.Relation(left=left, right=right):
            return f"{subject.quoted(left.span)} = {subject.quoted(right.span)}"
        case _:
            return subject.quoted(node.span)
