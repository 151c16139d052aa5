"""The codes of warnings, as rows; each has a section of docs/warnings.md.

A code is never given to something else: scripts and editors name them. The first two digits are the
group: PF10x logic that a proof decides, PF11x how operands are read, PF12x arithmetic, PF13x what
protocols are looked for in, PF14x what moves offsets, PF15x link types, PF17x and PF18x words and
numbers, PF19x other programs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.explain.explanation import FilterWarning, Level, Related

if TYPE_CHECKING:
    from pfcompile.errors import Span


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of warning.

    Attributes:
        code: "PF101".
        title: What it is about, as its section in docs/warnings.md is headed.
        level: Whether it is a warning or a note.
        quirks: The sections of docs/quirks.md that say more.
    """

    code: str
    title: str
    level: Level = Level.WARNING
    quirks: tuple[int, ...] = ()


_NOTE = Level.NOTE

CODES: Final = (
    Code("PF101", "a term that never holds here"),
    Code("PF102", "a term that always holds here"),
    Code("PF103", "a term that adds nothing to others"),
    Code("PF104", "a protocol that another term implies", _NOTE),
    Code("PF105", "every packet matches"),
    Code("PF106", "no packet matches"),
    Code("PF111", "`or` before `and` without parentheses", quirks=(1,)),
    Code("PF112", "`not` covers the first of several only"),
    Code("PF113", "a number taken for a host"),
    Code("PF114", "a port under the protocol of another"),
    Code("PF115", "both of two ports in one packet"),
    Code("PF116", "unlike one or unlike the other"),
    Code("PF117", "qualifiers from before a parenthesis"),
    Code("PF118", "a list that is not one with what stands before it", quirks=(1,)),
    Code("PF121", "`%` and `^` take all that follows", quirks=(2,)),
    Code("PF122", "bytes that no protocol is asked for", quirks=(3,)),
    Code("PF123", "numbers have no sign", quirks=(9,)),
    Code("PF124", "an offset outside its header", quirks=(8,)),
    Code("PF125", "no flag but these"),
    Code("PF126", "any of several flags"),
    Code("PF127", "`!=` of one protocol's bytes", _NOTE),
    Code("PF131", "`tcp[...]` is about IPv4 only", quirks=(7,)),
    Code("PF132", "`icmp6[...]` behind a hop-by-hop header", quirks=(7,)),
    Code("PF133", "`icmp6[...]` sees no extension headers", _NOTE, quirks=(7,)),
    Code("PF134", "ports behind IPv6 extension headers", _NOTE, quirks=(7,)),
    Code("PF135", "protocols and fragments", _NOTE, quirks=(7,)),
    Code("PF136", "`protochain` elsewhere", quirks=(6,)),
    Code("PF137", "`not` and what is not looked into", _NOTE, quirks=(7,)),
    Code("PF141", "offsets move along the text", quirks=(5,)),
    Code("PF142", "MPLS inside a tunnel", quirks=(29,)),
    Code("PF151", "the word for another link type"),
    Code("PF152", "SLIP's first byte", quirks=(13,)),
    Code("PF153", "frame relay's offsets", quirks=(14,)),
    Code("PF154", "`wlan ra` and `wlan ta` without control frames", quirks=(15,)),
    Code("PF155", "ISO protocols on cooked captures", quirks=(16,)),
    Code("PF156", "one test for all protocols", quirks=(17,)),
    Code("PF157", "headers that are not looked into", _NOTE, quirks=(18,)),
    Code("PF158", "point codes out of order", quirks=(19,)),
    Code("PF159", "padding behind 802.11 headers", _NOTE, quirks=(33,)),
    Code("PF160", "802.2 inside a tunnel", quirks=(32,)),
    Code("PF171", "broadcast addresses of any network", quirks=(20,)),
    Code("PF172", "`less` and `greater` include their bound", _NOTE, quirks=(30,)),
    Code("PF173", "interface names are prefixes", quirks=(23,)),
    Code("PF174", "a number or name that is an Ethernet address", quirks=(24,)),
    Code("PF175", "802.2 access points", quirks=(26,)),
    Code("PF176", "a word that changes nothing", quirks=(28,)),
    Code("PF177", "a name with several addresses"),
    Code("PF178", "octal numbers", quirks=(24,)),
    Code("PF179", "an address of fewer than four parts"),
    Code("PF180", "a network of one address"),
    Code("PF191", "what tcpdump refuses", quirks=(4,)),
    Code("PF192", "what tcpdump's optimiser gets wrong", quirks=(10,)),
    Code("PF193", "what tcpdump looks for elsewhere", quirks=(11, 12, 31)),
    Code("PF194", "packets that are cut off", _NOTE, quirks=(21, 22)),
)

BY_CODE: Final = {row.code: row for row in CODES}


def warning(
    code: str, span: Span, message: str, hint: str | None = None, *related: Related
) -> FilterWarning:
    """Return a warning or note, as its code says."""
    return FilterWarning(code, span, message, hint, related, BY_CODE[code].level)
