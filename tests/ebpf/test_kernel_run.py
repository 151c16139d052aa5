"""Translated programs in the kernel: accepted by its verifier, with the classic program's verdict.

The classic program runs in our interpreter and on a unix socket, each translation by
BPF_PROG_TEST_RUN. That needs an Ethernet header: programs for tc and XDP are run on packets of 14
bytes and more; socket filters are given what is behind it, and so packets of every length.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import struct
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, suppress

import pytest

from pfcompile.cbpf.interpreter import prepare
from pfcompile.cbpf.isa import Ancillary, Instruction, Op
from pfcompile.compiler import compile as compile_text
from pfcompile.ebpf.asm import disassemble
from pfcompile.ebpf.isa import R0
from pfcompile.ebpf.isa import Instruction as Slot
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.ebpf.translate import translate
from pfcompile.ebpf.translate.targets import FORMS, SOCKET
from pfcompile.errors import KernelError, ProgramError
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from pfcompile.kernel.bpf import MIN_FRAME, VerifierError, load
from tests.cbpf.random_programs import random_program
from tests.ebpf.translations import (
    FILTERS,
    VERDICTS,
    compiled,
    expected,
    has_words,
    some_packets,
    translated,
    words_of,
)
from tests.generator.seed import SEED, rerun
from tests.oracles.kernel import Kernel

pytestmark = [pytest.mark.bpf, pytest.mark.usefixtures("bpf")]

HINT = rerun("tests/ebpf/test_kernel_run.py")
IN_KERNEL = [form for form in FORMS if form.target.program_type is not None]
HEADER = bytes(12) + b"\x90\x00"
"""An Ethernet header of a protocol of which the kernel expects nothing."""
MOST_BYTES = 1514
NO_WORDS = {Ancillary.ALU_XOR_X}


def frame_for(form, packet):
    """Return what to run a program on so that it sees `packet`, or None where that cannot be."""
    if form.target is SOCKET:
        return HEADER + packet
    return packet if len(packet) >= MIN_FRAME else None


def verdict(loaded, form, frame):
    """Return a program's verdict, or None for a frame that the kernel finds too short to be IP."""
    try:
        return loaded.test_run(frame).verdict
    except KernelError as error:
        is_short_ip = form.target.name == "tc" and frame[12:14] in {b"\x08\x00", b"\x86\xdd"}
        if error.errno == errno.EINVAL and is_short_ip and len(frame) < 54:
            return None
        raise


def agree(instructions, packets, kernel, verdicts):
    """Run a program everywhere on packets; return how often each form gave a verdict."""
    packets = [data for data, _ in packets if len(data) <= MOST_BYTES]
    classic, counts = prepare(instructions), Counter()
    values = {data: classic(data) for data in packets}
    with suppress(OSError):  # one that is too long for net.core.optmem_max
        kernel.attach(instructions)
        for data, value in values.items():
            assert kernel.run(data) == min(value, len(data)), f"{data.hex()}\n{HINT}"
            counts["classic"] += 1
    for form in IN_KERNEL:
        program = translated(instructions, form, verdicts)
        with load(program) as loaded:
            for data, value in values.items():
                frame = frame_for(form, data)
                found = None if frame is None else verdict(loaded, form, frame)
                assert found in {None, expected(value, verdicts)}, (
                    f"{form.target.name} {form.access.value} {verdicts} {data.hex()}\n"
                    f"{instructions}\n{disassemble(program.instructions)}\n{HINT}"
                )
                counts[form.target.name, form.access.value] += found is not None
    return counts


def run_random_programs(kernel, rng, count, packets_each):
    total = Counter()
    ways = itertools.cycle(VERDICTS.values())
    while total["programs"] < count:
        instructions = random_program(rng)
        if words_of(instructions) <= NO_WORDS:
            packets = some_packets(instructions, rng, packets_each)
            total.update(agree(instructions, packets, kernel, next(ways)))
            total["programs"] += 1
    print(dict(total))
    assert total["socket", "legacy"] >= 20 * count
    assert total["xdp", "direct"] >= packets_each * count * 2 / 3


def test_random_programs(kernel):
    run_random_programs(kernel, random.Random(f"{SEED} kernel"), 120, 12)


@pytest.mark.long
def test_many_random_programs(kernel):
    run_random_programs(kernel, random.Random(f"{SEED} kernel, many"), 2000, 24)


