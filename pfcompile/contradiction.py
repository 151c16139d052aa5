"""Why no packet can match: which parts of an expression cannot hold together.

Only asked when an expression has been found to reject everything. Of its conjuncts, as few as still
reject everything are kept: each is left out in turn, and stays out where that changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.errors import FilterError, Span
from pfcompile.facts import link_types
from pfcompile.ir.graph import Reject
from pfcompile.lower.lowering import lower
from pfcompile.passes.pipeline import simplify
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Junction, Proto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.lower.context import Options

REJECTS_ALL: Final = "expression rejects all packets"

_MOST_CONJUNCTS: Final = 64
"""Above, the culprits are not looked for: each needs a compilation."""


def rejects_all(expression: tree.Expression, text: str, options: Options) -> FilterError:
    """Return the error for an expression that no packet can match, with the parts to blame."""
    conjuncts = list(_conjuncts(expression))
    if len(conjuncts) > _MOST_CONJUNCTS:
        return FilterError(REJECTS_ALL, text, expression.span)
    left_out: frozenset[Span] = frozenset()
    # From the left, so that what is blamed is what was written last.
    for conjunct in conjuncts:
        without = left_out | _operands(conjunct)
        if _rejects(expression, text, options, without):
            left_out = without
    culprits = [conjunct for conjunct in conjuncts if not _operands(conjunct) <= left_out]
    if not culprits:
        return FilterError(REJECTS_ALL, text, expression.span)
    span = culprits[0].span.to(culprits[-1].span)
    quoted = [f"'{_shown(text, culprit.span)}'" for culprit in culprits]
    if len(quoted) == 1:
        message = f"{REJECTS_ALL}: {quoted[0]} never holds"
    else:
        verb = "both hold" if len(quoted) == 2 else "hold together"
        listed = ", ".join(quoted[:-1])
        message = f"{REJECTS_ALL}: {listed} and {quoted[-1]} cannot {verb}"
    return FilterError(message, text, span, _reason(culprits, options))


def _operands(conjunct: tree.Expression) -> frozenset[Span]:
    """Return where the operands stand that, all taken as true, make `conjunct` true."""
    if isinstance(conjunct, tree.Chain):
        operands = [conjunct.first, *(link.operand for link in conjunct.links)]
        return frozenset(operand.span for operand in operands)
    return frozenset({conjunct.span})


def _rejects(
    expression: tree.Expression, text: str, options: Options, taken_as_true: frozenset[Span]
) -> bool:
    """Return whether the expression still rejects everything without some of its conjuncts."""
    try:
        graph = simplify(lower(expression, text, options, taken_as_true))
    except FilterError:
        return False
    return isinstance(graph[graph.entry], Reject)


def _conjuncts(node: tree.Expression) -> Iterator[tree.Expression]:
    """Yield the parts that must all hold for `node` to hold, from left to right."""
    if not isinstance(node, tree.Chain):
        yield node
        return
    # What stands left of the last `or` is one operand of the `and`s behind it.
    last_or = max(
        (i for i, link in enumerate(node.links) if link.junction is Junction.OR), default=-1
    )
    if last_or == len(node.links) - 1:
        yield node
        return
    if last_or < 0:
        yield from _conjuncts(node.first)
    else:
        before = node.links[: last_or + 1]
        yield tree.Chain(node.first, before, node.first.span.to(before[-1].operand.span))
    for link in node.links[last_or + 1 :]:
        yield from _conjuncts(link.operand)


def _shown(text: str, span: Span) -> str:
    """Return a part of the text in one line, shortened in the middle where it is long."""
    part = " ".join(text[span.start : span.end].split())
    return part if len(part) <= 40 else f"{part[:20]} ... {part[-15:]}"


_IPV4_ACCESSORS: Final = frozenset(
    {
        Proto.TCP,
        Proto.UDP,
        Proto.SCTP,
        Proto.ICMP,
        Proto.IGMP,
        Proto.IGRP,
        Proto.PIM,
        Proto.VRRP,
        Proto.CARP,
    }
)


def _reason(culprits: list[tree.Expression], options: Options) -> str | None:
    """Return why the culprits contradict each other, where it is not plain to see."""
    nodes = [node for culprit in culprits for node in _walk(culprit)]
    shifts = [node for node in nodes if isinstance(node, tree.Encapsulation)]
    if len(culprits) > 1 and shifts:
        word = shifts[0].word
        return (
            f"'{word}' means that a header of its own is in between: what the packet carries "
            f"inside is asked for to its right, as in '{word} and ip'"
        )
    accessors = {node.proto for node in nodes if isinstance(node, tree.Accessor)}
    if accessors & _IPV4_ACCESSORS and len(culprits) > 1:
        name = min(proto.value for proto in accessors & _IPV4_ACCESSORS)
        return f"{name}[...] means {name} in IPv4; in IPv6 count from ip6[40]"
    if len(culprits) == 1 and isinstance(culprits[0], tree.Qualified | tree.Abbreviation):
        return f"{link_types.describe(options.dlt)} packets do not carry it"
    return None


def _walk(node: tree.Expression | tree.Arithmetic) -> Iterator[object]:
    """Yield every node of a tree."""
    yield node
    match node:
        case tree.Chain(first=first, links=links):
            yield from _walk(first)
            for link in links:
                yield from _walk(link.operand)
        case tree.Not(operand=operand):
            yield from _walk(operand)
        case tree.Relation(left=left, right=right) | tree.Binary(left=left, right=right):
            yield from _walk(left)
            yield from _walk(right)
        case tree.Negate(operand=inner) | tree.Accessor(index=inner):
            yield from _walk(inner)
        case _:
            pass
