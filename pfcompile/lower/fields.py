"""Primitives that look at one field of a link header or of what a capturing machine added.

Sources: IEEE 802.2 and 802.11, pf(4), ITU-T Q.703 and Q.704, the SunATM header; linux/filter.h for
the kernel's metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from pfcompile.facts import atm, llc_saps, pf, ss7, wlan
from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.values import Value, arithmetic, const, packet_length
from pfcompile.lower import addresses, tunnels
from pfcompile.lower.context import NETMASK_UNKNOWN, Source
from pfcompile.lower.formula import (
    TRUE,
    Formula,
    above,
    at_least,
    at_most,
    byte,
    equal,
    every,
    half,
    has_bits,
    masked,
    metadata,
    opposite,
    related,
    sized,
    some,
    word,
)
from pfcompile.lower.link_protocol import link_is_llc
from pfcompile.lower.preamble import field_test
from pfcompile.lower.transport import is_ipv4, is_ipv6
from pfcompile.names.spelling import nearest
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Proto

if TYPE_CHECKING:
    from pfcompile.lower.context import Context

# Offsets from SKF_AD_OFF and PACKET_OUTGOING: linux/filter.h, linux/if_packet.h.
_METADATA_PACKET_TYPE: Final = 4
_METADATA_INTERFACE: Final = 8
_PACKET_OUTGOING: Final = 4

_PFLOG: Final = 117
_SUNATM: Final = 123


def meaning(context: Context, node: tree.FieldTest) -> Formula:
    """Return what one of these primitives means."""
    match node:
        case tree.Cast():
            return _cast(context, node)
        case tree.LengthBound():
            return _length_bound(node)
        case tree.LinkByte():
            return _link_byte(context, node)
        case tree.Way():
            return _way(context, node)
        case tree.InterfaceIndex():
            return _interface_index(context, node)
        case tree.Llc():
            return _llc(context, node)
        case tree.WlanType():
            return _wlan_type(context, node)
        case tree.WlanDirection():
            return _wlan_direction(context, node)
        case tree.PacketFilter():
            return _packet_filter(context, node)
        case tree.AtmType():
            return _atm_type(context, node)
        case tree.Ss7Unit():
            return _ss7_unit(context, node)
        case tree.FieldValue():
            return _field_value(context, node)
        case _:
            assert_never(node)


def _length_bound(node: tree.LengthBound) -> Formula:
    """Return `less n` or `greater n`; both include n."""
    if node.word == "less":
        return at_most(packet_length(), node.bound)
    return at_least(packet_length(), node.bound)


def _link_byte(context: Context, node: tree.LinkByte) -> Formula:
    """Return `byte offset op value`."""
    context.at_most("byte argument", node.value, 0xFF, node.span)
    field = byte(context.frame.header, node.offset)
    match node.op:
        case "=":
            return equal(field, node.value)
        case "<":
            return opposite(at_least(field, node.value))
        case ">":
            return above(field, node.value)
        case "&":
            return has_bits(field, node.value)
        case _:
            either = arithmetic(ArithmeticOp.OR, field, const(node.value))
            return opposite(equal(either, 0))


def _cast(context: Context, node: tree.Cast) -> Formula:
    """Return `broadcast` or `multicast`, of the link or of IP."""
    start = context.frame.network_header
    match node.word, node.proto:
        case "broadcast", None | Proto.LINK:
            return addresses.broadcast(context, node.span)
        case "multicast", None | Proto.LINK:
            return addresses.multicast(context, node.span)
        case "broadcast", Proto.IP:
            netmask = context.options.netmask
            if netmask == NETMASK_UNKNOWN:
                raise context.error(
                    "netmask not known, so 'ip broadcast' not supported",
                    node.span,
                    "give the network's mask with -m",
                )
            host_part = masked(word(start, 16), ~netmask & WORD)
            everyone = some(equal(host_part, 0), equal(host_part, ~netmask & WORD))
            return every(is_ipv4(context, node.span), everyone)
        case "multicast", Proto.IP:
            return every(is_ipv4(context, node.span), equal(byte(start, 16), 0xE0, 0xF0))
        case "multicast", Proto.IP6:
            return every(is_ipv6(context, node.span), equal(byte(start, 24), 0xFF))
        case _:
            assert node.proto is not None
            message = f"'{node.proto.value}' is not a valid qualifier for '{node.word}'"
            raise context.error(message, node.span)


def _way(context: Context, node: tree.Way) -> Formula:
    """Return `inbound` or `outbound`."""
    rule = context.frame.layout.direction
    if rule is not None:
        return field_test(rule.inbound if node.word == "inbound" else rule.outbound)
    _need_live(context, node.word, node)
    sent = equal(metadata(_METADATA_PACKET_TYPE, 2), _PACKET_OUTGOING)
    return opposite(sent) if node.word == "inbound" else sent


def _need_live(context: Context, what: str, node: tree.Way | tree.InterfaceIndex) -> None:
    if context.options.source is not Source.LIVE:
        message = f"not a live capture, '{what}' not supported on {context.link_name}"
        raise context.error(
            message, node.span, "only the kernel knows; a file does not say (see --live)"
        )


def _interface_index(context: Context, node: tree.InterfaceIndex) -> Formula:
    """Return `ifindex n`."""
    offset = context.frame.layout.interface_index
    if offset is not None:
        return equal(word(const(offset)), node.index)
    _need_live(context, "ifindex", node)
    return equal(metadata(_METADATA_INTERFACE, 4), node.index)


def _llc(context: Context, node: tree.Llc) -> Formula:
    """Return `llc`, perhaps of one type of frame."""
    frame_type = None
    if node.type_name is not None:
        frame_type = llc_saps.llc_frame_type(node.type_name)
        if frame_type is None:
            raise context.error(
                f'unknown LLC type name "{node.type_name}"',
                node.span,
                "one of: " + ", ".join(row.name for row in llc_saps.LLC_FRAME_TYPES),
            )
    is_llc = link_is_llc(context) if "llc" in context.frame.layout.takes else None
    if is_llc is None:
        raise context.unsupported("llc", node.span)
    if frame_type is None:
        return is_llc
    control = byte(context.frame.payload, 2)
    return every(is_llc, equal(control, frame_type.value, frame_type.mask))


# 802.11


def _wlan_type(context: Context, node: tree.WlanType) -> Formula:
    """Return `type T`, `type T subtype S` or `subtype S`."""
    if node.type is None:
        assert isinstance(node.subtype, str)
        both = wlan.wlan_type_and_subtype(node.subtype)
        if both is None:
            names = [n for rows in wlan.SUBTYPES.values() for row in rows for n in row.names]
            raise context.error("unknown 802.11 type name", node.span, _near(node.subtype, names))
        frame_type: int = both[0]
        subtype: int | None = both[1]
    else:
        frame_type = _wlan_frame_type(context, node)
        subtype = None if node.subtype is None else _wlan_subtype(context, node, frame_type)
    if not context.frame.layout.is_wlan:
        raise context.unsupported("type/subtype", node.span)
    control = byte(context.frame.header)
    if subtype is None:
        return equal(control, frame_type, wlan.TYPE_MASK)
    return equal(control, frame_type | subtype, wlan.TYPE_MASK | wlan.SUBTYPE_MASK)


def _wlan_frame_type(context: Context, node: tree.WlanType) -> int:
    if isinstance(node.type, str):
        named = wlan.wlan_type(node.type)
        if named is None:
            names = [name for row in wlan.FRAME_TYPES for name in row.names]
            raise context.error(
                f'unknown 802.11 type name "{node.type}"', node.span, _near(node.type, names)
            )
        return named
    assert node.type is not None
    if node.type & ~wlan.TYPE_MASK:
        raise context.error(
            f"invalid 802.11 type value 0x{node.type:02x}",
            node.span,
            "a type is 0, 4, 8 or 12: the bits as they stand in the frame",
        )
    return node.type


def _wlan_subtype(context: Context, node: tree.WlanType, frame_type: int) -> int:
    if isinstance(node.subtype, str):
        if frame_type not in wlan.SUBTYPES:
            raise context.error("unknown 802.11 type", node.span)
        named = wlan.wlan_subtype(node.subtype, frame_type)
        if named is None:
            names = [name for row in wlan.SUBTYPES[frame_type] for name in row.names]
            raise context.error(
                f'unknown 802.11 subtype name "{node.subtype}"',
                node.span,
                _near(node.subtype, names),
            )
        return named
    assert node.subtype is not None
    if node.subtype & ~wlan.SUBTYPE_MASK:
        raise context.error(
            f"invalid 802.11 subtype value 0x{node.subtype:02x}",
            node.span,
            "a subtype is a multiple of 16: the bits as they stand in the frame",
        )
    return node.subtype


def _wlan_direction(context: Context, node: tree.WlanDirection) -> Formula:
    """Return `dir D`."""
    if isinstance(node.direction, str):
        value = wlan.wlan_direction(node.direction)
        if value is None:
            names = [name for row in wlan.DIRECTIONS for name in row.names]
            raise context.error("unknown 802.11 direction", node.span, _near(node.direction, names))
    else:
        value = node.direction
        if value > wlan.DIRECTION_MASK:
            raise context.error(f"invalid 802.11 direction value 0x{value:x}", node.span)
    if not context.frame.layout.is_wlan:
        raise context.unsupported("dir", node.span)
    return equal(byte(context.frame.header, 1), value, wlan.DIRECTION_MASK)


def _near(written: str, names: list[str]) -> str:
    near = nearest(written, names)
    if near:
        return "did you mean " + " or ".join(f"'{name}'" for name in near) + "?"
    return "one of: " + ", ".join(names)


# pflog


def _packet_filter(context: Context, node: tree.PacketFilter) -> Formula:
    """Return the test of a field of OpenBSD's pflog header."""
    value = _PF_VALUES[node.word](context, node)
    if context.frame.layout.dlt != _PFLOG:
        raise context.error(f"'{node.word}' supported only on PFLOG linktype", node.span)
    offset, size = _PF_FIELDS[node.word]
    if isinstance(value, str):
        return _same_bytes(offset, value.encode())
    assert isinstance(value, int)
    return equal(sized(size, const(offset)), value)