def test_usual_filters(kernel):
    rng = random.Random(f"{SEED} kernel, usual")
    total = Counter()
    for text, verdicts in zip(FILTERS, itertools.cycle(VERDICTS.values()), strict=False):
        instructions = compiled(text)
        total.update(agree(instructions, some_packets(instructions, rng, 14), kernel, verdicts))
    print(dict(total))
    assert min(total.values()) >= 8 * len(FILTERS)


def test_every_length_from_nothing(kernel):
    for text in ("ether[0] = 0", "ether[20:4] != 1", "ether[ether[3]:2] = 0", "len > 9"):
        instructions = compiled(text)
        packets = [(bytes(length), length) for length in range(90)]
        counts = agree(instructions, packets, kernel, VERDICTS["two numbers"])
        assert counts["socket", "legacy"] == counts["classic"] == 90


def test_words_that_differ_by_target():
    rng = random.Random(f"{SEED} kernel, words")
    for _ in range(100):
        instructions = random_program(rng)
        for form in IN_KERNEL:
            if has_words(form, instructions):
                load(translated(instructions, form, VERDICTS["two numbers"])).close()


def test_metadata_words_of_a_test_run():
    """The kernel itself says what the words are: the mark is told, others it makes up."""
    context = bytearray(192)
    struct.pack_into("=I", context, 8, 0xDEADBEEF)
    for word, value in (
        (Ancillary.MARK, 0xDEADBEEF),
        (Ancillary.PROTOCOL, 0x9000),
        (Ancillary.VLAN_TAG_PRESENT, 0),
        (Ancillary.IFINDEX, 1),
    ):
        instructions = (
            Instruction(Op.LD_W_ABS, 0, 0, ANCILLARY_BASE + word),
            Instruction(Op.RET_A, 0, 0, 0),
        )
        for access in ("direct", "legacy", "helpers"):
            program = translate(instructions, "tc", access=access, match="value", no_match=0)
            with load(program) as loaded:
                assert loaded.test_run(HEADER + bytes(60), bytes(context)).verdict == value


@pytest.mark.parametrize(
    ("op", "k", "wanted"),
    [
        (Op.LD_H_ABS, 0xFFE0000C, 0x9000),
        (Op.LD_W_ABS, 0xFFE00004, 0x05060708),
        (Op.LD_B_ABS, 0xFFF00001, 0x21),
        (Op.LDX_MSH, 0xFFF00005, 4 * 5),
        (Op.LD_B_ABS, 0xFFF00100, 0),
        (Op.LD_B_ABS, 0xFFFFEFFF, 0),
    ],
)
def test_loads_from_the_link_and_the_network_header(op, k, wanted):
    ending = (Instruction(Op.TXA, 0, 0, 0),) if op is Op.LDX_MSH else ()
    program = (Instruction(op, 0, 0, k), *ending, Instruction(Op.RET_A, 0, 0, 0))
    frame = bytes(range(1, 13)) + b"\x90\x00" + bytes(range(0x20, 0x60))
    for target in ("socket", "tc"):
        made = translate(program, target, access="legacy", match="value", no_match=0)
        with load(made) as loaded:
            assert loaded.test_run(frame).verdict == wanted


def test_helpers_reach_all_pieces():
    """An XDP packet of several pieces, beyond the first of which pointers do not reach."""
    size = 20_000
    packet = bytes(number * 7 & 0xFF for number in range(size))
    for offset in (0, 3000, 5000, 10_001, size - 4, size - 3, size, 0x10000):
        instructions = (
            Instruction(Op.LDX_IMM, 0, 0, 8),
            Instruction(Op.LD_W_IND, 0, 0, offset - 8 & 0xFFFFFFFF),
            Instruction(Op.ADD_K, 0, 0, 1),
            Instruction(Op.RET_A, 0, 0, 0),
        )
        program = translate(instructions, "xdp", access="helpers", match="value", no_match=3)
        with load(program) as loaded:
            assert loaded.test_run(packet).verdict == (prepare(instructions)(packet) or 3)
    length = (Instruction(Op.LD_LEN, 0, 0, 0), Instruction(Op.RET_A, 0, 0, 0))
    with load(translate(length, "xdp", access="helpers", match="value")) as loaded:
        assert loaded.test_run(packet).verdict == size


def steps(*rows):
    return [Instruction(op, jt, jf, k) for op, jt, jf, k in rows]


