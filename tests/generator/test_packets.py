"""Packets made for a program reach what random bytes do not."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pfcompile.cbpf.isa import successors
from tests.generator.packets import packets_for
from tests.generator.seed import SEED, rerun

if TYPE_CHECKING:
    from tests.oracles.libpcap import Libpcap

RERUN = rerun("tests/generator/test_packets.py")
ETHERNET = 1

USUAL = [
    line
    for line in (Path(__file__).resolve().parents[1] / "filters" / "usual.txt")
    .read_text(encoding="utf-8")
    .splitlines()
    if line and not line.startswith("#")
]


def reached(libpcap: Libpcap, program, packets) -> set[int]:
    """Return the instructions that some packet reaches.

    libpcap tells when each instruction in turn is replaced by one that ends with a mark.
    """
    found = set()
    for position, one in enumerate(program):
        marked = (*program[:position], one._replace(code=0x06, jt=0, jf=0, k=0x12345678),
                  *program[position + 1 :])  # fmt: skip
        if any(libpcap.filter(marked, p.data, p.wire_length) == 0x12345678 for p in packets):
            found.add(position)
    return found


def test_all_instructions_of_usual_filters_are_reached(libpcap):
    rng = random.Random(SEED)
    everything = hit = 0
    for text in rng.sample(USUAL, 60):
        program = libpcap.compile(text, ETHERNET, netmask=0xFFFFFF00)
        packets = list(packets_for(program, rng, 400))
        everything += len(program)
        hit += len(reached(libpcap, program, packets))
    assert hit >= 0.98 * everything, (hit, everything, RERUN)


def test_random_bytes_would_not_do(libpcap):
    program = libpcap.compile("tcp port 443 and host 10.0.0.1", ETHERNET)
    rng = random.Random(SEED)
    blind = [libpcap.filter(program, rng.randbytes(100)) for _ in range(2000)]
    guided = [libpcap.filter(program, p.data) for p in packets_for(program, rng, 2000)]
    assert not any(blind)
    assert sum(map(bool, guided)) > 20, RERUN


@pytest.mark.parametrize("text", ["tcp port 80", "len > 100 and ip", "ip[2:2] + 4 = 60", "ip6"])
def test_the_flag_for_cut_packets(libpcap, text):
    program = libpcap.compile(text, ETHERNET, optimize=False)
    rng = random.Random(SEED)
    packets = list(packets_for(program, rng, 500))
    cut = sum(packet.truncated for packet in packets)
    assert 20 < cut < 400, RERUN
    assert len({len(packet.data) for packet in packets}) > 10
    # More bytes change nothing for a packet that is long enough.
    for packet in packets:
        if not packet.truncated:
            verdicts = {
                libpcap.filter(program, packet.data + bytes(more), packet.wire_length)
                for more in (0, 1, 100)
            }
            assert len(verdicts) == 1, (packet, RERUN)
    # And there is a cut packet for which they do, or the flag would mean nothing.
    assert any(
        libpcap.filter(program, packet.data, packet.wire_length)
        != libpcap.filter(program, packet.data + other.data[len(packet.data) :], packet.wire_length)
        for packet in packets
        if packet.truncated
        for other in packets[:50]
    )


def test_computed_values_are_steered(libpcap):
    for text in ("ip[2:2] * 3 - 5 = 295", "link[0:4] & 0xff00 = 0x1200", "(ip[0] & 0xf) << 2 = 24",
                 "len = 77", "ip[8] ^ 0x55 = 0x54", "7 - ip[8] = 3"):  # fmt: skip
        for optimised in (False, True):
            program = libpcap.compile(text, ETHERNET, optimize=optimised)
            packets = packets_for(program, random.Random(SEED), 200)
            assert any(libpcap.filter(program, p.data, p.wire_length) for p in packets), text


def test_programs_that_jump_backward_end_too(libpcap):
    program = libpcap.compile("ip6 protochain 17", ETHERNET)
    assert any(
        successors(position, one)[:1] > (len(program),) for position, one in enumerate(program)
    )
    assert len(list(packets_for(program, random.Random(SEED), 200))) == 200