def _same_bytes(offset: int, name: bytes) -> Formula:
    """Return the test that the packet has these bytes, compared from the end in large pieces."""
    tests = []
    start = 0
    while start < len(name):
        left = len(name) - start
        size = 4 if left >= 4 else 2 if left >= 2 else 1
        number = int.from_bytes(name[start : start + size], "big")
        tests.append(equal(sized(size, const(offset + start)), number))
        start += size
    return every(*reversed(tests))


_PF_FIELDS: Final = {
    "action": (2, 1),
    "reason": (3, 1),
    "ifname": (4, 16),
    "ruleset": (20, 16),
    "rnr": (36, 4),
    "srnr": (40, 4),
}
"""Offset and size of each field, struct pfloghdr of net/if_pflog.h."""


def _pf_name(context: Context, node: tree.PacketFilter) -> str:
    what = "ifname interface" if node.word == "ifname" else "ruleset"
    name = str(node.value)
    if len(name) > pf.MAX_NAME:
        message = f"{what} names can only be {pf.MAX_NAME} characters"
        raise context.error(message, node.span)
    return name


def _pf_number(_context: Context, node: tree.PacketFilter) -> int:
    assert isinstance(node.value, int)
    return node.value


def _pf_reason(context: Context, node: tree.PacketFilter) -> int:
    if isinstance(node.value, int):
        return node.value
    number = pf.pf_reason(node.value)
    if number is None:
        names = [name for row in pf.REASONS for name in row.names]
        message = f'unknown PF reason "{node.value}"'
        raise context.error(message, node.span, _near(node.value, names))
    return number


