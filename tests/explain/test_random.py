"""Random expressions over many link types: whatever compiles is explained, and rightly."""

from __future__ import annotations

import random

import pytest

from pfcompile.compiler import compile as compile_text
from pfcompile.errors import FilterError
from pfcompile.explain import explain
from pfcompile.explain.codes import BY_CODE
from pfcompile.names.resolvers import NoNames
from pfcompile.prove import Different, prove
from tests.generator.expressions import Generator
from tests.generator.links import LINKS
from tests.generator.seed import SEED, rerun
from tests.generator.soup import soup

RERUN = rerun("tests/explain/test_random.py")
NETMASK = "255.255.255.0"
EACH = 4
MANY = 60


def compiled(text, link, **options):
    """Return the unoptimised program, or None for what is no filter of the link type."""
    try:
        return compile_text(
            text,
            link,
            netmask=NETMASK,
            optimize=False,
            resolver=NoNames(),
            max_instructions=None,
            **options,
        ).instructions
    except FilterError:
        return None


def explained(text, link, seconds=0.0):
    return explain(text, link, netmask=NETMASK, resolver=NoNames(), seconds=seconds)


def inside(span, length):
    start, end = span
    return 0 <= start < end <= length


def check_whole(found, story):
    """Assert that spans lie in their texts, codes are known, and words are there."""
    for each in found.warnings:
        assert each.code in BY_CODE, story
        assert each.level is BY_CODE[each.code].level, story
        assert inside(each.span, len(found.text)), (story, each)
        assert all(inside(other.span, len(found.text)) for other in each.related), (story, each)
        assert each.message == each.message.strip() != "", (story, each)
        assert "\n" not in each.message + (each.hint or ""), (story, each)
    end = 0
    for term in found.terms:
        assert inside(term.span, len(found.text)), (story, term)
        assert end <= term.understood.start < term.understood.end <= len(found.understood), story
        end = term.understood.end
        assert term.words, story


def check_explanation(text, link):
    """Assert that an expression is explained if it compiles, and written out as it is read."""
    story = f"{link}: {text}\n{RERUN}"
    program = compiled(text, link)
    if program is None:
        with pytest.raises(FilterError):
            explained(text, link)
        return False
    found = explained(text, link)
    check_whole(found, story)
    again = compiled(found.understood, link)
    assert again == program, f"{story}\n{found.understood}"
    return True


@pytest.mark.parametrize("link", list(LINKS))
def test_what_compiles_is_explained(link):
    made = Generator(f"{SEED} explain", link)
    assert sum(check_explanation(made.expression(), link) for _ in range(EACH)) > 0, RERUN


@pytest.mark.long
@pytest.mark.parametrize("link", list(LINKS))
def test_more_that_compiles_is_explained(link):
    made = Generator(f"{SEED} explain more", link)
    assert sum(check_explanation(made.expression(), link) for _ in range(MANY)) > 0, RERUN


def test_rubbish_is_refused():
    rng = random.Random(f"{SEED} rubbish")
    for _ in range(300):
        check_explanation(soup(rng), rng.choice(["EN10MB", "RAW", "IEEE802_11_RADIO", "SUNATM"]))


TERMS = [
    "ip", "ip6", "tcp", "udp", "arp", "icmp", "port 80", "tcp port 80", "src port 80", "port 443",
    "host 10.0.0.1", "src host 10.0.0.1", "net 10.0.0.0/8", "dst net 10.0.0.0/8", "len > 100",
    "len > 200", "ip[8] < 10", "ip[8] = 5", "tcp[13] & 2 != 0", "tcp[13] = 2", "broadcast",
    "multicast", "ip multicast", "ip proto 6", "vlan", "host 10.0.0.2", "portrange 80-90",
]  # fmt: skip
GROUPS = ["{0} {j} {1}", "{0} {j} {1} {k} {2}", "{0} {j} ({1} {k} {2})", "not ({0} {j} {1})",
          "({0} {j} {1}) {k} ({2} {k} {3})"]  # fmt: skip


def redundant(rng):
    """Return an expression of few kinds of terms, so that some make no difference."""
    terms = [rng.choice(["", "", "not "]) + rng.choice(TERMS) for _ in range(4)]
    j, k = rng.choices(["and", "or"], k=2)
    return rng.choice(GROUPS).format(*terms, j=j, k=k)


def without(text, span, value):
    """Return an expression with what stands at `span` taken as true or false."""
    return f"{text[: span.start]} ({'1 = 1' if value else '1 = 0'}) {text[span.end :]}"


def check_claim(found, each, story):
    """Assert that a term of which it is said makes no difference, by proofs about the whole text.

    These are about unoptimised programs, which the search for such terms does not look at.
    """
    program = compiled(found.text, "EN10MB")
    if each.code in {"PF105", "PF106"}:
        constant = compiled("1 = 1" if each.code == "PF105" else "1 = 0", "EN10MB")
        assert not isinstance(prove(program, constant), Different), story
        return
    same = [
        value
        for value in (True, False)
        if not isinstance(
            prove(program, compiled(without(found.text, each.span, value), "EN10MB")), Different
        )
    ]
    assert same, story


@pytest.mark.parametrize(
    "count", [20, pytest.param(300, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_what_is_said_to_make_no_difference_makes_none(count):
    rng = random.Random(f"{SEED} claims")
    claims = 0
    for _ in range(count):
        text = redundant(rng)
        if compiled(text, "EN10MB") is None:
            continue
        found = explained(text, "EN10MB", seconds=60)
        story = f"{text}\n{RERUN}"
        check_whole(found, story)
        for each in found.warnings:
            if each.code in {"PF101", "PF102", "PF103", "PF104", "PF105", "PF106"}:
                claims += 1
                check_claim(found, each, f"{each}\n{story}")
    assert claims >= count // 4, RERUN
