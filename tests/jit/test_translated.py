"""Translated programs as native code, bare where the check has proved it: the classic verdicts."""

from __future__ import annotations

import itertools
import random

import pytest

from pfcompile.cbpf.interpreter import prepare
from pfcompile.ebpf import check
from pfcompile.ebpf.asm import disassemble
from pfcompile.ebpf.machine.starts import RawPacket
from pfcompile.ebpf.translate.targets import FORMS
from pfcompile.errors import ProgramError
from pfcompile.jit.checked import checked_native
from tests.cbpf.random_programs import METADATA, random_program
from tests.ebpf.translations import (
    ENVIRONMENT,
    FILTERS,
    VERDICTS,
    WORD,
    compiled,
    expected,
    forms,
    has_words,
    some_packets,
    started,
    translated,
)
from tests.generator.seed import SEED, rerun

HINT = rerun("tests/jit/test_translated.py")


def compare(instructions, form, packets, verdicts):
    """Run a program and its translation's native code on packets; return how many there were."""
    program = translated(instructions, form, verdicts)
    subject = check.SUBJECTS[form.target.name]
    machine = checked_native(program.instructions, subject, ENVIRONMENT)
    classic = prepare(instructions)
    for data, wire_length in packets:
        length = wire_length if form.target.name == "user" else len(data)
        value = classic(data, length, METADATA)
        found = machine.run(started(form, data, length)) & WORD
        assert found == expected(value, verdicts), (
            f"{form.target.name} {form.access.value} {verdicts} {data.hex()} {length}\n"
            f"{instructions}\n{disassemble(program.instructions)}\n{HINT}"
        )
    return len(packets)


def run_random_programs(form, rng, count):
    programs = packets = 0
    for verdicts in itertools.cycle(VERDICTS.values()):
        instructions = random_program(rng)
        if has_words(form, instructions):
            packets += compare(instructions, form, some_packets(instructions, rng, 16), verdicts)
            programs += 1
            if programs == count:
                break
    assert packets >= 20 * programs


@pytest.mark.parametrize("form", forms())
def test_random_programs_give_the_classic_verdict(form):
    run_random_programs(form, random.Random(f"{SEED} native {form}"), 12)


@pytest.mark.long
@pytest.mark.parametrize("form", forms())
def test_many_random_programs_give_the_classic_verdict(form):
    run_random_programs(form, random.Random(f"{SEED} native many {form}"), 250)


def test_usual_filters_give_the_classic_verdict():
    rng = random.Random(f"{SEED} native usual")
    # Each filter in one form, each form with every eighth filter: compiling takes the time.
    for text, form in zip(FILTERS, itertools.cycle(FORMS), strict=False):
        instructions = compiled(text)
        compare(instructions, form, some_packets(instructions, rng, 14), VERDICTS["two numbers"])


@pytest.mark.long
@pytest.mark.parametrize("form", forms())
def test_all_usual_filters_give_the_classic_verdict(form):
    rng = random.Random(f"{SEED} native usual {form}")
    for text in FILTERS:
        instructions = compiled(text)
        compare(instructions, form, some_packets(instructions, rng, 14), VERDICTS["the snaplen"])


@pytest.mark.parametrize("form", forms())
def test_every_length_of_a_matching_packet(form):
    packet = bytes.fromhex(
        "020000000002020000000001080045000028000100004006000001020304050607080400005000000000"
        "000000005002200000000000"
    )
    cuts = [(packet[:length], len(packet)) for length in range(len(packet) + 1)]
    compare(compiled("tcp dst port 80"), form, cuts, VERDICTS["two numbers"])


@pytest.mark.parametrize("form", forms())
def test_the_check_proves_what_was_translated(form):
    program = translated(compiled("tcp port 443"), form, VERDICTS["two numbers"])
    found = check.check(program.instructions, check.SUBJECTS[form.target.name])
    assert found.terminates
    assert not found.unproved


def test_what_was_checked_for_one_start_is_not_run_from_another():
    form = next(form for form in FORMS if form.target.name == "xdp")
    program = translated(compiled("tcp port 443"), form, VERDICTS["two numbers"])
    machine = checked_native(program.instructions, check.XDP)
    with pytest.raises(ProgramError, match="proved for Xdp, not for RawPacket"):
        machine.run(RawPacket(b"abc"))
