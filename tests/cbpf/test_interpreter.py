"""The interpreter against the kernel, and the cases that the kernel's socket cannot show."""

from __future__ import annotations

import random
import struct
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pfcompile.cbpf.asm import assemble, disassemble
from pfcompile.cbpf.interpreter import prepare, run
from pfcompile.cbpf.isa import Ancillary, Instruction, Op
from pfcompile.errors import ProgramError

from .random_programs import METADATA, SEED, random_packet, random_program, rerun_hint

if TYPE_CHECKING:
    from tests.oracles.kernel import Kernel

PROGRAMS = 1000
PACKETS = 20


def test_random_programs_run_as_in_the_kernel(kernel: Kernel) -> None:
    rng = random.Random(SEED)
    seen: Counter[str] = Counter()
    codes: set[int] = set()
    longest = 0
    for number in range(PROGRAMS):
        program = random_program(rng)
        codes |= {instruction.code for instruction in program}
        longest = max(longest, *(max(instruction.jt, instruction.jf) for instruction in program))
        kernel.attach(program)
        machine = prepare(program)
        for _ in range(PACKETS):
            packet = random_packet(rng)
            ours, theirs = machine(packet, None, METADATA), kernel.run(packet)
            assert min(ours, len(packet)) == theirs, (
                f"program {number} gives {ours}, the kernel {theirs} of {len(packet)} bytes:\n"
                f"{disassemble(program)}on {packet.hex()}\n{rerun_hint('test_interpreter.py')}"
            )
            seen["accepted"] += theirs > 0
            seen["cut"] += 0 < theirs < len(packet)
    assert codes == set(Op)
    assert longest == 255
    runs = PROGRAMS * PACKETS
    assert seen["accepted"] > runs // 5, seen
    # A result below the packet's length is compared in full, not just as "all of it".
    assert seen["cut"] > runs // 20, seen


@pytest.mark.parametrize("word", ["nla", "nlan"])
def test_netlink_attributes_are_found_as_in_the_kernel(kernel: Kernel, word: str) -> None:
    rng = random.Random(SEED)
    found = 0
    for _ in range(300):
        packet = b"\xff" * rng.choice((0, 4, 8)) + _attributes(rng, depth=2)
        start = rng.choice((0, 4, 8, rng.randint(0, len(packet) + 4)))
        program = assemble(f"ld #{start}\nldx #{rng.randint(0, 4)}\nld {word}\nret a")
        kernel.attach(program)
        ours = run(program, packet)
        assert ours == kernel.run(packet), (start, packet.hex(), rerun_hint("test_interpreter.py"))
        found += ours > 0
    assert found > 30


def _attributes(rng: random.Random, depth: int) -> bytes:
    """Return some netlink attributes, a few of them with wrong lengths."""
    parts = []
    for _ in range(rng.randint(1, 4)):
        value = _attributes(rng, depth - 1) if depth else rng.randbytes(rng.randint(0, 6))
        length = 4 + len(value) + rng.choice((0,) * 12 + (-5, 1, 40))
        kind = rng.randint(0, 4) | rng.choice((0, 0, 0x8000, 0x4000))
        parts.append(struct.pack("=HH", max(length, 0), kind) + value + bytes(-len(value) % 4))
    return b"".join(parts)


PACKET = bytes(range(1, 41))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("ret #0xffffffff", 0xFFFFFFFF),
        ("ldb [0]\nneg\nret a", 0xFFFFFFFF),
        ("ld #0\nldx #1\nsub x\nret a", 0xFFFFFFFF),
        ("ld #0xffffffff\nmul #0xffffffff\nret a", 1),
        ("ld #1\nldx #33\nlsh x\nret a", 2),
        ("ld #4\nldx #0xffffffe1\nrsh x\nret a", 2),
        ("ldx #5\nldb [x + 0xfffffffc]\nret a", 2),
        ("ldx #5\nldb [x + 0xfffffffa]\nret a", 0),
        ("ldb [39]\nret a", 40),
        ("ldb [40]\nret #7", 0),
        ("ldh [39]\nret #7", 0),
        ("ld [37]\nret #7", 0),
        ("ld [36]\nret a", 0x25262728),
        ("ldxb 4*([39]&0xf)\ntxa\nret a", 32),
        ("ldxb 4*([40]&0xf)\nret #7", 0),
        ("ld #8\ndiv x\nret #7", 0),
        ("ld #8\nmod x\nret #7", 0),
        ("ld len\nret a", 1500),
        ("ldx len\ntxa\nret a", 1500),
        ("ld vlan_tci\nret a", 42),
        ("ldb vlan_tci\nret a", 42),
        ("ld mark\nret #7", 0),
        ("ld #6\nldx #3\nld [0xfffff028]\nret a", 5),
        ("ldb [0xfff00000]\nret #7", 0),
        ("ldb [0xffe00000]\nret #7", 0),
    ],
)
def test_results(text: str, result: int) -> None:
    program = assemble(text)
    for packet in (PACKET, bytearray(PACKET), memoryview(PACKET)):
        assert run(program, packet, 1500, {Ancillary.VLAN_TAG: 42}) == result


def test_wire_length_is_the_packet_length_unless_told() -> None:
    assert run(assemble("ld len\nret a"), PACKET) == len(PACKET)
    assert run(assemble("ld len\nret a"), b"") == 0


def test_scratch_is_zero_before_it_is_written_and_in_every_run() -> None:
    machine = prepare(assemble("ld M[3]\njeq #0, first\nret #9\nfirst: ldb [0]\nst M[3]\nret a"))
    assert [machine(PACKET), machine(PACKET)] == [1, 1]


@pytest.mark.parametrize("word", ["ifidx", "hatype"])
def test_words_of_a_missing_device_end_with_no_match_here(kernel: Kernel, word: str) -> None:
    """The kernel returns A there: that is why this comparison is not part of the random one."""
    program = assemble(f"ld #7\nld {word}\nret #9")
    kernel.attach(program)
    assert kernel.run(PACKET) == 7
    assert run(program, PACKET) == 0


def test_an_invalid_program_is_not_prepared() -> None:
    with pytest.raises(ProgramError, match="not ret"):
        prepare([Instruction(Op.TAX, 0, 0, 0)])


def test_the_longest_program_runs_without_recursion() -> None:
    program = [Instruction(Op.ADD_K, 0, 0, 1)] * 4095 + [Instruction(Op.RET_A, 0, 0, 0)]
    assert run(program, b"") == 4095
