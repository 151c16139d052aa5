"""Protocols that are not looked for everywhere: IPv6, extension headers, fragments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.explain.checks.arithmetic import relations
from pfcompile.explain.checks.company import Company
from pfcompile.explain.codes import warning
from pfcompile.explain.explanation import Related
from pfcompile.explain.subject import value_of, walk
from pfcompile.explain.words.english import listed
from pfcompile.explain.words.relations import asked_of
from pfcompile.facts import ethertypes, ip_protocols
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Kind, Proto, RelationOp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.subject import Subject

_BOTH_FAMILIES: Final = frozenset({Proto.TCP, Proto.UDP, Proto.SCTP})
_MOST_TOLD: Final = 10

_FIXED_HEADER: Final = 40
"""Bytes of an IPv6 header, behind which TCP begins where no extension header is."""


def ipv4_only(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `tcp[...]` where nothing says that IPv4 alone is meant."""
    found: list[tuple[tree.Relation, tree.Accessor]] = []
    if any(map(_asks_ipv6, walk(subject.expression))):
        return  # It has a part of its own for IPv6.
    company = Company(subject)
    for occurrence, relation in relations(subject):
        asked = {*asked_of(relation.left), *asked_of(relation.right)}
        accessors = [
            node
            for node in walk(relation)
            if isinstance(node, tree.Accessor) and node.proto in _BOTH_FAMILIES & asked
        ]
        both = subject.carries(occurrence, ethertypes.IP6) and subject.carries(
            occurrence, ethertypes.IP
        )
        beside = _asks_ipv4(relation) or company.asks(occurrence, _asks_ipv4)
        if accessors and both and not beside:
            found += [(relation, node) for node in accessors]
    if not found:
        return
    relation, first = found[0]
    word = first.proto.value
    title = word.upper()
    hint = _for_both(subject, relation, first.proto)
    others = [node for other, node in found[1:] if other is not relation]
    related = tuple(Related(node.span, "the same here") for node in others[:_MOST_TOLD])
    yield warning(
        "PF131",
        first.span,
        f"{word}[...] looks into {title} over IPv4 only, and not into later fragments: {title} "
        "over IPv6 never matches",
        hint,
        *related,
    )


def _for_both(subject: Subject, relation: tree.Relation, proto: Proto) -> str:
    """Return how to ask IPv6 as well."""
    start, written = relation.span.start, subject.text[relation.span.start : relation.span.end]
    pieces, last = [], 0
    for node in walk(relation):
        if not isinstance(node, tree.Accessor):
            continue
        offset = value_of(node.index)
        if node.proto is not proto or offset is None:
            header = f"in IPv6, {proto.value} begins at ip6[{_FIXED_HEADER}]"
            return f"write ip and before it if IPv4 is meant; {header}"
        size = "" if node.size == 1 else f":{node.size}"
        pieces += [
            written[last : node.span.start - start],
            f"ip6[{_FIXED_HEADER + offset}{size}]",
        ]
        last = node.span.end - start
    in_ipv6 = " ".join("".join([*pieces, written[last:]]).split())
    number = ip_protocols.KEYWORD_PROTOCOLS[proto.value]
    return (
        f"to see IPv6 too: ({' '.join(written.split())} or (ip6[6] = {number} and {in_ipv6})); "
        "write ip and before it if IPv4 is meant"
    )


def _asks_ipv6(node: object) -> bool:
    match node:
        case tree.Accessor(proto=Proto.IP6) | tree.Abbreviation(proto=Proto.IP6):
            return True
        case _:
            return False


def _asks_ipv4(node: tree.Primitive) -> bool:
    match node:
        case tree.Abbreviation(proto=Proto.IP):
            return True
        case tree.Qualified(qualifiers=tree.Qualifiers(proto=Proto.IP)):
            return True
        case tree.Qualified(identifier=tree.IPv4()):
            return True
        case tree.Relation(left=left, right=right):
            return Proto.IP in {*asked_of(left), *asked_of(right)}
        case _:
            return False


