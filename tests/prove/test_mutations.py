"""One field of a program changed: the prover must see a difference exactly where there is one."""

from __future__ import annotations

import random

import pytest

from pfcompile.cbpf.isa import ROW_OF, Class, Op, Operand, Place
from pfcompile.prove import Different, Equal, prove
from tests.generator.packets import packets_for
from tests.generator.seed import SEED
from tests.prove.random_cases import story

ETHERNET = 1
NETMASK = 0xFFFFFF00
MUTANTS = 300
PACKETS = 3000

# Header lengths are at most 60 bytes and mutated offsets grow by at most 31: with this much behind
# it, no packet is too short, and truncation plays no part.
PADDING = bytes(6000)


def mutated(program, rng):
    """Return `program` with one constant or one jump changed, still valid."""
    while True:
        position = rng.randrange(len(program))
        one = program[position]
        row = ROW_OF[one.code]
        if row.comparison is not None and rng.random() < 0.4:
            field = rng.choice(("jt", "jf"))
            changed = one._replace(**{field: rng.randrange(len(program) - position - 1)})
        elif row.operand.takes_k and row.operand not in {Operand.SCRATCH, Operand.TARGET}:
            small = Place.PACKET in row.reads or row.instruction_class is Class.ALU
            changed = one._replace(k=one.k ^ 1 << rng.randrange(5 if small else 32))
        else:
            continue
        if changed != one and (changed.k or row.instruction_class is not Class.ALU):
            return (*program[:position], changed, *program[position + 1 :])


def reads_at_fixed_places(program):
    """Return whether X is only ever the length of an IPv4 header."""
    return not any(one.code != Op.LDX_MSH and Place.X in ROW_OF[one.code].writes for one in program)


@pytest.mark.parametrize("optimised", [False, True])
def test_mutants(libpcap, usual_filters, optimised):
    rng = random.Random(f"{SEED} {optimised}")
    tried = differing = 0
    while tried < MUTANTS // 2:
        text = rng.choice(usual_filters)
        program = libpcap.compile(text, ETHERNET, optimize=optimised, netmask=NETMASK)
        if len(program) < 3 or not reads_at_fixed_places(program):
            continue
        mutant = mutated(program, rng)
        tried += 1
        answer = prove(program, mutant)
        told = story("test_mutations.py", text, program, mutant) + f"\n{answer}"
        match answer:
            case Different(packet, wire_length, verdicts):
                differing += 1
                ran = [libpcap.filter(one, packet, wire_length) for one in (program, mutant)]
                assert ran == list(verdicts), told
                assert ran[0] != ran[1], told
            case Equal():
                assert not shown_different(libpcap, program, mutant, rng), told
            case _:
                pytest.fail(told)
    # Most changes show; if none did, or all, the other half of this test would be idle.
    assert 0 < differing < tried


def shown_different(libpcap, program, mutant, rng):
    """Return whether one of many packets made for the two gets two verdicts."""
    for one in (program, mutant):
        packets = [packet.data + PADDING for packet in packets_for(one, rng, PACKETS // 2)]
        lengths = [rng.choice((60, 64, 65, 576, 1000, 1500, 1501)) for _ in packets]
        verdicts = [
            [
                libpcap.filter(each, data, length)
                for data, length in zip(packets, lengths, strict=True)
            ]
            for each in (program, mutant)
        ]
        if verdicts[0] != verdicts[1]:
            return True
    return False


def test_the_packets_could_show_differences(libpcap, usual_filters):
    """Most mutants that differ are also shown to differ by packets alone."""
    rng = random.Random(f"{SEED} shown")
    shown = differing = 0
    while differing < 20:
        text = rng.choice(usual_filters)
        program = libpcap.compile(text, ETHERNET, netmask=NETMASK)
        if len(program) < 3 or not reads_at_fixed_places(program):
            continue
        mutant = mutated(program, rng)
        if isinstance(prove(program, mutant), Different):
            differing += 1
            shown += shown_different(libpcap, program, mutant, rng)
    assert shown >= 10