def index_by_way(number):
    """X differs by the way, and is indexed with."""
    return steps(
        (Op.LD_W_ABS, 0, 0, 4 * number % 400), (Op.JSET_K, 2, 0, 1), (Op.TXA, 0, 0, 0),
        (Op.ADD_K, 0, 0, 1), (Op.TAX, 0, 0, 0), (Op.LD_B_IND, 0, 0, 0),
    )  # fmt: skip


def scratch_by_way(number):
    """Scratch words differ by the way, and are indexed with."""
    return steps(
        (Op.LD_W_ABS, 0, 0, 4 * number % 400), (Op.JSET_K, 1, 0, 1), (Op.LD_IMM, 0, 0, number % 5),
        (Op.ST, 0, 0, number % 16), (Op.LDX_MEM, 0, 0, number * 7 % 16 if number > 16 else 0),
        (Op.LD_B_IND, 0, 0, 0),
    )  # fmt: skip


def outcome_by_way(number):
    """What is compared differs by the way, and the outcome could be known."""
    return steps(
        (Op.LD_W_ABS, 0, 0, 4 * number % 400), (Op.JSET_K, 0, 3, 1), (Op.TXA, 0, 0, 0),
        (Op.ADD_K, 0, 0, 1), (Op.TAX, 0, 0, 0), (Op.TXA, 0, 0, 0), (Op.JEQ_K, 0, 1, number * 3),
        (Op.LDX_IMM, 0, 0, 5),
    )  # fmt: skip


def comparison_by_way(number):
    """Both sides of a comparison differ by the way, and a division."""
    return steps(
        (Op.LD_B_ABS, 0, 0, number % 300), (Op.JSET_K, 0, 2, 1 << number % 8),
        (Op.LDX_IMM, 0, 0, number + 1), (Op.JA, 0, 0, 1), (Op.LDX_IMM, 0, 0, 4), (Op.TXA, 0, 0, 0),
        (Op.JGT_X, 0, 1, 0), (Op.ADD_K, 0, 0, 3), (Op.DIV_X, 0, 0, 0), (Op.ST, 0, 0, 1),
    )  # fmt: skip


def length_by_way(number):
    """How long the packet is known to be differs by the way."""
    return steps(
        (Op.LD_B_ABS, 0, 0, 0), (Op.JSET_K, 0, 1, 1 << number % 8),
        (Op.LD_B_ABS, 0, 0, max(0, 30_000 - 5 * number)),
    )  # fmt: skip


def bits_by_way(number):
    """What jumps have told about one value differs by the way, and the value is indexed with."""
    return steps(
        (Op.LD_MEM, 0, 0, 0), (Op.JSET_K, 0, 1, 1 << number % 32), (Op.LDX_MEM, 0, 0, 0),
        (Op.LDX_MEM, 0, 0, 0), (Op.LD_B_IND, 0, 0, 0),
    )  # fmt: skip


def exclusive_or_by_way(number):
    """A load that is none, but A ^= X, of what differs by the way."""
    return steps(
        (Op.LD_B_ABS, 0, 0, number % 300), (Op.JSET_K, 0, 1, 1 << number % 8),
        (Op.LDX_IMM, 0, 0, number), (Op.LD_IMM, 0, 0, 1),
        (Op.LD_W_ABS, 0, 0, ANCILLARY_BASE + Ancillary.ALU_XOR_X), (Op.TAX, 0, 0, 0),
        (Op.LD_B_IND, 0, 0, 0),
    )  # fmt: skip


def far_apart(number):
    """Loads of which none can share another's guard."""
    return steps((Op.LD_B_IND, 0, 0, number % 2 * 40_000))


def divisions(_):
    return steps((Op.DIV_X, 0, 0, 0))


DIFFICULT = (
    index_by_way, scratch_by_way, outcome_by_way, comparison_by_way, length_by_way, bits_by_way,
    exclusive_or_by_way, far_apart, divisions,
)  # fmt: skip


def longest(part, size):
    program = steps((Op.LD_LEN, 0, 0, 0), (Op.TAX, 0, 0, 0), (Op.ST, 0, 0, 0))
    numbers = itertools.count()
    while len(program) + len(more := part(next(numbers))) < size:
        program += more
    return (*program, Instruction(Op.RET_A, 0, 0, 0))


@pytest.mark.parametrize("part", DIFFICULT)
@pytest.mark.parametrize("size", [500, 4096])
def test_the_verifier_takes_programs_with_many_ways(part, size):
    instructions = longest(part, size)
    for form in IN_KERNEL:
        load(translated(instructions, form, VERDICTS["two numbers"])).close()


