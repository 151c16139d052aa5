"""Primitives with keywords of their own in plain English."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, assert_never

from pfcompile.explain.words.english import listed
from pfcompile.facts import llc_saps, wlan
from pfcompile.ir.arithmetic import WORD
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Proto, RelationOp

if TYPE_CHECKING:
    from pfcompile.facts.rows import Number
    from pfcompile.lower.context import Context

_COMPARISONS: Final = {
    RelationOp.EQ: "",
    RelationOp.NE: "other than ",
    RelationOp.GT: "above ",
    RelationOp.GE: "at least ",
    RelationOp.LT: "below ",
    RelationOp.LE: "at most ",
}
_BYTE: Final = {
    "=": "is {}",
    "<": "is below {}",
    ">": "is above {}",
    "&": "has a bit of {:#x} set",
    "|": "or {} is not 0",
}
_PF: Final = {
    "ifname": "pf's records of interfaces whose names begin with '{}'",
    "ruleset": "pf's records of rule sets whose names begin with '{}'",
    "rnr": "pf's records of rule number {}",
    "srnr": "pf's records of sub-rule number {}",
    "reason": "pf's records with the reason '{}'",
    "action": "pf's records with the action '{}'",
}
_SIGNAL_UNITS: Final = {
    "fisu": "SS7 fill-in signal units",
    "lssu": "SS7 link status signal units",
    "msu": "SS7 message signal units",
}
_FIELDS: Final = {
    "vpi": "ATM virtual path",
    "vci": "ATM virtual channel",
    "sio": "SS7 service information octet",
    "opc": "SS7 originating point code",
    "dpc": "SS7 destination point code",
    "sls": "SS7 signalling link selection",
}


def field_words(context: Context, node: tree.FieldTest) -> str:
    """Return what one of these primitives looks for."""
    match node:
        case tree.Cast():
            return _cast(context, node)
        case tree.LengthBound(word="less", bound=bound):
            return f"at most {bound} bytes on the wire"
        case tree.LengthBound(bound=bound):
            return f"at least {bound} bytes on the wire"
        case tree.LinkByte(offset=offset, op=op, value=value):
            return f"byte {offset} of the frame {_BYTE[op].format(value)}"
        case tree.Way(word=word):
            return "received packets" if word == "inbound" else "packets that this machine sent"
        case tree.InterfaceIndex(index=index):
            return f"packets of the interface with index {index}"
        case tree.Llc():
            return _llc(node)
        case tree.WlanType():
            return _wlan_type(node)
        case tree.WlanDirection(direction=direction):
            way = wlan.wlan_direction(direction) if isinstance(direction, str) else direction
            said = _row_words(wlan.DIRECTIONS, way)
            return f"802.11 frames {said[0].lower()}{said[1:]}"
        case tree.PacketFilter(word=word, value=value):
            return _PF[word].format(value)
        case tree.AtmType(word=word):
            return _atm(word)
        case tree.Ss7Unit(word=word):
            fast = " of a high-speed link" if word.startswith("h") else ""
            return f"{_SIGNAL_UNITS[word.removeprefix('h')]}{fast}"
        case tree.FieldValue(word=word, op=op, values=values):
            fast = " of a high-speed link" if word.startswith("h") else ""
            wanted = listed([str(value) for value in values])
            return f"{_FIELDS[word.removeprefix('h')]}{fast} {_COMPARISONS[op]}{wanted}"
        case _:
            assert_never(node)


def _cast(context: Context, node: tree.Cast) -> str:
    match node.word, node.proto:
        case "broadcast", Proto.IP:
            mask = ipaddress.IPv4Address(context.options.netmask)
            host = ipaddress.IPv4Address(~context.options.netmask & WORD)
            return (
                f"IPv4 packets to an address whose host part (mask {mask}) is all zeros or {host}, "
                "in any network"
            )
        case "multicast", Proto.IP:
            return "IPv4 packets to 224.0.0.0/4"
        case "multicast", Proto.IP6:
            return "IPv6 packets to ff00::/8"
        case "broadcast", _:
            return "frames to the link layer's broadcast address"
        case _:
            return "frames to a group address of the link layer, broadcast among them"


def _llc(node: tree.Llc) -> str:
    if node.type_name is None:
        return "frames with an 802.2 header"
    kinds = {"i": "information", "s": "supervisory", "u": "unnumbered"}
    row = llc_saps.llc_frame_type(node.type_name)
    assert row is not None, "lowering has found it"
    return f"802.2 {kinds.get(row.name, row.name.upper())} frames"


def _wlan_type(node: tree.WlanType) -> str:
    frame_type, subtype = node.type, node.subtype
    if frame_type is None:
        assert isinstance(subtype, str), "a subtype alone has a name"
        both = wlan.wlan_type_and_subtype(subtype)
        assert both is not None, "lowering has found it"
        kind, number = both
    else:
        named = wlan.wlan_type(frame_type) if isinstance(frame_type, str) else frame_type
        assert named is not None, "lowering has found it"
        kind = named
        if subtype is None:
            return f"802.11 {_row_words(wlan.FRAME_TYPES, kind).lower()}"
        wanted = wlan.wlan_subtype(subtype, kind) if isinstance(subtype, str) else subtype
        assert wanted is not None, "lowering has found it"
        number = wanted
    title = _row_words(wlan.FRAME_TYPES, kind).lower()
    return f"802.11 {title}: {_row_words(wlan.SUBTYPES.get(kind, ()), number).lower()}"


def _atm(word: str) -> str:
    if word == "lane":
        return (
            "ATM LAN emulation cells; all that is written to its right is looked for in the "
            "Ethernet frame inside"
        )
    return f"ATM cells of kind {word}"


def _row_words(rows: tuple[Number, ...], number: int | None) -> str:
    row = next((row for row in rows if row.value == number), None)
    return f"number {number}" if row is None else row.description
