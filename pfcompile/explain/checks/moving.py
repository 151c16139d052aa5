"""`vlan`, `mpls` and the tunnels move what is written to their right, whatever the logic says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.explain.codes import warning
from pfcompile.explain.explanation import Related
from pfcompile.explain.subject import moves, walk
from pfcompile.lower.context import Source
from pfcompile.lower.frame import ETHERNET
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Junction, Proto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.errors import Span
    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.subject import Occurrence, Subject

_TAG: Final = 14
"""Where the number of an Ethernet frame's first tag stands."""

_AROUND_A_TAG: Final = frozenset({"vlan", "mpls"})
"""What leaves the link header's own fields where they are."""


def offsets_move(subject: Subject) -> Iterator[FilterWarning]:
    """Yield terms that are looked for behind something which need not be there."""
    held = dict(_arrivals(subject.expression, frozenset()))
    denied = {each.span for each in subject.occurrences if each.negated}
    told: set[Span] = set()
    for occurrence in subject.occurrences:
        for mover in occurrence.moved:
            if mover.span in told or mover.span in held[occurrence.span]:
                continue
            if not _depends(occurrence.node, mover):
                continue
            told |= {each.span for each in occurrence.moved}
            shown, word = subject.quoted(occurrence.span), mover.word
            hint = f"write what has no {word} before it first: {shown} or ({word} and {shown})"
            if mover.span in denied:
                hint = f"write {shown} first: {shown} and not {word}"
            elif (either := _either_tag(subject, mover, occurrence)) is not None:
                hint = either
            yield warning(
                "PF141",
                occurrence.span,
                f"{shown} is looked for behind what `{word}` stands for, also where a packet has "
                f"none: `{word}` moves all that is written to its right",
                hint,
                Related(mover.span, "moves the offsets of what follows"),
            )


def _either_tag(
    subject: Subject, mover: tree.Encapsulation | tree.AtmType, occurrence: Occurrence
) -> str | None:
    """Return how to write `vlan 5 or vlan 6`, or None for anything else."""
    if subject.options.dlt != ETHERNET or subject.options.source is Source.LIVE:
        return None
    match mover, occurrence.node:
        case (
            tree.Encapsulation(word="vlan", number=int(first)),
            tree.Encapsulation(word="vlan", number=int(second)),
        ) if len(occurrence.moved) == 1:
            tag = f"ether[{_TAG}:2] & 0xfff"
            return f"for either of two tags: vlan and ({tag} = {first} or {tag} = {second})"
        case _:
            return None


def _arrivals(
    node: tree.Expression, held: frozenset[Span]
) -> Iterator[tuple[Span, frozenset[Span]]]:
    """Yield each primitive's place, and which encapsulations hold whenever it is looked at."""
    match node:
        case tree.Chain(first=first, links=links):
            yield from _arrivals(first, held)
            true, false = _outcomes(first)
            for link in links:
                is_and = link.junction is Junction.AND
                yield from _arrivals(link.operand, held | (true if is_and else false))
                true, false = _joined(link.junction, (true, false), _outcomes(link.operand))
        case tree.Not(operand=operand):
            yield from _arrivals(operand, held)
        case _:
            yield node.span, held


def _outcomes(node: tree.Expression) -> tuple[frozenset[Span], frozenset[Span]]:
    """Return which encapsulations hold where `node` is true, and where it is false."""
    nothing: frozenset[Span] = frozenset()
    match node:
        case tree.Chain(first=first, links=links):
            outcome = _outcomes(first)
            for link in links:
                outcome = _joined(link.junction, outcome, _outcomes(link.operand))
            return outcome
        case tree.Not(operand=operand):
            true, false = _outcomes(operand)
            return false, true
        case _:
            return (frozenset({node.span}) if moves(node) else nothing), nothing


def _joined(
    junction: Junction,
    a: tuple[frozenset[Span], frozenset[Span]],
    b: tuple[frozenset[Span], frozenset[Span]],
) -> tuple[frozenset[Span], frozenset[Span]]:
    (a_true, a_false), (b_true, b_false) = a, b
    if junction is Junction.AND:
        return a_true | b_true, a_false & (a_true | b_false)
    return a_true & (a_false | b_true), a_false | b_false


def _depends(node: tree.Primitive, mover: tree.Encapsulation | tree.AtmType) -> bool:
    """Return whether what a primitive looks at has been moved."""
    link_stays = mover.word in _AROUND_A_TAG
    match node:
        case tree.LengthBound() | tree.Way() | tree.InterfaceIndex():
            return False
        case tree.Relation():
            read = [each.proto for each in walk(node) if isinstance(each, tree.Accessor)]
            return any(not (link_stays and proto is Proto.LINK) for proto in read)
        case tree.LinkByte() | tree.Cast(proto=None | Proto.LINK):
            return not link_stays
        case tree.Qualified(qualifiers=tree.Qualifiers(proto=Proto.LINK, kind=kind)):
            return not link_stays or kind is tree.Kind.PROTO
        case _:
            return True


def labels_stay(subject: Subject) -> Iterator[FilterWarning]:
    """Yield terms inside a tunnel that still ask for an MPLS label."""
    for occurrence in subject.occurrences:
        words = [mover.word for mover in occurrence.moved]
        if occurrence.frame.mpls_depth == 0 or words[-1] == "mpls":
            continue
        tunnel = next((mover for mover in reversed(occurrence.moved) if mover.word != "mpls"), None)
        label = next(mover for mover in occurrence.moved if mover.word == "mpls")
        if tunnel is None or tunnel.span.start < label.span.start:
            continue
        if not _depends(occurrence.node, label):
            continue
        shown = subject.quoted(occurrence.span)
        yield warning(
            "PF142",
            occurrence.span,
            f"{shown} inside `{tunnel.word}` is still looked for as if it stood behind an MPLS "
            "label, which is not there",
            "the inner packet cannot be asked for after mpls: leave mpls out, or the inner term",
            Related(label.span, "the label that is not forgotten"),
        )
        return
