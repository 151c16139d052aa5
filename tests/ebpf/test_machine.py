"""The machine: its memory, its calls, its helpers, and what it refuses."""

from __future__ import annotations

import errno
import random
import struct
import sys

import pytest

from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.isa import Instruction
from pfcompile.ebpf.machine.code import MAX_TAIL_CALLS, Environment, Helper, Limits
from pfcompile.ebpf.machine.faults import BudgetError, RunError
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.memory import PACKET_ADDRESS, declared_address
from pfcompile.ebpf.machine.starts import (
    FixedMetadata,
    MetadataBuffer,
    NoData,
    RawPacket,
    Skb,
    User,
    Xdp,
)
from pfcompile.ebpf.maps.kinds import create
from pfcompile.ebpf.maps.vocabulary import MapFlag, MapSpec, MapType
from pfcompile.errors import ProgramError
from pfcompile.jit.native import native

PACKET = bytes(range(100, 120))
EXIT = Instruction(0x95)


def run(text, start=NoData(), **environment):  # noqa: B008 - it never changes
    return Machine(assemble(text), Environment(HELPERS, **environment)).run(start)


def load_map(register, number):
    return (Instruction(0x18, register, 1, imm=number), Instruction(0))


# What is refused before it runs.


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ((), "no instructions"),
        ((Instruction(0xB7, 0, 0, 0, 0),), "instruction 0 .*neither exit nor a jump"),
        ((Instruction(0xFF), EXIT), "instruction 0 .code 0xff.: there is no such instruction"),
        ((EXIT, Instruction(0xB7, 11), EXIT), "instruction 1 .*no register r11"),
        ((Instruction(0xBF, 0, 12), EXIT), "instruction 0 .*no register r12"),
        ((Instruction(0xB7, 0, 0, 3, 0), EXIT), "instruction 0 .*no form with offset 3"),
        ((Instruction(0xB7, 0, 1, 0, 0), EXIT), "instruction 0 .*no form with src 1"),
        ((Instruction(0x95, imm=1),), "instruction 0 .*no form with imm 1"),
        ((Instruction(0xDB, 1, 2, 0, 0x33), EXIT), "instruction 0 .*no form with imm 51"),
        ((Instruction(0xB7, 10), EXIT), "instruction 0 .*writes to r10"),
        ((Instruction(0x79, 10, 1), EXIT), "instruction 0 .*writes to r10"),
        ((Instruction(0xDB, 1, 10, 0, 0xE1), EXIT), "instruction 0 .*writes to r10"),
        ((Instruction(0x05, offset=1), EXIT), "instruction 0 .*goes to instruction 2, outside"),
        ((Instruction(0x05, offset=-2), EXIT), "instruction 0 .*goes to instruction -1, outside"),
        ((Instruction(0x06, imm=9), EXIT), "instruction 0 .*goes to instruction 10, outside"),
        ((Instruction(0x85, 0, 1, 0, 9), EXIT), "instruction 0 .*goes to instruction 10, outside"),
        (
            (Instruction(0x05, offset=1), Instruction(0x18), Instruction(0), EXIT),
            "instruction 0 .*goes to instruction 2, the second half",
        ),
        ((Instruction(0x18),), "instruction 0 .*second half of the 64-bit load is missing"),
        ((Instruction(0x18), EXIT), "instruction 1 .*something in an unused field"),
        (
            (Instruction(0x18), Instruction(0, 1), EXIT),
            "instruction 1 .*something in an unused field",
        ),
        ((Instruction(0x18, 0, 1, 0, 1), Instruction(0, imm=1), EXIT), "instruction 1 .*unused"),
        ((Instruction(0x18), Instruction(0)), "instruction 0 .*neither exit nor a jump"),
        ((Instruction(0xB7, imm=1 << 40), EXIT), "instruction 0 .*imm is 1099511627776, not"),
        ((Instruction(0x85, imm=4000), EXIT), "instruction 0 .*no helper 4000"),
        ((Instruction(0x85, 0, 2, 0, 7), EXIT), "instruction 0 .*no kernel function 7"),
        ((*load_map(1, 3), EXIT), "instruction 0 .*no map 3"),
        ((Instruction(0x18, 1, 3, imm=9), Instruction(0), EXIT), "instruction 0 .*no variable 9"),
    ],
)
def test_refused_before_it_runs(program, message):
    with pytest.raises(ProgramError, match=message):
        Machine(program)