def _pf_action(context: Context, node: tree.PacketFilter) -> int:
    written = str(node.value)
    number = pf.pf_action(written)
    if number is None:
        names = [name for row in pf.ACTIONS for name in row.names]
        message = f'unknown PF action "{written}"'
        raise context.error(message, node.span, _near(written, names))
    return number


_PF_VALUES: Final = {
    "ifname": _pf_name,
    "ruleset": _pf_name,
    "rnr": _pf_number,
    "srnr": _pf_number,
    "reason": _pf_reason,
    "action": _pf_action,
}

# ATM and SS7


def _atm_type(context: Context, node: tree.AtmType) -> Formula:
    """Return the test for a kind of ATM cell."""
    if context.frame.layout.dlt != _SUNATM:
        raise context.error(f"'{node.word}' supported only on SUNATM", node.span)
    if node.word == "lane":
        return tunnels.lan_emulation(context)
    if node.word in atm.ATM_MESSAGES:
        row = atm.ATM_MESSAGES[node.word]
        message = byte(const(atm.MESSAGE_OFFSET))
        wanted = some(*(equal(message, number) for number in row.messages))
        return every(_atm_channel(row.channel), wanted)
    return _atm_channel(node.word)


def _atm_channel(keyword: str) -> Formula:
    row = atm.ATM_CHANNELS[keyword]
    channel = half(const(atm.VCI_OFFSET))
    return every(
        equal(byte(const(atm.VPI_OFFSET)), row.vpi),
        some(*(equal(channel, number) for number in row.vcis)),
    )