_LISTENER: Final = {130: "query", 131: "report", 132: "done", 143: "report of version 2"}
_LISTENER_RFC: Final = {130: "RFC 3810", 131: "RFC 2710", 132: "RFC 2710", 143: "RFC 3810"}


def icmp6_alone(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `icmp6[...]`, which is not looked for behind extension headers."""
    for _, relation in relations(subject):
        accessor = next(
            (
                node
                for node in walk(relation)
                if isinstance(node, tree.Accessor) and node.proto is Proto.ICMP6
            ),
            None,
        )
        if accessor is None:
            continue
        number = value_of(relation.right)
        is_type = accessor is relation.left and value_of(accessor.index) == 0
        if is_type and relation.op is RelationOp.EQ and number in _LISTENER:
            yield warning(
                "PF132",
                relation.span,
                f"a multicast listener {_LISTENER[number]} has a hop-by-hop header before ICMPv6 "
                f"({_LISTENER_RFC[number]}), behind which icmp6[...] does not look",
                f"write ip6[6] = 0 and ip6[40] = 58 and ip6[48] = {number}",
            )
        else:
            yield warning(
                "PF133",
                accessor.span,
                "icmp6[...] is looked for right behind the IPv6 header only",
                None,
            )


def ports_behind_extensions(subject: Subject) -> Iterator[FilterWarning]:
    """Yield the first port, which behind IPv6 extension headers is not seen."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Qualified(qualifiers=tree.Qualifiers(kind=Kind.PORT | Kind.PORTRANGE)):
                if subject.carries(occurrence, ethertypes.IP6):
                    yield warning(
                        "PF134",
                        occurrence.span,
                        "ports are not seen in later fragments, nor in IPv6 behind an extension "
                        "header or in any fragment",
                    )
                    return
            case _:
                pass


def fragments(subject: Subject) -> Iterator[FilterWarning]:
    """Yield the first protocol, which is looked for in later fragments as well."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Abbreviation(proto=proto) if proto.value in ip_protocols.KEYWORD_PROTOCOLS:
                pass
            case tree.Qualified(
                qualifiers=tree.Qualifiers(kind=Kind.PROTO, proto=None | Proto.IP | Proto.IP6)
            ):
                pass
            case _:
                continue
        yield warning(
            "PF135",
            occurrence.span,
            "later fragments match too, though they have no header of the protocol; in IPv6 it is "
            "looked for right behind the header or behind one fragment header",
            "protochain looks behind more headers",
        )
        return


def denied_and_unseen(subject: Subject) -> Iterator[FilterWarning]:
    """Yield the first denied host or port: it is let through where it is not looked for."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Qualified(
                qualifiers=tree.Qualifiers(
                    kind=None | Kind.HOST | Kind.NET | Kind.PORT | Kind.PORTRANGE as kind,
                    proto=proto,
                )
            ) if occurrence.negated and proto is not Proto.LINK:
                pass
            case _:
                continue
        places = ["behind a VLAN tag"] if "vlan" in occurrence.frame.layout.takes else []
        places.append("in a tunnel")
        if kind in {Kind.PORT, Kind.PORTRANGE}:
            places += ["in a later fragment", "behind an IPv6 extension header"]
        yield warning(
            "PF137",
            occurrence.span,
            f"`not` lets through what is not looked into: {subject.written(occurrence.node)} "
            f"{listed(places)} matches",
            None,
        )
        return


def chain_elsewhere(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `protochain`, which other programs do otherwise."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Qualified(qualifiers=tree.Qualifiers(kind=Kind.PROTOCHAIN)):
                headers = subject.options.protochain_headers
                yield warning(
                    "PF136",
                    occurrence.span,
                    f"{headers} headers are looked at here; tcpdump loses its way behind an "
                    "authentication header, and kernels refuse its program",
                    "--protochain-headers N looks at more; for the first alone, ip proto or "
                    "ip6 proto will do",
                )
            case _:
                pass