# Memory.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("r0 = *(u32 *)(r1 + 17)\nexit", "instruction 0: reads 4 bytes at offset 17 of the packet"),
        ("r0 = 0\nr0 = *(u8 *)(r1 - 1)\nexit", "instruction 1: reads 1 byte 1 byte before the"),
        ("*(u8 *)(r1 + 20) = 1\nexit", "instruction 0: writes 1 byte at offset 20 of the packet"),
        ("r0 = *(u64 *)(r10 - 7)\nexit", "reads 8 bytes at offset 505 of the stack frame 1"),
        ("*(u16 *)(r10 - 513) = 1\nexit", "instruction 0: writes 2 bytes"),
        ("r3 = 0\nr0 = *(u8 *)(r3 + 4)\nexit", "instruction 1: reads 1 byte through a null"),
        ("r3 = -1\nr0 = *(u64 *)(r3 + 0)\nexit", "instruction 1: reads 8 bytes where there is"),
        ("r3 = -1\n*(u64 *)(r3 + 2) = 0\nexit", "instruction 1: writes 8 bytes through a null"),
        ("lock *(u64 *)(r1 + 16) += r2\nexit", "instruction 0: changes 8 bytes at offset 16"),
        ("lock *(u64 *)(r1 - 2) += r2\nexit", "changes 8 bytes 2 bytes before the start of the p"),
        ("r2 = 5\ncallx r1\nexit", "instruction 1: calls helper 4294967296"),
    ],
)
def test_violations_name_the_instruction(text, message):
    with pytest.raises(RunError, match=message):
        run(text, RawPacket(PACKET))


def test_all_of_the_stack_can_be_used_and_begins_as_zeros():
    text = "r0 = *(u64 *)(r10 - 512)\nr2 = *(u64 *)(r10 - 8)\nr0 |= r2\n*(u8 *)(r10 - 1) = 1\nexit"
    machine = Machine(assemble(text))
    assert [machine.run(), machine.run()] == [0, 0]


def test_declared_regions():
    writable, constant = bytearray(4), b"\x07\x08"
    text = (
        f"r1 = {declared_address(0)} ll\nr2 = {declared_address(1)} ll\nr0 = *(u8 *)(r2 + 1)\n"
        "*(u8 *)(r1 + 3) = r0\n"
    )
    assert run(text + "exit", regions=(writable, constant)) == 8
    assert writable == b"\0\0\0\x08"
    with pytest.raises(RunError, match=r"instruction 6: writes 1 byte .* which is read-only"):
        run(text + "*(u8 *)(r2 + 0) = 1\nexit", regions=(writable, constant))


# Starts.


def test_no_data():
    assert run("r0 = r1\nr0 |= r2\nexit") == 0


def test_raw_packets():
    text = "r0 = *(u8 *)(r1 + 3)\nr0 *= r2\n*(u8 *)(r1 + 0) = 9\nexit"
    packet = bytearray(PACKET)
    assert run(text, RawPacket(packet)) == 103 * 20
    assert packet[0] == 9
    # A copy of bytes is written to; a view is not a copy.
    assert run(text, RawPacket(PACKET)) == 103 * 20
    view = bytearray(PACKET)
    assert run(text, RawPacket(memoryview(view)[1:])) == 104 * 19
    assert view[:2] == b"\x64\x09"


def test_metadata_with_pointers_of_the_user():
    metadata = bytearray(struct.pack("<QQ", PACKET_ADDRESS + 2, 5))
    text = "r3 = *(u64 *)(r1 + 0)\nr0 = *(u8 *)(r3 + 0)\n*(u64 *)(r1 + 8) = r2\nexit"
    assert run(text, MetadataBuffer(metadata, PACKET)) == 102
    assert metadata[8:] == (16).to_bytes(8, "little")


def test_metadata_at_fixed_offsets():
    text = (
        "r3 = *(u64 *)(r1 + 8)\nr4 = *(u64 *)(r1 + 32)\nr0 = r4\nr0 -= r3\n"
        "r3 = *(u8 *)(r4 - 1)\nr0 += r3\nexit"
    )
    assert run(text, FixedMetadata(PACKET, 8, 32)) == 20 + 119
    for offsets in ((0, 4), (-8, 0), (0, 0x10000)):
        with pytest.raises(ProgramError, match="offsets"):
            run(text, FixedMetadata(PACKET, *offsets))


