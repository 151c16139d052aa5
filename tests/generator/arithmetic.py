"""Random relations between arithmetic expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections import Counter

    from tests.generator.spellings import Speller

_RELATIONS: Final = ("=", "==", "!=", "<", "<=", ">", ">=")
_OPERATORS: Final = ("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>")
# libpcap looks at the first constant behind these, however deep it lies, and refuses 0 (or 32 and
# more for a shift).
_DIVISIONS: Final = ("/", "%")
_SHIFTS: Final = ("<<", ">>")

_LINK_WORDS: Final = ("ether", "link", "ether", "wlan", "ppp")
_ACCESSORS: Final = (
    "ip", "ip", "ip6", "ip6", "arp", "rarp", "tcp", "tcp", "tcp", "udp", "udp", "sctp", "icmp",
    "icmp", "igmp", "igrp", "pim", "vrrp", "carp", "icmp6",
)  # fmt: skip
_OLD_ACCESSORS: Final = ("atalk", "decnet", "lat", "sca", "moprc", "mopdl")
_CONSTANTS: Final = (
    "tcpflags", "icmptype", "icmpcode", "icmp6type", "icmp6code", "icmp-echo", "icmp-echoreply",
    "icmp-unreach", "icmp-timxceed", "icmp-redirect", "icmp6-neighborsolicit",
    "icmp6-neighboradvert", "icmp6-echo", "icmp6-packettoobig", "tcp-fin", "tcp-syn", "tcp-rst",
    "tcp-push", "tcp-ack", "tcp-urg", "tcp-ece", "tcp-cwr",
)  # fmt: skip
_OFFSETS: Final = (0, 0, 1, 2, 4, 6, 8, 9, 12, 13, 16, 20, 40)
_NUMBERS: Final = (0, 1, 2, 4, 5, 6, 7, 8, 15, 0x0F, 0xF0, 0xFF, 0x800, 0x45, 1500, 0xFFFF,
                   0x7FFFFFFF, 0xFFFFFFFF)  # fmt: skip


@dataclass(slots=True)
class Arithmetic:
    """Makes relations; every method returns tokens."""

    rng: random.Random
    coverage: Counter[str]
    spell: Speller
    old_protocols: bool
    network: bool
    radio: bool

    def relation(self) -> list[str]:
        """Return a relation of which at least one side looks at the packet."""
        sides = [
            self._operand(self.rng.choices((0, 1, 2, 3), (4, 4, 2, 1))[0], reading=True),
            self._operand(self.rng.choices((0, 1, 2), (8, 1, 1))[0], reading=False),
        ]
        if self.rng.random() < 0.1:
            sides.reverse()
        return [*sides[0], self._relop(), *sides[1]]

    def about_length(self) -> list[str]:
        """Return a relation of the packet's length."""
        word = self.rng.choice(("len", "length"))
        self.coverage[word] += 1
        value = self.spell.number(self.rng.choice((60, 64, 100, 576, 1500, 1514)))
        return [word, self._relop(), value]

    def _relop(self) -> str:
        relop = self.rng.choice(_RELATIONS)
        self.coverage[f"relation {relop}"] += 1
        return relop

    def _operand(self, depth: int, *, reading: bool) -> list[str]:
        if depth == 0:
            return self._accessor(2) if reading else self._leaf()
        chance = self.rng.random()
        if chance < 0.1:
            self.coverage["arithmetic unary -"] += 1
            return ["-", *self._operand(depth - 1, reading=reading)]
        if chance < 0.25:
            self.coverage["arithmetic parenthesis"] += 1
            return ["(", *self._operand(depth - 1, reading=reading), ")"]
        return self._operation(depth, reading=reading)

    def _operation(self, depth: int, *, reading: bool) -> list[str]:
        operator = self.rng.choice(_OPERATORS)
        self.coverage[f"arithmetic {operator}"] += 1
        left = self._operand(depth - 1, reading=reading)
        if operator in _DIVISIONS or operator in _SHIFTS:
            largest = 31 if operator in _SHIFTS else 64
            right = [self.spell.number(self.rng.randint(1, largest))]
            if self.rng.random() < 0.15:
                right = ["(", *self._operand(depth - 1, reading=True), ")"]
        else:
            right = self._operand(self.rng.randrange(depth), reading=self.rng.random() < 0.2)
        return [*left, operator, *right]

    def _leaf(self) -> list[str]:
        chance = self.rng.random()
        if chance < 0.12:
            self.coverage["named constant"] += 1
            return [self.rng.choice(_CONSTANTS)]
        if chance < 0.16:
            self.coverage["len in arithmetic"] += 1
            return [self.rng.choice(("len", "length"))]
        if chance < 0.22:
            return self._accessor(1)
        value = self.rng.choice(_NUMBERS)
        return [self.spell.number(value if self.rng.random() < 0.7 else self.rng.getrandbits(8))]

    def _accessor(self, depth: int) -> list[str]:
        names = list(_LINK_WORDS)
        if self.network:
            names += _ACCESSORS
        if self.old_protocols and self.rng.random() < 0.05:
            names = list(_OLD_ACCESSORS)
        if self.radio and self.rng.random() < 0.2:
            names = ["radio"]
        name = self.rng.choice(names)
        self.coverage[f"accessor {name}"] += 1
        if depth and self.rng.random() < 0.12:
            self.coverage["computed index"] += 1
            index = self._operand(depth - 1, reading=True)
        elif self.rng.random() < 0.1:
            index = [self.rng.choice(("tcpflags", "icmptype", "icmp6code"))]
        else:
            index = [self.spell.number(self.rng.choice(_OFFSETS))]
        size = self.rng.choices((0, 1, 2, 4), (5, 1, 3, 2))[0]
        self.coverage[f"accessor of size {size or 'unsaid'}"] += 1
        sized = [":", str(size)] if size else []
        return [name, "[", *index, *sized, "]"]
