"""Long lists come back as lists."""

from __future__ import annotations

import ipaddress
import random

import pytest

from pfcompile.compiler import compile as compile_text
from tests.decompile.asking import asked
from tests.generator.seed import SEED


def addresses(rng, count):
    return sorted({ipaddress.IPv4Address(rng.randrange(1 << 24, 224 << 24)) for _ in range(count)})


def listed(items):
    return f"({' or '.join(map(str, items))})"


def check(text, words):
    program = compile_text(text, max_instructions=None).instructions
    found = asked(program)
    assert found.is_proved, found.reason
    assert words in found.expression
    assert len(found.expression) <= 1.1 * len(text)


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.long)])
def test_hosts(count):
    rng = random.Random(f"{SEED} {count}")
    text = f"host {listed(addresses(rng, count))}"
    check(text, text)


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.long)])
def test_hosts_and_a_port(count):
    rng = random.Random(f"{SEED} {count} port")
    hosts = listed(addresses(rng, count))
    check(f"src host {hosts} and tcp dst port 443", f"src {hosts}")


@pytest.mark.long
@pytest.mark.parametrize("count", [200, 1000])
def test_ports_networks_and_addresses_of_several_words(count):
    rng = random.Random(f"{SEED} {count} others")
    ports = sorted(rng.sample(range(1, 65536, 3), count))
    check(f"port {listed(ports)}", f"port {listed(ports)}")
    nets = sorted({rng.randrange(1 << 16, 224 << 16) << 8 for _ in range(count)})
    networks = listed(ipaddress.IPv4Network((net, 24)) for net in nets)
    check(f"dst net {networks}", "dst net (")
    mac = (rng.getrandbits(48).to_bytes(6, "big").hex(":") for _ in range(count))
    check(f"ether host {listed(mac)}", "ether host (")
    if count < 1000:
        six = (ipaddress.IPv6Address((0x20010DB8 << 96) + rng.getrandbits(96)) for _ in range(50))
        check(f"host {listed(six)}", "host (")
