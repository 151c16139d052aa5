"""What libpcap takes for an error of syntax, and only that, is one here.

libpcap generates code while it parses, so it may report a wrong meaning before a wrong form; both
must then do so in the same order. Names are kept out, which the oracle would look up in the DNS.
"""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

import pfcompile
from pfcompile.errors import FilterError
from pfcompile.names.resolvers import NoNames
from pfcompile.syntax.keywords import KEYWORDS, OPERATORS
from tests.generator.seed import SEED, rerun
from tests.generator.soup import soup
from tests.oracles.libpcap import Refused
from tests.syntax.reading import USUAL

RERUN = rerun("tests/syntax/test_agreement.py")
DLTS = {"EN10MB": 1, "RAW": 12, "LINUX_SLL": 113, "IEEE802_11": 105, "NULL": 0, "PPP": 9}
NETMASK = 0xFFFFFF00

# The messages of the parser and of the scanner, libpcap 1.11's and 1.10.6's.
SYNTAX = re.compile(
    r"can't parse filter expression: syntax error|expression is nested too deeply"
    r"|\w* ?number .*(overflows|contains non-octal)|invalid (IPv6|Ethernet) address "
    r"|bogus ethernet address"
)

# What libpcap 1.10.6 knows or refuses otherwise than 1.11, and what has to do with live captures.
OTHERWISE = re.compile(r"\b(vxlan|gateway|inbound|outbound|ifindex)\b")

# 1.11 checks these ranges, 1.10.6 not or later.
RANGES = re.compile(r"greater than maximum|invalid 802.11 direction")

# PLY keeps some states apart that are one of Bison's, so this stays an error of syntax.
OPEN_ABBREVIATION = re.compile(r"\(\s*(radio|link|ether|ppp|slip|fddi|tr|wlan)\s*$")

WORDS = (
    *KEYWORDS,
    *OPERATORS,
    *(
        "0",
        "1",
        "4",
        "08",
        "010",
        "0x",
        "0xff",
        "255",
        "65535",
        "4294967296",
        "1-1",
        "80-90",
        "80-",
    ),
    *("1.2", "1.2.3.4", "1.2.3.256", "1.2.3.4.5", "10/8", "::", "::1", "1:2", "1:2:3", "1::2::3"),
    *("2001:db8::/32", "fe80::1%0", "0:1:2:3:4:5", "0-1-2-3-4-5", "deadbeefcafe", "$1f", "$1ff"),
    *("tcp-syn", "icmptype", "\\tcp", "\\ip", "_", ".", "~", ",", "\x0b", "\u00e9", "\\", "$"),
)


class Told(NoNames):
    """Refuses names, and remembers whether one was asked for."""

    def __init__(self):
        self.asked = False

    def host(self, name):
        self.asked = True
        return super().host(name)

    def network(self, name):
        self.asked = True
        return super().network(name)

    def ethernet(self, name):
        self.asked = True
        return super().ethernet(name)


def verdict(compiler, *args, **options):
    """Return "accepted", "syntax" or "meaning", and the message."""
    try:
        compiler(*args, **options)
    except FilterError as error:
        message = error.message
    except Refused as error:
        message = str(error)
    else:
        return "accepted", ""
    return ("syntax" if SYNTAX.match(message) else "meaning"), message


def agree(libpcap, texts, rng):
    """Return how often each pair of verdicts came; fails where the two are of different kinds."""
    seen = Counter()
    for text in texts:
        if OTHERWISE.search(text) or OPEN_ABBREVIATION.search(text):
            continue
        link = rng.choice(list(DLTS))
        resolver = Told()
        got, message = verdict(
            pfcompile.compile, text, link, netmask=NETMASK, optimize=False, resolver=resolver
        )
        if resolver.asked or RANGES.search(message) or "nested too deeply" in message:
            continue
        expected, said = verdict(libpcap.compile, text, DLTS[link], netmask=NETMASK, optimize=False)
        seen[expected, got] += 1
        assert (expected == "syntax") == (got == "syntax"), (
            f"{text!r} on {link}\nlibpcap: {expected}, {said}\nhere: {got}, {message}\n{RERUN}"
        )
    return seen


def broken(rng, text):
    """Return a filter with a word or two put in, taken out, or replaced."""
    words = re.findall(r"\s+|[^\s()]+|[()]", text)
    for _ in range(rng.randint(1, 2)):
        place = rng.randrange(len(words) + 1)
        match rng.choice(("insert", "replace", "delete")):
            case "insert":
                words[place:place] = [f" {rng.choice(WORDS)} "]
            case "replace":
                words[place : place + 1] = [f" {rng.choice(WORDS)} "]
            case _:
                del words[place : place + 1]
    return "".join(words)


@pytest.mark.parametrize("form", ["tokens", "soup", "broken"])
def test_what_is_syntax(libpcap, form):
    rng = random.Random(f"{SEED} {form}")
    make = {
        "tokens": lambda: " ".join(rng.choices(WORDS, k=rng.randint(1, 7))),
        "soup": lambda: soup(rng),
        "broken": lambda: broken(rng, rng.choice(USUAL)),
    }[form]
    seen = agree(libpcap, (make() for _ in range(5000)), rng)
    assert seen.total() > 3000, (seen, RERUN)
    assert seen["syntax", "syntax"] > 500, (seen, RERUN)
    if form == "broken":
        assert seen["accepted", "accepted"] > 100, (seen, RERUN)
        assert seen["meaning", "meaning"] > 20, (seen, RERUN)
