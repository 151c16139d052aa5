"""What the prover says of small programs, each about one rule."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pfcompile.cbpf.asm import assemble
from pfcompile.cbpf.interpreter import run
from pfcompile.cbpf.isa import Ancillary, Instruction, Op
from pfcompile.errors import InternalError, ProgramError
from pfcompile.prove import (
    Different,
    Equal,
    Holds,
    Undecided,
    Witness,
    disjoint,
    implies,
    prove,
    satisfiable,
)


def program(*lines: str) -> tuple[Instruction, ...]:
    return assemble("\n".join(lines))


ACCEPT = program("ret #262144")
REJECT = program("ret #0")
IS_IP = program("ldh [12]", "jeq #0x800, yes, no", "yes: ret #262144", "no: ret #0")

EQUAL = {
    "itself": (IS_IP, IS_IP),
    "arms turned round": (
        IS_IP,
        program("ldh [12]", "jeq #0x800, yes, no", "no: ret #0", "yes: ret #262144"),
    ),
    "bytes for a word": (
        IS_IP,
        program(
            "ldb [12]", "jeq #8, more, no", "more: ldb [13]", "jeq #0, yes, no",
            "yes: ret #262144", "no: ret #0",
        ),
    ),
    "mask that keeps everything": (
        IS_IP,
        program(
            "ld [12]", "and #0xffff0000", "jeq #0x8000000, yes, no", "yes: ret #262144",
            "no: ret #0",
        ),
    ),
    "subtract and compare with zero": (
        IS_IP,
        program(
            "ldh [12]", "sub #0x800", "jeq #0, yes, no", "yes: ret #262144", "no: ret #0",
        ),
    ),
    "through scratch memory and X": (
        IS_IP,
        program(
            "ldh [12]", "st M[3]", "ld #0", "ldx M[3]", "txa", "jeq #0x800, yes, no",
            "yes: ret #262144", "no: ret #0",
        ),
    ),
    "a register merged where two ways meet": (
        program(
            "ldb [0]", "jeq #1, one, other", "one: ldx #4", "ja done", "other: ldx #8",
            "done: ldb [x + 0]", "ret a",
        ),
        program(
            "ldb [0]", "jeq #1, one, other", "one: ldb [4]", "ret a", "other: ldb [8]", "ret a",
        ),
    ),
    "multiplication for a shift": (
        program("ldb [0]", "lsh #3", "ret a"),
        program("ldb [0]", "mul #8", "ret a"),
    ),
    "a shift right brings in zeros": (
        program("ld [0]", "rsh #31", "ret a"),
        program("ld [0]", "jge #0x80000000, one, no", "one: ret #1", "no: ret #0"),
    ),
    "several returned lengths": (
        program("ldb [0]", "jeq #1, a, more", "more: jeq #2, b, c", "a: ret #64", "b: ret #96",
                "c: ret #0"),
        program("ldb [0]", "jeq #2, b, more", "more: jeq #1, a, c", "a: ret #64", "b: ret #96",
                "c: ret #0"),
    ),
    "negation": (
        program("ldb [0]", "neg", "ret a"),
        program("ldb [0]", "tax", "ld #0", "sub x", "ret a"),
    ),
    "an index that the packet decides, against each of its values": (
        program("ldb [0]", "and #1", "tax", "ldb [x + 1]", "ret a"),
        program(
            "ldb [0]", "jset #1, odd, even", "odd: ldb [2]", "ret a", "even: ldb [1]", "ret a",
        ),
    ),
    "two bases that are the same number": (
        program("ldb [0]", "tax", "ldb [x + 6]", "ret a"),
        program("ldb [0]", "add #6", "tax", "ldb [x + 0]", "ret a"),
    ),
    "an offset that wraps modulo 2**32": (
        program("ldx #8", "ldb [x + 0xfffffffc]", "ret a"),
        program("ldb [4]", "ret a"),
    ),
    "shift by X of 32 or more gives 0": (
        program("ldb [0]", "or #32", "tax", "ld #1", "lsh x", "ret a"),
        program("ldb [0]", "ret #0"),
    ),
    "division by a zero X ends with 0": (
        program("ldx #0", "ld #5", "div x", "ret #7"),
        REJECT,
    ),
    "modulus by what may be zero": (
        program("ldb [0]", "tax", "ld #5", "mod x", "ret #1"),
        program("ldb [0]", "jeq #0, no, yes", "yes: ret #1", "no: ret #0"),
    ),
    "xor_x is arithmetic": (
        program("ldb [0]", "tax", "ldb [1]", f"insn 0x20, 0, 0, {0xFFFFF000 + 40:#x}", "ret a"),
        program("ldb [0]", "tax", "ldb [1]", "xor x", "ret a"),
    ),
    "metadata by name, whatever the load's size": (
        program(f"insn {Op.LD_W_ABS}, 0, 0, {0xFFFFF000 + 20:#x}", "ret a"),
        program(f"insn {Op.LD_H_ABS}, 0, 0, {0xFFFFF000 + 20:#x}", "ret a"),
    ),
    "searches of the same": (
        program("ldx #3", "ldb [0]", "ld nla", "ret a"),
        program("ldb [0]", "ldx #3", "ld nla", "ret a"),
    ),
    "a load past the end is left out": (
        program("ldb [1000]", "ret #1"),
        program("ret #1"),
    ),
    "a load that no packet is long enough for": (
        program("ldb [0xf0000000]", "ret #1"),
        REJECT,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", EQUAL)
def test_equal(case):
    first, second = EQUAL[case]
    assert prove(first, second) == Equal()
    assert prove(second, first) == Equal()


DIFFERENT = {
    "other verdict": (ACCEPT, REJECT),
    "other returned length": (ACCEPT, program("ret #65535")),
    "one of several returned lengths": (
        program("ldb [0]", "jeq #1, a, more", "more: jeq #2, b, c", "a: ret #64", "b: ret #96",
                "c: ret #0"),
        program("ldb [0]", "jeq #1, a, c", "a: ret #64", "c: ret #0"),
    ),
    "a length that only one returns": (program("ret #65535"), REJECT),
    "other constant": (
        IS_IP,
        program("ldh [12]", "jeq #0x801, yes, no", "yes: ret #262144", "no: ret #0"),
    ),
    "one bit of a mask": (
        program("ld [0]", "and #0xfffffffe", "ret a"),
        program("ld [0]", "ret a"),
    ),
    "greater and not below": (
        program("ldb [0]", "jgt #7, yes, no", "yes: ret #1", "no: ret #0"),
        program("ldb [0]", "jge #7, yes, no", "yes: ret #1", "no: ret #0"),
    ),
    "all comparisons are unsigned": (
        program("ld [0]", "jgt #0x7fffffff, yes, no", "yes: ret #1", "no: ret #0"),
        REJECT,
    ),
    "bytes at offsets that may be one": (
        program("ldb [0]", "tax", "ldb [x + 0]", "ret a"),
        program("ldb [0]", "tax", "ldb [x + 1]", "ret a"),
    ),
    "division by zero": (
        program("ldb [0]", "tax", "ld #5", "div x", "ret #1"),
        program("ldb [0]", "ret #1"),
    ),
    "wire length": (
        program("ld #pktlen", "jgt #64, yes, no", "yes: ret #1", "no: ret #0"),
        program("ld #pktlen", "jgt #65, yes, no", "yes: ret #1", "no: ret #0"),
    ),
    "shift by X below 32": (
        program("ldb [0]", "tax", "ld #1", "lsh x", "ret a"),
        REJECT,
    ),
    "shift by X of 32 and the same by 0": (
        program("ldb [0]", "and #32", "tax", "ld #1", "lsh x", "ret a"),
        program("ldb [0]", "ret #1"),
    ),
    "another metadata word": (
        program("ld mark", "ret a"),
        program("ld queue", "ret a"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DIFFERENT)
def test_different(case):
    programs = DIFFERENT[case]
    found = prove(*programs)
    assert isinstance(found, Different)
    assert found.verdicts[0] != found.verdicts[1]
    if "shift by X of 32" not in case:
        # (The interpreter shifts as the kernel does, which `test_wide_shifts` is about.)
        arguments = found.packet, found.wire_length, found.ancillary
        assert found.verdicts == tuple(run(one, *arguments) for one in programs)


def test_packet_is_no_longer_than_the_reads_and_zero_elsewhere():
    found = prove(IS_IP, REJECT)
    assert isinstance(found, Different)
    assert found.packet == bytes(12) + b"\x08\x00"
    assert found.wire_length == 14


def test_reads_of_untaken_paths_do_not_count():
    taken = program("ldb [0]", "jeq #1, near, far", "near: ret #1", "far: ld [5000]", "ret #0")
    found = satisfiable(taken)
    assert isinstance(found, Witness)
    assert found.packet == b"\x01"


def test_a_far_read_is_avoided_where_it_can_be():
    loads_at_x = program("ld [0]", "tax", "ldb [x + 0]", "jeq #7, yes, no", "yes: ret #1",
                         "no: ret #0")  # fmt: skip
    found = satisfiable(loads_at_x)
    assert isinstance(found, Witness)
    assert len(found.packet) <= 2048


def test_only_packets_too_long_to_show():
    far = program("ld [0]", "jge #0x40000000, read, no", "read: tax", "ldb [x + 0]", "ret #1",
                  "no: ret #0")  # fmt: skip
    assert isinstance(satisfiable(far), Undecided)


def test_wire_length_is_free_unless_it_must_cover_the_capture():
    short = program("ldb [99]", "ld #pktlen", "jgt #99, yes, no", "yes: ret #1", "no: ret #0")
    always = program("ldb [99]", "ret #1")
    found = prove(short, always)
    assert isinstance(found, Different)
    assert found.wire_length < len(found.packet)
    assert prove(short, always, real_lengths=True) == Equal()


def test_real_lengths_reach_to_every_read():
    reads = program("ld #pktlen", "tax", "ldb [x + 0]", "ret #1")
    assert isinstance(satisfiable(reads), Witness)
    assert satisfiable(reads, real_lengths=True) is None


def test_a_multi_byte_read_does_not_wrap():
    last = program("ldx #0xffffffff", "ldh [x + 0]", "ret #1")
    assert satisfiable(last) is None
    assert isinstance(satisfiable(program("ldx #0xffffffff", "ldh [x + 1]", "ret #1")), Witness)


def test_metadata_comes_with_the_counterexample():
    found = prove(program("ld vlan_pr", "jeq #1, yes, no", "yes: ret #5", "no: ret #0"), REJECT)
    assert isinstance(found, Different)
    assert found.ancillary == {Ancillary.VLAN_TAG_PRESENT: 1}
    assert found.packet == b""


def test_a_search_that_is_not_modelled_is_not_called_different():
    searching = program("ldx #9", "ld #0", "ld nla", "jeq #77, yes, no", "yes: ret #1",
                        "no: ret #0")  # fmt: skip
    assert isinstance(satisfiable(searching), Undecided)


def test_wide_shifts():
    """Verdicts are libpcap's; what a kernel returns is said beside them where it differs."""
    shifted = program("ldb [0]", "tax", "ld #1", "lsh x", "jeq #0, yes, no", "yes: ret #1",
                      "no: ret #0")  # fmt: skip
    found = satisfiable(shifted)
    assert isinstance(found, Witness)
    assert found.packet[0] >= 32
    assert (
        (found.verdicts, found.in_kernel) == ((1,), (run(shifted, found.packet),)) == ((1,), (0,))
    )
    nonzero = program("ldb [0]", "tax", "ld #1", "lsh x", "ret a")
    found = satisfiable(nonzero)
    assert isinstance(found, Witness)
    assert (found.verdicts, found.in_kernel) == ((run(nonzero, found.packet),), None)


