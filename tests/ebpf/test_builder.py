"""Programs made in Python: the same as assembled ones."""

from __future__ import annotations

import pytest

from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.builder import Builder
from pfcompile.ebpf.isa import R0, R1, R2, R3, R10, Arithmetic, Atomic, Condition, Wide, row_of
from pfcompile.errors import ProgramError

SAME = {
    "r1 = 5": lambda b: b.mov(R1, 5),
    "r1 = r2": lambda b: b.mov(R1, R2),
    "w1 = w2": lambda b: b.mov(R1, R2, 32),
    "w1 = -1": lambda b: b.mov(R1, 0xFFFFFFFF),
    "r1 = -1": lambda b: b.mov(R1, -1),
    "r1 = 0x100000000 ll": lambda b: b.mov(R1, 1 << 32),
    "r1 = 0x8000000000000000 ll": lambda b: b.mov(R1, -(1 << 63)),
    "r1 s>>= 3": lambda b: b.alu(Arithmetic.ARSH, R1, 3),
    "w1 s%= w2": lambda b: b.alu(Arithmetic.SMOD, R1, R2, 32),
    "w1 += 0xffffffff": lambda b: b.alu(Arithmetic.ADD, R1, 0xFFFFFFFF, 32),
    "r1 = -r1": lambda b: b.alu(Arithmetic.NEG, R1),
    "r1 = be16 r1": lambda b: b.alu(Arithmetic.BE16, R1),
    "r1 = (s16)r2": lambda b: b.alu(Arithmetic.MOVSX16, R1, R2),
    "r1 = *(u16 *)(r2 + 12)": lambda b: b.load(16, R1, R2, 12),
    "r1 = *(s8 *)(r2 - 1)": lambda b: b.load(8, R1, R2, -1, signed=True),
    "*(u64 *)(r10 - 8) = r3": lambda b: b.store(64, R10, -8, R3),
    "*(u8 *)(r10 - 1) = 7": lambda b: b.store(8, R10, -1, 7),
    "r2 = xchg_64(r1 + 0, r2)": lambda b: b.atomic(Atomic.XCHG, 64, R1, 0, R2),
    "lock *(u32 *)(r1 + 4) ^= w2": lambda b: b.atomic(Atomic.XOR, 32, R1, 4, R2),
    "r1 = map[fd:7]": lambda b: b.wide(R1, 7, Wide.MAP_FD),
    "r1 = map[fd:7][0]+4": lambda b: b.wide(R1, 4 << 32 | 7, Wide.MAP_VALUE_FD),
    "r0 = *(u16 *)skb[12]": lambda b: b.packet(16, 12),
    "r0 = *(u32 *)skb[-4096]": lambda b: b.packet(32, 0xFFFFF000),
    "r0 = *(u8 *)skb[r3 + 9]": lambda b: b.packet(8, 9, R3),
    "call 14": lambda b: b.call(14),
    "call kfunc 9, 2": lambda b: b.call_kfunc(9, 2),
    "exit": lambda b: b.exit(),
}


@pytest.mark.parametrize("text", SAME)
def test_an_instruction_is_what_its_text_says(text):
    built = SAME[text](Builder()).finish()
    assert built == assemble(text)
    assert row_of(built[0]) is not None
    assert {type(value) for value in (built[0].dst, built[0].src, built[0].imm)} == {int}


def test_labels_are_counted_in_slots():
    b = Builder()
    drop = b.new_label("drop")
    assert drop != b.new_label("drop")
    b.label("again").jump_if(Condition.SGT, R1, 5, drop, width=32).wide(R2, 1)
    b.jump_if(Condition.SET, R1, R2, "again").call_local("sub").code_address(R3, "sub")
    b.may_goto("again").jump(drop)
    assert b.slots == 9
    b.label(drop).mov(R0, 0).exit().label("sub").exit()
    assert b.finish() == assemble(
        """
        again: if w1 s> 5 goto drop
               r2 = 1 ll
               if r1 & r2 goto again
               call sub
               r3 = subprog[sub]
               may_goto again
               goto drop
        drop:  r0 = 0
               exit
        sub:   exit
        """
    )
    assert b.finish() == b.finish()


def test_a_far_jump_is_a_long_one_and_a_far_branch_an_error():
    filling = assemble("r0 = 0") * 0x8000
    b = Builder().jump("end").emit(*filling).label("end").exit()
    assert b.finish()[0] == assemble("gotol +32768")[0]
    b = Builder().jump("end").emit(*filling[1:]).label("end").exit()
    assert b.finish()[0] == assemble("goto +32767")[0]
    b = Builder().jump_if(Condition.EQ, R1, 0, "end").emit(*filling).label("end").exit()
    with pytest.raises(ProgramError, match="slot 0: 'end' is 32768 slots away"):
        b.finish()


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        (lambda b: b.jump("x").finish(), "label 'x' is never placed"),
        (lambda b: b.jump("x").label("x").finish(), "'x' stands before no instruction"),
        (lambda b: b.label("x").label("x"), "label 'x' is already at slot 0"),
        (lambda b: b.alu(Arithmetic.ADD, R1, 1 << 31), "2147483648 does not fit 32 bits"),
        (lambda b: b.mov(R1, 1 << 64), "does not fit 64 bits"),
        (lambda b: b.mov(R1, 1 << 32, 32), "4294967296 does not fit 32 bits"),
        (lambda b: b.wide(R1, 1 << 32, Wide.MAP_FD), "does not fit 32 bits"),
        (lambda b: b.load(64, R1, R2, signed=True), "no 64-bit sign-extending load"),
        (lambda b: b.load(8, R1, R2, 1 << 15), "offset 32768 does not fit 16 bits"),
        (lambda b: b.alu(Arithmetic.MOVSX32, R1, R2, 32), "no 32-bit movsx32"),
        (lambda b: b.alu(Arithmetic.NEG, R1, 5), "no 64-bit neg with immediate operand"),
        (lambda b: b.atomic(Atomic.ADD, 16, R1, 0, R2), "no 16-bit add"),
        (lambda b: b.packet(64, 0), "no 64-bit legacy packet load"),
    ],
)
def test_what_cannot_be_is_refused(deed, words):
    with pytest.raises(ProgramError, match=words):
        deed(Builder())
