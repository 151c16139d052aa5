"""Numbers as people write them: addresses, protocols and types by name."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from pfcompile.facts import ethertypes, ip_protocols, named_constants, wlan
from pfcompile.fields import families
from pfcompile.fields.rows import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.fields.naming import Piece

_LEAST_HEXADECIMAL: Final = 1000
_MOST_LISTED: Final = 8
"""Members of a set that are written out; of more, the first ones and how many there are."""

_ETHERTYPES: Final[dict[int, str]] = {
    ethertypes.TEB: "teb",
    ethertypes.VLAN: "vlan",
    ethertypes.PROVIDER_VLAN: "provider-vlan",
    ethertypes.QINQ: "qinq",
    ethertypes.IPX: "ipx",
    ethertypes.MPLS: "mpls",
    ethertypes.MPLS_MULTICAST: "mpls-multicast",
    ethertypes.PPPOE_DISCOVERY: "pppoed",
    ethertypes.PPPOE_SESSION: "pppoes",
    **{row.value: row.names[0] for row in ethertypes.ETHERTYPES if row.names},
}


def text(kind: Kind, number: int) -> str:
    """Return a field's number as it is written, by name where it has one."""
    match kind:
        case Kind.IPV4:
            return ".".join(str(byte) for byte in number.to_bytes(4))
        case Kind.IPV6:
            return _ipv6(number)
        case Kind.MAC:
            return _colons(number, 6)
        case Kind.TCP_FLAGS:
            return flags(number)
        case Kind.BITS:
            return f"0x{number:x}"
        case _:
            return _names(kind).get(number) or plain(kind, number)


def plain(kind: Kind, number: int) -> str:
    """Return a number without a name, as it stands behind `>`."""
    match kind:
        case Kind.IPV4 | Kind.IPV6 | Kind.MAC:
            return text(kind, number)
        case Kind.ETHERTYPE | Kind.PPP_PROTOCOL:
            return str(number) if number <= ethertypes.MAX_LENGTH else f"0x{number:04x}"
        case Kind.BITS | Kind.FAMILY | Kind.TCP_FLAGS:
            return f"0x{number:x}"
        case _:
            return str(number)


def sliced(piece: Piece, number: int) -> str:
    """Return the number of some bytes of a field."""
    if piece.field.kind is Kind.MAC:
        return _colons(number, piece.bits // 8)
    return bare(number)


def network(piece: Piece, number: int, length: int) -> str:
    """Return the network of the first `length` bits of an address."""
    whole = number << piece.field.bits - piece.bits
    return f"{text(piece.field.kind, whole)}/{length}"


def bare(number: int) -> str:
    """Return a number that is no field's."""
    return str(number) if number < _LEAST_HEXADECIMAL else f"0x{number:x}"


def flags(number: int) -> str:
    """Return TCP flags by name, joined with `|`."""
    names = [name for bit, name in _tcp_flags() if number & bit]
    return "|".join(names) or "0"


def members(kind: Kind, ranges: Sequence[tuple[int, int]], bits: int) -> str:
    """Return a set of a field's numbers, in braces."""
    shown = [_range(kind, low, high, bits) for low, high in ranges[:_MOST_LISTED]]
    if len(ranges) > _MOST_LISTED:
        shown.append(f"... {len(ranges) - _MOST_LISTED} more")
    return "{" + ", ".join(shown) + "}"


def _range(kind: Kind, low: int, high: int, bits: int) -> str:
    if low == high:
        return text(kind, low)
    size = high - low + 1
    if kind in {Kind.IPV4, Kind.IPV6} and size & size - 1 == 0 and low % size == 0:
        return f"{text(kind, low)}/{bits - size.bit_length() + 1}"
    return f"{plain(kind, low)}-{plain(kind, high)}"


def _colons(number: int, size: int) -> str:
    return ":".join(f"{byte:02x}" for byte in number.to_bytes(size))


def _ipv6(number: int) -> str:
    import ipaddress  # noqa: PLC0415 - rarely needed

    return str(ipaddress.IPv6Address(number))


@cache
def _names(kind: Kind) -> Mapping[int, str]:
    """Return what numbers of a kind are called."""
    match kind:
        case Kind.ETHERTYPE:
            return _ETHERTYPES
        case Kind.PPP_PROTOCOL:
            from pfcompile.facts import ppp  # noqa: PLC0415 - rarely needed

            return {ppp.IP: "ip", ppp.IP6: "ip6", ppp.MPLS: "mpls"}
        case Kind.IP_PROTOCOL:
            registered = {row.value: row.names[0] for row in ip_protocols.IP_PROTOCOLS}
            keywords = {
                number: word for word, number in reversed(ip_protocols.KEYWORD_PROTOCOLS.items())
            }
            return {**registered, ip_protocols.HOPOPTS: "hopopt", **keywords}
        case Kind.FAMILY:
            named = {families.IPV4: "ip", **dict.fromkeys(families.IPV6, "ip6")}
            return {
                number: name
                for family, name in named.items()
                for number in families.in_any_order(family)
            }
        case Kind.ICMP_TYPE:
            return _constants("icmp-")
        case Kind.ICMP6_TYPE:
            return _constants("icmp6-")
        case Kind.WLAN_TYPE:
            # The bits as they stand in the frame control field, which begins with the version.
            return {row.value >> 2: row.names[0] for row in wlan.FRAME_TYPES}
        case _:
            return {}


def _constants(prefix: str) -> dict[int, str]:
    """Return the numbers of the filter language's words with a prefix, which they then lack."""
    return {
        number: word.removeprefix(prefix)
        for word, number in named_constants.NAMED_CONSTANTS.items()
        if word.startswith(prefix)
    }


@cache
def _tcp_flags() -> tuple[tuple[int, str], ...]:
    return tuple(_constants("tcp-").items())
