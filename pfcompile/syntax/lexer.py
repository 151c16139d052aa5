"""Tokens of a filter expression.

The language is defined by longest match, which a PLY lexer (an ordered alternation) does not do by
itself: its one rule for words takes the longest of the forms below, the earlier on a tie.

Source: pcap-filter(7); libpcap 1.11's scanner as its behaviour shows it.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from ply import lex

from pfcompile.errors import FilterError, Span
from pfcompile.facts.named_constants import NAMED_CONSTANTS
from pfcompile.syntax.keywords import BAD, KEYWORDS, OPERATORS, TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Rule: TypeAlias = "Callable[[Any], Any]"

tokens = (*TOKENS, BAD)

SYNTAX_ERROR: Final = "can't parse filter expression: syntax error"
"""libpcap's words for every error of grammar, and for a character that begins no token."""

_NUMBER_LIMIT: Final = 1 << 32


class Lexeme(NamedTuple):
    """What a token carries: its text, what it means, and where it stands."""

    text: str
    value: Any
    span: Span


def _ipv6_patterns() -> Iterator[str]:
    """Yield one pattern for each shape of an IPv6 address.

    A shape is 8 groups, or fewer with one `::` among them; the last two groups may be a dotted
    IPv4 address.
    """
    group, dotted = "[0-9A-Fa-f]{1,4}", rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}\.{_NUMBER}"

    def join(count: int, *, tail: bool) -> str:
        groups = [group] * (count - 2) + [dotted] if tail else [group] * count
        return ":".join(groups)

    for tail in (False, True):
        least = 2 if tail else 0
        yield join(8, tail=tail)
        for before in range(8):
            for after in range(least, 8 - before):
                yield f"{join(before, tail=False)}::{join(after, tail=tail)}"


_NUMBER = r"(?:0[xX][0-9A-Fa-f]+|[0-9]+)"
_BYTE = "[0-9A-Fa-f]{1,2}"
_MAC = "|".join(
    [
        *(rf"{_BYTE}(?:{separator}{_BYTE}){{5}}" for separator in (":", "-", r"\.")),
        r"[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}",
        "[0-9A-Fa-f]{12}",
    ]
)

# Token, patterns. Of the longest matches the first counts. A keyword is an ID that happens to be
# in the table, and wins over all else of its length ("add" is no MAC, "dec" no number).
_FORMS: Final = tuple(
    (token, tuple(re.compile(pattern) for pattern in patterns))
    for token, patterns in (
        ("ARCNET", (r"\$[0-9A-Fa-f]{1,2}",)),
        ("MAC", _MAC.split("|")),
        ("NUM", (_NUMBER,)),
        (
            "IPV4",
            (
                rf"{_NUMBER}\.{_NUMBER}",
                rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}",
                rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}\.{_NUMBER}",
            ),
        ),
        ("IPV6", ()),  # compiled only where one may stand: _forms_with_ipv6
        ("BAD_MAC", (rf"{_BYTE}:+(?:{_BYTE}:+)+",)),
        # Ends in a letter, digit or dot, so that `80-` is a number and a minus sign.
        ("ID", (r"[A-Za-z0-9](?:[-_.A-Za-z0-9]*[.A-Za-z0-9])?", r"\\[^ !()\n\t]+")),
    )
)

_COLON_AHEAD: Final = re.compile(r"[0-9A-Fa-f]{0,4}:")


@cache
def _forms_with_ipv6() -> tuple[tuple[str, tuple[re.Pattern[str], ...]], ...]:
    """Return the forms with the 70-odd shapes of an IPv6 address among them."""
    shapes = tuple(re.compile(pattern) for pattern in _ipv6_patterns())
    return tuple((form, shapes if form == "IPV6" else patterns) for form, patterns in _FORMS)


_CHUNK: Final = re.compile(r"\\[^ !()\n\t]*|[-_.:$A-Za-z0-9]*")
"""What holds all words that may begin at a place: no form goes on behind it."""


def _longest(text: str, start: int) -> tuple[str, str]:
    """Return the form and the text of the longest word at `start`; the text may be empty."""
    found = _CHUNK.match(text, start)
    return _longest_in(found[0] if found else "")


@lru_cache(maxsize=256)
def _longest_in(chunk: str) -> tuple[str, str]:
    """Return the form and the text of the longest word that a chunk begins with."""
    best_form, best_end = "ID", 0
    forms = _forms_with_ipv6() if _COLON_AHEAD.match(chunk) else _FORMS
    for form, patterns in forms:
        for pattern in patterns:
            match = pattern.match(chunk)
            if match is not None and match.end() > best_end:
                best_form, best_end = form, match.end()
    return best_form, chunk[:best_end]


def word_kind(text: str) -> str | None:
    """Return the kind of token that the whole of `text` is; None if it is not a single word."""
    form, word = _longest(text, 0)
    if word != text or not text:
        return None
    try:
        return _value(form, text)[0]
    except ValueError:
        return BAD


