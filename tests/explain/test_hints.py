"""What hints say to write compiles, and means what they say."""

from __future__ import annotations

import re

import pytest

from pfcompile.compiler import compile as compile_text
from pfcompile.explain import explain
from pfcompile.prove import Equal, Holds, implies, prove


def program(text):
    return compile_text(text, "EN10MB", optimize=False).instructions


def hint(text, code):
    (found,) = (each for each in explain(text).warnings if each.code == code)
    assert found.hint is not None
    return found.hint


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("not port 22 and 80", "not port 22 and not port 80"),
        ("not port 22 or 80 or 443", "not port 22 and not port 80 and not port 443"),
        ("port not 22 and 80", "not port 22 and not port 80"),
        ("udp and not src host 10.0.0.1 and 10.0.0.2",
         "not src host 10.0.0.1 and not src host 10.0.0.2"),
        ("port 21 and not 22 and 80", "not port 22 and not port 80"),
        ("! port 22 and 80", "not port 22 and not port 80"),
    ],
)  # fmt: skip
def test_to_leave_out_all(text, meant):
    _, _, written = hint(text, "PF112").partition(": ")
    assert prove(program(written), program(meant)) == Equal()


@pytest.mark.parametrize(
    "text",
    [
        "tcp[13] & 2 != 0",
        "tcp[0:2]=22",
        "udp[10] & 0x80 = 0",
        "tcp[12] > 0x50",
        "tcp[2:2] < tcp[0:2]",
    ],
)
def test_to_see_ipv6_too(text):
    written = re.sub(
        r"^to see IPv6 too: (.*); write ip and before it.*$", r"\1", hint(text, "PF131")
    )
    assert implies(program(text), program(written)) == Holds()
    protocol = 17 if text.startswith("udp") else 6
    over_ipv6 = program(f"{written} and ip6 and not ip")
    asked = re.sub(r"(tcp|udp)\[(\d+)", lambda each: f"ip6[{int(each[2]) + 40}", text)
    assert prove(over_ipv6, program(f"ip6[6] = {protocol} and {asked}")) == Equal()


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("10 % 4 * 3 = link[0]", "link[0] = 6"),
        ("10 % 7 % 2 = link[0]", "link[0] = 1"),
        ("2 * 7 % 4 = link[0]", "link[0] = 2"),
        ("5 % 3 + 1 = link[0]", "link[0] = 3"),
        ("7 ^ 3 + 2 * 4 % 3 - 1 = link[0]", "link[0] = 3"),
        ("(1 + 2) % (2 + 3) * 4 = link[0]", "link[0] = 12"),
        ("ip[0] & 0xf ^ 3 = 1", "((ip[0] & 0xf) ^ 3) = 1"),
    ],
)
def test_what_other_languages_read(text, usual):
    written = hint(text, "PF121").removeprefix("in other languages it is ")
    written, _, rest = written.partition(": ")
    assert rest == "write parentheses"
    assert prove(program(written), program(usual)) == Equal()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("vlan or ip", "ip or (vlan and ip)"),
        ("not vlan and tcp port 80", "tcp port 80 and not vlan"),
        ("not port 22 or not port 80", "not (port 22 or port 80)"),
        ("tcp or udp and port 80", "(tcp or udp) and port 80"),
        ("icmp6[0] = 143", "ip6[6] = 0 and ip6[40] = 58 and ip6[48] = 143"),
        ("tcp[13] = 18", "tcp[13] & (tcp-syn|tcp-ack) = (tcp-syn|tcp-ack)"),
        ("net 192.168.1.0", "net 192.168.1.0/24"),
        ("host 10.0.0.1 and port 80 or 443", "host 10.0.0.1 and (port 80 or 443)"),
        ("host 10.0.0.1 and 443", "port 443"),
        ("udp port 53 or 80", "tcp port 80"),
        ("less 60", "len < 60"),
    ],
)
def test_what_is_written_compiles(text, written):
    assert any(written in (each.hint or "") for each in explain(text).warnings)
    assert program(written)


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("tcp or udp and port 80", "tcp or (udp and port 80)"),
        ("port 22 or 23 and tcp", "port 22 or (port 23 and tcp)"),
        ("(icmp or arp) or udp and host 10.0.0.1", "icmp or arp or (udp and host 10.0.0.1)"),
        ("host 10.0.0.1 and not (tcp or udp and port 80)", None),
    ],
)
def test_both_readings(text, usual):
    said = hint(text, "PF111").removeprefix("write ")
    as_read, _, other = said.partition(" if that is meant, else ")
    if usual is None:
        assert (as_read, other) == ("(tcp or udp) and port 80", "tcp or (udp and port 80)")
        return
    assert prove(program(as_read), program(text)) == Equal()
    assert prove(program(other), program(usual)) == Equal()


def test_a_list_that_belongs_together():
    said = hint("arp or host 10.0.0.1 and port 80 or 443 or 8080", "PF118")
    written = said.removeprefix("if the list belongs together: ")
    meant = "(arp or host 10.0.0.1) and port (80 or 443 or 8080)"
    assert prove(program(written), program(meant)) == Equal()
