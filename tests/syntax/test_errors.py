"""Errors of syntax as a person sees them: those of errors.txt, and what holds of all hints."""

from __future__ import annotations

import ast
import difflib
from pathlib import Path

import pytest

from pfcompile.syntax import display_filters
from pfcompile.syntax.keywords import KEYWORDS
from pfcompile.syntax.parser import parse
from pfcompile.syntax.spelling import distance, nearest
from tests.syntax.reading import refused

GOLDEN = Path(__file__).with_name("errors.txt")


def expressions(stored):
    """Return the expressions of the golden file: each section begins with one as a literal."""
    return [ast.literal_eval(section.partition("\n")[0]) for section in stored.split("\n=== ")[1:]]


def drawn(text):
    """Return the section of an expression and its error."""
    lines = [line.rstrip() for line in str(refused(text)).splitlines()]
    return "\n".join([f"=== {text!r}", *lines, ""])


def test_drawings(request):
    stored = GOLDEN.read_text(encoding="utf-8")
    preface = stored.partition("===")[0]
    now = preface + "\n".join(drawn(text) for text in expressions(stored))
    if request.config.getoption("--bless"):
        GOLDEN.write_text(now, encoding="utf-8")
        return
    if now != stored:
        diff = difflib.unified_diff(
            stored.splitlines(), now.splitlines(), "errors.txt (stored)", "now", lineterm=""
        )
        accept = "accept with: pytest -n0 --bless tests/syntax/test_errors.py"
        pytest.fail("\n".join([*diff, accept]), pytrace=False)


def test_there_are_enough_drawings():
    texts = expressions(GOLDEN.read_text(encoding="utf-8"))
    assert len(set(texts)) == len(texts) >= 100


@pytest.mark.parametrize("name", sorted(display_filters.FIELDS))
@pytest.mark.parametrize("sign", ["==", "eq", "!=", "ne", ""])
def test_every_display_filter_has_a_capture_filter(name, sign):
    value = value_for(name)
    text = f"{name} {sign} {value}".strip() if sign else name
    error = refused(text)
    lead, _, capture = error.hint.partition(": ")
    assert lead == f"'{name}' is a display filter's field; as a capture filter"
    assert error.span == (0, len(name))
    parse(capture.replace("VALUE", "1"))
    if sign:
        negated = capture.startswith("not ") or "!= " in capture
        assert negated == (sign in {"!=", "ne"}) or display_filters.FIELDS[name].flag
        assert "VALUE" not in capture


def value_for(name):
    """Return a value that makes sense for a field."""
    if name.startswith("eth.") and name != "eth.type":
        return "01:02:03:04:05:06"
    if name.endswith(("addr", ".src", ".dst", "host", "_ipv4")):
        return "2001:db8::1" if name.startswith("ipv6") else "192.0.2.1"
    return "1"


@pytest.mark.parametrize(
    ("text", "capture"),
    [
        ("tcp.flags.syn == 1", "tcp[tcpflags] & tcp-syn != 0"),
        ("tcp.flags.syn == 0", "tcp[tcpflags] & tcp-syn = 0"),
        ("tcp.flags.syn != 0", "tcp[tcpflags] & tcp-syn != 0"),
        ("tcp.flags.syn != 1", "tcp[tcpflags] & tcp-syn = 0"),
        ("tcp.flags.syn == True", "tcp[tcpflags] & tcp-syn != 0"),
        ("tcp.flags.syn == false", "tcp[tcpflags] & tcp-syn = 0"),
        ("tcp.flags.syn", "tcp[tcpflags] & tcp-syn != 0"),
        ("tcp.flags == 0x02", "tcp[tcpflags] = 0x02"),
        ("IP.SRC==10.0.0.1", "ip src host 10.0.0.1"),
        ("ip.src == 10.0.0.0/8 && tcp", "ip src net 10.0.0.0/8"),
        ("(ip.src == 10.0.0.1)", "ip src host 10.0.0.1"),
        ("ip.ttl <= 5", "ip[8] <= 5"),
        ("frame.len gt 100", "len > 100"),
        ("udp.port > 1024", "udp portrange FIRST-LAST"),
        ("ip.addr > 1.2.3.4", "ip host VALUE"),
        ("not tcp.port == 80", "tcp port 80"),
        ("tcp and tcp.port == 80", "tcp port 80"),
    ],
)
def test_display_filters(text, capture):
    assert refused(text).hint.endswith(f"as a capture filter: {capture}")


@pytest.mark.parametrize("keyword", ["host", "port", "portrange", "broadcast", "proto", "ether"])
def test_every_small_mistake_in_a_keyword_is_noticed(keyword):
    swapped = {
        keyword[:i] + keyword[i + 1] + keyword[i] + keyword[i + 2 :]
        for i in range(len(keyword) - 1)
    }
    left_out = {keyword[:i] + keyword[i + 1 :] for i in range(1, len(keyword))}
    doubled = {keyword[: i + 1] + keyword[i:] for i in range(len(keyword))}
    for wrong in (swapped | left_out | doubled) - set(KEYWORDS):
        assert keyword in nearest(wrong, KEYWORDS), wrong
        error = refused(f"tcp or {wrong} 80 or udp")
        assert f"'{keyword}'" in (error.hint or ""), error
        assert error.span == (7, 7 + len(wrong)), error


@pytest.mark.parametrize(
    ("a", "b", "far"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("tcp", "tcp", 0),
        ("tpc", "tcp", 1),
        ("hsot", "host", 1),
        ("hst", "host", 1),
        ("hoost", "host", 1),
        ("hist", "host", 1),
        ("kitten", "sitting", 3),
        ("abcd", "badc", 2),
    ],
)
def test_distance(a, b, far):
    assert distance(a, b) == distance(b, a) == far


def test_nothing_is_near_a_strange_word():
    assert nearest("zebra", KEYWORDS) == []
    assert nearest("x", KEYWORDS) == []
    assert nearest("p" * 100_000, KEYWORDS) == []


@pytest.mark.parametrize("word", sorted(KEYWORDS))
def test_upper_case_keywords(word):
    assert word in refused(f"{word.upper()} foo bar").hint


def test_a_long_word_is_cut_short():
    error = refused(f"host a {'b' * 1000}")
    assert error.message.endswith(f"'{'b' * 40}...' does not fit here")
