"""Lists of values: many operands of one kind mean what they mean one by one."""

from __future__ import annotations

import ipaddress
import random

import pytest

from pfcompile.cbpf.ways import way_lengths
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import FilterError
from pfcompile.prove import Equal, prove
from tests.generator.seed import SEED, rerun

CASES = 30


def host6(rng):
    """Return an IPv6 address of few networks, so that beginnings are shared."""
    prefix = rng.choice((0x20010DB8 << 96, 0x20010DB8_00010000 << 64, 0xFE80 << 112))
    return str(ipaddress.IPv6Address(prefix | rng.choice((1, 2, rng.getrandbits(34)))))


def net6(rng):
    """Return an IPv6 network; with one drawn of any length, some contain others."""
    length = rng.choice((0, 16, 31, 32, 33, 48, 64, 65, 96, 127, 128))
    address = int(ipaddress.IPv6Address(host6(rng)))
    return str(ipaddress.IPv6Network((address >> 128 - length << 128 - length, length)))


def mac(rng):
    """Return a link address of few makers and few ends."""
    octets = (0, rng.randrange(2), 0x5E, 0, rng.randrange(2), rng.randrange(3))
    return ":".join(f"{octet:02x}" for octet in octets)


def host4(rng):
    """Return an IPv4 address near others."""
    return f"10.0.{rng.randrange(2)}.{rng.randrange(6)}"


KINDS = {
    "host": host6,
    "src host": host6,
    "ip6 net": net6,
    "dst net": net6,
    "ether host": mac,
    "ether dst": mac,
    "ip host": host4,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_means_what_its_members_mean(kind, libpcap):
    rng = random.Random(f"{SEED} list {kind}")
    for _ in range(CASES):
        members = [KINDS[kind](rng) for _ in range(rng.randrange(2, 9))]
        text = f"{kind} {' or '.join(members)}"
        if rng.random() < 0.3:
            text = f"not ({text})"
        plain = libpcap.compile(text, 1, optimize=False)
        ours = compile_text(text).instructions
        answer = prove(ours, plain, timeout_ms=20_000)
        told = f"{text!r}: {answer}\n{rerun('tests/lower/test_lists.py')}"
        assert answer == Equal(), told


@pytest.mark.parametrize("kind", ["src host", "src net", "ether src", "ip src host", "src port"])
def test_a_packet_costs_the_logarithm_of_a_list(kind):
    rng = random.Random(f"{SEED} long list {kind}")

    def member():
        match kind:
            case "src host":
                return f"2001:db8::{rng.randrange(65536):x}:{rng.randrange(65536):x}"
            case "src net":
                return f"2001:db8:{rng.randrange(65536):x}::/48"
            case "ether src":
                return f"00:00:5e:00:{rng.randrange(256):02x}:{rng.randrange(256):02x}"
            case "ip src host":
                return f"10.0.{rng.randrange(256)}.{rng.randrange(256)}"
            case _:
                return str(rng.randrange(65536))

    def longest(count):
        text = f"{kind} {' or '.join(member() for _ in range(count))}"
        return way_lengths(compile_text(text).instructions).longest

    # Eight times as many are three more cuts in half, and an instruction or two at the leaves.
    assert longest(800) <= longest(100) + 6


def test_equal_beginnings_are_asked_for_once():
    one = compile_text("src host 2001:db8::1").instructions
    many = compile_text("src host 2001:db8::1 or 2001:db8::5 or 2001:db8::9").instructions
    assert len(many) == len(one) + 2


def test_what_lies_in_a_network_of_the_list_is_dropped():
    wide = compile_text("ip6 net 2001:db8::/32")
    both = compile_text("ip6 net 2001:db8::/32 or 2001:db8:1::/48 or 2001:db8::1")
    assert both.instructions == wide.instructions


@pytest.mark.parametrize(
    "text",
    ["ether host 00:00:5e:00:00:01 or 00:00:5e:00:00:02", "ether host 00:00:5e:00:00:01"],
)
def test_the_first_address_that_the_link_has_not_is_named(text):
    with pytest.raises(FilterError, match="'link host XX:XX:XX:XX:XX:XX' not supported") as raised:
        compile_text(text, "RAW")
    assert raised.value.span is not None
    assert text[raised.value.span.start : raised.value.span.end].endswith(":01")