def _number(text: str) -> int:
    """Return the value of a number; raises ValueError with libpcap's words."""
    if text[:2] in {"0x", "0X"}:
        base, kind = 16, "hexadecimal"
    elif text[0] == "0" and len(text) > 1:
        base, kind = 8, "octal"
        if set(text) & set("89"):
            msg = f"number {text} contains non-octal digit"
            raise ValueError(msg)
    else:
        base, kind = 10, "decimal"
    # Python refuses to convert thousands of digits; no number of more than 40 fits 32 bits
    # unless it begins with zeros.
    digits = (text[2:] if base == 16 else text).lstrip("0") or "0"
    if len(digits) > 40 or int(digits, base) >= _NUMBER_LIMIT:
        msg = f"{kind} number {text} overflows 32 bits"
        raise ValueError(msg)
    return int(digits, base)


def _mac(text: str) -> bytes:
    """Return the six bytes of a MAC address in any of its spellings."""
    parts = re.split("[:.-]", text)
    if len(parts) == 6:
        return bytes(int(part, 16) for part in parts)
    return bytes.fromhex("".join(parts))


def _value(form: str, text: str) -> tuple[str, Any]:
    """Return the token for a word and its value; raises ValueError for a word that has none."""
    if text in KEYWORDS:
        return KEYWORDS[text]
    if text in NAMED_CONSTANTS:
        return "NUM", NAMED_CONSTANTS[text]
    match form:
        case "NUM":
            return form, _number(text)
        case "MAC":
            return form, _mac(text)
        case "ARCNET":
            return form, int(text[1:], 16)
        case "IPV6":
            import socket  # noqa: PLC0415 - for IPv6 addresses only

            try:
                socket.inet_pton(socket.AF_INET6, text)
            except OSError:
                msg = f"invalid IPv6 address {text}"
                raise ValueError(msg) from None
            return form, text
        case "BAD_MAC":
            msg = f"invalid Ethernet address {text}"
            raise ValueError(msg)
        case _:
            return form, text.removeprefix("\\")


def _pattern(regex: str) -> Callable[[_Rule], _Rule]:
    """Say what a rule is for: PLY's `TOKEN`, with types."""

    def mark(rule: _Rule) -> _Rule:
        vars(rule)["regex"] = regex
        return rule

    return mark


@_pattern(r"&&|\|\||!=|==|<<|>>|>=|<=|[-+*/%&|^\[\]()!<>=]")
def t_operator(t: Any) -> Any:
    """Return an operator; the longer ones come first."""
    t.type = OPERATORS[t.value]
    return _lexeme(t, t.value, t.value)


@_pattern(r"[A-Za-z0-9\\$:]")
def t_word(t: Any) -> Any:
    """Return what begins with a character that may begin a word."""
    form, text = _longest(t.lexer.lexdata, t.lexpos)
    if not text and t.value == ":":
        t.type = OPERATORS[":"]
        return _lexeme(t, ":", ":")
    t.lexer.skip(max(len(text) - 1, 0))
    if not text:
        return t_error(t)
    try:
        t.type, value = _value(form, text)
    except ValueError as error:
        return _bad(t, text, str(error), _form_hint(form, text))
    return _lexeme(t, text, value)


def t_error(t: Any) -> Any:
    """Turn a character that begins no token into an error of the grammar."""
    character = t.lexer.lexdata[t.lexpos]
    if t.lexer.lexpos == t.lexpos:
        t.lexer.skip(1)
    shown = repr(character)
    return _bad(
        t,
        character,
        f"{SYNTAX_ERROR}: {shown} has no meaning here",
        _CHARACTER_HINTS.get(character),
    )


t_ignore = " \t\r\n"

_CHARACTER_HINTS: Final = {
    "'": "names and numbers are written without quotes",
    '"': "names and numbers are written without quotes",
    ",": "join the parts with `or`, as in `port 80 or 443`",
    ";": "one expression at a time; join two with `and` or `or`",
    "~": "there is no bitwise complement; `0xffffffff ^ x` is the same",
    "{": "group with round parentheses",
    "}": "group with round parentheses",
    ".": "an address begins with a digit",
    "\\": "a backslash stands directly before a name, as in `ip proto \\tcp`",
    "$": "`$` stands before the one or two hex digits of an ARCnet address",
}


def _form_hint(form: str, text: str) -> str | None:
    """Return advice about a word that has the form of a number or an address but means nothing."""
    if form == "BAD_MAC":
        return "a MAC address has six groups; an IPv6 address has eight, or `::` once"
    if form == "NUM" and text.isdigit() and text[0] == "0" and set(text) & set("89"):
        return f"a leading 0 makes a number octal; {text.lstrip('0')} is the decimal one"
    return None


def _lexeme(t: Any, text: str, value: Any) -> Any:
    t.value = Lexeme(text, value, Span(t.lexpos, t.lexpos + len(text)))
    return t


def _bad(t: Any, text: str, message: str, hint: str | None = None) -> Any:
    span = Span(t.lexpos, t.lexpos + len(text))
    t.type = BAD
    t.value = FilterError(message, t.lexer.lexdata, span, hint)
    return t


_PROTOTYPE = lex.lex(optimize=False)


def tokenize(text: str) -> Any:
    """Return a PLY lexer over `text`, ready for a parser."""
    lexer = _PROTOTYPE.clone()
    lexer.input(text)
    return lexer
