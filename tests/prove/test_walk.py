"""The formula of a program, with a packet put into it, against the interpreter."""

from __future__ import annotations

import random

from pfcompile.cbpf.interpreter import run
from pfcompile.cbpf.isa import ROW_OF, Ancillary, Operand, ancillary_word
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.prove.packet import Address, SymbolicPacket
from pfcompile.prove.solver import z3
from pfcompile.prove.walk import read_program
from pfcompile.prove.words import choose, word
from tests.cbpf.random_programs import random_program
from tests.generator.seed import SEED
from tests.prove.random_cases import story

PROGRAMS = 400
LONGEST = 40
SEARCHES = {Ancillary.NLATTR, Ancillary.NLATTR_NEST}
SHIFTS = {ArithmeticOp.LSH, ArithmeticOp.RSH}


def is_modelled(one):
    """Return whether the interpreter and the formula mean the same by this instruction."""
    row, metadata = ROW_OF[one.code], ancillary_word(one)
    by_index = row.arithmetic in SHIFTS and row.operand is Operand.INDEX
    return not by_index and (metadata is None or metadata.word not in SEARCHES)


def value_for(program, data, wire_length, ancillary):
    """Return what the formula of `program` says of one packet, None if it reads past its end."""
    packet = SymbolicPacket()
    value = 0
    for end in read_program(program, packet):
        value = choose(end.reached, end.value, value)
    solver = z3.SolverFor("QF_BV")
    solver.add(*(packet.byte(Address(0, place)) == byte for place, byte in enumerate(data)))
    solver.add(word(packet.wire_length) == wire_length)
    for name, term in packet.ancillary.items():
        solver.add(term == ancillary[name])
    solver.add(*packet.ties(), *packet.all_within(len(data)))
    if solver.check() == z3.unsat:
        return None
    return solver.model().eval(word(value), model_completion=True).as_long()


def test_random_programs_on_random_packets():
    rng = random.Random(f"{SEED} walk")
    past_the_end = done = 0
    while done < PROGRAMS:
        program = random_program(rng)
        if len(program) > LONGEST or not all(map(is_modelled, program)):
            continue
        done += 1
        data = bytes(
            rng.choices((0, 1, 5, 8, 0x45, 0x80, 0xC3, 0xFF), k=rng.choice((0, 4, 20, 40)))
        )
        wire_length = rng.choice((len(data), 64, 1500))
        ancillary = {int(name): rng.choice((0, 1, 7, rng.getrandbits(32))) for name in Ancillary}
        said = value_for(program, data, wire_length, ancillary)
        ran = run(program, data, wire_length, ancillary)
        past_the_end += said is None
        told = story("test_walk.py", data.hex(), program) + f"\n{wire_length} {ancillary}"
        assert (said or 0) == ran, told
    assert past_the_end < 0.8 * done


def test_metadata_base():
    # The names of metadata words in formulas are those that the interpreter takes.
    assert {ANCILLARY_BASE + name for name in Ancillary} == set(range(0xFFFFF000, 0xFFFFF040, 4))