@pytest.mark.parametrize("part", DIFFICULT)
def test_programs_with_many_ways_keep_their_verdict(part):
    rng = random.Random(f"{SEED} {part.__name__}")
    instructions = longest(part, 300)
    packets = [(rng.randbytes(length), length) for length in (14, 60, 400, 1000, 1400, 1514)]
    packets += [(bytes(rng.choices((0, 1), k=1500)), 1500) for _ in range(10)]
    with Kernel() as kernel:
        agree(instructions, packets, kernel, VERDICTS["two numbers"])


def test_jumps_that_grow_in_the_kernel():
    """LD_IND becomes seven slots there: a jump over thousands of them must still fit."""
    skipped = steps((Op.LD_W_IND, 0, 0, 0)) * 3700
    instructions = (
        *steps((Op.LDX_IMM, 0, 0, 3), (Op.LD_B_ABS, 0, 0, 0), (Op.JEQ_K, 1, 0, 7)),
        *steps((Op.JA, 0, 0, len(skipped))),
        *skipped,
        *steps((Op.LD_W_IND, 0, 0, 8), (Op.RET_A, 0, 0, 0)),
    )
    program = translate(instructions, "tc", access="legacy", match=1, no_match=5)
    classic = prepare(instructions)
    with load(program) as loaded:
        for first, length in itertools.product((6, 7), (14, 15, 40)):
            packet = bytes([first, *range(1, length)])
            assert loaded.test_run(packet).verdict == (1 if classic(packet) else 5)


def test_a_long_list_of_hosts():
    hosts = " or ".join(f"host 10.{n % 7}.{n // 250}.{n % 250}" for n in range(900))
    instructions = compile_text(hosts, "EN10MB", 262144, None, optimize=True).instructions
    assert len(instructions) > 900
    for form in IN_KERNEL:
        load(translated(instructions, form, VERDICTS["two numbers"])).close()


def test_the_packet_comes_back_and_time_is_measured():
    accept = (Instruction(Op.RET_K, 0, 0, 1),)
    with load(translate(accept, "xdp")) as loaded:
        run = loaded.test_run(HEADER + b"hello", repeat=1000)
        assert run.data == HEADER + b"hello"
        assert 0 <= run.duration_ns < 1_000_000
        with pytest.raises(KernelError, match=r"14 bytes.*EINVAL"):
            loaded.test_run(b"short")
    assert loaded.fileno() == -1
    loaded.close()


def test_a_refusal_shows_the_end_of_the_log():
    number = [Slot(0xB7, int(R0), imm=1), *(Slot(0x07, int(R0), imm=1) for _ in range(30))]
    load_from_it = Slot(0x79, int(R0), int(R0))
    wrong = EbpfProgram((*number, load_from_it, Slot(0x95)), "xdp", program_type=6)
    with pytest.raises(VerifierError) as caught:
        load(wrong)
    error = caught.value
    assert error.errno in {errno.EACCES, errno.EINVAL}
    assert len(error.log) == 12
    assert error.lines_left_out > 0
    assert str(error).startswith("cannot load the eBPF program 'pfcompile': the verifier")
    assert f"... {error.lines_left_out} lines left out" in str(error)


def test_programs_for_elsewhere_are_not_loaded():
    accept = (Instruction(Op.RET_K, 0, 0, 1),)
    with pytest.raises(ProgramError, match="runs no programs for the target 'user'"):
        load(translate(accept, "user"))
    for options in ({"name": "n" * 16}, {"name": "é"}, {"license": "a\0b"}):
        with pytest.raises(ProgramError, match=r"name|license"):
            load(EbpfProgram((Slot(0x95),), "xdp", 6, **options))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become nobody")
def test_without_the_privilege():
    code = (
        "import os\n"
        "from pfcompile.cbpf.isa import Instruction\n"
        "from pfcompile.ebpf.translate import translate\n"
        "from pfcompile.errors import KernelError\n"
        "from pfcompile.kernel.bpf import load\n"
        "program = translate((Instruction(6, 0, 0, 1),), 'xdp')\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n"
        "    load(program)\n"
        "except KernelError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "CAP_BPF is missing" in done.stdout
    assert "EPERM" in done.stdout


def test_programs_that_are_loaded_are_closed():
    accept = (Instruction(Op.RET_K, 0, 0, 1),)
    with ExitStack() as stack:
        loaded = [stack.enter_context(load(translate(accept, "xdp"))) for _ in range(3)]
        assert len({one.fileno() for one in loaded}) == 3
    assert {one.fileno() for one in loaded} == {-1}
