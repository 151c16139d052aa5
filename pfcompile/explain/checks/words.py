"""Words, names and numbers that are not what they look like."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from pfcompile.errors import Span
from pfcompile.explain.codes import warning
from pfcompile.explain.words.english import listed
from pfcompile.facts import llc_saps
from pfcompile.facts.link_layouts import Encoding
from pfcompile.lower.qualifiers import left_justified
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Kind, Proto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.subject import Subject


def broadcast_of_any_network(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `ip broadcast`."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Cast(word="broadcast", proto=Proto.IP):
                yield warning(
                    "PF171",
                    occurrence.span,
                    "this looks at the host part of the address alone, by the netmask: broadcast "
                    "addresses of any network match, and so do some hosts of larger networks",
                    "write dst host with the network's own broadcast address",
                )
            case _:
                pass


def bound_included(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `less` and `greater`."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.LengthBound(word=word, bound=bound):
                at, strictly = ("most", "<") if word == "less" else ("least", ">")
                yield warning(
                    "PF172",
                    occurrence.span,
                    f"`{word} {bound}` is at {at} {bound}: {bound} itself matches",
                    f"write len {strictly} {bound} to leave it out",
                )
            case _:
                pass


def name_is_prefix(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `ifname` and `ruleset`."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.PacketFilter(word="ifname" | "ruleset" as word, value=value):
                start = 20 if word == "ruleset" else 4
                end = start + len(str(value))
                yield warning(
                    "PF173",
                    occurrence.span,
                    f"names that only begin with {value} match too, such as {value}0",
                    f"add: and link[{end}] = 0",
                )
            case _:
                pass


_PLAIN_MAC: Final = re.compile(r"[0-9A-Fa-f]{12}|[0-9A-Fa-f]{4}(\.[0-9A-Fa-f]{4}){2}")
_DOTTED: Final = re.compile(r"[0-9A-Fa-f]{1,2}(\.[0-9A-Fa-f]{1,2}){5}")


def is_ethernet_address(subject: Subject) -> Iterator[FilterWarning]:
    """Yield numbers and names that are read as Ethernet addresses."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Qualified(identifier=tree.Mac(address=address) as mac):
                written = subject.text[mac.span.start : mac.span.end]
                if _PLAIN_MAC.fullmatch(written) or _DOTTED.fullmatch(written):
                    yield warning(
                        "PF174",
                        mac.span,
                        f"{written} is the Ethernet address {address.hex(':')}, neither a number "
                        "nor a name",
                        f"write {address.hex(':')}; a name has a backslash before it: \\{written}",
                    )
            case _:
                pass


_LLC_AWARE: Final = frozenset(
    {Encoding.ETHERNET, Encoding.LLC, Encoding.WLAN, Encoding.ATM, Encoding.COOKED}
)


def access_points(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `ether proto` with an 802.2 access point."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Qualified(
                qualifiers=tree.Qualifiers(proto=Proto.LINK, kind=Kind.PROTO),
                identifier=tree.Number(value=number),
            ) if number <= llc_saps.MAX_SAP and occurrence.frame.layout.encoding in _LLC_AWARE:
                row = next((each for each in llc_saps.SAPS if each.value == number), None)
                hint = f"for IP protocol {number} write ip proto {number}"
                if row is not None and row.names:
                    hint = f"write {row.names[0]}, or for an IP protocol ip proto {number}"
                if number == llc_saps.IPX:
                    said = "this is `ipx` in all its encapsulations"
                elif number in llc_saps.SYMMETRIC_SAPS:
                    said = "both access points are compared, the destination's and the source's"
                else:
                    said = "only the destination's access point is compared, not the source's"
                yield warning(
                    "PF175",
                    occurrence.span,
                    f"{number:#x} is an 802.2 access point, not an EtherType: {said}",
                    hint,
                )
            case _:
                pass


def changes_nothing(subject: Subject) -> Iterator[FilterWarning]:
    """Yield words that say nothing, and numbers that wrap."""
    for occurrence in subject.occurrences:
        node, span = occurrence.node, occurrence.span
        match node:
            case tree.WlanType() | tree.WlanDirection():
                before = re.search(r"([a-z0-9]+)\s+$", subject.text[: span.start])
                word = None if before is None else before[1]
                if word is not None and word in _PROTOCOLS:
                    start = span.start - len(before[0]) if before is not None else span.start
                    yield warning(
                        "PF176",
                        Span(start, span.end),
                        f"`{word}` says nothing before {subject.quoted(span)}",
                        "leave it out",
                    )
            case tree.Llc(type_name="rnr") if subject.quoted(span).endswith("rulenum"):
                yield warning(
                    "PF176", span, "`rulenum` is `rnr` here, receiver not ready", "write llc rnr"
                )
            case tree.Qualified(
                qualifiers=tree.Qualifiers(kind=Kind.PORT), identifier=tree.Name(text=text)
            ) if text.isdigit() and int(text[:20]) > 0xFFFF:
                port = int(text) & 0xFFFF if len(text) <= 10 else 0
                yield warning(
                    "PF176",
                    span,
                    f"behind a backslash a number wraps at 65536: this is port {port}",
                    f"write port {port} if that is meant",
                )
            case _:
                pass