def test_a_wrong_verdict_of_a_program_that_shifts_is_found_out(monkeypatch):
    """Shifting by X excuses a difference only where the amount is 32 or more."""
    narrow = program("ldb [0]", "and #7", "tax", "ld #1", "lsh x", "ret a")
    monkeypatch.setattr("pfcompile.prove.question.run", lambda *_: 0)
    with pytest.raises(InternalError, match="on the solver's packet"):
        satisfiable(narrow)


def test_implies():
    tcp = program("ldh [12]", "jeq #0x800, more, no", "more: ldb [23]", "jeq #6, yes, no",
                  "yes: ret #1", "no: ret #0")  # fmt: skip
    assert implies(tcp, IS_IP) == Holds()
    found = implies(IS_IP, tcp)
    assert isinstance(found, Witness)
    assert found.verdicts == (262144, 0)
    assert found.packet[12:14] == b"\x08\x00"
    assert implies(REJECT, tcp) == Holds()


def test_disjoint():
    arp = program("ldh [12]", "jeq #0x806, yes, no", "yes: ret #1", "no: ret #0")
    assert disjoint(IS_IP, arp) == Holds()
    found = disjoint(IS_IP, ACCEPT)
    assert isinstance(found, Witness)
    assert all(found.verdicts)


def test_satisfiable():
    never = program("ldb [0]", "and #1", "jeq #2, yes, no", "yes: ret #1", "no: ret #0")
    assert satisfiable(never) is None
    found = satisfiable(IS_IP)
    assert isinstance(found, Witness)
    assert run(IS_IP, found.packet) == 262144


