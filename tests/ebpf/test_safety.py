"""Whatever is taken for a program: refused, or run to a result or an error within its budget."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from pfcompile.ebpf.asm import assemble, disassemble
from pfcompile.ebpf.isa import ROWS, Instruction, Kind, decode, encode
from pfcompile.ebpf.machine.code import Environment, Limits
from pfcompile.ebpf.machine.faults import BudgetError, RunError
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import FixedMetadata, MetadataBuffer, NoData, RawPacket, Skb, Xdp
from pfcompile.ebpf.maps.kinds import create
from pfcompile.ebpf.maps.vocabulary import MapFlag, MapSpec, MapType
from pfcompile.errors import ProgramError
from tests.ebpf.random_instructions import random_program
from tests.generator.seed import SEED, rerun

PROGRAMS = 20_000
BUDGET = 200
PACKET = bytes(range(64))

SPECS = (
    MapSpec(MapType.ARRAY, 4, 8, 4),
    MapSpec(MapType.ARRAY, 4, 8, 1),
    MapSpec(MapType.HASH, 4, 8, 4),
    MapSpec(MapType.LPM_TRIE, 8, 8, 4, MapFlag.NO_PREALLOC),
    MapSpec(MapType.LRU_HASH, 4, 8, 4),
    MapSpec(MapType.RINGBUF, 0, 0, 4096),
    MapSpec(MapType.PROG_ARRAY, 4, 4, 4),
    MapSpec(MapType.PERF_EVENT_ARRAY, 4, 4, 4),
)

SEEDS = tuple(
    assemble(text)
    for text in """
r2 = *(u32 *)(r1 + 0); r3 = *(u32 *)(r1 + 4); r0 = 1; r2 += 14
if r2 > r3 goto +1; r0 = *(u16 *)(r2 - 2); exit

r6 = r1; r0 = *(u16 *)skb[12]; r7 = *(u32 *)(r6 + 80); r7 = *(u8 *)(r7 - 1); r0 += r7; exit

r6 = 20; r0 = 0; r0 += r6; r6 += -1; if r6 != 0 goto -3; exit

*(u32 *)(r10 - 4) = 1; r1 = 2 ll; r2 = r10; r2 += -4; call 1; if r0 == 0 goto +2
lock *(u64 *)(r0 + 0) += r6; r0 = *(u64 *)(r0 + 0); exit

r1 = 3; call pc+1; exit; if r1 == 0 goto +3; r1 += -1; call pc-3; r0 += 1; exit

r3 = 0; r2 = 6 ll; call 12; r0 = 0; exit

r1 = 5 ll; r2 = 16; r3 = 0; call 131; if r0 == 0 goto +5; r1 = r0
*(u64 *)(r1 + 8) = 7; r2 = 0; call 132; r0 = 0; exit

r2 = 3; r3 = r10; r3 += -16; r4 = 8; call 26; r0 = *(u64 *)(r10 - 16); exit
""".replace("; ", "\n").split("\n\n")
)
"""Programs that do something, for changing."""


def with_maps(program):
    """Turn the small 64-bit constants of some loads into maps."""
    return tuple(
        Instruction(i.code, i.dst, 1, i.offset, i.imm)
        if i.code == 0x18 and 0 <= i.imm < len(SPECS) and i.src == 0
        else i
        for i in program
    )


def mutated(rng):
    """Return a program with some bits, slots or fields changed."""
    program = list(with_maps(rng.choice(SEEDS)))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(program))
        match rng.randrange(4):
            case 0:
                data = bytearray(encode(program))
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                program = list(decode(bytes(data)))
            case 1:
                program[at] = rng.choice(program)
            case 2:
                program.insert(at, rng.choice(rng.choice(SEEDS)))
            case _ if len(program) > 2:
                del program[at]
    return tuple(program)


def from_rows(rng):
    """Return a program of whole instructions that ends; few registers, so that they matter."""
    rows = [row for row in ROWS if row.kind not in {Kind.WIDE, Kind.CALL}]
    program = random_program(rng, rng.randint(1, 12), rows)
    near = tuple(
        Instruction(i.code, i.dst, i.src, rng.choice((i.offset, rng.randint(-16, 3))), i.imm)
        if i.offset
        else i
        for i in program
    )
    return (*near, Instruction(0x95))


def from_bytes(rng):
    return decode(rng.randbytes(8 * rng.randint(0, 6)))


def from_anything(rng):
    return random_program(rng, rng.randint(1, 10))


MAKERS = (mutated, mutated, mutated, from_rows, from_rows, from_bytes, from_anything)


def starts(rng):
    return rng.choice(
        (
            NoData(),
            RawPacket(PACKET),
            MetadataBuffer(bytearray(16), PACKET),
            FixedMetadata(PACKET, 0, 8),
            Xdp(PACKET),
            Skb(PACKET, linear=rng.choice((None, 20))),
        )
    )


def outcome_of(program, environment, start):
    """Run a program and return what became of it."""
    refusal = fault = None
    try:
        machine = Machine(program, environment, Limits(instructions=BUDGET))
    except ProgramError as error:
        refusal = error
    if refusal is not None:
        assert str(refusal).startswith(("instruction ", "the program "))
        return "refused"
    environment.maps[6].put(0, machine)  # which may go to itself
    try:
        outcome = machine.execute(start)
    except RunError as error:
        fault = error
    if fault is not None:
        # The program has no other one to go to, so that it is its own instruction.
        assert 0 <= fault.slot < len(program)
        return "stopped" if isinstance(fault, BudgetError) else "fault"
    assert 0 < outcome.instructions <= BUDGET
    assert 0 <= outcome.result < 1 << 64
    return "result"


@pytest.mark.parametrize("part", range(4))
def test_random_programs(part):
    rng = random.Random(f"{SEED}-{part}")
    seen = Counter()
    for number in range(PROGRAMS // 4):
        maps = {index: create(spec) for index, spec in enumerate(SPECS)}
        environment = Environment(HELPERS, maps, {0: bytearray(4)}, {0: lambda *_: 0})
        program = rng.choice(MAKERS)(rng)
        start = starts(rng)
        try:
            seen[outcome_of(program, environment, start)] += 1
        except Exception as error:
            error.add_note(f"program {number}, {start}\n{disassemble(program)}")
            error.add_note(rerun("tests/ebpf/test_safety.py"))
            raise
    # Enough of each, or this says nothing.
    assert min(seen[what] for what in ("refused", "fault", "result")) > PROGRAMS // 4 // 10, seen
    assert seen["stopped"] > 20, seen


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_what_is_changed_was_good(number):
    maps = {index: create(spec) for index, spec in enumerate(SPECS)}
    program = with_maps(SEEDS[number])
    start = Xdp(PACKET) if number == 0 else Skb(PACKET)
    assert outcome_of(program, Environment(HELPERS, maps), start) == "result"
