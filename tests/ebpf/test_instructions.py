"""Every row of the instruction set in the machine, against RFC 9669 as told again here in Python's
fixed-width integers, and against the kernel.
"""

from __future__ import annotations

import ctypes
import random
import struct

import pytest

from pfcompile.ebpf.asm import assemble, disassemble
from pfcompile.ebpf.isa import (
    R0,
    R1,
    R2,
    ROWS,
    Arithmetic,
    Atomic,
    Callee,
    Condition,
    Instruction,
    Kind,
    Operand,
    Wide,
)
from pfcompile.ebpf.machine.code import Environment, Limits
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import NoData, RawPacket, Skb, Xdp
from pfcompile.ebpf.maps.kinds import create
from pfcompile.ebpf.maps.vocabulary import MapSpec, MapType
from tests.ebpf.kernel_machine import KernelMachine
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/ebpf/test_instructions.py")

EDGES = (
    0, 1, 2, 7, 31, 32, 33, 63, 64, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF,
    0x8000_0000, 0xFFFF_FFFF, 0x1_0000_0000, 0x0123_4567_89AB_CDEF, 0x7FFF_FFFF_FFFF_FFFF,
    0x8000_0000_0000_0000, 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_8000_0000,
)  # fmt: skip
IMMEDIATES = (0, 1, -1, 7, 31, 32, 63, -128, 0x7FFF_FFFF, -0x8000_0000)

EXIT = Instruction(0x95)


def wide(register, value):
    low, high = struct.unpack("<ii", struct.pack("<Q", value))
    return (Instruction(0x18, register, imm=low), Instruction(0, imm=high))


def sized(width, value, *, signed=False):
    """Return a number cut to a width, by C's own integers."""
    names = {8: "int8", 16: "int16", 32: "int32", 64: "int64"}
    kind = getattr(ctypes, f"c_{'' if signed else 'u'}{names[width]}")
    return kind(value).value


def truncated(a, b):
    """Return quotient and remainder as C's division gives them."""
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return quotient, a - quotient * b


