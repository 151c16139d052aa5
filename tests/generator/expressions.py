"""Random filter expressions, from a seed.

Every production of the language's grammar and every primitive can come out, spelled in every way.
Most expressions compile on the link type that they are made for; a few are wrong on purpose (a
primitive that the link type lacks, an id that inherits nothing, a number out of range). Host names
never appear, because a test cannot count on a resolver; services and protocols do, by names that
stand in the usual /etc/services and /etc/protocols.
"""

from __future__ import annotations

import ipaddress
import random
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.generator.arithmetic import Arithmetic
from tests.generator.links import LINKS
from tests.generator.simple import SIMPLE, Simple
from tests.generator.spellings import Speller, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FIRST_GROUPS: Final = frozenset(
    {
        "host", "net", "port", "portrange", "proto", "abbreviation", "ether host", "ether proto",
        "broadcast", "multicast", "less", "greater", "len", "vlan", "relation",
    }
)  # fmt: skip
"""The primitives that make up most filters in use."""

# How often an expression gets something that does not fit, for each choice.
_WRONG: Final = 0.008


@dataclass(frozen=True, slots=True)
class Qualifiers:
    """What stands before an id, and what a following bare id inherits.

    Attributes:
        proto: A protocol keyword, or "".
        direction: The words of the direction, or ().
        kind: "host" (also when no type is written), "net", "port", "portrange", "proto" or
            "protochain".
        id_kind: Which ids fit: the kind, or "mac", "aid", "decnet", "link proto", "iso proto",
            "isis proto".
    """

    proto: str
    direction: tuple[str, ...]
    kind: str
    id_kind: str


_DIRECTIONS: Final = (
    (),
    (),
    (),
    ("src",),
    ("dst",),
    ("src", "or", "dst"),
    ("dst", "or", "src"),
    ("src", "and", "dst"),
    ("dst", "and", "src"),
)
_WLAN_DIRECTIONS: Final = ("addr1", "addr2", "addr3", "addr4", "ra", "ta", "address1", "address2",
                           "address3", "address4")  # fmt: skip
_LINK_WORDS: Final = ("ether", "ether", "ether", "link", "wlan", "fddi", "tr", "ppp", "slip")

# Service names, and over which protocols they are registered.
SERVICES: Final = {
    "http": ("tcp",), "https": ("tcp", "udp"), "domain": ("tcp", "udp"), "ssh": ("tcp",),
    "ntp": ("udp",), "bootps": ("udp",), "snmp": ("tcp", "udp"), "ftp-data": ("tcp",),
    "sip": ("tcp", "udp"), "tftp": ("udp",), "imap2": ("tcp",), "nfs": ("tcp", "udp"),
}  # fmt: skip
PROTOCOLS: Final = {
    "hopopt": 0, "icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "rsvp": 46, "gre": 47, "esp": 50,
    "ah": 51, "ipv6-icmp": 58, "eigrp": 88, "ospf": 89, "etherip": 97, "pim": 103, "vrrp": 112,
    "l2tp": 115, "sctp": 132, "udplite": 136,
}  # fmt: skip
_LINK_PROTOCOLS: Final = (
    "aarp", "arp", "atalk", "decnet", "ip", "ip6", "lat", "loopback", "mopdl", "moprc", "rarp",
    "sca", "iso", "stp", "ipx", "netbeui",
)  # fmt: skip
_LINK_NUMBERS: Final = (0x800, 0x806, 0x86DD, 0x8100, 0x88CC, 0x809B, 0x80F3, 0x8137, 0x9000, 6, 17,
                        0x42, 0xAA, 0xE0, 0xF0, 0xFE)  # fmt: skip
_PORTS: Final = (22, 53, 80, 443, 8080, 0, 65535, 1024)

# The plain names of protocols, by group.
_ABBREVIATIONS: Final = {
    "abbreviation": (
        "ip", "ip", "ip6", "arp", "rarp", "tcp", "tcp", "udp", "udp", "sctp", "icmp", "icmp6",
        "igmp", "igrp", "pim", "vrrp", "carp", "ah", "esp",
    ),
    "dec": ("atalk", "aarp", "decnet", "lat", "sca", "moprc", "mopdl"),
    "iso": (
        "iso", "stp", "ipx", "netbeui", "clnp", "esis", "es-is", "isis", "is-is", "l1", "l2",
        "iih", "lsp", "snp", "csnp", "psnp",
    ),
}  # fmt: skip

