"""Arithmetic and comparisons that mean something else than they seem to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pfcompile.explain.checks.company import Company
from pfcompile.explain.checks.usual_reading import is_open, usual_reading
from pfcompile.explain.codes import warning
from pfcompile.explain.subject import value_of, walk
from pfcompile.explain.understood import write_out
from pfcompile.explain.words.english import counted
from pfcompile.explain.words.relations import asked_of
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Proto, RelationOp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.subject import Occurrence, Subject

_UNRANKED: Final = frozenset({ArithmeticOp.MOD, ArithmeticOp.XOR})
_FARTHEST_BEFORE: Final = 0xFFFF
"""What is further before a header is no negative offset that anybody means."""

_FARTHEST: Final = 1 << 27
"""The largest snapshot length that libpcap gives any link type."""


def relations(subject: Subject) -> Iterator[tuple[Occurrence, tree.Relation]]:
    """Yield every comparison with its place."""
    for occurrence in subject.occurrences:
        if isinstance(occurrence.node, tree.Relation):
            yield occurrence, occurrence.node


def to_the_end(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `%` and `^` that take more to their right, or less to their left, than elsewhere."""
    for occurrence, relation in relations(subject):
        for node in walk(relation):
            unranked = _unranked(subject, node)
            if unranked is None:
                continue
            read = write_out(subject.text, relation, [occurrence.frame]).text
            usual = write_out(
                subject.text, usual_reading(subject, relation), [occurrence.frame]
            ).text
            yield warning(
                "PF121",
                node.span,
                f"`{unranked.value}` takes all to its right, and only what stands next to it on "
                f"its left: this is {read}",
                f"in other languages it is {usual}: write parentheses"
                if usual != read
                else "that is what other languages make of it: parentheses would say so",
            )
            break


def _unranked(subject: Subject, node: object) -> ArithmeticOp | None:
    """Return `%` or `^` where it and another operation stand side by side, or None.

    Not where it stands last behind a `+` or `-`, which everybody reads alike.
    """
    match node:
        case tree.Binary(op=op, left=left, right=right) if op in _UNRANKED:
            return op if is_open(subject, left) or is_open(subject, right) else None
        case tree.Binary(op=before, right=tree.Binary(op=op) as inner) if op in _UNRANKED:
            plain = op is ArithmeticOp.MOD and before in {ArithmeticOp.ADD, ArithmeticOp.SUB}
            return op if is_open(subject, inner) and not plain else None
        case tree.Negate(operand=tree.Binary(op=op) as inner) if op in _UNRANKED:
            return op if is_open(subject, inner) else None
        case _:
            return None


def no_protocol_asked(subject: Subject) -> Iterator[FilterWarning]:
    """Yield right operands whose protocol nobody asks for."""
    company = Company(subject)
    for occurrence, relation in relations(subject):
        asked = {*asked_of(relation.left), *asked_of(relation.right)}
        for node in walk(relation):
            if not isinstance(node, tree.Binary):
                continue
            lost = [
                each
                for each in walk(node.right)
                if isinstance(each, tree.Accessor)
                and each.proto not in {Proto.LINK, Proto.RADIO, *asked}
            ]
            if not lost:
                continue
            asks = partial(_asks_for, proto=lost[0].proto)
            if not company.asks(occurrence, asks):
                proto = lost[0].proto.value
                before = f"not `{proto}`" if asked else "so this looks at every packet"
                yield warning(
                    "PF122",
                    lost[0].span,
                    f"only the left side of `{node.op.value}` brings its protocol, {before}: "
                    f"{subject.quoted(lost[0].span)} is read whatever the packet is",
                    f"write {proto} and {subject.quoted(relation.span)}",
                )
                break


def _asks_for(node: tree.Primitive, proto: Proto) -> bool:
    """Return whether a primitive matches packets of a protocol only."""
    match node:
        case tree.Abbreviation(proto=asked):
            return asked is proto
        case tree.Qualified(qualifiers=tree.Qualifiers(proto=asked)):
            return asked is proto
        case tree.Relation(left=left, right=right):
            return proto in {*asked_of(left), *asked_of(right)}
        case _:
            return False


def no_sign(subject: Subject) -> Iterator[FilterWarning]:
    """Yield comparisons that only make sense with negative numbers."""
    for _, relation in relations(subject):
        left, right = value_of(relation.left), value_of(relation.right)
        negative = next(
            (node for node in (relation.left, relation.right) if _is_negative(node)), None
        )
        if negative is not None:
            number = value_of(negative)
            yield warning(
                "PF123",
                relation.span,
                f"numbers have no sign: {subject.quoted(negative.span)} is {number}",
                "the least number is 0, the greatest 4294967295",
            )
        elif right == 0 and relation.op in {RelationOp.LT, RelationOp.GE}:
            always = "always" if relation.op is RelationOp.GE else "never"
            yield warning(
                "PF123",
                relation.span,
                f"numbers have no sign, so that this {always} holds",
                f"{subject.quoted(relation.left.span)} is at least 0 in every packet",
            )
        elif left is None and right is not None and _subtracts(relation.left, relation.op):
            shown = subject.quoted(relation.left.span)
            yield warning(
                "PF123",
                relation.left.span,
                f"numbers have no sign: where {shown} would be below 0, it is above 2147483647",
                "add on the other side instead of subtracting",
            )


def _is_negative(node: tree.Arithmetic) -> bool:
    """Return whether a number without a packet in it comes out negative elsewhere."""
    number = value_of(node)
    if number is None or isinstance(node, tree.Literal):
        return False
    return number > 0x7FFFFFFF and any(
        isinstance(each, tree.Negate)
        or (isinstance(each, tree.Binary) and each.op is ArithmeticOp.SUB)
        for each in walk(node)
    )


def _subtracts(node: tree.Arithmetic, op: RelationOp) -> bool:
    """Return whether a difference is compared by size."""
    ordered = op in {RelationOp.GT, RelationOp.GE}
    return ordered and isinstance(node, tree.Binary) and node.op is ArithmeticOp.SUB


def outside_the_header(subject: Subject) -> Iterator[FilterWarning]:
    """Yield offsets that lie before their header or beyond any packet."""
    for _, relation in relations(subject):
        for node in walk(relation):
            if not isinstance(node, tree.Accessor):
                continue
            offset = value_of(node.index)
            if offset is None or offset <= _FARTHEST:
                continue
            before = (1 << 32) - offset
            if node.proto in {Proto.LINK, Proto.RADIO} or before > _FARTHEST_BEFORE:
                said = "outside of every packet, so that this never holds"
                hint = "the kernel's metadata have words of their own: inbound, ifindex, vlan"
            else:
                said = (
                    f"{counted(before, 'byte')} before the header: offsets are added up modulo 2^32"
                )
                hint = "count from the header that has the byte, such as ether[...] or ip[...]"
            yield warning("PF124", node.span, f"{subject.quoted(node.span)} is {said}", hint)


def unlike_in_one_protocol(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `tcp[13] != 2`, which no packet but TCP's fulfils."""
    for occurrence, relation in relations(subject):
        asked = list(dict.fromkeys((*asked_of(relation.right), *asked_of(relation.left))))
        if relation.op is RelationOp.NE and asked and not occurrence.negated:
            proto, shown = asked[0].value, subject.quoted(relation.left.span)
            other = subject.quoted(relation.right.span)
            yield warning(
                "PF127",
                relation.span,
                f"`!=` asks for {proto} first: what is not {proto} does not match",
                f"write not {shown} = {other} to have them as well",
            )