# Calls.


def test_functions_have_frames_of_their_own():
    text = (
        "*(u64 *)(r10 - 8) = 5\nr1 = r10\ncall pc+3\nr2 = *(u64 *)(r10 - 8)\nr0 += r2\nexit\n"
        # The callee's own slot is zero; the caller's can be reached by its address.
        "r0 = *(u64 *)(r10 - 8)\n*(u64 *)(r10 - 8) = 100\n*(u64 *)(r1 - 8) = 7\nexit"
    )
    assert run(text) == 7


def test_the_frame_of_a_function_that_has_ended_is_gone():
    text = "call pc+2\nr0 = *(u64 *)(r0 - 8)\nexit\n*(u64 *)(r10 - 8) = 1\nr0 = r10\nexit"
    with pytest.raises(RunError, match="instruction 1: reads 8 bytes where there is nothing"):
        run(text)


def test_calls_keep_r6_to_r9():
    text = (
        "r6 = 1\nr7 = 2\nr8 = 3\nr9 = 4\ncall pc+5\nr0 = r6\nr0 += r7\nr0 += r8\nr0 += r9\nexit\n"
        "r6 = 9\nr7 = 9\nr8 = 9\nr9 = 9\nexit"
    )
    assert run(text) == 10


@pytest.mark.parametrize(("depth", "fits"), [(7, True), (8, False)])
def test_eight_frames(depth, fits):
    text = (
        f"r1 = {depth}\nr0 = 0\ncall pc+1\nexit\n"
        "r0 += 1\nr1 += -1\nif r1 == 0 goto +1\ncall pc-4\nexit"
    )
    if fits:
        assert run(text) == depth
    else:
        with pytest.raises(RunError, match="instruction 7: calls go deeper than 8"):
            run(text)


def test_calls_through_registers_go_to_instructions_only():
    text = "r1 = 0x6000000000000004 ll\ncallx r1\nexit"
    with pytest.raises(RunError, match="instruction 2: calls 0x6000000000000004"):
        run(text)
    with pytest.raises(RunError, match="instruction 2: calls 0x6000000000000008"):
        run(text.replace("4 ll", "8 ll"))  # the second half of the load itself


def test_budget():
    endless = assemble("r0 = 0\nr0 += 1\ngoto -2")
    with pytest.raises(BudgetError, match="instruction 1: not done after 101 instructions"):
        Machine(endless, limits=Limits(instructions=101)).run()
    done = assemble("r0 = 1\nr0 = 2 ll\nexit")
    assert Machine(done, limits=Limits(instructions=3)).execute().instructions == 3
    with pytest.raises(BudgetError):
        Machine(done, limits=Limits(instructions=2)).run()


def test_bounded_jumps_count_by_function():
    text = (
        "r6 = 0\nmay_goto +2\nr6 += 1\nif r6 != 5 goto -3\ncall pc+5\n"
        "may_goto +2\nr6 += 1\ngoto -3\nr0 += r6\nexit\n"
        "r0 = 0\nmay_goto +2\nr0 += 1\ngoto -3\nexit"
    )
    assert Machine(assemble(text), limits=Limits(loops=20)).run() == 40  # 5 and 15, 20


# Helpers and maps.


def test_maps_are_shared_between_runs():
    counts = create(MapSpec(MapType.HASH, 4, 8, 2))
    program = (
        *assemble("*(u32 *)(r10 - 4) = 7\nr2 = r10\nr2 += -4"),
        *load_map(1, 1),
        *assemble("call 1\nif r0 == 0 goto +4\nr1 = 1\n"
            "lock *(u64 *)(r0 + 0) += r1\nr0 = *(u64 *)(r0 + 0)\nexit"),
        *assemble("*(u64 *)(r10 - 16) = 1\nr3 = r10\nr3 += -16\nr2 = r10\nr2 += -4\nr4 = 1"),
        *load_map(1, 1),
        *assemble("call 2\nexit"),
    )  # fmt: skip
    machine = Machine(program, Environment(HELPERS, {1: counts}))
    assert [machine.run() for _ in range(4)] == [0, 2, 3, 4]
    assert counts.lookup(b"\7\0\0\0") == (4).to_bytes(8, "little")
    delete = (
        *assemble("*(u32 *)(r10 - 4) = 7\nr2 = r10\nr2 += -4"),
        *load_map(1, 1),
        *assemble("call 3\nexit"),
    )
    machine = Machine(delete, Environment(HELPERS, {1: counts}))
    assert [machine.run(), machine.run()] == [0, -errno.ENOENT & (1 << 64) - 1]