# Keywords that need a backslash when they are meant as names.
_KEYWORD_NAMES: Final = frozenset(
    {name for names in _ABBREVIATIONS.values() for name in names} | {"radio", "llc"}
)


@dataclass(frozen=True, slots=True)
class _Head:
    """A way to begin a primitive that takes an id."""

    group: str
    weight: float
    protos: tuple[str, ...]
    kind: str
    id_kind: str
    feature: str = "network"


_HEADS: Final = (
    _Head("host", 10, ("", "", "", "ip", "arp", "rarp"), "host", "host"),
    _Head("host", 4, ("", "ip6"), "host", "host6"),
    _Head("net", 5, ("", "", "", "ip", "arp", "rarp"), "net", "net"),
    _Head("net", 2, ("", "ip6"), "net", "net6"),
    _Head("port", 10, ("", "", "tcp", "udp", "sctp"), "port", "port"),
    _Head("portrange", 4, ("", "", "tcp", "udp", "sctp"), "portrange", "portrange"),
    _Head("proto", 6, ("", "ip", "ip6"), "proto", "proto"),
    _Head("ether host", 5, _LINK_WORDS, "host", "mac", "mac"),
    _Head("ether proto", 5, _LINK_WORDS, "proto", "link proto"),
    _Head("protochain", 1, ("", "ip", "ip6"), "protochain", "proto"),
    _Head("iso", 1, ("iso",), "proto", "iso proto"),
    _Head("iso", 1, ("isis", "is-is"), "proto", "isis proto"),
    _Head("decnet", 1, ("decnet",), "host", "decnet"),
    _Head("arcnet", 3, _LINK_WORDS, "host", "aid", "arcnet"),
)


@dataclass(frozen=True, slots=True)
class _Production:
    group: str
    weight: float
    feature: str
    make: Callable[[], tuple[list[str], Qualifiers | None]]


