"""How operands are read: from left to right, each with the qualifiers to its left."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

from pfcompile.errors import Span
from pfcompile.explain.codes import warning
from pfcompile.explain.explanation import Related
from pfcompile.explain.subject import is_inherited, operands, qualifier_words
from pfcompile.facts import services
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Junction, Kind, Proto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.subject import Subject

_JUNCTION: Final = re.compile(r"and\b|or\b|&&|\|\|")


def left_to_right(subject: Subject) -> Iterator[FilterWarning]:
    """Yield where `and` after `or` does not bind more tightly, as elsewhere it would."""
    text = subject.text
    depth_at = _depths(text)
    for chain in subject.chains:
        parts = operands(chain)
        depths = [
            depth_at[_junction(text, before.span.end, after.span.start)]
            for before, after in pairwise(parts)
        ]
        for i in range(1, len(depths)):
            was, now = chain.links[i - 1].junction, chain.links[i].junction
            same_depth = depths[i] == depths[i - 1]
            if same_depth and was is Junction.OR and now is Junction.AND:
                left = subject.balanced(Span(parts[0].span.start, parts[i].span.end))
                last, right = (subject.balanced(part.span) for part in (parts[i], parts[i + 1]))
                before = subject.balanced(Span(parts[0].span.start, parts[i - 1].span.end))
                yield warning(
                    "PF111",
                    parts[i - 1].span.to(parts[i + 1].span),
                    f"`and` and `or` bind alike, from left to right: this is ({left}) and {right}",
                    f"write ({left}) and {right} if that is meant, "
                    f"else {before} or ({last} and {right})",
                )
                break


def _junction(text: str, start: int, end: int) -> int:
    """Return where the junction between two operands stands."""
    found = _JUNCTION.search(text, start, end)
    assert found is not None, "operands are joined by a word"
    return found.start()


def _depths(text: str) -> list[int]:
    """Return in how many parentheses each character stands."""
    return list(accumulate((character == "(") - (character == ")") for character in text))


_HOST_KINDS: Final = frozenset({None, Kind.HOST})


def number_as_host(subject: Subject) -> Iterator[FilterWarning]:
    """Yield numbers that are taken for addresses and look like ports."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Qualified(
                qualifiers=tree.Qualifiers(kind=kind, direction=direction) as qualifiers,
                identifier=tree.Number(value=value) as number,
            ) if kind in _HOST_KINDS and qualifiers.proto is not Proto.DECNET:
                way = f"{direction.value} " if direction is not None else ""
                words = qualifier_words(qualifiers)
                why = f": it inherits `{words}`" if is_inherited(occurrence.node) else ""
                yield warning(
                    "PF113",
                    number.span,
                    f"{value} is taken for a host, {IPv4Address(value)}{why}",
                    f"write {way}port {value} if the port is meant"
                    if value <= 0xFFFF
                    else f"write the address in four parts: {IPv4Address(value)}",
                )
            case _:
                pass


def port_of_another_protocol(subject: Subject) -> Iterator[FilterWarning]:
    """Yield inherited ports that are known of another protocol than the inherited one."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Qualified(
                qualifiers=tree.Qualifiers(
                    proto=Proto.TCP | Proto.UDP as proto, kind=Kind.PORT, direction=direction
                ),
                identifier=tree.Number(value=port) as number,
            ) if is_inherited(occurrence.node):
                other = Proto.UDP if proto is Proto.TCP else Proto.TCP
                name = _known_only(port, other, proto)
                if name is not None:
                    way = f"{direction.value} " if direction is not None else ""
                    yield warning(
                        "PF114",
                        number.span,
                        f"{port} inherits `{proto.value}`, but {name} runs over {other.value}",
                        f"write {other.value} {way}port {port}",
                    )
            case _:
                pass


def _known_only(port: int, other: Proto, proto: Proto) -> str | None:
    """Return the name of a service that has this port of `other` and none has of `proto`."""
    if any(getattr(row, proto.value) == port for row in services.SERVICES):
        return None
    rows = (row for row in services.SERVICES if getattr(row, other.value) == port)
    return next((row.name for row in rows), None)


def before_the_parenthesis(subject: Subject) -> Iterator[FilterWarning]:
    """Yield identifiers that inherit from before a parenthesis, not from what is inside it."""
    for chain in subject.chains:
        parts = operands(chain)
        for before, after in pairwise(parts):
            if not (is_inherited(after) and isinstance(after, tree.Qualified)):
                continue
            inner = _last_qualified(before) if isinstance(before, tree.Chain) else None
            if inner is None or inner.qualifiers == after.qualifiers:
                continue
            if after.qualifiers is None or inner.qualifiers is None:
                continue
            if isinstance(after.identifier, tree.Number) and after.qualifiers.kind in _HOST_KINDS:
                continue  # `number_as_host` says it.
            if not _could_be(after.identifier, inner.qualifiers.kind):
                continue  # Nobody takes an address for a port.
            words, others = map(qualifier_words, (after.qualifiers, inner.qualifiers))
            identifier = subject.quoted(after.identifier.span)
            yield warning(
                "PF117",
                after.span,
                f"{identifier} inherits `{words}` from before the parenthesis, not `{others}`",
                f"write {words} {identifier}, or {others} {identifier}",
                Related(inner.span, f"`{others}` ends with its parenthesis"),
            )


def _could_be(identifier: tree.Identifier, kind: Kind | None) -> bool:
    """Return whether an identifier could be of a kind, by its looks."""
    is_host = kind in {None, Kind.HOST, Kind.NET, Kind.GATEWAY}
    match identifier:
        case tree.IPv4() | tree.IPv6() | tree.Mac() | tree.ArcnetAddress():
            return is_host
        case tree.Number():
            return not is_host
        case _:
            return True


def _last_qualified(chain: tree.Chain) -> tree.Qualified | None:
    last: tree.Expression = chain
    while True:
        match last:
            case tree.Chain(links=links):
                last = links[-1].operand
            case tree.Not(operand=operand):
                last = operand
            case tree.Qualified():
                return last
            case _:
                return None
