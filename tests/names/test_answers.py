"""What answers mean: ports, addresses, numbers for names."""

from __future__ import annotations

import pytest

from pfcompile.errors import PfcompileError
from pfcompile.names.answers import (
    Host,
    LookupRefused,
    NamedPort,
    Service,
    interpret_service,
    numeric_service,
)


@pytest.mark.parametrize(
    ("service", "meaning"),
    [
        (Service(tcp=53, udp=53), (53, None)),
        (Service(tcp=53, udp=53, sctp=99), (53, None)),
        (Service(tcp=100, udp=200), (100, "tcp")),
        (Service(tcp=22), (22, "tcp")),
        (Service(tcp=22, sctp=22), (22, "tcp")),
        (Service(udp=69), (69, "udp")),
        (Service(tcp=0, udp=0), (0, None)),
        (Service(udp=0), (0, "udp")),
        (Service(sctp=38412), None),
        (Service(), None),
        (None, None),
    ],
)
def test_interpretation(service, meaning):
    assert interpret_service(service) == meaning


def test_interpretation_has_names():
    assert interpret_service(Service(udp=69)) == NamedPort(port=69, protocol="udp")


@pytest.mark.parametrize(
    ("word", "port"),
    [
        ("80", 80),
        ("0", 0),
        ("0080", 80),
        ("000", 0),
        ("65535", 65535),
        ("65536", 0),
        ("65616", 80),
        ("2147483647", 65535),
        ("2147483648", None),
        ("9" * 9000, None),
        ("", None),
        ("http", None),
        ("80x", None),
        ("-1", None),
        (" 80", None),
        ("\u0668\u0660", None),  # digits, but not ASCII
        ("\u00b2", None),
    ],
)
def test_ports_in_digits(word, port):
    assert numeric_service(word) == (None if port is None else Service(port, port, port))


def test_hosts_from_text():
    host = Host.of(["10.0.0.2", "2001:db8::2", "10.0.0.1", "::1", "10.0.0.2", "9.255.0.0"])
    assert host.ipv4 == (0x09FF0000, 0x0A000001, 0x0A000002)
    assert host.ipv6 == (1, 0x20010DB8 << 96 | 2)
    assert Host.of([]) == Host()


@pytest.mark.parametrize("text", ["", "10.0.0", "1.2.3.256", "fe80::1%lo", "a\0", "\udc80", "name"])
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match="not an IP address"):
        Host.of([text])


def test_a_refusal_says_what_was_refused():
    refusal = LookupRefused("host", "www")
    assert isinstance(refusal, PfcompileError)
    assert (refusal.kind, refusal.name) == ("host", "www")
    assert str(refusal) == "host 'www' was not looked up: names are switched off"
