"""The explanation as data: terms, what is inherited, what is tried, and what is not looked for."""

from __future__ import annotations

import dataclasses
import json
import sys

import pytest

from pfcompile.errors import FilterError, Span
from pfcompile.explain import Explanation, Level, explain
from pfcompile.explain.as_json import as_data, error_as_data
from pfcompile.explain.codes import BY_CODE, CODES
from pfcompile.explain.filters import NOT_INSTALLED
from pfcompile.names.answers import Host
from pfcompile.names.resolvers import StaticResolver


def codes(found: Explanation) -> list[str]:
    return [each.code for each in found.warnings if each.level is Level.WARNING]


def test_what_not_port_22_and_80_means():
    found = explain("not port 22 and 80")
    assert found.understood == "(not port 22) and port 80"
    assert [found.quoted(term.span) for term in found.terms] == ["port 22", "80"]
    assert [term.inherited for term in found.terms] == [None, "port"]
    tried = {each.name: each.matches for each in found.tried}
    assert tried["TCP port 22 (ssh)"] is False
    assert tried["TCP port 80 (http)"] is True
    (said,) = (each for each in found.warnings if each.level is Level.WARNING)
    assert (said.code, said.span) == ("PF112", Span(0, 18))
    assert said.hint == "to leave out both: not port (22 or 80)"
    assert [found.quoted(each.span) for each in said.related] == ["80"]


def test_what_is_frozen():
    found = explain("tcp")
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.text = "udp"
    assert isinstance(found.warnings, tuple)
    assert isinstance(found.terms, tuple)


def test_a_blank_expression():
    found = explain(" \n")
    assert (found.understood, found.terms, found.warnings, found.tried) == ("", (), (), ())


@pytest.mark.parametrize("text", ["tcp prot 80", "port", "host a.b.c.d.e and (", "tcp and"])
def test_what_is_wrong_is_an_error(text):
    names = StaticResolver()
    with pytest.raises(FilterError) as caught:
        explain(text, resolver=names)
    assert caught.value.text == text


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("ether host 00:11:22:33:44:55", "RAW"),
        ("type mgt", "EN10MB"),
        ("vlan", "PPP"),
        ("metac", "EN10MB"),
        ("tcp", "USB_LINUX"),
    ],
)
def test_the_wrong_link_type_is_a_hint(text, link):
    with pytest.raises(FilterError) as caught:
        explain(text, link)
    assert caught.value.hint == "is it the right link type? -y, or link_type=, says another"


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="unknown data link type"):
        explain("tcp", "NOSUCH")
    with pytest.raises(FilterError, match="snaplen of 0"):
        explain("tcp", snaplen=0)


def test_names_are_looked_up_once():
    asked = []

    class Counting(StaticResolver):
        def host(self, name):
            asked.append(name)
            return super().host(name)

    names = Counting(hosts={"router": Host.of(["10.0.0.1", "10.0.0.2", "fe80::1"])})
    found = explain("host router and not port 22", resolver=names)
    assert asked == ["router"]
    assert codes(found) == ["PF177"]
    assert "10.0.0.1, 10.0.0.2 or fe80::1" not in found.terms[0].words
    assert "10.0.0.1 or 10.0.0.2" in found.terms[0].words
    assert "fe80::1" in found.terms[0].words


def test_without_z3_what_needs_it_is_left_out(monkeypatch):
    for name in [each for each in sys.modules if each.startswith("pfcompile.prove")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "z3", None)
    found = explain("net 10.0.0.0/8 or host 10.1.1.1")
    assert found.left_out == NOT_INSTALLED
    assert codes(found) == []
    # What the optimiser finds, and all that needs no proof, is still told.
    assert codes(explain("ip and arp")) == ["PF106"]
    assert codes(explain("not port 22 and 80")) == ["PF112"]


def test_no_time_for_proofs():
    found = explain("net 10.0.0.0/8 or host 10.1.1.1", seconds=0)
    assert "time is up" in (found.left_out or "")
    assert codes(found) == []


