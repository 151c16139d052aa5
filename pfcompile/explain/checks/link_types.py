"""What is odd about single link types, and words for other ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pfcompile.explain.codes import warning
from pfcompile.explain.subject import walk
from pfcompile.explain.understood import link_word
from pfcompile.explain.words.place import link_name
from pfcompile.facts import isis, link_types
from pfcompile.facts.link_layouts import Encoding
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Direction, Kind, Proto, RelationOp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.subject import Occurrence, Subject

_ENCODINGS: Final = {
    "wlan": frozenset({Encoding.WLAN}),
    "ppp": frozenset({Encoding.PPP, Encoding.PPP_BSDOS}),
    "tr": frozenset({Encoding.LLC}),
    "fddi": frozenset({Encoding.LLC}),
    "slip": frozenset({Encoding.IP_VERSION}),
}
"""Words that name a link type, to the encodings of link types that they may name."""

_SLIP: Final = frozenset({8, 15})
_FRAME_RELAY: Final = 107
_TOKEN_RING: Final = 6


def word_of_another(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `wlan host` on Ethernet: all such words mean the link header that there is."""
    for occurrence in subject.occurrences:
        layout = occurrence.frame.layout
        for node in walk(occurrence.node):
            if _proto_of(node) is not Proto.LINK:
                continue
            found = re.match(r"[a-z]+", subject.text[node.span.start :])
            word = "" if found is None else found[0]
            fitting = _ENCODINGS.get(word)
            if fitting is not None and layout.encoding not in fitting:
                here = link_name(occurrence.frame)
                yield warning(
                    "PF151",
                    node.span,
                    f"`{word}` means the link header that there is: these are {here} packets",
                    f"write {link_word(layout)}, or say with -y which link type is meant",
                )


def _proto_of(node: object) -> Proto | None:
    match node:
        case tree.Qualified(qualifiers=tree.Qualifiers(proto=proto)):
            return proto
        case tree.Accessor(proto=proto) | tree.Cast(proto=proto):
            return proto
        case _:
            return None


def odd_layouts(subject: Subject) -> Iterator[FilterWarning]:
    """Yield terms that a link type makes mean something odd."""
    for occurrence in subject.occurrences:
        for check in (_slip, _frame_relay, _receiver, _cooked, _juniper, _point_code, _in_tunnel):
            yield from check(subject, occurrence)


def _asks_network(node: tree.Expression) -> bool:
    """Return whether a primitive asks which protocol a frame carries."""
    match node:
        case tree.Qualified(qualifiers=tree.Qualifiers(proto=Proto.LINK, kind=kind)):
            return kind is Kind.PROTO
        case tree.Qualified() | tree.Abbreviation() | tree.Encapsulation():
            return True
        case tree.Cast(proto=Proto.IP | Proto.IP6):
            return True
        case tree.Relation():
            accessors = (each for each in walk(node) if isinstance(each, tree.Accessor))
            return any(each.proto not in {Proto.LINK, Proto.RADIO} for each in accessors)
        case _:
            return False


def _slip(subject: Subject, occurrence: Occurrence) -> Iterator[FilterWarning]:
    if occurrence.frame.layout.dlt in _SLIP and _asks_network(occurrence.node):
        payload = occurrence.frame.layout.payload
        yield warning(
            "PF152",
            occurrence.span,
            "the IP version is looked for in the first byte of the capture's own header, which "
            f"says the direction: {subject.quoted(occurrence.span)} matches nearly nothing",
            f"write link[{payload}] & 0xf0 = 0x40 for IPv4, 0x60 for IPv6",
        )


def _frame_relay(subject: Subject, occurrence: Occurrence) -> Iterator[FilterWarning]:
    only_asks = isinstance(occurrence.node, tree.Abbreviation) and occurrence.node.proto in {
        Proto.IP,
        Proto.IP6,
    }
    on_it = occurrence.frame.layout.dlt == _FRAME_RELAY
    if on_it and _asks_network(occurrence.node) and not only_asks:
        yield warning(
            "PF153",
            occurrence.span,
            "offsets count from the start of the frame here, 4 bytes before the IP header: "
            f"{subject.quoted(occurrence.span)} compares the wrong bytes",
            "count from link[4], where the IP header begins",
        )


