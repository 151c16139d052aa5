"""Programs that the check has looked at: what their proofs rely on, run after run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.check import RAW_PACKET, USER, XDP, analyse
from pfcompile.ebpf.isa import Instruction
from pfcompile.ebpf.machine.code import Environment
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.starts import MetadataBuffer, NoData, RawPacket, User, Xdp
from pfcompile.ebpf.maps.kinds import create
from pfcompile.ebpf.maps.vocabulary import MapSpec, MapType
from pfcompile.errors import ProgramError
from pfcompile.jit.checked import checked_native
from pfcompile.jit.native import native

FAR = 0x70000000
MOVES_THE_END = f"""
r2 = *(u64 *)(r1 + 0)
r3 = *(u64 *)(r1 + 8)
r4 = r2
r4 += {FAR + 8}
r0 = 1
if r4 > r3 goto out
r2 += {FAR}
r0 = *(u64 *)(r2 + 0)
out:
r3 += 0x7f000000
*(u64 *)(r1 + 8) = r3
exit
"""
"""Loads far behind the packet, should it be so long; says at its end that it is."""
MOVES_THE_START = """
r2 = *(u64 *)(r1 + 0)
r3 = *(u64 *)(r1 + 8)
r4 = r2
r4 += 8
r0 = 1
if r4 > r3 goto out
r0 = *(u64 *)(r2 + 0)
out:
r2 += -0x7000000
*(u64 *)(r1 + 0) = r2
exit
"""
IN_A_PROCESS = """
import sys
from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.check import USER
from pfcompile.ebpf.machine.starts import User
from pfcompile.jit.checked import checked_native
program = checked_native(assemble(sys.argv[1]), USER)
print(program.repeat(User(b"abcdefgh"), 1000).result)
"""


@pytest.mark.parametrize(
    ("text", "result"),
    [(MOVES_THE_END, 1), (MOVES_THE_START, int.from_bytes(b"abcdefgh", "little"))],
)
def test_a_run_does_not_see_the_bounds_that_the_last_one_left(text, result):
    """In a process of its own, which a wrong bound would end."""
    assert analyse(assemble(text), USER).proved, "nothing that could go wrong"
    command = [sys.executable, "-c", IN_A_PROCESS, text]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{result}\n"), done.stderr


def test_a_tail_call_does_not_leave_other_bounds_either():
    """The program that is gone to has no proofs, but may write what they rely on."""
    array = create(MapSpec(MapType.PROG_ARRAY, 4, 4, 1))
    array.put(0, native(assemble("*(u64 *)(r6 + 8) = 0\n*(u64 *)(r6 + 0) = 0\nr0 = r7\nexit")))
    text = (
        "r6 = r1\nr2 = *(u64 *)(r1 + 0)\nr3 = *(u64 *)(r1 + 8)\nr4 = r2\nr4 += 1\nr7 = 99\n"
        "if r4 > r3 goto +1\nr7 = *(u8 *)(r2 + 0)"
    )
    program = (
        *assemble(text + "\nexit")[:-1], Instruction(0x18, 2, 1, imm=1), Instruction(0),
        *assemble("r3 = 0\ncall 12\nr0 = 0\nexit"),
    )  # fmt: skip
    compiled = checked_native(program, USER, Environment(HELPERS, maps={1: array}))
    assert compiled.code.has_proofs
    assert compiled.repeat(User(b"\x07"), 20).result == 7


def test_the_rest_stays_as_the_last_run_has_left_it():
    counting = assemble("r2 = *(u32 *)(r1 + 16)\nr2 += 1\n*(u32 *)(r1 + 16) = r2\nr0 = r2\nexit")
    metadata = bytearray(24)
    compiled = native(counting)
    assert compiled.repeat(MetadataBuffer(metadata), 5).result == 5
    assert metadata[16] == 5
    # Without proofs nothing is relied on; with them, metadata begins anew.
    assert compiled.repeat(User(b"", wire_length=10), 5).result == 15
    assert checked_native(counting, USER).repeat(User(b"", wire_length=10), 5).result == 11

    packet = bytearray(8)
    adding = assemble("lock *(u64 *)(r1 + 0) += r2\nr0 = *(u64 *)(r1 + 0)\nexit")
    assert checked_native(adding, RAW_PACKET).repeat(RawPacket(packet), 5).result == 40
    assert packet[0] == 40


def test_other_starts_are_refused():
    compiled = checked_native(assemble("r0 = *(u32 *)(r1 + 0)\nr0 = 2\nexit"), XDP)
    assert compiled.repeat(Xdp(bytes(14)), 3).result == 2
    for start in (NoData(), User(b""), RawPacket(bytes(64))):
        with pytest.raises(ProgramError, match="proved for Xdp"):
            compiled.repeat(start, 3)
