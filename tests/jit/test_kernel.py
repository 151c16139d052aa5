"""Native code and the kernel: the same XDP programs on the same packets."""

from __future__ import annotations

import random

import pytest

from pfcompile.ebpf.asm import assemble, disassemble
from pfcompile.ebpf.isa import Kind
from pfcompile.ebpf.machine.starts import Xdp
from pfcompile.jit.native import native
from tests.ebpf.kernel_machine import KernelMachine
from tests.ebpf.test_instructions import (
    BEGIN,
    END,
    HELD,
    IMMEDIATES,
    instruction_of,
    numbers,
    of_kind,
    takes,
)
from tests.generator.seed import SEED, rerun

pytestmark = pytest.mark.bpf
RERUN = rerun("tests/jit/test_kernel.py")
PROGRAMS = 100


def agree(program, packets):
    compiled = native(program)
    with KernelMachine(program) as kernel:
        for packet in packets:
            ours = bytearray(packet)
            verdict = compiled.run(Xdp(ours)) & 0xFFFF_FFFF
            wanted = kernel.run(packet)
            assert (verdict, bytes(ours)) == wanted, f"{disassemble(program)}{packet.hex()} {RERUN}"


def test_random_sequences():
    rng = random.Random(SEED)
    rows = of_kind(Kind.ALU) + of_kind(Kind.BRANCH)
    for _ in range(PROGRAMS):
        length, body = rng.randint(1, 30), []
        while len(body) < length:
            row = rng.choice(rows)
            imm = rng.choice((*IMMEDIATES, rng.randint(-0x8000_0000, 0x7FFF_FFFF)))
            if takes(row, imm):
                ahead = rng.randint(0, min(5, length - len(body) - 1))
                offset = ahead if row.kind is Kind.BRANCH else row.offset or 0
                dst, src = rng.choice(HELD), rng.choice(HELD)
                body.append(instruction_of(row, dst=dst, src=src, offset=offset, imm=imm))
        agree((*BEGIN, *body, *END), [numbers(rng) for _ in range(8)])


def test_calls_and_atomic_operations():
    rng = random.Random(SEED)
    main = (
        "r1 = r2\ncall pc+{}\nr0 += r6\n*(u64 *)(r9 + 0) = r0\n*(u64 *)(r9 + 8) = r6\nr0 = 2\nexit"
    )
    inner = "r6 = r1\nr6 *= 3\n*(u64 *)(r10 - 8) = r6\nr0 = *(u32 *)(r10 - 8)\nexit"
    program = (*BEGIN, *assemble(main.format(5)), *assemble(inner))
    agree(program, [numbers(rng) for _ in range(20)])
    for row in of_kind(Kind.ATOMIC):
        body = (
            *assemble("*(u64 *)(r10 - 16) = r4"),
            instruction_of(row, dst=10, src=3, offset=-16),
            *assemble("r5 = *(u64 *)(r10 - 16)"),
        )
        agree((*BEGIN, *body, *END), [numbers(rng) for _ in range(5)])