def swapped(value, bits):
    return int.from_bytes(sized(bits, value).to_bytes(bits // 8, "little"), "big")


def expected_arithmetic(name, width, a, b):
    """Return what the RFC's tables 4 and 5 say, of operands of full 64 bits."""
    ua, ub = sized(width, a), sized(width, b)
    sa, sb = sized(width, a, signed=True), sized(width, b, signed=True)
    shift = b % width
    match name:
        case "add":
            value = ua + ub
        case "sub":
            value = ua - ub
        case "mul":
            value = ua * ub
        case "div":
            value = 0 if ub == 0 else ua // ub
        case "sdiv":
            value = 0 if sb == 0 else truncated(sa, sb)[0]
        case "mod":
            value = ua if ub == 0 else ua % ub
        case "smod":
            value = sa if sb == 0 else truncated(sa, sb)[1]
        case "or":
            value = ua | ub
        case "and":
            value = ua & ub
        case "xor":
            value = ua ^ ub
        case "mov":
            value = ub
        case "neg":
            value = -ua
        case "lsh":
            value = ua << shift
        case "rsh":
            value = ua >> shift
        case "arsh":
            value = sa >> shift
        case "movsx8" | "movsx16" | "movsx32":
            value = sized(int(name[5:]), b, signed=True)
        case "le16" | "le32" | "le64":
            value = sized(int(name[2:]), a)
        case "be16" | "be32" | "be64":
            value = swapped(a, int(name[2:]))
        case _:
            assert name.startswith("bswap")
            value = swapped(a, int(name[5:]))
    return sized(width, value)


def expected_condition(name, width, a, b):
    """Return what the RFC's table 6 says."""
    ua, ub = sized(width, a), sized(width, b)
    sa, sb = sized(width, a, signed=True), sized(width, b, signed=True)
    return {
        "jeq": ua == ub, "jne": ua != ub, "jset": bool(ua & ub),
        "jgt": ua > ub, "jge": ua >= ub, "jlt": ua < ub, "jle": ua <= ub,
        "jsgt": sa > sb, "jsge": sa >= sb, "jslt": sa < sb, "jsle": sa <= sb,
    }[name]  # fmt: skip


def of_kind(kind):
    return [row for row in ROWS if row.kind is kind]


def instruction_of(row, *, dst=0, src=0, offset=0, imm=0):
    """Return an instruction of a row; what the row does not leave free is the row's."""
    return Instruction(
        row.code,
        dst if row.dst is None else row.dst,
        src if row.src is None else row.src,
        offset if row.offset is None else row.offset,
        imm if row.imm is None else row.imm,
    )


def label(row):
    return f"{row.kind.name}-{getattr(row.operation, 'name', '')}-{row.width}-{row.operand.name}"


@pytest.mark.parametrize("row", of_kind(Kind.ALU), ids=label)
def test_arithmetic(row):
    is_immediate = row.operand is Operand.IMMEDIATE
    for a in EDGES:
        for b in IMMEDIATES if is_immediate else EDGES:
            program = (
                *wide(R0, a),
                *wide(R1, 0 if is_immediate else b),
                instruction_of(row, dst=R0, src=R1, imm=b if is_immediate else 0),
                EXIT,
            )
            result = Machine(program).run()
            assert result == expected_arithmetic(row.operation.value, row.width, a, b), (a, b)


@pytest.mark.parametrize("row", of_kind(Kind.BRANCH), ids=label)
def test_branches(row):
    is_immediate = row.operand is Operand.IMMEDIATE
    seen = set()
    for a in EDGES:
        for b in IMMEDIATES if is_immediate else EDGES:
            program = (
                *wide(R1, a),
                *wide(R2, 0 if is_immediate else b),
                Instruction(0xB7, R0, imm=1),
                instruction_of(row, dst=R1, src=R2, offset=1, imm=b if is_immediate else 0),
                Instruction(0xB7, R0, imm=0),
                EXIT,
            )
            taken = Machine(program).run()
            assert taken == expected_condition(row.operation.value, row.width, a, b), (a, b)
            seen.add(taken)
    assert seen == {0, 1}


MEMORY = bytes(range(0x78, 0x98))


@pytest.mark.parametrize("row", of_kind(Kind.LOAD) + of_kind(Kind.LOAD_SIGNED), ids=label)
def test_loads(row):
    size = row.width // 8
    signed = row.kind is Kind.LOAD_SIGNED
    for at in range(len(MEMORY) - size + 1):
        program = (instruction_of(row, dst=R0, src=R1, offset=at), EXIT)
        value = int.from_bytes(MEMORY[at : at + size], "little", signed=signed)
        assert Machine(program).run(RawPacket(MEMORY)) == sized(64, value)
        # From the end, by a negative offset.
        back = (
            Instruction(0x07, R1, imm=len(MEMORY)),
            instruction_of(row, dst=R0, src=R1, offset=at - len(MEMORY)),
            EXIT,
        )
        assert Machine(back).run(RawPacket(MEMORY)) == sized(64, value)


@pytest.mark.parametrize("row", of_kind(Kind.STORE), ids=label)
def test_stores(row):
    size = row.width // 8
    is_immediate = row.operand is Operand.IMMEDIATE
    for at in range(len(MEMORY) - size + 1):
        for value in IMMEDIATES if is_immediate else EDGES:
            memory = bytearray(MEMORY)
            program = (
                *wide(R2, 0 if is_immediate else value),
                instruction_of(row, dst=R1, src=R2, offset=at, imm=value if is_immediate else 0),
                Instruction(0xB7, R0, imm=9),
                EXIT,
            )
            assert Machine(program).run(RawPacket(memory)) == 9
            written = sized(row.width, value).to_bytes(size, "little")
            assert memory == MEMORY[:at] + written + MEMORY[at + size :]


ATOMIC_RESULTS = {
    Atomic.ADD: lambda old, new, _: old + new,
    Atomic.OR: lambda old, new, _: old | new,
    Atomic.AND: lambda old, new, _: old & new,
    Atomic.XOR: lambda old, new, _: old ^ new,
    Atomic.XCHG: lambda _old, new, _: new,
    Atomic.CMPXCHG: lambda old, new, r0: new if old == r0 else old,
}
FETCH = 0x01


@pytest.mark.parametrize("row", of_kind(Kind.ATOMIC), ids=label)
def test_atomic_operations(row):
    operation, width, size = row.operation, row.width, row.width // 8
    plain = operation if operation in ATOMIC_RESULTS else Atomic(operation.value & ~FETCH)
    for old in EDGES:
        for value in EDGES[::3]:
            # R0 holds what compare-and-exchange looks for: half of the times it is there.
            r0 = old if value % 2 else 5
            memory = bytearray(struct.pack("<QQ", 0xAAAA_AAAA_AAAA_AAAA, old) * 2)
            before = bytes(memory)
            program = (
                *wide(R0, r0),
                *wide(R2, value),
                instruction_of(row, dst=R1, src=R2, offset=8),
                # What is left in the registers goes to the end of the memory.
                Instruction(0x7B, R1, R0, 16),
                Instruction(0x7B, R1, R2, 24),
                EXIT,
            )
            Machine(program).run(RawPacket(memory))
            held = sized(width, old)
            new = ATOMIC_RESULTS[plain](held, sized(width, value), sized(width, r0))
            left_r0 = held if operation is Atomic.CMPXCHG else r0
            fetches = operation.value & FETCH and operation is not Atomic.CMPXCHG
            left_r2 = held if fetches else value
            assert memory[:8] == before[:8]
            assert memory[8 : 8 + size] == sized(width, new).to_bytes(size, "little")
            assert memory[8 + size : 16] == before[8 + size : 16]
            assert struct.unpack("<QQ", memory[16:]) == (left_r0, left_r2)


PACKET = bytes(range(0xF0, 0x100)) + bytes(16)


@pytest.mark.parametrize("row", of_kind(Kind.PACKET), ids=label)
def test_legacy_packet_loads(row):
    size = row.width // 8
    is_indirect = row.operand is Operand.REGISTER
    for base in (0, 3, 0xFFFF_FFFE, 0xFFFF_FFFF_FFFF_FFFE) if is_indirect else (0,):
        for imm in (*range(len(PACKET) + 3), -1, -5, 0x7FFF_FFFF, -0x8000_0000):
            program = (
                Instruction(0xBF, 6, R1),
                *wide(7, base),
                instruction_of(row, src=7, imm=imm),
                Instruction(0x07, R0, imm=1),
                EXIT,
            )
            at = sized(32, base + imm, signed=True)
            inside = 0 <= at <= len(PACKET) - size
            wanted = int.from_bytes(PACKET[at : at + size], "big") + 1 if inside else 0
            assert Machine(program).run(Skb(PACKET)) == wanted
            if not is_indirect:
                assert Machine(program).run(RawPacket(PACKET)) == wanted


def maps():
    array = create(MapSpec(MapType.ARRAY, 4, 16, 1))
    array.update(bytes(4), bytes(range(16)))
    return Environment(
        HELPERS, maps={3: array}, variables={5: bytearray(b"\x2a")}, kfuncs={7: lambda *_: -2}
    )


LOOK_UP = "r2 = r10\nr2 += -4\n*(u32 *)(r2 + 0) = 0\ncall 1\nr0 = *(u8 *)(r0 + 9)\nexit"
OTHERS = {
    (Kind.JUMP, None, 64): ("r0 = 1\ngoto +1\nr0 = 2\nexit", 1),
    (Kind.JUMP, None, 32): ("r0 = 1\ngotol +1\nr0 = 2\nexit", 1),
    (Kind.MAY_GOTO, None, 64): ("r0 = 0\nmay_goto +2\nr0 += 1\ngoto -3\nexit", 50),
    (Kind.EXIT, None, 64): ("r0 = 77\nexit\nr0 = 78\nexit", 77),
    (Kind.CALL, Callee.HELPER, 64): ("r0 = 5\ncall 8\nexit", 0),
    (Kind.CALL, Callee.KFUNC, 64): (".raw", 0xFFFF_FFFF_FFFF_FFFE),
    (Kind.CALL, Callee.LOCAL, 64): (
        "r6 = 4\nr1 = 2\ncall pc+2\nr0 += r6\nexit\nr6 = 9\nr0 = r1\nr0 += r6\nexit", 15
    ),
    (Kind.CALL, Callee.REGISTER, 64): ("r3 = 8\nr0 = 5\ncallx r3\nexit", 0),
    (Kind.WIDE, Wide.VALUE, 64): ("r0 = 0x123456789abcdef0 ll\nexit", 0x123456789ABCDEF0),
    (Kind.WIDE, Wide.CODE, 64): (".raw", 6),
    (Kind.WIDE, Wide.MAP_FD, 64): (".raw", 9),
    (Kind.WIDE, Wide.MAP_INDEX, 64): (".raw", 9),
    (Kind.WIDE, Wide.MAP_VALUE_FD, 64): (".raw", 13),
    (Kind.WIDE, Wide.MAP_VALUE_INDEX, 64): (".raw", 13),
    (Kind.WIDE, Wide.VARIABLE, 64): (".raw", 42),
}  # fmt: skip
"""What jumps, calls and 64-bit immediates do; `.raw` ones are below."""

BYTE_OF_R1 = (Instruction(0x71, R0, R1, 3), EXIT)
RAW = {
    (Kind.CALL, Callee.KFUNC): (Instruction(0x85, 0, 2, 0, 7), EXIT),
    (Kind.WIDE, Wide.CODE): (
        Instruction(0x18, 3, 4, imm=3), Instruction(0), Instruction(0x8D, 3), EXIT,
        Instruction(0xB7, 0, imm=6), EXIT,
    ),
    (Kind.WIDE, Wide.MAP_FD): (
        Instruction(0x18, 1, 1, imm=3), Instruction(0), *assemble(LOOK_UP)
    ),
    (Kind.WIDE, Wide.MAP_INDEX): (
        Instruction(0x18, 1, 5, imm=3), Instruction(0), *assemble(LOOK_UP)
    ),
    (Kind.WIDE, Wide.MAP_VALUE_FD): (
        Instruction(0x18, 1, 2, imm=3), Instruction(0, imm=10), *BYTE_OF_R1
    ),
    (Kind.WIDE, Wide.MAP_VALUE_INDEX): (
        Instruction(0x18, 1, 6, imm=3), Instruction(0, imm=10), *BYTE_OF_R1
    ),
    (Kind.WIDE, Wide.VARIABLE): (
        Instruction(0x18, 1, 3, imm=5), Instruction(0), Instruction(0x71, R0, R1), EXIT,
    ),
}  # fmt: skip


@pytest.mark.parametrize("key", OTHERS, ids=str)
def test_jumps_calls_and_wide_loads(key):
    text, result = OTHERS[key]
    program = RAW[key[:2]] if text == ".raw" else assemble(text)
    row = next(row for row in ROWS if (row.kind, row.operation, row.width) == key)
    assert any(row.fits(instruction) for instruction in program)
    machine = Machine(program, maps(), Limits(instructions=1000, loops=50))
    assert machine.run(NoData()) == result


def test_every_row_is_tested():
    tested = {
        Kind.ALU, Kind.BRANCH, Kind.LOAD, Kind.LOAD_SIGNED, Kind.STORE, Kind.ATOMIC, Kind.PACKET
    }  # fmt: skip
    for row in ROWS:
        assert row.kind in tested or (row.kind, row.operation, row.width) in OTHERS, row
    operations = {row.operation for row in ROWS if row.operation is not None}
    assert operations == {*Arithmetic, *Condition, *Atomic, *Callee, *Wide}


# The kernel: an XDP program that takes its numbers from the packet and leaves them there.

HELD = (0, 2, 3, 4, 5, 6, 7, 8)
"""The registers that a program begins and ends with."""
BEGIN = assemble(
    "r9 = *(u32 *)(r1 + 0)\nr2 = *(u32 *)(r1 + 4)\nr3 = r9\nr3 += 64\nif r3 <= r2 goto +2\n"
    "r0 = 0\nexit\n"
    + "\n".join(f"r{register} = *(u64 *)(r9 + {8 * i})" for i, register in enumerate(HELD))
)
END = assemble(
    "\n".join(f"*(u64 *)(r9 + {8 * i}) = r{register}" for i, register in enumerate(HELD)) + "\nexit"
)


def both(body, packets):
    """Run a program here and in the kernel on the same packets."""
    program = (*BEGIN, *body, *END)
    machine = Machine(program)
    with KernelMachine(program) as kernel:
        for packet in packets:
            ours = bytearray(packet)
            verdict = machine.run(Xdp(ours)) & 0xFFFF_FFFF
            assert (verdict, bytes(ours)) == kernel.run(packet), (
                f"{disassemble(program)}on {packet.hex()}\n{RERUN}"
            )


def takes(row, imm):
    """Tell whether the kernel has an instruction; it refuses some constants."""
    name = getattr(row.operation, "value", "")
    if row.operand is not Operand.IMMEDIATE:
        return True
    if name in {"div", "sdiv", "mod", "smod"}:
        return imm != 0
    return name not in {"lsh", "rsh", "arsh"} or 0 <= imm < row.width


def numbers(rng):
    return struct.pack("<8Q", *(rng.choice((*EDGES, rng.getrandbits(64))) for _ in HELD))


@pytest.mark.bpf
def test_arithmetic_as_in_the_kernel():
    packets = [struct.pack("<8Q", a, b, *EDGES[:6]) for a in EDGES for b in EDGES]
    for row in of_kind(Kind.ALU):
        constants = [imm for imm in IMMEDIATES if takes(row, imm)]
        if row.operand is not Operand.IMMEDIATE:
            both((instruction_of(row, dst=0, src=2),), packets)
        else:
            for imm in constants:
                both((instruction_of(row, dst=0, imm=imm),), packets[:: len(EDGES)])


@pytest.mark.bpf
def test_branches_as_in_the_kernel():
    packets = [struct.pack("<8Q", a, b, *EDGES[:6]) for a in EDGES for b in EDGES]
    for row in of_kind(Kind.BRANCH):
        for imm in IMMEDIATES if row.operand is Operand.IMMEDIATE else (0,):
            jump = instruction_of(row, dst=0, src=2, offset=1, imm=imm)
            few = packets[:: len(EDGES)] if row.operand is Operand.IMMEDIATE else packets
            both((jump, Instruction(0xB7, 3, imm=99)), few)


@pytest.mark.bpf
def test_memory_as_in_the_kernel():
    """On the stack, where the verifier takes all of them."""
    rng = random.Random(SEED)
    packets = [numbers(rng) for _ in range(60)]
    begin, end = assemble("*(u64 *)(r10 - 8) = r3"), assemble("r4 = *(u64 *)(r10 - 8)")
    for row in (row for row in ROWS if row.kind in {Kind.LOAD, Kind.LOAD_SIGNED}):
        for at in range(0, 8, row.width // 8):
            both((*begin, instruction_of(row, dst=5, src=10, offset=at - 8)), packets[:20])
    for row in of_kind(Kind.STORE):
        for at in range(0, 8, row.width // 8):
            store = instruction_of(row, dst=10, src=2, offset=at - 8, imm=rng.choice(IMMEDIATES))
            both((*begin, store, *end), packets[:20])
    for row in of_kind(Kind.ATOMIC):
        for same in (False, True):  # what compare-and-exchange looks for is there, or is not
            copy = assemble("r0 = r3") if same else ()
            change = instruction_of(row, dst=10, src=2, offset=-8)
            both((*begin, *copy, change, *end), packets)


@pytest.mark.bpf
def test_random_sequences_as_in_the_kernel():
    rng = random.Random(SEED)
    rows = of_kind(Kind.ALU) + of_kind(Kind.BRANCH)
    programs = 300
    for _ in range(programs):
        length = rng.randint(1, 40)
        body = []
        while len(body) < length:
            row = rng.choice(rows)
            imm = rng.choice((*IMMEDIATES, rng.randint(-0x8000_0000, 0x7FFF_FFFF)))
            if takes(row, imm):
                # Forward only, so that it ends, and never past the body.
                ahead = rng.randint(0, min(5, length - len(body) - 1))
                is_jump = row.kind is Kind.BRANCH
                offset = ahead if is_jump else row.offset or 0
                dst, src = rng.choice(HELD), rng.choice(HELD)
                body.append(instruction_of(row, dst=dst, src=src, offset=offset, imm=imm))
        both(body, [numbers(rng) for _ in range(10)])
