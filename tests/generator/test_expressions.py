"""The generator of expressions makes what it promises."""

from __future__ import annotations

import random
import re
import socket
from collections import Counter
from functools import cache

import pytest

from pfcompile.syntax.parser import parse_partly
from tests.generator.expressions import (
    FIRST_GROUPS,
    PROTOCOLS,
    SERVICES,
    Generator,
    all_groups,
)
from tests.generator.links import LINKS
from tests.generator.productions import all_productions, productions_used
from tests.generator.seed import SEED, rerun
from tests.generator.soup import soup
from tests.oracles.libpcap import Refused

RERUN = rerun("tests/generator/test_expressions.py")
NETMASK = 0xFFFFFF00

# What must come out on Ethernet, besides the primitive groups.
SPELLINGS = {
    "and", "or", "not", "and as a symbol", "or as a symbol", "not as a symbol", "parenthesis",
    "inherited id", "not before an id", "or in an id list", "and in an id list", "id list of 1",
    "id list of 2", "id list of 3", "id list of 4", "number in parentheses", "type left out",
    "direction src", "direction dst", "direction src or dst", "direction dst or src",
    "direction src and dst", "direction dst and src", "escaped name", "name", "service name",
    "named constant", "host as a number", "net cidr", "net mask", "net parts", "net number",
    "net of IPv6", "portrange range", "portrange number", "portrange names", "number decimal",
    "number hex", "number octal", "ipv4 of 2 parts", "ipv4 of 3 parts", "ipv4 of 4 parts",
    "ipv6 short", "ipv6 whole", "ipv6 capitals", "ipv6 tail", "mac colons", "mac dashes",
    "mac dots", "mac quads", "mac bare", "computed index", "accessor of size unsaid",
    "accessor of size 1", "accessor of size 2", "accessor of size 4", "arithmetic unary -",
    "arithmetic parenthesis", "len", "length", "len in arithmetic", "wrong id",
    *(f"arithmetic {sign}" for sign in ("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>")),
    *(f"relation {relop}" for relop in ("=", "==", "!=", "<", "<=", ">", ">=")),
}  # fmt: skip

# The groups that only another link type has, with one that has them.
ELSEWHERE = {"wlan": "IEEE802_11", "arcnet": "ARCNET", "atm": "SUNATM", "ss7": "MTP2",
             "pf": "PFLOG", "inbound": "LINUX_SLL"}  # fmt: skip


@cache
def coverage(link: str) -> Counter[str]:
    made = Generator(SEED, link)
    for _ in range(3000):
        made.expression()
    return made.coverage


def test_every_production_and_spelling_comes_out():
    assert SPELLINGS - set(coverage("EN10MB")) == set(), RERUN


def test_every_production_of_the_grammar_is_used():
    with productions_used() as used:
        for link in {"EN10MB", *ELSEWHERE.values()}:
            made = Generator(f"{SEED} productions", link)
            for _ in range(1500):
                parse_partly(made.expression())
    assert all_productions() - used == set(), RERUN


def test_every_primitive_group_comes_out():
    missing = {
        group
        for group in all_groups()
        if coverage(ELSEWHERE.get(group, "EN10MB"))[f"group {group}"] < 5
    }
    assert missing == set(), RERUN
    assert all_groups() > FIRST_GROUPS


def test_the_seed_decides():
    first, again, other = (Generator(seed, "EN10MB") for seed in (1, 1, 2))
    texts = [[made.expression() for _ in range(50)] for made in (first, again, other)]
    assert texts[0] == texts[1] != texts[2]


def test_only_the_chosen_primitives():
    made = Generator(SEED, "EN10MB", {"host", "port"})
    for _ in range(300):
        made.expression()
    used = {name.removeprefix("group ") for name in made.coverage if name.startswith("group ")}
    assert used == {"host", "port"}
    with pytest.raises(ValueError, match="no such"):
        Generator(SEED, "EN10MB", {"hosts"})


def test_sizes_are_assorted():
    made = Generator(SEED, "EN10MB", FIRST_GROUPS)
    connectives = re.compile(r"\band\b|\bor\b|&&|\|\|")
    lengths = [len(connectives.findall(made.expression())) for _ in range(500)]
    assert lengths.count(0) > 50
    assert max(lengths) >= 7


@pytest.mark.parametrize("link", LINKS)
def test_most_expressions_compile(libpcap, link):
    made, accepted, refused = Generator(SEED, link), 0, Counter()
    for _ in range(200):
        text = made.expression()
        try:
            libpcap.compile(text, LINKS[link].value, optimize=False, netmask=NETMASK)
            accepted += 1
        except Refused as reason:
            refused[str(reason)] += 1
    enough = 0 if LINKS[link].newer else 150
    assert accepted >= enough, (accepted, refused.most_common(5), RERUN)
    # And a few do not, or mistakes would never be tried.
    assert refused, RERUN


def test_names_are_registered():
    for name, protocols in SERVICES.items():
        for protocol in protocols:
            assert socket.getservbyname(name, protocol)
    for name, number in PROTOCOLS.items():
        assert socket.getprotobyname(name) == number


def test_soup_is_mostly_refused_and_always_text(libpcap):
    rng = random.Random(SEED)
    texts = [soup(rng) for _ in range(2000)]
    assert len(set(texts)) > 1500
    refused = 0
    for text in texts:
        if "gateway" in text or "\0" in text or "host" in text or "net" in text:
            # Names in these would be looked up.
            continue
        try:
            libpcap.compile(text, 1, optimize=False)
        except Refused:
            refused += 1
    assert refused > 800
