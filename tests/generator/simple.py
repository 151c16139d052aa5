"""The primitives that take no id, as rows: keyword, value, where they compile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.generator.spellings import Speller

    Make = Callable[[random.Random, Speller], list[str]]


@dataclass(frozen=True, slots=True)
class Simple:
    """A primitive that is all keywords and numbers.

    Attributes:
        group: Its group's name.
        weight: How often to use it.
        feature: What the link type must have, or "".
        make: What writes it.
    """

    group: str
    weight: float
    feature: str
    make: Make


def _words(*phrases: str) -> Make:
    """Return what chooses one of `phrases`."""
    return lambda rng, _: rng.choice(phrases).split()


def _numbered(words: tuple[str, ...], largest: int) -> Make:
    """Return what writes one of `words` and a number up to `largest`."""

    def make(rng: random.Random, spell: Speller) -> list[str]:
        return [rng.choice(words), _number(rng, spell, largest)]

    return make


def _optionally_numbered(word: str, largest: int) -> Make:
    def make(rng: random.Random, spell: Speller) -> list[str]:
        chance = rng.random()
        if chance < 0.4:
            return [word]
        number = _number(rng, spell, largest)
        return [word, "(", number, ")"] if chance < 0.45 else [word, number]

    return make


def _number(rng: random.Random, spell: Speller, largest: int) -> str:
    if rng.random() < 0.01:
        return spell.number(largest + 1)
    return spell.number(rng.randint(0, min(largest, 9) if rng.random() < 0.6 else largest))


def _field(words: tuple[str, ...], largest: int) -> Make:
    """Return what writes an SS7 or ATM field: a number, a relation or a list."""

    def make(rng: random.Random, spell: Speller) -> list[str]:
        word = rng.choice(words)
        form = rng.choice(("number", "relation", "list"))
        if form == "number":
            return [word, _number(rng, spell, largest)]
        if form == "relation":
            relop = rng.choice(("=", "==", "!=", "<", "<=", ">", ">="))
            return [word, relop, _number(rng, spell, largest)]
        listed = [_number(rng, spell, largest)]
        for _ in range(rng.randint(0, 3)):
            listed += ["or", _number(rng, spell, largest)]
        return [word, "(", *listed, ")"]

    return make


def _byte(rng: random.Random, spell: Speller) -> list[str]:
    operator = rng.choice(("=", "<", ">", "&", "|"))
    return ["byte", spell.number(rng.randint(0, 40)), operator, spell.number(rng.randint(1, 255))]


_LLC: Final = ("i", "s", "u", "rr", "rnr", "rej", "ui", "ua", "disc", "dm", "sabme", "test", "xid",
               "frmr", "UI")  # fmt: skip

_SUBTYPES: Final = {
    ("mgt", "management"): (
        "assoc-req", "assocreq", "assoc-resp", "assocresp", "reassoc-req", "reassocreq",
        "reassoc-resp", "reassocresp", "probe-req", "probereq", "probe-resp", "proberesp", "beacon",
        "atim", "disassoc", "disassociation", "auth", "authentication", "deauth",
        "deauthentication",
    ),
    ("ctl", "control"): ("ps-poll", "rts", "cts", "ack", "cf-end", "cf-end-ack"),
    ("data",): (
        "data", "data-cf-ack", "data-cf-poll", "data-cf-ack-poll", "null", "cf-ack", "cf-poll",
        "cf-ack-poll", "qos-data", "qos-data-cf-ack", "qos-data-cf-poll", "qos-data-cf-ack-poll",
        "qos", "qos-cf-poll", "qos-cf-ack-poll",
    ),
}  # fmt: skip


def _frame_type(rng: random.Random, spell: Speller) -> list[str]:
    """Return an 802.11 type, subtype or direction."""
    prefix = ["wlan"] if rng.random() < 0.6 else []
    names, subtypes = rng.choice(list(_SUBTYPES.items()))
    form = rng.choice(("type", "subtype", "both", "number", "dir"))
    match form:
        case "type":
            return [*prefix, "type", rng.choice(names)]
        case "subtype":
            return [*prefix, "subtype", rng.choice(subtypes)]
        case "both":
            return [*prefix, "type", rng.choice(names), "subtype", rng.choice(subtypes)]
        case "number":
            return [*prefix, "type", spell.number(rng.choice((0, 4, 8)))]
        case _:
            word = rng.choice(("dir", "direction"))
            return [*prefix, word, rng.choice(("nods", "tods", "fromds", "dstods", "0", "3"))]


SIMPLE: Final = (
    Simple("broadcast", 2, "broadcast", _words("broadcast", "ether broadcast", "link broadcast")),
    Simple("broadcast", 1, "network", _words("ip broadcast")),
    Simple("multicast", 2, "multicast", _words("multicast", "ether multicast", "wlan multicast")),
    Simple("multicast", 2, "network", _words("ip multicast", "ip6 multicast")),
    Simple("less", 1.5, "", _numbered(("less",), 2000)),
    Simple("greater", 1.5, "", _numbered(("greater",), 2000)),
    Simple("vlan", 4, "vlan", _optionally_numbered("vlan", 4095)),
    Simple("byte", 1, "", _byte),
    Simple("inbound", 0.5, "direction", _words("inbound", "outbound")),
    Simple("inbound", 0.2, "direction", _numbered(("ifindex",), 20)),
    Simple("mpls", 1.5, "mpls", _optionally_numbered("mpls", 0xFFFFF)),
    Simple("pppoed", 1, "pppoe", _words("pppoed")),
    Simple("pppoes", 1, "pppoe", _optionally_numbered("pppoes", 0xFFFF)),
    Simple("geneve", 1, "tunnel", _optionally_numbered("geneve", 0xFFFFFF)),
    # New in libpcap 1.11: the oracle cannot parse it.
    Simple("vxlan", 0.2, "tunnel", _optionally_numbered("vxlan", 0xFFFFFF)),
    Simple("llc", 2, "llc", _words("llc", *(f"llc {name}" for name in _LLC))),
    Simple("wlan", 6, "wlan", _frame_type),
    Simple("atm", 5, "atm", _words("lane", "metac", "bcc", "oam", "oamf4", "oamf4ec", "oamf4sc",
                                   "sc", "ilmic", "connectmsg", "metaconnect")),
    Simple("atm", 3, "atm", _field(("vpi",), 255)),
    Simple("atm", 3, "atm", _field(("vci",), 65535)),
    Simple("ss7", 5, "ss7", _words("fisu", "lssu", "lsu", "msu", "hfisu", "hlssu", "hmsu")),
    Simple("ss7", 3, "ss7", _field(("sio", "hsio"), 255)),
    Simple("ss7", 3, "ss7", _field(("opc", "dpc", "hopc", "hdpc"), 16383)),
    Simple("ss7", 3, "ss7", _field(("sls", "hsls"), 15)),
    Simple("pf", 4, "pf", _words("ifname em0", "on eth1", "ifname en0abcdef", "ruleset filter",
                                 "rset anchor1", "ruleset a")),
    Simple("pf", 3, "pf", _numbered(("rnr", "rulenum", "srnr", "subrulenum"), 100000)),
    Simple("pf", 3, "pf", _words("reason match", "reason bad-offset", "reason fragment",
                                 "reason short", "reason normalize", "reason memory", "reason 3")),
    Simple("pf", 3, "pf", _words("action pass", "action accept", "action block", "action drop",
                                 "action scrub", "action nat", "action rdr")),
)  # fmt: skip