class Generator:
    """Makes expressions for one link type; the same seed makes the same ones.

    Attributes:
        coverage: How often each production, primitive group and spelling was used.
    """

    def __init__(
        self, seed: int | str, link_type_name: str, primitives: Iterable[str] | None = None
    ) -> None:
        """Prepare.

        Args:
            seed: Whatever `random.Random` takes.
            link_type_name: A name of `links.LINKS`, such as "EN10MB".
            primitives: The primitive groups to use (`all_groups()` lists them); all unless given.
        """
        self.rng = random.Random(seed)
        self.link = LINKS[link_type_name]
        self.coverage: Counter[str] = Counter()
        self._spell = Speller(self.rng, self.coverage)
        self._groups = all_groups() if primitives is None else frozenset(primitives)
        unknown = self._groups - all_groups()
        if unknown:
            raise ValueError(f"no such primitive groups: {', '.join(sorted(unknown))}")
        self._arithmetic = Arithmetic(
            self.rng,
            self.coverage,
            self._spell,
            old_protocols="dec" in self._groups and "network" in self.link.features,
            network="network" in self.link.features,
            radio="radio" in self.link.features and "wlan" in self._groups,
        )
        everything = self._productions()
        self._fitting = [one for one in everything if not one.feature or self._has(one.feature)]
        self._others = [one for one in everything if one not in self._fitting]

    def _has(self, feature: str) -> bool:
        return feature in self.link.features

    def expression(self) -> str:
        """Return one expression of 1 to 8 terms."""
        size = min(1 + int(self.rng.expovariate(0.5)), 8)
        tokens, _ = self._expression(size, None)
        self.coverage["expression"] += 1
        return joined(tokens, self.rng)

    # Every method below returns tokens, and the qualifiers that a bare id behind them inherits.

    def _expression(
        self, size: int, before: Qualifiers | None
    ) -> tuple[list[str], Qualifiers | None]:
        tokens: list[str] = []
        last = before
        while size > 0:
            if tokens:
                tokens.append(self._connective())
            inherits = last is not None and self.rng.random() < 0.15
            if tokens and (inherits or self.rng.random() < _WRONG):
                self.coverage["inherited id"] += 1
                inherited = last or Qualifiers("", (), "port", "port")
                tokens += self._id(inherited, 2)
                size -= 1
                continue
            here = 1 if self.rng.random() < 0.6 else self.rng.randint(1, size)
            term, last = self._term(here, last)
            tokens += term
            size -= here
        return tokens, last

    def _connective(self) -> str:
        word = self.rng.choice(("and", "or"))
        symbol = self.rng.random() < 0.2
        self.coverage[f"{word} as a symbol" if symbol else word] += 1
        return {"and": "&&", "or": "||"}[word] if symbol else word

    def _not(self) -> str:
        symbol = self.rng.random() < 0.4
        self.coverage["not as a symbol" if symbol else "not"] += 1
        return "!" if symbol else "not"

    def _term(self, size: int, before: Qualifiers | None) -> tuple[list[str], Qualifiers | None]:
        negations = self.rng.choices((0, 1, 2), (80, 18, 2))[0]
        tokens = [self._not() for _ in range(negations)]
        if size > 1 or self.rng.random() < 0.1:
            self.coverage["parenthesis"] += 1
            inner, _ = self._expression(size, before)
            return [*tokens, "(", *inner, ")"], before
        pool = self._others if self._others and self.rng.random() < _WRONG else self._fitting
        production = self.rng.choices(pool, [one.weight for one in pool])[0]
        self.coverage[f"group {production.group}"] += 1
        inner, after = production.make()
        return [*tokens, *inner], after

    def _productions(self) -> list[_Production]:
        found = [
            _Production(head.group, head.weight, head.feature, partial(self._head, head))
            for head in _HEADS
        ]
        found += [
            _Production(
                group,
                12 if group == "abbreviation" else 1.5,
                "network",
                partial(self._abbreviation, names),
            )
            for group, names in _ABBREVIATIONS.items()
        ]
        found += [
            _Production(simple.group, simple.weight, simple.feature, partial(self._simple, simple))
            for simple in SIMPLE
        ]
        found += [
            _Production("relation", 8, "", lambda: (self._arithmetic.relation(), None)),
            _Production("len", 2, "", lambda: (self._arithmetic.about_length(), None)),
            _Production("wlan", 2, "wlan", self._wlan_address),
        ]
        return [one for one in found if one.group in self._groups]

    def _abbreviation(self, names: tuple[str, ...]) -> tuple[list[str], None]:
        name = self.rng.choice(names)
        self.coverage[f"abbreviation {name}"] += 1
        return [name], None

    def _simple(self, simple: Simple) -> tuple[list[str], None]:
        tokens = simple.make(self.rng, self._spell)
        self.coverage[f"keyword {tokens[0]}"] += 1
        return tokens, None

    # Primitives with an id.

    def _head(self, head: _Head) -> tuple[list[str], Qualifiers | None]:
        proto = self.rng.choice(head.protos)
        if self.rng.random() < _WRONG:
            proto = self.rng.choice(("tcp", "stp", "ip6", "ether", "arp"))
        directed = head.kind in {"host", "net", "port", "portrange"}
        direction = self.rng.choice(_DIRECTIONS) if directed else ()
        tokens = [proto] if proto else []
        tokens += direction
        # The type may be left out behind a direction, where it means a host.
        bare = bool(direction) and head.kind == "host" and self.rng.random() < 0.4
        if not bare:
            tokens.append(head.kind)
        if proto:
            self.coverage[f"proto qualifier {proto}"] += 1
        self.coverage[f"direction {' '.join(direction) or 'none'}"] += 1
        self.coverage["type left out" if bare else f"type {head.kind}"] += 1
        qualifiers = Qualifiers(proto, direction, head.kind, head.id_kind)
        return [*tokens, *self._id(qualifiers, 3)], qualifiers

    def _wlan_address(self) -> tuple[list[str], Qualifiers | None]:
        word = self.rng.choice(_WLAN_DIRECTIONS)
        self.coverage["direction of 802.11"] += 1
        qualifiers = Qualifiers("wlan", (word,), "host", "mac")
        typed = ["host"] if self.rng.random() < 0.4 else []
        return ["wlan", word, *typed, *self._id(qualifiers, 2)], qualifiers

    def _id(self, qualifiers: Qualifiers, depth: int) -> list[str]:
        """Return an id behind a head or a connective: a value, or a list in parentheses."""
        chance = self.rng.random()
        if chance < 0.05:
            self.coverage["not before an id"] += 1
            return [self._not(), *self._id(qualifiers, depth)]
        if depth and chance < 0.25:
            return ["(", *self._id_list(qualifiers, depth - 1), ")"]
        return self._value(qualifiers)

    def _id_list(self, qualifiers: Qualifiers, depth: int) -> list[str]:
        # The first of a list must not be a list itself.
        tokens = self._id(qualifiers, 0)
        length = self.rng.choices((1, 2, 3, 4), (1, 5, 3, 2))[0]
        self.coverage[f"id list of {length}"] += 1
        for _ in range(length - 1):
            tokens += [self._connective_in_list(), *self._id(qualifiers, depth)]
        return tokens

    def _connective_in_list(self) -> str:
        word = self.rng.choices(("or", "and"), (4, 1))[0]
        self.coverage[f"{word} in an id list"] += 1
        return word if self.rng.random() < 0.8 else {"and": "&&", "or": "||"}[word]

    def _value(self, qualifiers: Qualifiers) -> list[str]:
        if self.rng.random() < _WRONG:
            self.coverage["wrong id"] += 1
            wrong = ("1.2.3.256", "99999", "80-90", "\\nosuchname", "10.1.2.3", "fe80::1/64")
            return [self.rng.choice(wrong)]
        id_kind = qualifiers.id_kind
        if not qualifiers.proto and self.rng.random() < 0.1 and id_kind in {"host", "net"}:
            # Without a protocol, both families may stand in one list.
            id_kind += "6"
        tokens = _VALUES[id_kind](self, replace(qualifiers, id_kind=id_kind))
        if len(tokens) == 1 and tokens[0].isdigit() and self.rng.random() < 0.05:
            self.coverage["number in parentheses"] += 1
            return ["(", *tokens, ")"]
        return tokens

    def _host(self, _: Qualifiers) -> list[str]:
        address = self._spell.any_ipv4()
        chance = self.rng.random()
        if chance < 0.1:
            self.coverage["host as a number"] += 1
            return [self._spell.number(address)]
        return [self._spell.ipv4(address, self.rng.choice((2, 3)) if chance < 0.15 else 4)]

    def _host6(self, _: Qualifiers) -> list[str]:
        return [self._spell.ipv6(self._spell.any_ipv6())]

    def _net(self, _: Qualifiers) -> list[str]:
        form = self.rng.choice(("cidr", "cidr", "mask", "parts", "number"))
        self.coverage[f"net {form}"] += 1
        if form == "number":
            return [self._spell.number(self.rng.choice((10, 127, 192 << 8 | 168, 0, 172)))]
        if form == "parts":
            return [self._spell.ipv4(self._spell.any_ipv4(), self.rng.choice((2, 3, 4)))]
        length = self.rng.choice((0, 4, 8, 12, 16, 16, 24, 24, 28, 31, 32))
        mask = 0xFFFFFFFF << 32 - length & 0xFFFFFFFF
        if form == "mask" and self.rng.random() < 0.2:
            mask = self.rng.getrandbits(32)
        # Bits outside the mask are an error.
        address = self._spell.any_ipv4() & mask
        text = self._spell.ipv4(address)
        if form == "mask":
            return [text, "mask", self._spell.ipv4(mask)]
        parts = self.rng.randint(max(2, -(-length // 8)), 4)
        return [self._spell.ipv4(address, parts), "/", self._spell.number(length)]

    def _net6(self, _: Qualifiers) -> list[str]:
        length = self.rng.choice((0, 8, 16, 32, 48, 64, 64, 65, 96, 128))
        mask = (1 << 128) - (1 << 128 - length)
        address = self._spell.any_ipv6() & mask
        self.coverage["net of IPv6"] += 1
        if self.rng.random() < 0.2:
            address = int(ipaddress.IPv6Address("2001:db8::")) & mask
        return [self._spell.ipv6(address), "/", str(length)]

    def _service(self, proto: str) -> str:
        fitting = [
            name
            for name, registered in SERVICES.items()
            if proto in registered or not proto or (proto == "sctp" and len(registered) > 1)
        ]
        self.coverage["service name"] += 1
        return self.rng.choice(fitting or list(SERVICES))

    def _port(self, qualifiers: Qualifiers) -> list[str]:
        if self.rng.random() < 0.2:
            return [self._service(qualifiers.proto)]
        if self.rng.random() < 0.03:
            self.coverage["named constant"] += 1
            return ["tcp-syn"]
        return [self._spell.number(self._any_port())]

    def _any_port(self) -> int:
        return self.rng.choice(_PORTS) if self.rng.random() < 0.7 else self.rng.getrandbits(16)

    def _portrange(self, _: Qualifiers) -> list[str]:
        form = self.rng.choices(("range", "number", "names"), (8, 1, 1))[0]
        self.coverage[f"portrange {form}"] += 1
        if form == "number":
            return [self._spell.number(self._any_port())]
        if form == "names":
            first = self.rng.choice([n for n, p in SERVICES.items() if len(p) > 1 and "-" not in n])
            return [f"{first}-{self._any_port()}"]
        low, high = self._any_port(), self._any_port()
        return [f"{self._spell.number(low)}-{self._spell.number(high)}"]

    def _protocol(self, _: Qualifiers) -> list[str]:
        name, number = self.rng.choice(list(PROTOCOLS.items()))
        if self.rng.random() < 0.4:
            return [self._name(name)]
        return [self._spell.number(number if self.rng.random() < 0.8 else self.rng.getrandbits(8))]

    def _name(self, name: str) -> str:
        escaped = name in _KEYWORD_NAMES or self.rng.random() < 0.2
        self.coverage["escaped name" if escaped else "name"] += 1
        return f"\\{name}" if escaped else name

    def _link_protocol(self, _: Qualifiers) -> list[str]:
        if self.rng.random() < 0.4:
            return [self._name(self.rng.choice(_LINK_PROTOCOLS))]
        number = self.rng.choice(_LINK_NUMBERS)
        return [
            self._spell.number(number if self.rng.random() < 0.8 else self.rng.randint(1501, 65535))
        ]

    def _iso_protocol(self, _: Qualifiers) -> list[str]:
        if self.rng.random() < 0.5:
            return [self._name(self.rng.choice(("clnp", "esis", "isis")))]
        return [self._spell.number(self.rng.choice((0x81, 0x82, 0x83, 0x84)))]

    def _isis_protocol(self, _: Qualifiers) -> list[str]:
        return [self._spell.number(self.rng.randint(15, 27))]

    def _mac(self, _: Qualifiers) -> list[str]:
        return [self._spell.mac(self._spell.any_mac())]

    def _aid(self, _: Qualifiers) -> list[str]:
        self.coverage["arcnet id"] += 1
        return [f"${self.rng.getrandbits(8):x}"]

    def _decnet(self, _: Qualifiers) -> list[str]:
        return [f"{self.rng.randint(1, 63)}.{self.rng.randint(1, 1023)}"]


_VALUES: Final[dict[str, Callable[[Generator, Qualifiers], list[str]]]] = {
    "host": Generator._host,
    "host6": Generator._host6,
    "net": Generator._net,
    "net6": Generator._net6,
    "port": Generator._port,
    "portrange": Generator._portrange,
    "proto": Generator._protocol,
    "link proto": Generator._link_protocol,
    "iso proto": Generator._iso_protocol,
    "isis proto": Generator._isis_protocol,
    "mac": Generator._mac,
    "aid": Generator._aid,
    "decnet": Generator._decnet,
}


def all_groups() -> frozenset[str]:
    """Return the names of all primitive groups."""
    named = {head.group for head in _HEADS} | {simple.group for simple in SIMPLE}
    return frozenset(named | set(_ABBREVIATIONS) | {"relation", "len", "wlan"})
