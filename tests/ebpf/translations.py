"""Classic programs, their translations, and packets for both: what several tests share."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from pfcompile.cbpf.isa import Ancillary, ancillary_word
from pfcompile.compiler import compile as compile_text
from pfcompile.ebpf.machine.code import Environment
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.starts import Skb, User, Xdp
from pfcompile.ebpf.translate import translate
from pfcompile.ebpf.translate.targets import FORMS
from tests.cbpf.random_programs import random_packet
from tests.generator.packets import packets_for

WORD = 0xFFFFFFFF
USUAL = Path(__file__).parents[1] / "filters" / "usual.txt"
FILTERS = [
    line
    for line in USUAL.read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
VERDICTS = {
    "the snaplen": {"match": "value", "no_match": "value"},
    "two numbers": {"match": 77, "no_match": 5},
    "a number or 0": {"match": 1, "no_match": 0},
    "the snaplen or a number": {"match": "value", "no_match": 9},
}


ENVIRONMENT = Environment(HELPERS)


def compiled(text):
    return compile_text(text, "EN10MB", 262144, 0xFFFFFF00, optimize=True).instructions


def forms():
    return [pytest.param(form, id=f"{form.target.name}-{form.access.value}") for form in FORMS]


def words_of(instructions):
    """Return the metadata words that a program loads."""
    return {word.word for word in map(ancillary_word, instructions) if word is not None}


def translated(instructions, form, verdicts):
    return translate(instructions, form.target.name, access=form.access.value, **verdicts)


def started(form, packet, wire_length):
    match form.target.name:
        case "user":
            return User(packet, wire_length)
        case "xdp":
            return Xdp(packet)
        case _:
            return Skb(packet, length=wire_length)


def expected(value, verdicts):
    """Return what a mapping makes of what the classic program returns."""
    wanted = verdicts["match"] if value else verdicts["no_match"]
    return value if wanted == "value" else wanted & WORD


def some_packets(instructions, rng, count):
    """Return packets of random bytes and such as reach the program's branches, short ones too."""
    made = [(one.data, one.wire_length) for one in packets_for(instructions, rng, count)]
    lengths = ((random_packet(rng),) for _ in range(count // 2))
    cut = (data[: rng.randrange(len(data) + 1)] for data, _ in made[: count // 4])
    plain = itertools.chain((data for (data,) in lengths), cut, (b"", b"\1", b"\1\2\3"))
    return [*made, *((data, len(data)) for data in plain)]


def has_words(form, instructions):
    return words_of(instructions) <= {*form.target.words, Ancillary.ALU_XOR_X}
