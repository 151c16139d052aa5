"""What programs do that no expression can say: they are told, and where it stands."""

from __future__ import annotations

import pytest

from pfcompile.cbpf.asm import assemble
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.decompile import Proof
from pfcompile.errors import ProgramError
from tests.decompile.asking import asked

SECCOMP = """
    ld [4]
    jne #0xc000003e, bad
    ld [0]
    jeq #15, good
    jeq #231, good
bad: ret #0
good: ret #0x7fff0000
"""


def test_a_filter_for_system_calls():
    found = asked(assemble(SECCOMP))
    assert found.expression is None
    assert "seccomp" in str(found.obstacles[0])


def test_a_packet_filter_is_none():
    # It reads words alone, and returns what an action could be.
    found = asked(assemble("ld [12]\njeq #0x8004500, yes, no\nyes: ret #0x7fff0000\nno: ret #1"))
    assert found.expression is not None


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("proto", "protocol that the kernel has found"),
        ("mark", "mark"),
        ("queue", "queue"),
        ("hatype", "hardware type"),
        ("rxhash", "hash"),
        ("cpu", "CPU"),
        ("poff", "payload"),
        ("rand", "random"),
        ("vlan_tpid", "VLAN"),
        ("nla", "netlink attribute"),
    ],
)
def test_metadata_without_a_word(word, said):
    found = asked(assemble(f"ldh [12]\nld {word}\njeq #7, yes, no\nyes: ret #1\nno: ret #0"))
    assert found.expression is None
    assert not found.is_proved
    (obstacle,) = found.obstacles
    assert obstacle.instructions == (1,)
    assert said in obstacle.what


@pytest.mark.parametrize(
    "load",
    [
        "ldb [0xfff00009]",
        "ldb [0xffe0000c]",
        "ldx 4 * ([0xfff00000] & 0xf)\ntxa",
        "ldb [x + 0xfff00000]",
    ],
)
def test_loads_that_count_from_a_header_that_the_kernel_knows(load):
    found = asked(assemble(f"{load}\njeq #6, yes, no\nyes: ret #1\nno: ret #0"))
    assert found.expression is None
    (obstacle,) = found.obstacles
    assert obstacle.instructions == (0,)
    assert "SKF_NET_OFF" in obstacle.what


def test_metadata_used_otherwise():
    # The tag's number where nobody has asked whether there is a tag.
    found = asked(assemble("ld vlan_tci\njeq #10, yes, no\nyes: ret #1\nno: ret #0"))
    assert found.expression is None
    assert found.obstacles[0].instructions == (0,)


def test_several_lengths():
    source = "ldh [12]\njeq #0x800, a\njeq #0x86dd, b\nret #0\na: ret #64\nb: ret #128"
    found = asked(assemble(source))
    assert found.expression in {"ip or ip6", "ip6 or ip"}
    assert found.proof is Proof.NONE
    assert "only which packets match" in found.reason
    assert found.obstacles[0].instructions == (4, 5)
    assert "64, 128" in found.obstacles[0].what


def test_a_length_that_is_computed():
    found = asked(assemble("ldh [12]\njne #0x800, no\nld len\nret a\nno: ret #0"))
    assert found.proof is Proof.NONE
    assert found.obstacles[0].instructions == (3,)
    assert found.expression is not None
    assert found.expression.startswith("ip and len")


def test_a_loop():
    backward = Instruction(Op.JA, 0, 0, 0xFFFFFFFE)
    found = asked((Instruction(Op.LD_LEN, 0, 0, 0), backward, Instruction(Op.RET_K, 0, 0, 1)))
    assert found.expression is None
    assert found.obstacles[0].instructions == (1,)


@pytest.mark.parametrize(
    "program",
    [
        (),
        (Instruction(0xFFFF, 0, 0, 0),),
        (Instruction(Op.LD_LEN, 0, 0, 0),),
        (Instruction(Op.JEQ_K, 5, 5, 0), Instruction(Op.RET_K, 0, 0, 1)),
    ],
)
def test_no_program(program):
    with pytest.raises(ProgramError):
        asked(program)


def test_arithmetic_without_end():
    source = "ld [0]\ntax\n" + "xor x\nadd #1\n" * 1500 + "jeq #7, yes, no\nyes: ret #1\nno: ret #0"
    found = asked(assemble(source))
    assert found.expression is None
    assert "nested too deeply" in found.reason


def test_hundreds_of_tests():
    ends = "yes: ret #1\nno: ret #0"
    tests = "".join(f"ldb [{offset}]\njeq #{offset % 7 + 1}, yes\n" for offset in range(40))
    found = asked(assemble(f"{tests}ja no\n{ends}"))
    assert found.is_proved


def test_wrong_arguments():
    program = assemble("ret #1")
    with pytest.raises(ValueError, match="unknown data link type"):
        asked(program, "NOSUCH")
