"""`protochain`: the chain of IP headers, as far as it is followed, and what lies past that."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from pfcompile.compiler import compile as compile_text
from pfcompile.lower.context import DEFAULT_PROTOCHAIN_HEADERS
from tests.generator.seed import SEED, rerun
from tests.lower import frames
from tests.lower.asking import matches, programs, refusal
from tests.lower.frames import ether, ipv4, ipv6, tcp

EXTENSIONS = {0: "hop-by-hop", 43: "routing", 44: "fragment", 60: "destination"}
NO_NEXT = 59


def chain(kinds, last, payload=b"", units=0):
    """Return an IPv6 packet with headers of `kinds`, the last leading to the protocol `last`."""
    first, *nexts = [*kinds, last]
    headers = [
        frames.extension(following, 0 if kind == 44 else units)
        for kind, following in zip(kinds, nexts, strict=True)
    ]
    return ether(frames.IP6, ipv6(first, b"".join(headers) + payload))


def libpcap_matches(libpcap, text, packet):
    return libpcap.filter(libpcap.compile(text, 1, optimize=False), packet) > 0


@pytest.mark.parametrize("count", range(DEFAULT_PROTOCHAIN_HEADERS + 1))
@pytest.mark.parametrize("text", ["ip6 protochain 6", "protochain 6", "ip protochain 6"])
def test_headers_up_to_the_bound(libpcap, count, text):
    rng = random.Random(f"{SEED} {text} {count}")
    for _ in range(30):
        kinds = [rng.choice(list(EXTENSIONS)) for _ in range(count)]
        last = rng.choice([6, 17, NO_NEXT, 50])
        packet = chain(kinds, last, tcp(), units=rng.randrange(4))
        verdict = matches(text, packet)
        told = f"{text} with {kinds} then {last}; {rerun('tests/lower/test_protochain.py')}"
        assert verdict == libpcap_matches(libpcap, text, packet), told
        assert verdict == (last == 6 and text != "ip protochain 6"), told


@pytest.mark.parametrize("number", [0, 43, 44, 60, NO_NEXT, 51])
def test_a_header_on_the_way_is_found_too(libpcap, number):
    packet = chain([0, 43, 44, 60], NO_NEXT)
    text = f"ip6 protochain {number}"
    assert matches(text, packet) == (number != 51) == libpcap_matches(libpcap, text, packet)


def test_past_the_bound_nothing_is_found(libpcap):
    text = "ip6 protochain 6"
    longer = chain([60] * (DEFAULT_PROTOCHAIN_HEADERS + 1), 6, tcp())
    assert libpcap_matches(libpcap, text, longer)
    assert not matches(text, longer)
    assert matches(f"not {text}", longer)
    # What stands within the bound is found behind nothing longer.
    assert matches("ip6 protochain 60", longer)


@pytest.mark.parametrize("bound", [1, 2, 3, 10])
def test_the_bound_can_be_set(bound):
    text = "ip6 protochain 6"
    for count in range(bound + 2):
        packet = chain([60] * count, 6, tcp())
        assert matches(text, packet, protochain_headers=bound) == (count <= bound)


@pytest.mark.parametrize("bound", [0, -1])
def test_a_bound_below_one_is_refused(bound):
    with pytest.raises(ValueError, match="follows 1 to"):
        compile_text("protochain 6", protochain_headers=bound)


def test_the_bound_on_the_command_line():
    def length(*options):
        command = [sys.executable, "-m", "pfcompile", *options, "ip6 protochain 6"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.count("\n")

    default = str(DEFAULT_PROTOCHAIN_HEADERS)
    assert length("--protochain-headers", default) == length()
    assert length("--protochain-headers", "1") < length() < length("--protochain-headers", "8")


def test_authentication_headers(libpcap):
    def packet(*, times, check_value=12, last=6):
        headers = b"".join(
            frames.authentication(frames.AH, check_value) for _ in range(times - 1)
        ) + frames.authentication(last, check_value)
        return ether(frames.IP, ipv4(frames.AH, headers + tcp()))

    text = "ip protochain 6"
    for times in range(1, DEFAULT_PROTOCHAIN_HEADERS + 1):
        for check_value in (12, 16, 32):
            assert matches(text, packet(times=times, check_value=check_value))
    assert not matches(text, packet(times=DEFAULT_PROTOCHAIN_HEADERS + 1))
    assert not matches(text, packet(times=2, last=17))
    # One header alone is where libpcap is right as well: nothing behind it is looked for.
    assert libpcap_matches(libpcap, text, packet(times=1))


def test_options_of_ipv4_are_passed_over():
    for words in (5, 6, 15):
        inner = frames.authentication(frames.TCP) + tcp()
        assert matches("ip protochain 6", ether(frames.IP, ipv4(frames.AH, inner, words=words)))


def test_any_number_of_chains_share_their_registers():
    many = " or ".join(f"protochain {number}" for number in range(100, 112))
    found = programs(many)
    packet = chain([60, 43], 111)
    assert matches(many, packet)
    assert not matches(many, chain([60, 43], 112))
    assert all(len(one) <= 4096 for one in found)


def test_a_program_that_would_be_too_long_is_refused():
    assert "4096" in refusal("protochain 6 or protochain 17", protochain_headers=100)


def test_the_kernel_takes_the_program(kernel):
    for text in ("ip6 protochain 6", "ip protochain 6", "protochain 6"):
        for program in programs(text):
            kernel.attach(program)
            for count in (0, 1, DEFAULT_PROTOCHAIN_HEADERS, DEFAULT_PROTOCHAIN_HEADERS + 1):
                packet = chain([60] * count, 6, tcp())
                assert (kernel.run(packet) > 0) == matches(text, packet)
