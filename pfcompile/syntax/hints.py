"""Advice beside a syntax error: what the writer may have meant."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from pfcompile.errors import Span
from pfcompile.syntax.keywords import KEYWORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

# Wireshark's display filters as people type them here, and the capture filter that says it.
# Source: wireshark-filter(4) against pcap-filter(7). `{}` is the value compared with.
DISPLAY_FILTERS: Final = {
    "ip.addr": "ip host {}",
    "ip.src": "ip src host {}",
    "ip.dst": "ip dst host {}",
    "ip.host": "host {}",
    "ip.src_host": "src host {}",
    "ip.dst_host": "dst host {}",
    "ip.proto": "ip proto {}",
    "ip.ttl": "ip[8] = {}",
    "ip.len": "ip[2:2] = {}",
    "ip.id": "ip[4:2] = {}",
    "ipv6.addr": "ip6 host {}",
    "ipv6.src": "ip6 src host {}",
    "ipv6.dst": "ip6 dst host {}",
    "ipv6.nxt": "ip6 proto {}",
    "tcp.port": "tcp port {}",
    "tcp.srcport": "tcp src port {}",
    "tcp.dstport": "tcp dst port {}",
    "tcp.flags": "tcp[tcpflags] = {}",
    "tcp.flags.syn": "tcp[tcpflags] & tcp-syn != 0",
    "tcp.flags.ack": "tcp[tcpflags] & tcp-ack != 0",
    "tcp.flags.fin": "tcp[tcpflags] & tcp-fin != 0",
    "tcp.flags.reset": "tcp[tcpflags] & tcp-rst != 0",
    "tcp.flags.push": "tcp[tcpflags] & tcp-push != 0",
    "udp.port": "udp port {}",
    "udp.srcport": "udp src port {}",
    "udp.dstport": "udp dst port {}",
    "udp.length": "udp[4:2] = {}",
    "sctp.port": "sctp port {}",
    "icmp.type": "icmp[icmptype] = {}",
    "icmp.code": "icmp[icmpcode] = {}",
    "icmpv6.type": "icmp6[icmp6type] = {}",
    "eth.addr": "ether host {}",
    "eth.src": "ether src {}",
    "eth.dst": "ether dst {}",
    "eth.type": "ether proto {}",
    "vlan.id": "vlan {}",
    "frame.len": "len = {}",
    "arp.opcode": "arp[6:2] = {}",
}

_COMPARISON: Final = re.compile(r"\s*(==|=|!=|eq\b|ne\b)\s*(\S+)")

# Words of other filter languages and of habit, and what is said here.
OTHER_WORDS: Final = {
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
    "mac": "write `ether host`",
    "ports": "write `port 80 or 443`, or `portrange 80-90`",
    "hosts": "write `host a or b`",
    "http": "write `tcp port 80`",
    "https": "write `tcp port 443`",
    "dns": "write `port 53`",
    "ssh": "write `tcp port 22`",
    "dhcp": "write `udp port 67 or 68`",
    "ntp": "write `udp port 123`",
    "ospf": "write `ip proto 89`",
    "gre": "write `ip proto 47`",
    "lldp": "write `ether proto 0x88cc`",
    "any": "an empty expression matches every packet",
    "all": "an empty expression matches every packet",
}


def for_word(text: str, span: Span) -> str | None:
    """Return advice for a word that stands where none was expected, or None."""
    word = text[span.start : span.end]
    comparison = _COMPARISON.match(text, span.end)
    if word.lower() in DISPLAY_FILTERS:
        capture = DISPLAY_FILTERS[word.lower()]
        value = comparison[2].rstrip(")") if comparison else "VALUE"
        negated = "not " if comparison and comparison[1] in {"!=", "ne"} else ""
        said = negated + capture.format(value)
        return f"'{word}' is a display filter's field; as a capture filter: {said}"
    if word in OTHER_WORDS:
        return OTHER_WORDS[word]
    if word.lower() in KEYWORDS:
        return f"keywords are written in lower case: {word.lower()}"
    if word.lower() in OTHER_WORDS:
        return OTHER_WORDS[word.lower()]
    near = difflib.get_close_matches(word.lower(), KEYWORDS, n=3, cutoff=0.7)
    if near:
        return "did you mean " + " or ".join(f"'{found}'" for found in near) + "?"
    return None


def for_token(text: str, span: Span, values: Sequence[object]) -> str | None:
    """Return advice for a token that fits nowhere, given what the parser has read before it."""
    token = text[span.start : span.end]
    before = _word_before(text, span.start)
    if before is not None:
        hint = for_word(text, before)
        if hint is not None and text[before.start : before.end] not in KEYWORDS:
            return hint
    own = for_word(text, span)
    if own is not None and token not in KEYWORDS:
        return own
    if token in {"=", "==", "!=", "<", ">", "<=", ">="}:
        return "comparisons are of numbers: len, proto[offset:size] and arithmetic on them"
    if token == ")" and text.count(")") > text.count("("):
        return "there is no opening parenthesis for it"
    if token in KEYWORDS and values and text[: span.start].strip():
        return "two terms are joined by `and` or `or`; a name that is a keyword needs a backslash"
    if token and (token[0].isalnum() or token[0] == "\\"):
        return "two terms are joined by `and` or `or`"
    return None


def for_end(text: str, _values: Sequence[object]) -> str | None:
    """Return advice for an expression that ends too early."""
    if text.count("(") > text.count(")"):
        return "a parenthesis is still open"
    words = text.split()
    last = words[-1]
    before = _word_before(text, len(text))
    if last in {"and", "or", "not", "&&", "||", "!"}:
        return f"'{last}' needs something behind it"
    if before is not None and last not in KEYWORDS:
        return for_word(text, before)
    if last in KEYWORDS:
        return f"'{last}' needs something behind it"
    return None


def _word_before(text: str, end: int) -> Span | None:
    """Return where the word just before `end` stands, or None."""
    match = re.search(r"[A-Za-z][-\w.]*(?=\s*$)", text[:end])
    return None if match is None else Span(match.start(), match.end())
