"""Random packets and expressions: the bytes that are named decide, and the change is the smallest.

Checked by flipping: whatever else is changed, the classic interpreter's verdict stays; the change
turns it; and where the change has few bytes, all smaller ones are tried.
"""

from __future__ import annotations

import random

import pytest

from pfcompile import FilterError
from pfcompile import compile as compile_text
from pfcompile.cbpf.generate import generate
from pfcompile.cbpf.interpreter import prepare
from pfcompile.explain.one_packet.walk import why_packet
from pfcompile.lower.context import Options, Source
from pfcompile.lower.lowering import lower_apart
from pfcompile.lower.terms import without_marks
from pfcompile.names.resolvers import NoNames
from pfcompile.syntax.parser import parse
from tests.generator.expressions import FIRST_GROUPS, Generator
from tests.generator.links import LINKS
from tests.generator.packets import packets_for
from tests.generator.seed import SEED, rerun

LINK_TYPES = ("EN10MB",) * 5 + ("RAW", "PPP", "LINUX_SLL", "IEEE802_11_RADIO", "NULL")
REPLACEMENTS = 60
SECONDS = 60
"""For a change, on a machine that is busy with other tests."""
FEW_SECONDS = 5
"""The same where a test is to be short: of a change that is not found, the rest is checked."""
SMALL = 100
"""Bytes of a packet up to which all changes of one byte are tried."""


def cases(seed: object, count: int):
    """Yield expressions, link types and packets that are made for the expression."""
    rng = random.Random(f"{seed} why")
    made = 0
    while made < count:
        link = rng.choice(LINK_TYPES)
        groups = FIRST_GROUPS if rng.random() < 0.6 else None
        text = Generator(rng.random(), link, groups).expression()
        try:
            program = compile_text(
                text,
                link,
                optimize=False,
                savefile=True,
                resolver=NoNames(),
                max_instructions=None,
            )
        except FilterError:
            continue
        if len(program.instructions) > 1500:
            continue
        for packet in packets_for(program.instructions, rng, 1):
            made += 1
            yield text, link, packet, rng


def machine_for(text: str, link: str):
    """Return the classic interpreter of what the expression means, term by term."""
    options = Options(dlt=LINKS[link].value, resolver=NoNames(), source=Source.SAVEFILE)
    graph = lower_apart(parse(text), text, options).graph
    return prepare(generate(without_marks(graph), 1, longest=None))


def check(text: str, link: str, packet, rng: random.Random, seconds: float = SECONDS) -> str:
    """Check one case; return what came of the change."""
    found = why_packet(
        packet.data,
        text,
        link,
        wire_length=packet.wire_length,
        resolver=NoNames(),
        change_seconds=seconds,
    )
    machine = machine_for(text, link)

    def verdict(data: bytes) -> bool:
        return bool(machine(data, packet.wire_length))

    about = f"{text!r} on {link}, {packet.data.hex()} ({packet.wire_length}); " + rerun(
        "tests/explain/test_why_random.py"
    )
    assert verdict(packet.data) == found.matches, about
    named = {each for some in found.deciding for each in range(some.start, some.stop)}
    for _ in range(REPLACEMENTS):
        data = bytearray(rng.randbytes(len(packet.data)))
        for offset in named:
            data[offset] = packet.data[offset]
        assert verdict(bytes(data)) == found.matches, (about, sorted(named), data.hex())
    if found.smallest is None:
        if found.plain is not None:
            assert verdict(found.plain.packet) != found.matches, about
        if found.no_change.startswith("no change") and len(packet.data) <= SMALL:
            none_of_one_byte(packet.data, verdict, about)
        return found.no_change
    change = found.smallest
    assert len(change.packet) == len(packet.data)
    differing = [
        n for n, (a, b) in enumerate(zip(packet.data, change.packet, strict=True)) if a != b
    ]
    told = [n for edit in change.edits for n in range(edit.start, edit.stop)]
    assert differing == told, about
    assert verdict(change.packet) != found.matches, about
    if found.plain is not None:
        assert verdict(found.plain.packet) != found.matches, about
        assert found.plain.count >= change.count, about
    if change.count > 1 and len(packet.data) <= SMALL:
        none_of_one_byte(packet.data, verdict, about)
    return f"{min(change.count, 3)} bytes"


def none_of_one_byte(packet: bytes, verdict, about: str) -> None:
    """Check that no change of one byte turns the verdict."""
    before = verdict(packet)
    data = bytearray(packet)
    for offset, was in enumerate(packet):
        for value in range(256):
            data[offset] = value
            assert verdict(bytes(data)) == before, (about, offset, value)
        data[offset] = was


def test_the_named_bytes_decide_and_the_change_is_the_smallest():
    outcomes = [check(*case, FEW_SECONDS) for case in cases(SEED, 15)]
    assert any(each.endswith("bytes") for each in outcomes), outcomes


@pytest.mark.long
def test_the_same_for_500():
    outcomes = [check(*case) for case in cases(f"{SEED} long", 500)]
    assert sum(each.endswith("bytes") for each in outcomes) > 250, outcomes


@pytest.mark.long
def test_no_change_of_two_bytes_where_three_are_told():
    """Short packets: all pairs of bytes, with all their values."""
    for text, data in (
        ("ether[0] = 1 and ether[1] = 2 and ether[2] = 3", bytes(3)),
        ("ether[0] = 1 and ether[ether[1]] = 7 and ether[2] = 0", bytes(4)),
    ):
        found = why_packet(data, text)
        machine = machine_for(text, "EN10MB")
        assert found.smallest is not None
        assert found.smallest.count == 3
        for first in range(len(data)):
            for second in range(first):
                changed = bytearray(data)
                for one in range(256):
                    for other in range(256):
                        changed[first], changed[second] = one, other
                        assert not machine(bytes(changed), len(data))