def test_giving_up():
    product = (
        "ld [0]", "tax", "ld [4]", "mul x", "st M[0]", "ld [8]", "tax", "ld M[0]", "mod x",
    )  # fmt: skip
    first = program(*product, "mul x", "div x", "ret a")
    second = program(*product, "xor #1", "mul x", "mul x", "div x", "xor #1", "ret a")
    assert isinstance(prove(first, second, timeout_ms=1), Undecided)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ((), "no instructions"),
        ((Instruction(0xFF, 0, 0, 0),), "no such code"),
        ((Instruction(Op.LD_IMM, 0, 0, 0),), "past the end"),
        ((Instruction(Op.JA, 0, 0, 5), Instruction(Op.RET_K, 0, 0, 0)), "past the end"),
        ((Instruction(Op.JEQ_K, 0, 9, 5), Instruction(Op.RET_K, 0, 0, 0)), "past the end"),
        ((Instruction(Op.ST, 0, 0, 16), Instruction(Op.RET_K, 0, 0, 0)), "no M"),
        ((Instruction(Op.JA, 0, 0, 0xFFFFFFFF), Instruction(Op.RET_K, 0, 0, 0)), "not loop-free"),
    ],
)
def test_programs_that_cannot_be_read(broken, says):
    with pytest.raises(ProgramError, match=says):
        prove(ACCEPT, broken)
    with pytest.raises(ProgramError, match=says):
        satisfiable(broken)


def test_a_program_longer_than_kernels_take():
    tests = [Instruction(Op.JEQ_K, 0, 0, number) for number in range(5000)]
    long = (Instruction(Op.LD_B_ABS, 0, 0, 0), *tests, Instruction(Op.RET_A, 0, 0, 0))
    short = program("ldb [0]", "ret a")
    assert prove(long, short) == Equal()
    assert isinstance(prove(long, REJECT), Different)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


def test_pfcompile_does_not_load_z3():
    done = run_python(
        "import sys, pfcompile, pfcompile.cbpf.interpreter; print('z3' in sys.modules)"
    )
    assert done.stdout == "False\n", done.stderr


def test_without_z3_the_error_says_what_to_install():
    done = run_python(
        "import sys; sys.modules['z3'] = None\n"
        "from pfcompile.errors import MissingExtraError\n"
        "try:\n    import pfcompile.prove\n"
        "except MissingExtraError as error:\n    print(error)"
    )
    assert "z3-solver" in done.stdout, done.stderr
    assert "pfcompile[prove]" in done.stdout
