"""What expressions mean, and how they are refused."""

from __future__ import annotations

import random

import pytest

from pfcompile.debugger.expressions import Vocabulary, evaluate, parse
from pfcompile.debugger.mistakes import Mistake
from tests.generator.seed import SEED, rerun

VOCABULARY = Vocabulary(("A", "X", "pc"), {"M": "M[0]", "pkt": "pkt[12:2]"})


class Fixed:
    """A scope: A is 0x800, X 20, and of the packet byte n is n."""

    def __init__(self, bits=32):
        self.bits = bits

    def value(self, name):
        return {"A": 0x800, "X": 20, "pc": 7}[name]

    def load(self, memory, at, size):
        if memory == "M":
            return at
        if at + size > 60:
            raise Mistake("outside")
        return int.from_bytes(bytes(range(at, at + size)), "big")


def value(text, bits=32):
    return evaluate(parse(text, VOCABULARY), Fixed(bits))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A", 0x800),
        ("a == 2048 and x = 20", 1),
        ("A==0x800&&X!=0b10100", 0),
        ("A & 0xf00 == 0x800", 1),
        ("X & 0xf == 4", 1),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("1 << 4 | 1", 17),
        ("1 | 2 ^ 2", 1),
        ("7 / 2 + 7 % 4", 6),
        ("not A == 0x800", 0),
        ("!A == 0", 1),
        ("!!X", 1),
        ("0 - 1", 0xFFFF_FFFF),
        ("-1 > 0", 1),
        ("~0", 0xFFFF_FFFF),
        ("1 << 32", 0),
        ("0xffffffff + 1", 0),
        ("pkt[12:2]", 0x0C0D),
        ("pkt[X]", 20),
        ("pkt[pc + 1:4] == 0x08090a0b", 1),
        ("pkt[pkt[3]]", 3),
        ("M[5]", 5),
        ("10.0.0.1", 0x0A000001),
        ("1 || pkt[60]", 1),
        ("0 && pkt[60]", 0),
        ("1 < 2 or 1 / 0", 1),
    ],
)
def test_values(text, wanted):
    assert value(text) == wanted


def test_results_are_as_wide_as_registers():
    assert value("0 - 1", 64) == (1 << 64) - 1
    assert value("1 << 32", 64) == 1 << 32


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "something is missing"),
        ("A ==", "something is missing"),
        ("A == 0x800)", "')' does not fit here"),
        ("(A", "a ')' is missing"),
        ("A B", "'B' does not fit here"),
        ("A @ 2", "'@' does not fit here"),
        ("0x", "'0' does not fit here"),
        ("12ab", "'1' does not fit here"),
        ("R", "there is no 'R' here"),
        ("pcc", "did you mean pc?"),
        ("r0", "one of: A, X, pc"),
        ("pkt", "'pkt' needs an index"),
        ("pkt[1:9]", "9 bytes cannot be read at once"),
        ("pkt[1:A]", "a size in bytes must stand here"),
        ("pkt[1", "a ']' is missing"),
        ("A[1]", "'A' cannot be indexed"),
        ("10.0.0.256", "is no IPv4 address"),
        ("9" * 50, "the number is too long"),
        ("(" * 500, "nested too deeply"),
        ("-" * 500 + "1", "nested too deeply"),
        ("1+" * 600 + "1", "more than 1000"),
        ("1 / 0", "division by zero"),
        ("pkt[60]", "outside"),
        ("\x00", "does not fit here"),
        ("é", "does not fit here"),
    ],
)
def test_mistakes(text, said):
    with pytest.raises(Mistake, match=said.replace("(", r"\(").replace(")", r"\)")):
        value(text)


def test_as_many_operators_as_there_may_be():
    assert value("1+" * 499 + "1") == 500
    assert value("(" * 20 + "X" + ")" * 20) == 20


def test_rubbish_is_refused_and_nothing_worse():
    rng = random.Random(SEED)
    pieces = ["A", "X", "pkt", "M", "[", "]", ":", "(", ")", "==", "&", "!", "-", "1", "0x1f", " "]
    pieces += ["&&", "or", "10.0.0.1", "é", "\t", "/", "%", "<<", "~", "$"]
    accepted = 0
    for _ in range(3000):
        text = "".join(rng.choices(pieces, k=rng.randint(1, 12)))
        try:
            value(text)
        except Mistake:
            continue
        except Exception as error:
            raise AssertionError((text, rerun("tests/debugger/test_expressions.py"))) from error
        accepted += 1
    assert accepted > 50
