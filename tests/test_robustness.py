"""Whatever is given as an expression, the answer is a program or a FilterError, and comes soon."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pfcompile
from pfcompile.errors import FilterError
from pfcompile.names.resolvers import NoNames
from pfcompile.syntax.parser import Unfinished, parse_partly
from tests.generator.seed import SEED, rerun
from tests.generator.soup import soup

RERUN = rerun("tests/test_robustness.py")

COUNT = 5000
LINKS = ("EN10MB", "RAW", "IPV4", "IPV6", "LINUX_SLL", "LINUX_SLL2", "NULL", "LOOP", "PPP",
         "C_HDLC", "IEEE802_11_RADIO", "SUNATM", "MTP2", "PFLOG", "JUNIPER_ETHER")  # fmt: skip
ENCODINGS = ("latin-1", "utf-8", "utf-16-le")

SOON = 2.0
"""Seconds of processor time that a random text may take; most take a millisecond."""

LONG = 5.0
"""Seconds of processor time that a text of a hundred thousand characters may take."""

MEGABYTES = 200


def texts():
    """Yield seeded texts and link types: every other text is bytes, the others words."""
    rng = random.Random(f"{SEED} robustness")
    for number in range(COUNT):
        text = soup(rng)
        if number % 2:
            text = rng.randbytes(rng.randint(0, 80)).decode(rng.choice(ENCODINGS), "replace")
        yield text, rng.choice(LINKS)


def answer(text, link="EN10MB", **options):
    """Compile; return the program's length, or the error after looking at its parts."""
    try:
        program = pfcompile.compile(text, link, resolver=NoNames(), **options)
    except FilterError as caught:
        error = caught
    else:
        assert 1 <= len(program.instructions) <= 4096
        return len(program.instructions)
    assert error.text == text
    assert error.message
    assert "\n" not in error.message
    if error.span is not None:
        start, end = error.span
        assert 0 <= start <= end <= len(text)
    assert error.message in str(error)
    return error


def compile_all():
    """Compile every text; print how many were expressions, and the most memory used, in MB."""
    accepted = 0
    for number, (text, link) in enumerate(texts()):
        start = time.process_time()
        try:
            accepted += isinstance(answer(text, link), int)
            assert time.process_time() - start < SOON
        except BaseException as error:
            error.add_note(f"text {number}: {text!r} on {link}\n{RERUN}")
            raise
    # Not ru_maxrss, which a process takes over from the one that it was forked from.
    status = Path("/proc/self/status").read_text()
    print(accepted, int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) // 1024)


def test_random_texts():
    # In a process of its own, whose memory is theirs alone.
    run = subprocess.run(
        [sys.executable, "-c", "from tests.test_robustness import compile_all; compile_all()"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    accepted, megabytes = map(int, run.stdout.split())
    assert accepted > 50, RERUN
    assert megabytes < MEGABYTES, RERUN


def joined(word, terms):
    return f" {word} ".join(terms)


# Texts of up to some hundred thousand characters, and whether they are expressions.
ENDLESS = {
    "a number": ("port " + "1" * 100_000, False),
    "a number of zeros": ("port " + "0" * 100_000 + "1", True),
    "a name": ("host " + "a" * 100_000, True),
    "an escaped name": ("port \\" + "<" * 100_000, True),
    "dots": ("1." * 50_000, False),
    "dashes": ("a" + "-" * 100_000, False),
    "low lines": ("a" + "_" * 100_000, False),
    "colons": (":" * 100_000, False),
    "hex bytes": ("1:" * 50_000, False),
    "blanks": (" " * 100_000, True),
    "lines": ("\n" * 50_000 + "foo", False),
    "parentheses": ("(" * 10_000 + "tcp" + ")" * 10_000, True),
    "open parentheses": ("(" * 100_000, False),
    "closing parentheses": (")" * 100_000, False),
    "parentheses round a number": ("port " + "(" * 5000 + "80" + ")" * 5000, True),
    "brackets": ("ip[" * 5000 + "0" + "]" * 5000 + "=0", False),
    "not": ("not " * 5000 + "tcp", True),
    "not, of an id": ("port " + "not " * 5000 + "80", True),
    "not, of nothing": ("!" * 100_000, False),
    "not, of a parenthesis": ("!" * 100_000 + ")", False),
    "a name and no more": ("port " + "a" * 100_000 + " and", False),
    "a name and a mistake": ("port " + "a" * 100_000 + " and (", False),
    "minus": ("-" * 100_000, False),
    "minus one": ("-" * 3000 + "1 = 1", False),
    "a sum": (joined("+", "1" * 3000) + " = 3000", False),
    "a remainder": (joined("%", "7" * 3000) + " = 0", False),
    "nested to the right": ("(tcp or " * 5000 + "udp" + ")" * 5000, False),
    "nested to the left": ("(" * 5000 + "tcp" + " or udp)" * 5000, True),
    "a chain of ports": (joined("or", (f"port {n}" for n in range(20_000))), True),
    "a chain of ids": ("port 1" + " or 2" * 20_000, True),
    "a list of ids": (f"port ({joined('or', map(str, range(20_000)))})", True),
    "a chain of hosts": (
        joined("or", (f"host 10.0.{n >> 8}.{n & 255}" for n in range(5000))),
        True,
    ),
    "a chain of relations": (joined("and", (f"len != {n}" for n in range(5000))), True),
    "a list of fields": (f"vci ({joined('or', map(str, range(20_000)))})", True),
}


@pytest.mark.parametrize(("text", "expression"), ENDLESS.values(), ids=ENDLESS.keys())
def test_endless_texts_are_read_soon(text, expression):
    start = time.process_time()
    result = parse_partly(text)
    assert time.process_time() - start < LONG
    assert isinstance(result, Unfinished) != expression


# The optimiser takes minutes over these; without it they are answered as soon as the others.
UNOPTIMISED = frozenset(("nested to the left", "a chain of relations"))


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_texts_are_answered_soon(name):
    start = time.process_time()
    answer(ENDLESS[name][0], optimize=name not in UNOPTIMISED)
    assert time.process_time() - start < LONG
