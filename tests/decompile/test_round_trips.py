"""From an expression to a program and back: the same meaning, and no longer than it need be.

`decompile` proves what it says; here another proof is asked for, with an expression's optimised
program, so that a fault of that proof shows.
"""

from __future__ import annotations

import pytest

from pfcompile.compiler import compile as compile_text
from pfcompile.errors import FilterError
from pfcompile.names.resolvers import NoNames
from pfcompile.prove import Different, prove
from tests.decompile.asking import (
    NETMASK,
    USUAL,
    asked,
    median_length,
    random_expressions,
    story,
)

HERE = "tests/decompile/test_round_trips.py"
ETHERNET = "EN10MB"
PARTS = 8
"""Of the usual filters, one for each worker that has nothing to do."""

RANDOM_SHORT = 60
RANDOM_LONG = 1000
BATCH = 50
MOST_FAILURES = 0.05


def ours(text, link_type=ETHERNET, *, optimize=True):
    return compile_text(
        text, link_type, netmask=NETMASK, optimize=optimize, resolver=NoNames()
    ).instructions


def theirs(libpcap, text, *, optimize):
    return libpcap.compile(text, 1, optimize=optimize, netmask=0xFFFFFF00)


def check_again(text, link_type, program, found):
    """Prove once more what `found` says of itself."""
    try:
        again = compile_text(
            found.expression,
            link_type,
            found.snaplen,
            found.netmask,
            savefile=found.savefile,
            live=found.live,
            resolver=NoNames(),
        ).instructions
    except FilterError:
        assert found.accepts_nothing, story(text, link_type, program, found, HERE)
        return
    answer = prove(program, again, timeout_ms=20_000)
    assert not isinstance(answer, Different), story(text, link_type, program, found, HERE)


def check_usual(texts, make):
    pairs = []
    for text in texts:
        program = make(text)
        found = asked(program)
        assert found.is_proved, story(text, ETHERNET, program, found, HERE)
        check_again(text, ETHERNET, program, found)
        pairs.append((text, found.expression))
    assert median_length(pairs) <= 2
    return pairs


@pytest.mark.parametrize("part", range(PARTS))
def test_usual_filters(libpcap, part):
    """Each filter by one compiler; the long test has them all by all."""
    texts = list(enumerate(USUAL))[part::PARTS]
    makers = (
        ours,
        lambda text: theirs(libpcap, text, optimize=True),
        lambda text: theirs(libpcap, text, optimize=False),
    )
    for which, make in enumerate(makers):
        check_usual([text for number, text in texts if number % len(makers) == which], make)


@pytest.mark.long
@pytest.mark.parametrize("compiler", ["ours", "ours -O", "libpcap", "libpcap -O"])
def test_usual_filters_by_every_compiler(libpcap, compiler):
    name, _, plain = compiler.partition(" ")
    if name == "ours":
        pairs = check_usual(USUAL, lambda text: ours(text, optimize=not plain))
    else:
        pairs = check_usual(USUAL, lambda text: theirs(libpcap, text, optimize=not plain))
    print(f"{compiler}: {len(pairs)} filters, median length {median_length(pairs):.2f}")


def round_trips(expressions):
    """Return the pairs of what was compiled and found, and the stories of what was not."""
    pairs, failures = [], []
    for link_type, text in expressions:
        program = ours(text, link_type)
        found = asked(program, link_type)
        if found.is_proved:
            check_again(text, link_type, program, found)
            pairs.append((text, found.expression))
        else:
            failures.append(story(text, link_type, program, found, HERE))
    return pairs, failures


@pytest.mark.parametrize("part", range(4))
def test_random_expressions(part):
    expressions = list(random_expressions(RANDOM_SHORT))[part::4]
    pairs, failures = round_trips(expressions)
    # A few in a hundred may fail, which of so few is one.
    assert len(failures) <= 1, "\n".join(failures)
    assert median_length(pairs) <= 2


@pytest.mark.long
def test_a_thousand_random_expressions():
    pairs, failures = [], []
    for first in range(0, RANDOM_LONG, BATCH):
        found, failed = round_trips(random_expressions(BATCH, first + 1))
        pairs += found
        failures += failed
    print(
        f"{len(pairs)} of {RANDOM_LONG} proved, median length {median_length(pairs):.2f}\n"
        + "\n".join(failures)
    )
    assert len(failures) <= MOST_FAILURES * RANDOM_LONG
    assert median_length(pairs) <= 2