def test_values_of_maps_have_bounds_and_maps_no_bytes():
    array = create(MapSpec(MapType.ARRAY, 4, 8, 1))
    begin = (*assemble("*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4"), *load_map(1, 1))
    for text, message in (
        (
            "call 1\nr0 = *(u8 *)(r0 + 8)\nexit",
            "instruction 6: reads 1 byte at offset 8 of the map",
        ),
        ("r0 = *(u8 *)(r1 + 0)\nexit", "instruction 5: reads 1 byte where there is nothing"),
        ("r1 += 1\ncall 1\nexit", "instruction 6: 0x4000000000000001 is not the address of a map"),
        ("r1 = r2\ncall 1\nexit", "instruction 6: 0x.* is not the address of a map"),
        ("r2 += 1\ncall 1\nexit", "instruction 6: reads 4 bytes at offset 509 of the stack"),
        ("r2 = 0\nr3 = 0\ncall 12\nexit", "instruction 7: 0x0 is not the address of a map"),
        ("r2 = r1\nr3 = 0\ncall 12\nexit", "instruction 7: this helper takes no map of the type"),
    ):
        with pytest.raises(RunError, match=message):
            Machine((*begin, *assemble(text)), Environment(HELPERS, {1: array})).run()


def test_tail_calls_have_a_limit():
    programs = create(MapSpec(MapType.PROG_ARRAY, 4, 4, 2))
    counter = bytearray(8)
    body = (
        *assemble(f"r6 = {declared_address(0)} ll\nr7 = 1\nlock *(u64 *)(r6 + 0) += r7\nr3 = 1"),
        *load_map(2, 1),
        *assemble("call 12\nr0 = *(u64 *)(r6 + 0)\nexit"),
    )
    machine = Machine(body, Environment(HELPERS, {1: programs}, regions=(counter,)))
    assert machine.run() == 1  # there is none to go to
    programs.put(1, machine)
    assert machine.run() == 1 + 1 + MAX_TAIL_CALLS
    other = Machine(assemble("r0 = *(u64 *)(r10 - 520)\nexit"))
    programs.put(1, other)
    with pytest.raises(RunError, match="instruction 0: reads 8 bytes"):
        machine.run()


def test_a_tail_call_keeps_the_context_and_the_budget():
    programs = create(MapSpec(MapType.PROG_ARRAY, 4, 4, 1))
    environment = Environment(HELPERS, {1: programs})
    programs.put(0, Machine(assemble("r0 = *(u32 *)(r1 + 12)\nexit")))
    first = Machine(
        (Instruction(0xB7, 3), *load_map(2, 1), *assemble("call 12\nexit")), environment
    )
    outcome = first.execute(Xdp(PACKET, ingress_ifindex=6))
    assert (outcome.result, outcome.instructions) == (6, 5)


def test_loads_of_packets_by_helpers():
    text = (
        "r2 = {at}\nr3 = r10\nr3 += -8\nr4 = {size}\ncall {helper}\n"
        "r1 = *(u64 *)(r10 - 8)\nif r0 != 0 goto +1\nr0 = r1\nexit"
    )
    for helper, start in ((26, Skb(PACKET, linear=3)), (189, Xdp(PACKET, linear=3))):
        assert run(text.format(at=18, size=2, helper=helper), start) == 118 | 119 << 8
        wrong = run(text.format(at=19, size=2, helper=helper), start)
        assert wrong == -(errno.EFAULT if helper == 26 else errno.EINVAL) & (1 << 64) - 1
        with pytest.raises(RunError, match="instruction 4: writes 9 bytes"):
            run(text.format(at=1, size=9, helper=helper), start)
    for helper, start in ((26, Xdp(PACKET)), (189, Skb(PACKET)), (26, RawPacket(PACKET))):
        with pytest.raises(RunError, match="instruction 4: this helper takes a struct"):
            run(text.format(at=1, size=2, helper=helper), start)


