"""All the ways to write one number or address."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections import Counter
    from collections.abc import Sequence

_WORD: Final = 0xFFFFFFFF
_MINUS: Final = ("-",)

# Few values of each kind, so that terms of one expression meet; random ones come on top.
_ADDRESSES: Final = (0x0A000001, 0x0A010203, 0xC0A80001, 0xC0A801FE, 0x7F000001, 0xE0000001, 0)
_ADDRESSES6: Final = ("2001:db8::1", "fe80::1", "ff02::1", "::1", "::", "2001:db8:0:1:2:3:4:5")
_MACS: Final = (0x020000000001, 0x00005E0001FE, 0xFFFFFFFFFFFF, 0x0180C2000000, 0xDEADBEEFCAFE)

# What a MAC's groups are joined with, and the bytes in a group.
_MAC_FORMS: Final = (
    ("mac colons", ":", 1),
    ("mac dashes", "-", 1),
    ("mac dots", ".", 1),
    ("mac quads", ".", 2),
    ("mac bare", "", 1),
)


@dataclass(slots=True)
class Speller:
    """Spells values at random and counts how."""

    rng: random.Random
    coverage: Counter[str]
    plain: float = field(default=0.6)
    """The share of numbers that are simply decimal."""

    def number(self, value: int) -> str:
        """Write `value` in base 10, 16 or 8."""
        if self.rng.random() < self.plain:
            self.coverage["number decimal"] += 1
            return str(value)
        form = self.rng.choice(("hex", "HEX", "octal"))
        text = {"hex": f"0x{value:x}", "HEX": f"0X{value:04X}", "octal": f"0{value:o}"}[form]
        if len(text) == 12 and form == "octal":
            # Twelve digits would be a MAC.
            text = "0" + text
        self.coverage[f"number {form.lower()}"] += 1
        return text

    def ipv4(self, value: int, parts: int = 4) -> str:
        """Write the first `parts` bytes of an address, now and then with leading zeros."""
        groups = [value >> shift & 0xFF for shift in (24, 16, 8, 0)][:parts]
        padded = self.rng.random() < 0.05
        self.coverage[f"ipv4 of {parts} parts"] += 1
        return ".".join(f"{group:03d}" if padded else str(group) for group in groups)

    def ipv6(self, value: int) -> str:
        """Write an IPv6 address: whole, shortened, in capitals, or with an IPv4 tail."""
        address = ipaddress.IPv6Address(value)
        form = self.rng.choice(("short", "short", "whole", "capitals", "tail"))
        self.coverage[f"ipv6 {form}"] += 1
        if form == "tail":
            head = ":".join(f"{value >> shift & 0xFFFF:x}" for shift in range(112, 31, -16))
            return f"{head}:{ipaddress.IPv4Address(value & _WORD)}"
        if form == "whole":
            return address.exploded
        return address.compressed.upper() if form == "capitals" else address.compressed

    def mac(self, value: int) -> str:
        """Write a MAC address in one of its notations."""
        form, separator, size = self.rng.choice(_MAC_FORMS)
        self.coverage[form] += 1
        raw = value.to_bytes(6, "big")
        groups = [raw[start : start + size].hex() for start in range(0, 6, size)]
        if separator and size == 1 and self.rng.random() < 0.3:
            groups = [f"{byte:x}" for byte in raw]
        return separator.join(groups)

    def any_ipv4(self) -> int:
        """Choose an IPv4 address."""
        return self._any(_ADDRESSES, 32)

    def any_ipv6(self) -> int:
        """Choose an IPv6 address."""
        if self.rng.random() < 0.8:
            return int(ipaddress.IPv6Address(self.rng.choice(_ADDRESSES6)))
        return self.rng.getrandbits(128)

    def any_mac(self) -> int:
        """Choose a MAC address."""
        return self._any(_MACS, 48)

    def _any(self, usual: Sequence[int], bits: int) -> int:
        return self.rng.choice(usual) if self.rng.random() < 0.7 else self.rng.getrandbits(bits)


def joined(tokens: Sequence[str], rng: random.Random) -> str:
    """Write `tokens` as one text, with blanks where they must be and here and there besides."""
    text = ""
    for token in tokens:
        if text and (_must_part(text, token) or rng.random() < 0.6):
            text += rng.choices((" ", "  ", "\t", "\n"), (50, 2, 1, 1))[0]
        text += token
    return text


def _must_part(text: str, token: str) -> bool:
    """Return whether `token` directly behind `text` would be read as something else."""
    last_word = text.rsplit(maxsplit=1)[-1]
    escape = last_word.rfind("\\")
    if escape >= 0 and not any(mark in last_word[escape:] for mark in "!()"):
        # An escaped name swallows whatever follows but a blank, `!` and brackets.
        return token[0] not in "!()"
    ends_in_word = text[-1].isalnum() or text[-1] in "_.:$"
    starts_word = token[0].isalnum() or token[0] in "$\\:"
    operators = "<>=!&|"
    return (
        (ends_in_word and (starts_word or token in _MINUS))
        or (text[-1] == "-" and starts_word)
        or (text[-1] in operators and token[0] in operators)
    )
