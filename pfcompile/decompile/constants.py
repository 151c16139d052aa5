"""Numbers of fields that have names, as `tcp[tcpflags] & tcp-syn != 0`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pfcompile.facts.named_constants import NAMED_CONSTANTS

if TYPE_CHECKING:
    from collections.abc import Mapping


def _numbers(prefix: str) -> Mapping[int, str]:
    return {number: name for name, number in NAMED_CONSTANTS.items() if name.startswith(prefix)}


_FLAGS: Final = _numbers("tcp-")
_TYPES: Final = {"icmp": _numbers("icmp-"), "icmp6": _numbers("icmp6-")}

_FLAG_TEST: Final = re.compile(
    r"tcp\[13\](?: & (?P<mask>0x[0-9a-f]+|[0-9]+))? (?P<sign>!?=) (?P<bits>0x[0-9a-f]+|[0-9]+)"
)
_TYPE_TEST: Final = re.compile(r"\b(icmp6?)\[0\] (!?=) ([0-9]+)\b")
_CODE: Final = re.compile(r"\b(icmp6?)\[1\]")


def with_names(text: str) -> str:
    """Return a comparison with the names that its numbers have."""
    text = _FLAG_TEST.sub(_flags, text)
    text = _TYPE_TEST.sub(_type, text)
    return _CODE.sub(r"\1[\1code]", text)


def _flags(match: re.Match[str]) -> str:
    mask = "" if match["mask"] is None else f" & {_joined(int(match['mask'], 0))}"
    return f"tcp[tcpflags]{mask} {match['sign']} {_joined(int(match['bits'], 0))}"


def _joined(bits: int) -> str:
    """Return the flags of TCP that a number stands for."""
    names = [name for number, name in sorted(_FLAGS.items()) if bits & number]
    if len(names) < 2:
        return names[0] if names else "0"
    return f"({'|'.join(names)})"


def _type(match: re.Match[str]) -> str:
    proto, sign, number = match.groups()
    named = _TYPES[proto].get(int(number), number)
    return f"{proto}[{proto}type] {sign} {named}"