def test_ring_buffers():
    ring = create(MapSpec(MapType.RINGBUF, 0, 0, 4096))
    reserve = (*load_map(1, 1), *assemble("r2 = 8\nr3 = 0\ncall 131"))
    environment = Environment(HELPERS, {1: ring})
    for text in (
        "*(u64 *)(r0 + 0) = 77\nr1 = r0\nr2 = 0\ncall 132\nr0 = 0\nexit",
        "r1 = r0\ncall 133\nr0 = 0\nexit",
        "r0 = 0\nexit",  # left unfinished: blocks nothing
    ):
        assert Machine((*reserve, *assemble(text)), environment).run() == 0
    output = assemble("*(u16 *)(r10 - 2) = 513\nr2 = r10\nr2 += -2\nr3 = 2\nr4 = 0\ncall 130\nexit")
    assert Machine((*load_map(1, 1), *output), environment).run() == 0
    assert ring.drain() == [(77).to_bytes(8, "little"), b"\1\2"]
    for text, message in (
        ("r1 = r0\ncall 132\n*(u64 *)(r0 + 0) = 1\nexit", "instruction 7: writes 8 bytes"),
        ("r6 = r0\nr1 = r6\ncall 132\nr1 = r6\ncall 132\nexit", "instruction 9: 0x.* reserved"),
    ):
        with pytest.raises(RunError, match=message):
            Machine((*reserve, *assemble(text)), environment).run()


def test_events_with_bytes_of_the_packet():
    events = create(MapSpec(MapType.PERF_EVENT_ARRAY, 4, 4, 1))
    for length, result in ((5, 0), (20, 0), (21, -errno.EFAULT)):
        program = (
            *assemble(f"*(u16 *)(r10 - 8) = 258\nr3 = {length << 32 | 0xFFFFFFFF} ll"),
            *load_map(2, 1),
            *assemble("r4 = r10\nr4 += -8\nr5 = 2\ncall 25\nexit"),
        )
        machine = Machine(program, Environment(HELPERS, {1: events}))
        assert machine.run(Xdp(PACKET)) == result & (1 << 64) - 1
    assert events.drain() == [b"\2\1" + PACKET[:5], b"\2\1" + PACKET]


def test_prints():
    lines = []
    text = b"%d%% of %x, %s\0"
    region = bytearray(text + b"things\0")
    program = assemble(
        f"r1 = {declared_address(0)} ll\nr2 = {len(text)}\nr3 = -5\nr4 = 255\nr5 = r1\n"
        f"r5 += {len(text)}\ncall 6\nexit"
    )
    machine = Machine(program, Environment(HELPERS, regions=(region,), trace=lines.append))
    assert machine.run() == len("-5% of ff, things")
    assert lines == ["-5% of ff, things"]
    region[1:2] = b"q"
    assert machine.run() == -errno.EINVAL & (1 << 64) - 1


def test_time_chance_and_processor():
    assert run("call 5\nexit", clock=lambda: 1234) == 1234
    assert run("call 7\nexit", random=random.Random(1)) == random.Random(1).getrandbits(32)
    assert run("call 8\nexit") == 0


def test_values_of_arrays_can_be_loaded_directly():
    array = create(MapSpec(MapType.ARRAY, 4, 4, 2))
    trie = create(MapSpec(MapType.LPM_TRIE, 8, 4, 2, MapFlag.NO_PREALLOC))
    one = create(MapSpec(MapType.ARRAY, 4, 4, 1))
    environment = Environment(HELPERS, {1: array, 2: trie, 3: one})
    for number, offset, message in (
        (1, 0, "only the value of an array that has one"),
        (2, 0, "only the value of an array that has one"),
        (3, 4, "offset 4 is outside"),
    ):
        program = (Instruction(0x18, 1, 2, imm=number), Instruction(0, imm=offset), EXIT)
        with pytest.raises(ProgramError, match=message):
            Machine(program, environment)


GAPS = memoryview(bytearray(b"abcd"))[::2]


