"""Advice beside a syntax error: what the writer may have meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.facts.named_constants import NAMED_CONSTANTS
from pfcompile.syntax import keywords
from pfcompile.syntax.display_filters import capture_filter
from pfcompile.syntax.keywords import KEYWORDS
from pfcompile.syntax.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pfcompile.errors import Span

END: Final = "$end"
"""The token at the end of the text, as PLY calls it."""

_JUNCTIONS: Final = frozenset(("AND", "OR"))
_LITERALS: Final = frozenset(keywords.LITERALS)
_RELATIONS: Final = frozenset(("EQ", "NE", "GT", "GE", "LT", "LE"))
_QUALIFIERS: Final = frozenset(("SRC", "DST", "WLAN_ADDRESS", "KIND", "BARE_KIND"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parser has stopped.

    Attributes:
        text: The whole expression.
        kind: The kind of the token that fits nowhere, or `END`.
        span: Where that token stands.
        expected: The kinds of token that would have fitted.
        before: The parser's symbols to its left.
        loose: Where the word before it stands, if it is one that nothing qualifies.
    """

    text: str
    kind: str
    span: Span
    expected: frozenset[str]
    before: tuple[str, ...]
    loose: Span | None = None

    @property
    def word(self) -> str:
        """The token as written."""
        return self.text[self.span.start : self.span.end]

    @property
    def last(self) -> str:
        """The symbol to the left of the token."""
        return self.before[-1]


# Words of other filter languages and of habit, and what is said here.
_OTHER_WORDS: Final = {
    "eq": "write `=`",
    "ne": "write `!=`",
    "gt": "write `>`",
    "lt": "write `<`",
    "ge": "write `>=`",
    "le": "write `<=`",
    "xor": "write `^` between numbers; there is no exclusive or of terms",
    "ipv4": "write `ip`",
    "ipv6": "write `ip6`",
    "icmpv6": "write `icmp6`",
    "eth": "write `ether`",
    "ethernet": "write `ether`",
    "mac": "write `ether host`",
    "ports": "write `port 80 or 443`, or `portrange 80-90`",
    "hosts": "write `host a or b`",
    "source": "write `src`",
    "destination": "write `dst`",
    "http": "write `tcp port 80`",
    "https": "write `tcp port 443`",
    "tls": "write `tcp port 443`",
    "ssl": "write `tcp port 443`",
    "quic": "write `udp port 443`",
    "dns": "write `port 53`",
    "ssh": "write `tcp port 22`",
    "smtp": "write `tcp port 25`",
    "dhcp": "write `udp port 67 or 68`",
    "bootp": "write `udp port 67 or 68`",
    "ntp": "write `udp port 123`",
    "snmp": "write `udp port 161 or 162`",
    "syslog": "write `udp port 514`",
    "ospf": "write `ip proto 89`",
    "gre": "write `ip proto 47`",
    "lldp": "write `ether proto 0x88cc`",
    "pppoe": "write `pppoed or pppoes`",
    "any": "an empty expression matches every packet",
    "all": "an empty expression matches every packet",
}


def for_word(text: str, span: Span, choices: Iterable[str] = KEYWORDS) -> str | None:
    """Return advice about a word that stands where no name may stand, or None.

    Args:
        text: The whole expression.
        span: Where in it the word stands.
        choices: The keywords that could stand there.
    """
    word = text[span.start : span.end]
    lower = word.lower()
    said = capture_filter(text, *span)
    if said is not None:
        return f"'{word}' is a display filter's field; as a capture filter: {said}"
    if lower != word and lower in KEYWORDS:
        return f"keywords are written in lower case: {lower}"
    if lower in _OTHER_WORDS:
        return _OTHER_WORDS[lower]
    near = [f"'{found}'" for found in nearest(lower, choices)]
    return f"did you mean {' or '.join(near)}?" if near else None


def for_loose_word(place: Place) -> str | None:
    """Return advice about the word before the token, if the mistake is there, or None."""
    blames_it = place.kind in _LITERALS | _RELATIONS | {"LBRACKET"}
    return for_word(place.text, place.loose) if place.loose is not None and blames_it else None