def _receiver(_subject: Subject, occurrence: Occurrence) -> Iterator[FilterWarning]:
    match occurrence.node:
        case tree.Qualified(
            qualifiers=tree.Qualifiers(direction=Direction.RA | Direction.TA as direction)
        ):
            assert direction is not None
            other = "addr1" if direction is Direction.RA else "addr2"
            yield warning(
                "PF154",
                occurrence.span,
                f"`{direction.value}` matches data frames only, not control frames such as "
                "acknowledgements",
                f"write {other} instead of {direction.value}",
            )
        case _:
            pass


def _is_iso(node: tree.Expression) -> bool:
    match node:
        case tree.Abbreviation(proto=proto):
            return proto.value in isis.ISO_NAMES or proto.value in isis.PDU_GROUPS
        case tree.Qualified(qualifiers=tree.Qualifiers(proto=Proto.ISO | Proto.ISIS)):
            return True
        case _:
            return False


def _cooked(_subject: Subject, occurrence: Occurrence) -> Iterator[FilterWarning]:
    if occurrence.frame.layout.encoding is Encoding.COOKED and _is_iso(occurrence.node):
        yield warning(
            "PF155",
            occurrence.span,
            "on cooked captures this compares the byte that says ISO, and never matches",
            "write iso, which does match, and compare link[19] with the network protocol",
        )


def _juniper(subject: Subject, occurrence: Occurrence) -> Iterator[FilterWarning]:
    is_juniper = occurrence.frame.layout.encoding is Encoding.JUNIPER
    if is_juniper and _asks_network(occurrence.node):
        here = link_types.describe(occurrence.frame.layout.dlt)
        yield warning(
            "PF156",
            occurrence.span,
            f"on {here} every protocol is one test of the same magic number: "
            f"{subject.quoted(occurrence.span)} cannot tell protocols apart",
            "compare bytes with link[...]",
        )


_CODES: Final = frozenset({"opc", "dpc", "hopc", "hdpc"})
_ORDERED: Final = frozenset({RelationOp.LT, RelationOp.LE, RelationOp.GT, RelationOp.GE})


def _point_code(_subject: Subject, occurrence: Occurrence) -> Iterator[FilterWarning]:
    match occurrence.node:
        case tree.FieldValue(word=word, op=op) if word in _CODES and op in _ORDERED:
            yield warning(
                "PF158",
                occurrence.span,
                f"{word} is compared byte by byte as it stands in the frame, lowest first: "
                f"`{op.value}` does not mean what it says",
                f"only {word} = n and {word} != n do: list the codes, {word} (1 or 2 or 3)",
            )
        case _:
            pass


def _in_tunnel(_subject: Subject, occurrence: Occurrence) -> Iterator[FilterWarning]:
    frame = occurrence.frame
    lost = frame.encapsulated and frame.network_no_snap == 0
    if lost and _is_iso(occurrence.node):
        yield warning(
            "PF160",
            occurrence.span,
            "inside a tunnel the 802.2 header is as long as on the outer link type, which has "
            "none: this compares the wrong byte",
            "write iso, which does match inside",
        )


def not_looked_into(subject: Subject) -> Iterator[FilterWarning]:
    """Yield, once, which headers of the link type are not looked into."""
    for occurrence in subject.occurrences:
        layout = occurrence.frame.layout
        said = _UNSEEN.get(layout.encoding) if layout.encoding is not None else None
        if said is None or not _asks_network(occurrence.node):
            continue
        if layout.dlt == _TOKEN_RING:
            said += "; source routing is not skipped"
        yield warning("PF157", occurrence.span, said)
        if layout.radiotap_padding:
            yield warning(
                "PF159",
                occurrence.span,
                "where radiotap says that the 802.11 header is padded, the payload begins at a "
                "multiple of 4 from the start of the packet; only the first word of its presence "
                "flags counts",
            )
        return


_UNSEEN: Final = {
    Encoding.ETHERNET: "frames with a length and a SNAP header (802.3) are not looked into",
    Encoding.LLC: "the EtherType is compared without the organisation before it",
    Encoding.ATM: "the EtherType is compared without the organisation before it",
    Encoding.WLAN: (
        "a fourth address and the HT control field of 802.11 are not counted, nor is the "
        "organisation before an EtherType compared"
    ),
}