_PROTOCOLS: Final = frozenset({*(proto.value for proto in Proto), "ether"})


def several_addresses(subject: Subject) -> Iterator[FilterWarning]:
    """Yield host names with more than one address."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Qualified(
                qualifiers=tree.Qualifiers(kind=None | Kind.HOST, proto=proto),
                identifier=tree.Name(text=name) as identifier,
            ) if proto is not Proto.LINK:
                host = subject.options.resolver.host(name)
                if host is None:
                    continue
                shown = [str(IPv4Address(each)) for each in host.ipv4]
                shown += [str(IPv6Address(each)) for each in host.ipv6]
                if len(shown) > 1:
                    few = shown if len(shown) <= 4 else [*shown[:3], f"{len(shown) - 3} more"]
                    yield warning(
                        "PF177",
                        identifier.span,
                        f"{name} has {len(shown)} addresses now, any of which matches: "
                        f"{listed(few, 'and')}",
                        "names are looked up once, when the filter is compiled: write the "
                        "addresses to be sure",
                    )
            case _:
                pass


_OCTAL: Final = re.compile(r"(?<![\w.:$-])0+[1-9]\d*(?![\w.:])")


def octal(subject: Subject) -> Iterator[FilterWarning]:
    """Yield numbers whose leading zero makes them octal."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Qualified(identifier=tree.Number() as number):
                span = number.span
            case tree.Qualified():
                continue  # Parts of addresses are decimal.
            case node:
                span = node.span
        for found in _OCTAL.finditer(subject.text, span.start, span.end):
            value = int(found[0], 8)
            if value != int(found[0]):
                yield warning(
                    "PF178",
                    Span(*found.span()),
                    f"{found[0]} begins with 0 and is octal: {value}",
                    f"write {found[0].lstrip('0')} if that is meant",
                )


def short_address(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `host 10.1`, which is a network."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Qualified(
                qualifiers=tree.Qualifiers(kind=None | Kind.HOST, proto=proto),
                identifier=tree.IPv4(text=text, prefix_length=None, netmask=None) as address,
            ) if proto is not Proto.DECNET:
                parts = text.split(".")
                if len(parts) < 4:
                    full = ".".join([*parts, *["0"] * (4 - len(parts))])
                    yield warning(
                        "PF179",
                        address.span,
                        f"{text} stands for the network {full}/{8 * len(parts)}, not for one host",
                        f"write all four parts of a host, or net {text}",
                    )
            case _:
                pass


def _likely_length(parts: list[str]) -> int:
    """Return how long the prefix is of which an address's zeros are the rest."""
    zeros = len(parts) - len("".join("0" if int(each) == 0 else "1" for each in parts).rstrip("0"))
    return 8 * (len(parts) - zeros)


def one_address_network(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `net 192.168.1.0`, which is one address."""
    for occurrence in subject.occurrences:
        match occurrence.node:
            case tree.Qualified(
                qualifiers=tree.Qualifiers(kind=Kind.NET),
                identifier=tree.IPv4(text=text, prefix_length=None, netmask=None) as address,
            ):
                parts = text.split(".")
                if len(parts) == 4 and int(parts[3]) == 0:
                    yield warning(
                        "PF180",
                        address.span,
                        f"four parts without a length are one address: {text}/32",
                        f"write net {text}/{_likely_length(parts)}, or however long it is",
                    )
            case tree.Qualified(
                qualifiers=tree.Qualifiers(kind=Kind.NET), identifier=tree.Name(text=name) as where
            ):
                number = subject.options.resolver.network(name)
                if number is not None and left_justified(number)[1] == 0xFFFFFFFF:
                    yield warning(
                        "PF180",
                        where.span,
                        f"{name} is looked up as {IPv4Address(number)}, all of which is compared",
                        f"write net {IPv4Address(number)}/24, or however long the prefix is",
                    )
            case _:
                pass