def for_place(place: Place) -> str | None:
    """Return advice about a token that fits nowhere, or about a text that ends too early."""
    rules = _AT_THE_END if place.kind == END else _IN_THE_MIDDLE
    return next((hint for rule in rules if (hint := rule(place)) is not None), None)


# The rules below look at a place and give advice or None; the first that gives some counts.


def _for_signs(place: Place) -> str | None:
    """Know the comparisons of other languages by the signs that are left over."""
    before = place.text[: place.span.end]
    written = before[len(before.rstrip("<>=!")) :]
    meant = _FOREIGN_SIGNS.get(written)
    return None if meant is None else f"'{written}' is written `{meant}`"


_FOREIGN_SIGNS: Final = {
    "<>": "!=",
    "=>": ">=",
    "=<": "<=",
    "===": "=",
    "!==": "!=",
    "=!": "!=",
}


def _for_misspelling(place: Place) -> str | None:
    if place.kind != "ID" or place.word.startswith("\\"):
        return None
    fitting = [word for word, (kind, _) in KEYWORDS.items() if kind in place.expected]
    constants = NAMED_CONSTANTS if "NUM" in place.expected else ()
    return for_word(place.text, place.span, [*fitting, *constants])


def _for_bytes_of_a_name(place: Place) -> str | None:
    if place.kind == "ID" and place.text.startswith("[", place.span.end):
        return f"'{place.word}' is no protocol whose bytes can be looked at"
    return None


def _for_minus(place: Place) -> str | None:
    if place.kind == "ID" and re.fullmatch(r"\w+-[\w-]+", place.word):
        return f"'{place.word}' is one word; a minus sign stands between blanks"
    return None


def _for_range(place: Place) -> str | None:
    if _last_keyword(place) == "portrange" and place.kind in {"MINUS", "COLON"}:
        return "a range of ports is one word, without blanks: portrange 80-90"
    return None


def _for_address_part(place: Place) -> str | None:
    """Know what may not follow an address or a number that stands for one."""
    match place.kind, place.last:
        case "COLON", "IPV4" | "IPV6" | "ID":
            return "an address and a port are two terms: host 192.0.2.1 and port 80"
        case "PERCENT", "IPV6":
            return "an IPv6 address is written without its zone"
        case "SLASH" | "MASK", _ if _complete(place):
            return "a network with a mask is written with a dot: net 10.0/8"
        case "LBRACKET", _:
            return "brackets are for the bytes of a protocol: ip[8], tcp[2:2]"
        case _:
            return None


def _for_parenthesis(place: Place) -> str | None:
    match place.kind:
        case "RPAREN" if place.last == "LPAREN":
            return "there is nothing between the parentheses"
        case "RPAREN" if place.last in {"and", "or", "NOT"}:
            return f"there is nothing between '{_last_word(place)}' and the parenthesis"
        case "RPAREN" if "LPAREN" not in place.before:
            return "there is no opening parenthesis for it"
        case _:
            return None


def _for_junction(place: Place) -> str | None:
    if place.kind not in _JUNCTIONS:
        return None
    if place.last in {"$end", "and", "or", "NOT", "LPAREN"}:
        return f"'{place.word}' stands between two terms, and there is none before it"
    if "ID" in place.expected:
        return f"what it is about is missing before '{place.word}'"
    return None


def _for_relation(place: Place) -> str | None:
    if place.kind not in _RELATIONS:
        return None
    if _bracket_open(place):
        return "a bracket is still open"
    if "relop" in place.before:
        return "comparisons do not chain; join two with `and`"
    if "ID" in place.expected or _complete(place):
        return "no sign stands between a qualifier and its value: host 192.0.2.1, port 80"
    return "numbers are compared: len, proto[offset:size], and arithmetic on them"