@pytest.mark.parametrize("make", [Machine, native])
@pytest.mark.parametrize(
    ("start", "message"),
    [
        (User(b"", wire_length=-1), "the length on the wire is -1, not 0 to 4294967295"),
        (User(b"", wire_length=1 << 32), "the length on the wire is 4294967296"),
        (RawPacket(GAPS), "in one piece"),
        (MetadataBuffer(GAPS), "in one piece"),
        (Skb(GAPS), "in one piece"),
        (Xdp(GAPS.toreadonly()), "in one piece"),
        (Xdp(b"abc", linear=-1), "cannot have -1 bytes"),
        (Skb(b"abc", linear=-4), "cannot have -4 bytes"),
    ],
)
def test_starts_that_cannot_be(make, start, message):
    with pytest.raises(ProgramError, match=message):
        make(assemble("r0 = 1\nexit")).run(start)


@pytest.mark.parametrize("make", [Machine, native])
def test_packets_of_wider_items_are_counted_in_bytes(make):
    words = memoryview(bytearray(range(8))).cast("I")
    assert make(assemble("r0 = *(u32 *)(r1 + 0)\nexit")).run(Skb(words)) == 8
    assert make(assemble("r0 = r2\nexit")).run(RawPacket(words)) == 8


@pytest.mark.parametrize("make", [Machine, native])
@pytest.mark.parametrize("offset", [-0x200000, -0x200000 + 12, -0x100000, -0x1001])
def test_packet_loads_from_headers_are_refused(make, offset):
    for size in ("u8", "u16", "u32"):
        program = assemble(f"r6 = r1\nr0 = 1\nr0 = *({size} *)skb[{offset}]\nexit")
        with pytest.raises(RunError, match=f"instruction 2: reads at offset {offset}, which in"):
            make(program).run(Skb(PACKET))


@pytest.mark.parametrize("make", [Machine, native])
@pytest.mark.parametrize("offset", [-1, -4096, -0x200001, -(1 << 31), 20])
def test_packet_loads_outside_the_packet_end_with_0(make, offset):
    program = assemble(f"r6 = r1\nr0 = 1\nr0 = *(u8 *)skb[{offset}]\nr0 = 2\nexit")
    assert make(program).run(Skb(PACKET)) == 0
    computed = assemble("r6 = r1\nr7 = -2097140\nr0 = *(u8 *)skb[r7 + 0]\nr0 = 2\nexit")
    assert make(computed).run(Skb(PACKET)) == 0


@pytest.mark.parametrize("make", [Machine, native])
def test_records_that_are_given_back_are_let_go(make):
    ring = create(MapSpec(MapType.RINGBUF, 0, 0, 1 << 16))
    counts = []

    def count_references(_run, *_):
        # A bytearray that native code may still reach cannot be resized: BufferError.
        for record in ring._records:
            record.data.append(0)
            counts.append(sys.getrefcount(record.data))
        return 0

    helpers = {**HELPERS, 900: Helper(900, "count_references", count_references)}
    reserve = assemble(
        "r6 = 100\nr2 = 16\nr3 = 0\ncall 131\nr1 = r0\nr2 = 0\n*(u8 *)(r1 + 0) = 1\n"
    )
    again = assemble("call 133\nr6 += -1\nif r6 != 0 goto -11\ncall 900\nr0 = 0\nexit")
    program = (reserve[0], *load_map(1, 1), *reserve[1:], *again)
    assert make(program, Environment(helpers, {1: ring})).run() == 0
    # The record's own, and that of the call.
    assert counts == [2] * 100


@pytest.mark.parametrize("make", [Machine, native])
def test_records_that_are_given_back_cannot_be_touched_again(make):
    ring = create(MapSpec(MapType.RINGBUF, 0, 0, 1 << 16))
    take = assemble("r2 = 16\nr3 = 0\ncall 131\n")
    drop = assemble("r7 = r0\nr1 = r0\nr2 = 0\ncall 133\n")
    program = (
        *load_map(1, 1), *take, *drop, *load_map(1, 1), *take, *assemble("*(u8 *)(r0 + 0) = 1"),
        *assemble("r0 = *(u8 *)(r7 + 0)\nexit"),
    )  # fmt: skip
    with pytest.raises(RunError, match="instruction 15: reads 1 byte where there is nothing"):
        make(program, Environment(HELPERS, {1: ring})).run()
