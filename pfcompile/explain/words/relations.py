"""Comparisons in plain English: which bytes, of which packets alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.explain.subject import value_of, walk
from pfcompile.explain.words.english import listed, protocol_name
from pfcompile.explain.words.headers import FLAGS_BYTE, HEADER_FIELDS, VALUES, flag_names
from pfcompile.explain.words.place import network_protocol_name
from pfcompile.facts import ip_protocols, link_protocols
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Proto, RelationOp

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMPARISONS: Final = {
    RelationOp.EQ: "is",
    RelationOp.NE: "is not",
    RelationOp.GT: "is above",
    RelationOp.GE: "is at least",
    RelationOp.LT: "is below",
    RelationOp.LE: "is at most",
}


def relation_words(node: tree.Relation, written: str) -> str:
    """Return what a comparison looks for.

    Args:
        node: The comparison.
        written: It, with all parentheses.
    """
    flags = _flags(node)
    if flags is not None:
        return f"{flags}, over IPv4 only, not in later fragments"
    asked = list(dict.fromkeys((*asked_of(node.right), *asked_of(node.left))))
    where = " and ".join(map(_only, asked))
    said = _plain(node) or f"{written}{_fields(node)}"
    return f"{said}, {where}" if where else f"{said}, in any packet"


def asked_of(node: tree.Arithmetic) -> Iterator[Proto]:
    """Yield the protocols that arithmetic asks for before it is looked at: the left side's only."""
    match node:
        case tree.Accessor(proto=proto, index=index):
            yield from asked_of(index)
            if proto not in {Proto.LINK, Proto.RADIO}:
                yield proto
        case tree.Binary(left=left):
            yield from asked_of(left)
        case tree.Negate(operand=operand):
            yield from asked_of(operand)
        case _:
            pass


def _only(proto: Proto) -> str:
    """Return of which packets alone something is said."""
    if proto is Proto.ICMP6:
        return "only in ICMPv6 right behind the IPv6 header"
    number = ip_protocols.KEYWORD_PROTOCOLS.get(proto.value)
    if number is not None:
        return f"only in {protocol_name(number)} over IPv4, not in later fragments"
    return f"only in {network_protocol_name(link_protocols.LINK_PROTOCOLS[proto.value])}"


def _name(node: tree.Accessor) -> str | None:
    """Return "the flags of TCP" for an accessor of a known field, or None."""
    offset = value_of(node.index)
    field = None if offset is None else HEADER_FIELDS.get((node.proto, offset, node.size))
    return None if field is None else f"{_title(node.proto)} {field}"


def _title(proto: Proto) -> str:
    titles = {Proto.IP: "IPv4", Proto.IP6: "IPv6", Proto.ICMP6: "ICMPv6", Proto.LINK: "link"}
    return titles.get(proto, proto.value.upper())


def _fields(node: tree.Relation) -> str:
    """Return what the bytes of a comparison are called, as far as they have names."""
    names: dict[str, None] = {}
    for each in walk(node):
        if isinstance(each, tree.Accessor) and (name := _name(each)):
            names[name] = None
    return f" (with {listed(list(names), 'and')})" if names else ""


def _plain(node: tree.Relation) -> str | None:
    """Return the words for one field or length compared with a number, or None."""
    number = value_of(node.right)
    if number is None:
        return None
    compared = _COMPARISONS[node.op]
    if isinstance(node.left, tree.Length):
        return f"length on the wire {compared} {number}"
    masked = _masked(node.left)
    if masked is None:
        return None
    field, mask = masked
    offset = value_of(field.index)
    assert offset is not None, "it has a place"
    where = _place(field.proto, offset, field.size)
    name = HEADER_FIELDS.get((field.proto, offset, field.size))
    said = where if name is None else f"{name} ({where})"
    if mask is not None:
        bits = f"{said} & {mask:#x}"
        return f"{bits} {compared} {number if number < 10 else hex(number)}"
    shown = str(number) if number < 10 else f"{number} ({number:#x})"
    meaning = VALUES.get((field.proto, offset, field.size), {}).get(number)
    return f"{said} {compared} {shown if meaning is None else f'{number} ({meaning})'}"


def _place(proto: Proto, offset: int, size: int) -> str:
    header = "frame" if proto is Proto.LINK else f"{_title(proto)} header"
    if proto is Proto.RADIO:
        header = "radio header"
    bytes_ = f"byte {offset}" if size == 1 else f"bytes {offset} to {offset + size - 1}"
    return f"{bytes_} of the {header}"


def _masked(node: tree.Arithmetic) -> tuple[tree.Accessor, int | None] | None:
    """Return a field at a known place, and the mask that it is under; None for anything else."""
    match node:
        case tree.Accessor() if value_of(node.index) is not None:
            return node, None
        case tree.Binary(op=ArithmeticOp.AND, left=left, right=right):
            for one, other in ((left, right), (right, left)):
                mask = value_of(other)
                if mask is not None and isinstance(one, tree.Accessor):
                    return None if value_of(one.index) is None else (one, mask)
            return None
        case _:
            return None


def _flags(node: tree.Relation) -> str | None:
    """Return the words for a test of TCP's flags, or None for anything else."""
    number = value_of(node.right)
    if number is None or node.op not in {RelationOp.EQ, RelationOp.NE}:
        return None
    mask = flags_mask(node.left)
    if mask is None:
        return None
    equal = node.op is RelationOp.EQ
    if mask == 0xFF:
        only = f"exactly {flag_names(number)} set" if number else "no flag set"
        return (
            f"TCP segments with {only} and nothing else"
            if equal and number
            else (f"TCP segments with {only}" if equal else f"TCP segments with other than {only}")
        )
    names = flag_names(mask)
    if number == 0:
        several = mask.bit_count() > 1
        if equal:
            return f"TCP segments without {names.replace(' and ', ' or ')}"
        which = f"at least one of {names}" if several else names
        return f"TCP segments with {which} set, whatever the other flags"
    unset = flag_names(mask & ~number)
    without = f" and without {unset.replace(' and ', ' or ')}" if unset else ""
    exact = f"with {flag_names(number & mask)} set{without}, whatever the other flags"
    return f"TCP segments {exact}" if equal else f"TCP segments other than those {exact}"


def flags_mask(node: tree.Arithmetic) -> int | None:
    """Return which of TCP's flags arithmetic looks at: `tcp[13] & 2` gives 2; None for no such."""
    match node:
        case tree.Accessor(proto=Proto.TCP, size=1) if value_of(node.index) == FLAGS_BYTE:
            return 0xFF
        case tree.Binary(op=ArithmeticOp.AND, left=left, right=right):
            for field, other in ((left, right), (right, left)):
                mask = value_of(other)
                if mask is not None and flags_mask(field) == 0xFF:
                    return mask & 0xFF
            return None
        case _:
            return None
