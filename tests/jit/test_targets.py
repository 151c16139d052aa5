"""Machine code for both processors: one of them is not here, so its code is looked at only."""

from __future__ import annotations

import random
import struct

import pytest

from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.isa import ROWS, Instruction, Kind, Wide
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.errors import ProgramError
from pfcompile.jit.native import native_assembly, native_object
from tests.generator.seed import SEED, rerun
from tests.jit.pairs import full_environment
from tests.jit.random_programs import RandomProgram

MACHINES = {"x86_64-unknown-linux-gnu": 62, "aarch64-unknown-linux-gnu": 183}
"""EM_X86_64 and EM_AARCH64, elf.h."""
WITH_ATOMICS = assemble(
    "lock *(u64 *)(r1 + 0) += r2\nr3 = 0\nr0 = cmpxchg_64(r1 + 8, r0, r3)\nexit"
)


def every_row():
    """Return a program with every row that such a program can have."""
    rng = random.Random(SEED)
    wides = {Wide.MAP_VALUE_FD, Wide.MAP_VALUE_INDEX}
    program: list[Instruction] = []
    for row in ROWS:
        unit = RandomProgram(rng, [row]).one(row)
        first = unit[0]
        if row.target is not None:
            fields = {"offset": first.offset, "imm": first.imm, row.target: len(unit) - 1}
            first = Instruction(first.code, first.dst, first.src, **fields)
        if row.operation in wides:
            unit = (first, Instruction(0))
        program += (first, *unit[1:])
        if row.kind in {Kind.JUMP, Kind.EXIT}:
            program.append(Instruction(0xB7, 0))
        if row.kind is Kind.EXIT:
            # Or all that follows would be dead.
            program[-2:] = [Instruction(0x15, 0, offset=1), Instruction(0x95)]
    return (*program, Instruction(0x95))


@pytest.mark.parametrize("triple", MACHINES)
def test_every_row_becomes_an_object(triple):
    program = every_row()
    environment, _ = full_environment()
    Machine(program, environment)
    assert all(any(row.fits(one) for one in program) for row in ROWS), rerun(__file__)
    data = native_object(program, environment, triple=triple)
    assert data.startswith(b"\x7fELF")
    assert struct.unpack_from("<H", data, 18) == (MACHINES[triple],)
    assert len(data) > 15_000


def test_atomic_operations_are_instructions_on_both():
    x86 = native_assembly(WITH_ATOMICS, triple="x86_64-unknown-linux-gnu")
    assert "lock" in x86
    assert "cmpxchg" in x86
    arm = native_assembly(WITH_ATOMICS, triple="aarch64-unknown-linux-gnu")
    assert "ldaxr" in arm or "ldaddal" in arm or "__aarch64_ldadd8_acq_rel" in arm


def test_this_processor_is_the_default():
    assert "ret" in native_assembly(WITH_ATOMICS)
    assert native_object(WITH_ATOMICS).startswith(b"\x7fELF")


def test_a_processor_that_there_is_not():
    with pytest.raises(ProgramError, match="abacus"):
        native_object(WITH_ATOMICS, triple="abacus-unknown-linux")