def _for_missing_qualifier(place: Place) -> str | None:
    """Name the qualifier for an address or a number that stands alone or behind a protocol."""
    if place.last not in {"$end", "LPAREN", "NOT", "pname", "PROTOCOL"}:
        return None
    proto = _last_word(place) if place.last in {"pname", "PROTOCOL"} else ""
    host, port = _joined(proto, _HAVE_HOSTS, "host"), _joined(proto, _HAVE_PORTS, "port")
    match place.kind:
        case "NUM":
            return f"say what the number is: {port} {place.word}"
        case "IPV4" | "IPV6":
            return f"say what the address is: {host} {place.word}"
        case "MAC":
            return f"say what the address is: ether host {place.word}"
        case "ID" if proto and not place.word.startswith("\\"):
            return f"say what the name is: {host} {place.word}, or {port} {place.word}"
        case _:
            return None


_HAVE_HOSTS: Final = frozenset(("", "ip", "ip6", "arp", "rarp"))
_HAVE_PORTS: Final = frozenset(("", "tcp", "udp", "sctp"))


def _joined(proto: str, fitting: frozenset[str], kind: str) -> str:
    """Return a protocol and the kind of what follows: one primitive where they fit, or two."""
    return f"{proto} {kind}".strip() if proto in fitting else f"{proto} and {kind}"


def _for_keyword_as_name(place: Place) -> str | None:
    if place.word not in KEYWORDS or "ID" not in place.expected or place.last == "LLC":
        return None
    return f"a name that is also a keyword has a backslash before it: \\{place.word}"


def _for_value(place: Place) -> str | None:
    """Say what a word is followed by, where only a number or a name may follow it."""
    kinds = _VALUES.get(place.expected)
    return None if kinds is None else f"'{_last_word(place)}' is followed by {kinds}"


_VALUES: Final = {
    frozenset(("NUM",)): "a number",
    frozenset(("ID",)): "a name",
    frozenset(("NUM", "ID")): "a number or a name",
}


def _for_number_alone(place: Place) -> str | None:
    if place.expected >= _RELATIONS and "relop" not in place.before:
        return "a number is compared with another: len > 80, ip[8] = 64"
    return None


def _for_two_terms(place: Place) -> str | None:
    begins_term = place.kind not in {"RPAREN", "RBRACKET"} and place.word[0] not in "*/%&|^+:<>="
    return "two terms are joined by `and` or `or`" if begins_term and _complete(place) else None


def _for_missing_end(place: Place) -> str | None:
    """Say what is missing at the end of a text, or which bracket is still open."""
    if place.expected >= _RELATIONS and "relop" not in place.before:
        return "say what the number is, or what to compare it with: port 80, len > 80"
    if place.last in {"pqual", "dqual", "head", "and", "or", "relop"} | _QUALIFIERS | {"NOT"}:
        return f"'{_last_word(place)}' needs something behind it"
    if _bracket_open(place):
        return "a bracket is still open"
    if "LPAREN" in place.before:
        return "a parenthesis is still open"
    return f"'{_last_word(place)}' needs something behind it"


_IN_THE_MIDDLE: Final[tuple[Callable[[Place], str | None], ...]] = (
    _for_signs,
    _for_misspelling,
    _for_bytes_of_a_name,
    _for_minus,
    _for_range,
    _for_address_part,
    _for_parenthesis,
    _for_junction,
    _for_relation,
    _for_missing_qualifier,
    _for_value,
    _for_keyword_as_name,
    _for_number_alone,
    _for_two_terms,
)
_AT_THE_END: Final[tuple[Callable[[Place], str | None], ...]] = (_for_missing_end,)


def _complete(place: Place) -> bool:
    """Return whether what stands to the left of the token could be the end of a term."""
    return bool(place.expected & _JUNCTIONS)


def _bracket_open(place: Place) -> bool:
    return "LBRACKET" in place.before


def _last_word(place: Place) -> str:
    """Return the last word to the left of the token."""
    words = re.findall(r"\w[\w.-]*|&&|\|\||\S", place.text[: place.span.start])
    return words[-1] if words else ""


def _last_keyword(place: Place) -> str | None:
    """Return the last keyword to the left of the token."""
    words = re.findall(r"[a-z]\w*", place.text[: place.span.start])
    return next((word for word in reversed(words) if word in KEYWORDS), None)
