"""The words of the language, as rows: spelling to token and value.

A word that stands under another's value is an alias of it. Source: pcap-filter(7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.syntax.tree import Direction, Kind, Proto

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import Enum

_LINK_LEVEL: Final = ("link", "ether", "ppp", "slip", "fddi", "tr", "wlan")
_ATM_TYPES: Final = (
    *("lane", "metac", "bcc", "sc", "ilmic", "connectmsg", "metaconnect"),
    *("oam", "oamf4", "oamf4ec", "oamf4sc"),
)


def _rows() -> dict[str, tuple[str, Enum | str | None]]:
    """Return word -> (token, value), spelled out below one token after the other."""
    rows: dict[str, tuple[str, Enum | str | None]] = {
        proto.value: ("PROTOCOL", proto) for proto in Proto
    }
    rows |= dict.fromkeys(_LINK_LEVEL, ("PROTOCOL", Proto.LINK))
    rows |= {"es-is": ("PROTOCOL", Proto.ESIS), "is-is": ("PROTOCOL", Proto.ISIS)}
    rows |= {"src": ("SRC", None), "dst": ("DST", None)}
    for number in "1234":
        address = Direction(f"addr{number}")
        rows |= {f"addr{number}": ("WLAN_ADDRESS", address)}
        rows |= {f"address{number}": ("WLAN_ADDRESS", address)}
    rows |= {"ra": ("WLAN_ADDRESS", Direction.RA), "ta": ("WLAN_ADDRESS", Direction.TA)}
    rows |= {kind.value: ("KIND", kind) for kind in (Kind.HOST, Kind.NET, Kind.PORT)}
    rows |= {"portrange": ("KIND", Kind.PORTRANGE)}
    # These take an identifier without a direction before them.
    rows |= {k.value: ("BARE_KIND", k) for k in (Kind.PROTO, Kind.PROTOCHAIN, Kind.GATEWAY)}
    rows |= {"mask": ("MASK", None), "and": ("AND", None), "or": ("OR", None), "not": ("NOT", None)}
    rows |= {word: ("BOUND", word) for word in ("less", "greater")}
    rows |= {"byte": ("BYTE", None), "len": ("LENGTH", None), "length": ("LENGTH", None)}
    rows |= {word: ("CAST", word) for word in ("broadcast", "multicast")}
    rows |= {word: ("WAY", word) for word in ("inbound", "outbound")}
    rows |= {"ifindex": ("IFINDEX", None), "pppoed": ("PPPOED", None), "llc": ("LLC", None)}
    rows |= {word: ("TUNNEL", word) for word in ("vlan", "mpls", "pppoes", "geneve", "vxlan")}
    rows |= {"type": ("TYPE", None), "subtype": ("SUBTYPE", None)}
    rows |= {"dir": ("DIR", None), "direction": ("DIR", None)}
    rows |= {"ifname": ("PF_NAME", "ifname"), "on": ("PF_NAME", "ifname")}
    rows |= {"ruleset": ("PF_NAME", "ruleset"), "rset": ("PF_NAME", "ruleset")}
    # `rnr` is also a type of LLC frame, hence a token of its own.
    rows |= {"rnr": ("RNR", "rnr"), "rulenum": ("RNR", "rnr")}
    rows |= {"srnr": ("SRNR", "srnr"), "subrulenum": ("SRNR", "srnr")}
    rows |= {"reason": ("REASON", None), "action": ("ACTION", None)}
    rows |= {word: ("ATM_TYPE", word) for word in _ATM_TYPES}
    rows |= {word: ("SS7_UNIT", word) for word in ("fisu", "lssu", "msu", "hfisu", "hlssu", "hmsu")}
    rows |= {"lsu": ("SS7_UNIT", "lssu")}
    rows |= {word: ("FIELD", word) for word in ("vpi", "vci", "sio", "opc", "dpc", "sls")}
    rows |= {word: ("FIELD", word) for word in ("hsio", "hopc", "hdpc", "hsls")}
    return rows


KEYWORDS: Final[Mapping[str, tuple[str, Enum | str | None]]] = _rows()

OPERATORS: Final[Mapping[str, str]] = {
    "&&": "AND",
    "||": "OR",
    "!": "NOT",
    "==": "EQ",
    "=": "EQ",
    "!=": "NE",
    ">": "GT",
    ">=": "GE",
    "<": "LT",
    "<=": "LE",
    "<<": "LSH",
    ">>": "RSH",
    "+": "PLUS",
    "-": "MINUS",
    "*": "TIMES",
    "/": "SLASH",
    "%": "PERCENT",
    "&": "AMPERSAND",
    "|": "PIPE",
    "^": "CARET",
    "[": "LBRACKET",
    "]": "RBRACKET",
    "(": "LPAREN",
    ")": "RPAREN",
    ":": "COLON",
}

LITERALS: Final = ("NUM", "IPV4", "IPV6", "MAC", "ARCNET", "ID")
"""Tokens whose text is not fixed."""

TOKENS: Final = (
    *dict.fromkeys(token for token, _ in KEYWORDS.values()),
    *(token for token in dict.fromkeys(OPERATORS.values()) if token not in {"AND", "OR", "NOT"}),
    *LITERALS,
)
"""Every token of the grammar."""

BAD: Final = "BAD"
"""The token that carries an error found by the lexer; it is in no rule."""
