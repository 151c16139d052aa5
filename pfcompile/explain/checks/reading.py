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
    from collections.abc import Iterator, Sequence

    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.subject import Subject

LONGEST_HINT: Final = 200
"""Characters of a part of the text that hints repeat, so that it can be copied."""

_JUNCTION: Final = re.compile(r"and\b|or\b|&&|\|\|")


def left_to_right(subject: Subject) -> Iterator[FilterWarning]:
    """Yield where `and` after `or` does not bind more tightly, as elsewhere it would."""
    depth_at = _depths(subject.text)
    for chain in subject.chains:
        parts = operands(chain)
        depths = _junction_depths(subject.text, depth_at, parts)
        for i in range(1, len(depths)):
            was, now = chain.links[i - 1].junction, chain.links[i].junction
            same_depth = depths[i] == depths[i - 1]
            if same_depth and was is Junction.OR and now is Junction.AND:
                left = Span(parts[0].span.start, parts[i].span.end)
                right = parts[i + 1].span
                yield warning(
                    "PF111",
                    parts[i - 1].span.to(right),
                    "`and` and `or` bind alike, from left to right: this is "
                    f"({subject.balanced(left)}) and {subject.balanced(right)}",
                    _both_readings(
                        subject.balanced(left, LONGEST_HINT),
                        subject.balanced(Span(left.start, parts[i - 1].span.end), LONGEST_HINT),
                        subject.written(parts[i]),
                        subject.balanced(right, LONGEST_HINT),
                    ),
                )
                break


def _both_readings(left: str, before: str, last: str, right: str) -> str:
    """Return how to write what is read, and what other languages would read."""
    written = f"write ({left}) and {right} if that is meant, else {before} or ({last} and {right})"
    return written if len(written) <= 2 * LONGEST_HINT else "write the parentheses that are meant"


def list_behind_and(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `host a and port 80 or 443`: the second port matches without the host."""
    depth_at = _depths(subject.text)
    for chain in subject.chains:
        parts = operands(chain)
        depths = _junction_depths(subject.text, depth_at, parts)
        for i in range(1, len(depths)):
            # parts[i] has qualifiers of its own and parts[i + 1] inherits them.
            and_then_or = tuple(link.junction for link in chain.links[i - 1 : i + 1]) == (
                Junction.AND,
                Junction.OR,
            )
            if not and_then_or or depths[i - 1] != depths[i] or not is_inherited(parts[i + 1]):
                continue
            if not isinstance(parts[i], tree.Qualified) or is_inherited(parts[i]):
                continue
            last = i + 1
            while (
                last < len(depths)
                and chain.links[last].junction is Junction.OR
                and is_inherited(parts[last + 1])
            ):
                last += 1
            before = parts[0].span.to(parts[i - 1].span)
            shape = "({})" if i > 1 else "{}"
            left = shape.format(subject.balanced(before))
            whole = parts[i].span.to(parts[last].span)
            alone = subject.written(parts[i + 1])
            yield warning(
                "PF118",
                whole,
                f"`or {subject.quoted(parts[i + 1].span)}` stands beside all to its left: {alone} "
                f"matches without {left}",
                "if the list belongs together: "
                f"{shape.format(subject.balanced(before, LONGEST_HINT))} and "
                f"({subject.balanced(whole, LONGEST_HINT)})",
            )


def _junction_depths(text: str, depth_at: list[int], parts: Sequence[tree.Expression]) -> list[int]:
    """Return in how many parentheses the junctions between operands stand."""
    return [
        depth_at[_junction(text, before.span.end, after.span.start)]
        for before, after in pairwise(parts)
    ]


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
