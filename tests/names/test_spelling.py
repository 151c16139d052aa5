"""Hints for misspelt names."""

from __future__ import annotations

from pfcompile.facts.link_protocols import LINK_PROTOCOLS
from pfcompile.facts.services import service_names
from pfcompile.names.spelling import nearest


def test_the_most_similar_comes_first():
    assert nearest("htpp", service_names())[0] == "http"
    assert nearest("ipx6", LINK_PROTOCOLS)[0] in {"ip6", "ipx"}
    assert "ipx" in nearest("ipx6", LINK_PROTOCOLS)


def test_case_does_not_count_but_is_kept():
    assert nearest("en10MB", ["EN10MB", "RAW"]) == ["EN10MB"]
    assert nearest("IPV6", ["IPv6", "ipv6", "IPv6"]) == ["IPv6", "ipv6"]


def test_nothing_similar():
    assert nearest("qqqqqq", ["ip", "arp"]) == []
    assert nearest("", ["ip"]) == []
    assert nearest("x", []) == []


def test_at_most_three():
    assert len(nearest("icmp6-route", [f"icmp6-route{letter}" for letter in "abcdef"])) == 3


def test_long_words_are_not_compared():
    assert nearest("a" * 100_000, ["a" * 99_999]) == []