HOSTS = [f"10.{number // 250}.{number % 250}.1" for number in range(1000)]


@pytest.mark.parametrize(
    "text",
    [
        "host " + " or ".join(HOSTS),
        "not host " + " and not ".join(HOSTS),
        "tcp and (" + " or ".join(f"src host {each}" for each in HOSTS) + ") and not port 22",
    ],
    ids=["hosts", "not hosts", "among others"],
)
def test_long_lists_are_one_term(text):
    found = explain(text)
    words = [term.words for term in found.terms]
    assert len(words) == (3 if text.startswith("tcp") else 1)
    shown = "any of 1,000: 10.0.0.1, 10.0.1.1, 10.0.2.1, ..., 10.3.249.1"
    assert any(shown in each for each in words)
    assert codes(found) == []
    if len(words) == 1:
        assert found.left_out == "terms were not tried one by one: the program is too long"


def test_what_others_cover_in_a_long_list():
    text = "net " + " or ".join([*(f"10.{each}.0.0/16" for each in range(50)), "10.7.7.0/24"])
    (said,) = (each for each in explain(text).warnings if each.level is Level.WARNING)
    assert said.code == "PF103"
    assert said.message == "10.7.7.0/24 is covered by 10.7.0.0/16"
    # Both of two lists must hold: nothing is covered.
    assert codes(explain("port " + " and ".join(map(str, range(1, 9))))) != ["PF103"]


def test_many_terms():
    text = " or ".join(f"(host 10.0.0.{each} and port {each})" for each in range(1, 60))
    found = explain(text)
    assert len(found.terms) == 118
    assert found.left_out == "terms were not tried one by one: 118 are too many"


def test_usual_packets_have_the_addresses_of_the_filter():
    def matching(text, link="EN10MB"):
        return [each.name for each in explain(text, link).tried if each.matches]

    https = ["TCP port 443 (https) from 10.0.0.5", "UDP port 443 (https) from 10.0.0.5"]
    assert matching("src host 10.0.0.5 and port 443") == https
    assert matching("dst net 10.0.0.0/8 and icmp") == ["ping to 10.0.0.1"]
    assert matching("tcp port 22", "RAW") == ["TCP port 22 (ssh)"]
    assert matching("arp", "RAW") == []
    # Of what is made up, nothing can be told.
    assert matching("less 100") == matching("vlan and tcp") == matching("ether[0] = 2") == []
    assert matching("tcp", "IEEE802_11") == []


def test_json_has_what_the_schema_says():
    found = explain("not port 22 and 80")
    data = json.loads(json.dumps(as_data(found)))
    assert list(data) == [
        *("schema", "text", "link_type", "understood", "terms", "usual_packets", "warnings"),
        "left_out",
    ]
    assert data["schema"] == 1
    assert data["link_type"] == {"dlt": 1, "name": "EN10MB", "description": "Ethernet"}
    assert data["terms"][1] == {
        "span": [16, 18],
        "understood_span": [18, 25],
        "understood": "port 80",
        "words": found.terms[1].words,
        "inherited": "port",
    }
    (said,) = (each for each in data["warnings"] if each["level"] == "warning")
    assert {key: said[key] for key in ("code", "span", "hint", "title")} == {
        "code": "PF112",
        "span": [0, 18],
        "hint": "to leave out both: not port (22 or 80)",
        "title": "`not` covers the first of several only",
    }
    assert said["related"] == [{"span": [16, 18], "message": "read as and port 80"}]


def test_an_error_as_json():
    with pytest.raises(FilterError) as caught:
        explain("port 80 and")
    data = error_as_data(caught.value)
    assert data["text"] == "port 80 and"
    assert data["error"]["message"] == caught.value.message
    assert data["error"]["span"] == list(caught.value.span or ())


def test_codes_are_what_they_should_be():
    assert len(BY_CODE) == len(CODES)
    assert [row.code for row in CODES] == sorted(row.code for row in CODES)
    assert len({row.title for row in CODES}) == len(CODES)
