"""The words of the language that take no number, and the heads that take one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.facts import atm, llc_saps, pf, ss7, wlan

if TYPE_CHECKING:
    from collections.abc import Callable

_PROTOCOLS: Final = (
    *("ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "pim", "vrrp"),
    *("ah", "esp", "atalk", "aarp", "decnet", "lat", "sca", "moprc", "mopdl", "iso", "stp", "ipx"),
    *("netbeui", "clnp", "esis", "isis", "l1", "l2", "iih", "lsp", "snp", "csnp", "psnp"),
)
_CASTS: Final = ("broadcast", "multicast", "ip broadcast", "ip multicast", "ip6 multicast")

WORDS: Final[tuple[str, ...]] = (
    *_PROTOCOLS,
    *_CASTS,
    "pppoed",
    "inbound",
    "outbound",
    "llc",
    *(f"llc {row.name}" for row in llc_saps.LLC_FRAME_TYPES),
    *(f"type {row.names[0]}" for row in wlan.FRAME_TYPES),
    *(
        f"type {row.names[0]} subtype {subtype.names[0]}"
        for row in wlan.FRAME_TYPES
        for subtype in wlan.SUBTYPES[row.value]
    ),
    *(f"dir {row.names[0]}" for row in wlan.DIRECTIONS),
    *(f"action {row.names[0]}" for row in pf.ACTIONS),
    *atm.ATM_CHANNELS,
    *atm.ATM_MESSAGES,
    *ss7.SIGNAL_UNITS,
)
"""Primitives without a number, as they are written; most link types lack some."""

SWITCHES: Final[dict[str, int]] = {
    "vlan": 12,
    "mpls": 20,
    "pppoes": 16,
    "geneve": 24,
    "vxlan": 24,
    "lane": 0,
}
"""Words behind which headers stand elsewhere, and the bits of the number that each may take."""


class Head(NamedTuple):
    """Words behind which one number stands.

    Attributes:
        write: The primitive for a number.
        bits: How many bits the number has.
    """

    write: Callable[[int], str]
    bits: int


def plain(words: str, bits: int) -> Head:
    """Return the head of a number behind some words."""
    return Head(lambda number: f"{words} {number}", bits)


def _decnet(words: str) -> Head:
    return Head(lambda number: f"decnet {words} {number >> 10}.{number & 1023}", 16)


def _arcnet(words: str) -> Head:
    return Head(lambda number: f"ether {words} ${number:02x}", 8)


def _link(number: int) -> str:
    return f"ether proto {number if number < 1000 else hex(number)}"


_ADDRESSED: Final = ("host", "src", "dst", "src and dst")

HEADS: Final[tuple[Head, ...]] = (
    plain("proto", 8),
    plain("ip proto", 8),
    plain("ip6 proto", 8),
    Head(_link, 16),
    Head(_link, 8),
    plain("iso proto", 8),
    plain("isis proto", 5),
    plain("ifindex", 32),
    plain("rnr", 32),
    plain("srnr", 32),
    plain("reason", 8),
    plain("vpi", 8),
    plain("vci", 16),
    *(plain(word, bits) for word, bits in (("sio", 8), ("opc", 14), ("dpc", 14), ("sls", 4))),
    *(plain(word, bits) for word, bits in (("hsio", 8), ("hopc", 14), ("hdpc", 14), ("hsls", 4))),
    *(_decnet(words) for words in _ADDRESSED),
    *(_arcnet(words) for words in _ADDRESSED),
)

CHAINS: Final = tuple(plain(f"{proto}protochain", 8) for proto in ("", "ip ", "ip6 "))
"""These follow a chain of headers, which takes long: only for programs that do."""

DIRECTIONS: Final = ("", "src", "dst", "src and dst")
WLAN_DIRECTIONS: Final = ("addr1", "addr2", "addr3", "addr4", "ra", "ta")
NETWORK_PROTOCOLS: Final = ("", "ip", "arp", "rarp")
PORT_PROTOCOLS: Final = ("", "tcp", "udp", "sctp")

ACCESSORS: Final = (
    *("ip", "ip6", "arp", "rarp", "tcp", "udp", "icmp", "icmp6", "sctp", "igmp", "pim", "vrrp"),
    *("atalk", "decnet", "lat", "sca", "moprc", "mopdl"),
)
"""What has bytes that can be asked for by number, besides the link header."""