def _ss7_unit(context: Context, node: tree.Ss7Unit) -> Formula:
    """Return the test for a kind of SS7 signal unit."""
    row = ss7.SIGNAL_UNITS[node.word]
    indicator = masked(sized(row.size, const(_mtp2(context, node) + row.offset)), row.mask)
    if row.above is None and row.up_to == 0:
        return equal(indicator, 0)
    lower = TRUE if row.above is None else above(indicator, row.above)
    upper = TRUE if row.up_to is None else at_most(indicator, row.up_to)
    return every(upper, lower)


def _mtp2(context: Context, node: tree.Ss7Unit | tree.FieldValue) -> int:
    """Return where the MTP2 header begins."""
    offset = ss7.MTP2_OFFSETS.get(context.frame.layout.dlt)
    if offset is None:
        raise context.error(f"'{node.word}' supported only on SS7", node.span)
    return offset


_VIRTUAL_CIRCUITS: Final[dict[str, tuple[str, int, Value]]] = {
    "vpi": ("VPI", atm.MAX_VPI, byte(const(atm.VPI_OFFSET))),
    "vci": ("VCI", atm.MAX_VCI, half(const(atm.VCI_OFFSET))),
}


def _field_value(context: Context, node: tree.FieldValue) -> Formula:
    """Return the test of a numbered field of ATM or SS7 against any of some values."""
    return some(*(_one_field_value(context, node, value) for value in node.values))


def _one_field_value(context: Context, node: tree.FieldValue, value: int) -> Formula:
    circuit = _VIRTUAL_CIRCUITS.get(node.word)
    if circuit is not None:
        if context.frame.layout.dlt != _SUNATM:
            raise context.error(f"'{node.word}' supported only on SUNATM", node.span)
        name, maximum, field = circuit
        context.at_most(name, value, maximum, node.span)
        return related(node.op, field, value)
    start = _mtp2(context, node)
    row = ss7.MTP3_FIELDS[node.word]
    context.at_most(node.word, value, row.maximum, node.span)
    full = (1 << 8 * row.size) - 1
    field = masked(
        sized(row.size, const(start + row.offset)), WORD if row.mask == full else row.mask
    )
    return related(node.op, field, row.encode(value))
