"""Regions, contexts and proved accesses, against the interpreter."""

from __future__ import annotations

import gc
import random
from functools import partial

import pytest

from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.isa import ROWS, Instruction, Kind
from pfcompile.ebpf.machine.code import Environment
from pfcompile.ebpf.machine.contexts import SK_BUFF, XDP_MD
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.memory import declared_address
from pfcompile.ebpf.machine.starts import FixedMetadata, MetadataBuffer, NoData, RawPacket, Skb, Xdp
from pfcompile.ebpf.maps.kinds import create
from pfcompile.ebpf.maps.vocabulary import MapSpec, MapType
from pfcompile.errors import ProgramError
from pfcompile.jit.native import native, native_assembly
from tests.ebpf.test_instructions import instruction_of, label, wide
from tests.generator.seed import SEED
from tests.jit.pairs import World, check, full_environment, outcome

EXIT = Instruction(0x95)
MEMORY_ROWS = [row for row in ROWS if row.kind in {Kind.LOAD, Kind.LOAD_SIGNED, Kind.STORE}]


class Offset:
    """A helper that gives the number that a test has set: the compiler cannot know it."""

    def __init__(self):
        self.value = 0

    def __call__(self, *_):
        return self.value


@pytest.mark.parametrize("row", MEMORY_ROWS, ids=label)
def test_every_access_to_contexts(row):
    offset = Offset()
    environment = Environment(HELPERS, kfuncs={1: offset})
    access = instruction_of(row, dst=0 if row.kind is not Kind.STORE else 1, src=1, imm=-7)
    program = (
        Instruction(0xBF, 6, 1), Instruction(0x85, 0, 2, 0, 1), Instruction(0xBF, 1, 6),
        Instruction(0x0F, 1, 0), Instruction(0xB7, 0), access, EXIT,
    )  # fmt: skip
    compiled, machine = native(program, environment), Machine(program, environment)
    starts = (
        (XDP_MD, partial(Xdp, bytes(20), 3, 4, 5)),
        (SK_BUFF, partial(Skb, bytes(20), protocol=0x800, mark=7, hash=9, cb=bytes(range(20)))),
    )
    ended = 0
    for layout, start in starts:
        for offset.value in (*range(-9, layout.size + 9), 1 << 32, -(1 << 32)):
            got = outcome(compiled, World(start()))
            assert got == outcome(machine, World(start())), (layout.name, offset.value)
            ended += got[0] == "ended"
    # Some, but few, are fields.
    assert 0 < ended < 160


REGION_TEXTS = (
    "r0 = *(u64 *)(r3 + 24)\nexit",
    "*(u32 *)(r3 + 28) = 5\nr0 = *(u64 *)(r3 + 24)\nexit",
    "r0 = *(u64 *)(r3 + 25)\nexit",
    "lock *(u64 *)(r3 + 8) += r1\nr0 = 0\nexit",
    "r3 += -1\nr0 = *(u8 *)(r3 + 0)\nexit",
)


@pytest.mark.parametrize("text", REGION_TEXTS)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_declared_regions(text, number):
    program = (*wide(3, declared_address(number)), *assemble(text))

    def make():
        environment, contents = full_environment()
        return World(RawPacket(bytes(8)), environment=environment, contents=contents)

    came = check(program, make, text)
    assert came[0] == "ended" or (came[0], number) != ("ended", 0)


def test_read_only_and_writable_regions_differ():
    program = (*wide(3, declared_address(1)), *assemble("*(u8 *)(r3 + 0) = 1\nr0 = 0\nexit"))
    for region, kind in ((bytes(16), "RunError"), (bytearray(16), "ended")):
        environment = Environment(HELPERS, regions=(b"", region))
        came = check(program, lambda e=environment: World(RawPacket(b"1"), environment=e), kind)
        assert came[0] == kind
        view = memoryview(bytearray(b"ab")).toreadonly()
        environment = Environment(HELPERS, regions=(view, region))
        check(program, lambda e=environment: World(RawPacket(b"1"), environment=e), kind)


def test_odd_places_in_the_process():
    """A packet that begins at any real address, whose atomic operations still are done."""
    text = "lock *(u64 *)(r1 + 0) += r2\nr0 = *(u32 *)(r1 + 7)\n*(u16 *)(r1 + 3) = r0\nexit"
    for shift in range(9):
        held = bytearray(range(40))
        other = bytearray(held)
        got = outcome(native(assemble(text)), World(RawPacket(memoryview(held)[shift:30]), [held]))
        machine = Machine(assemble(text))
        assert got == outcome(machine, World(RawPacket(memoryview(other)[shift:30]), [other]))
        assert got[0] == "ended"


MAPS = assemble(
    "r6 = r1\n*(u32 *)(r10 - 4) = 0\nr1 = 1 ll\nr2 = r10\nr2 += -4\ncall 1\nif r0 == 0 goto +8\n"
    "r7 = *(u64 *)(r0 + 0)\nr7 += 1\n*(u64 *)(r0 + 0) = r7\nr8 = *(u8 *)(r6 + 0)\nr0 += r8\n"
    "r0 = *(u8 *)(r0 + 0)\nr0 += r7\nexit\nr0 = -1\nexit"
)
WITH_MAP = (*MAPS[:2], Instruction(0x18, 1, 1, imm=1), Instruction(0), *MAPS[4:])


@pytest.mark.parametrize("byte", [0, 8, 15, 16, 255])
def test_values_of_maps(byte):
    def make():
        environment, contents = full_environment()
        return World(RawPacket(bytes([byte])), environment=environment, contents=contents)

    came = check(WITH_MAP, make, f"byte {byte}")
    assert came[0] == ("ended" if byte < 16 else "RunError")


def test_many_regions_come_up():
    """More values of maps and records of rings than the table first has rows for."""
    text = (
        "r7 = 50\nr1 = 3 ll\nr2 = 8\nr3 = 0\ncall 131\nif r0 == 0 goto +9\n*(u64 *)(r0 + 0) = r7\n"
        "r6 = r0\nr1 = r0\nr2 = 0\ncall 132\nr7 -= 1\nif r7 != 0 goto -13\n"
        "r0 = r6\nexit\nr0 = 1\nexit"
    )
    program = assemble(text)
    program = (program[0], Instruction(0x18, 1, 1, imm=3), Instruction(0), *program[3:])

    def make():
        environment, contents = full_environment()
        return World(RawPacket(b"1"), environment=environment, contents=contents)

    came = check(program, make, text)
    assert came[0] == "ended"
    assert len(came[-1][1]) == 50
    # After it is submitted, a record is not the program's any more.
    late = assemble(text.replace("r0 = r6\nexit", "r0 = *(u8 *)(r6 + 0)\nexit"))
    late = (late[0], Instruction(0x18, 1, 1, imm=3), Instruction(0), *late[3:])
    assert check(late, make, text)[0] == "RunError"


PROVED = (
    (
        "r0 = *(u64 *)(r1 + 8)\n*(u32 *)(r10 - 4) = r0\nr2 = *(s32 *)(r10 - 4)\nr0 += r2\nexit",
        RawPacket,
    ),
    (
        (
            "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr3 -= r2\nr0 = *(u8 *)(r2 + 9)\n"
            "r0 += r3\nexit"
        ),
        Xdp,
    ),
    ("r0 = *(u32 *)(r1 + 16)\n*(u64 *)(r1 + 48) = 77\nexit", Skb),
    ("r2 = *(u64 *)(r1 + 16)\nr0 = *(u16 *)(r2 + 2)\nexit", lambda p: FixedMetadata(p, 16, 8)),
    ("lock *(u32 *)(r1 + 4) += r2\nr0 = *(u32 *)(r1 + 4)\nexit", lambda p: MetadataBuffer(p, p)),
)  # fmt: skip


@pytest.mark.parametrize(("text", "start"), PROVED, ids=range(len(PROVED)))
def test_proved_accesses(text, start):
    """The same outcome with a check and without."""
    program = assemble(text)
    proved = frozenset(range(len(program)))

    def make():
        packet = bytearray(range(32))
        return World(start(packet), [packet])

    starts = (type(make().start),)
    assert check(program, make, text, proved=proved, starts=starts)[0] == "ended"
    assert check(program, make, text)[0] == "ended"


def test_proved_accesses_take_fewer_instructions():
    body = "".join(f"r2 = *(u8 *)(r1 + {place})\nr0 += r2\n" for place in range(0, 60, 3))
    program = assemble(f"r0 = 0\n{body}exit")
    bare = native_assembly(program, proved=frozenset(range(len(program))))
    checked = native_assembly(program)
    assert len(bare.splitlines()) < len(checked.splitlines()) - 20


def test_what_was_wrongly_proved_is_in_no_region():
    """Where there is nothing, even what is taken for proved is a fault."""
    for address in (0, 5 << 32, 0x101 << 32, 1 << 63):
        program = (*wide(3, address), *assemble("r0 = *(u8 *)(r3 + 0)\nexit"))
        proved = frozenset({2})
        assert (
            check(program, lambda: World(RawPacket(b"1")), "", proved=proved, starts=(RawPacket,))[
                0
            ]
            == "RunError"
        )


def test_what_is_proved_is_proved_for_a_start():
    """A context's fields proved for one start would be outside of another's packet."""
    program = assemble("r0 = *(u32 *)(r1 + 20)\nexit")
    compiled = native(program, proved=frozenset({0}), starts=(Xdp,))
    assert compiled.run(Xdp(bytes(14), egress_ifindex=5)) == 5
    for start in (RawPacket(b"1"), NoData()):
        with pytest.raises(ProgramError, match="is proved for Xdp, not for"):
            compiled.run(start)


def test_tail_calls_take_nothing_for_proved():
    """What is proved for a program that begins is not for one that goes on with other registers."""
    other = native(
        assemble("r0 = *(u32 *)(r1 + 20)\nexit"), proved=frozenset({0}), starts=(RawPacket,)
    )
    array = create(MapSpec(MapType.PROG_ARRAY, 4, 4, 1))
    array.put(0, other)
    first = (Instruction(0x18, 2, 1, imm=1), Instruction(0), *assemble("r3 = 0\ncall 12\nexit"))
    environment = Environment(HELPERS, maps={1: array})
    came = check(first, lambda: World(RawPacket(b"short"), environment=environment), "")
    assert came[:2] == ("RunError", 0)


def test_memory_is_given_back():
    """Runs leave nothing behind: neither what they worked on nor what they made."""
    program = native(assemble("r0 = *(u8 *)(r1 + 0)\nexit"))
    rng = random.Random(SEED)
    for _ in range(50):
        program.run(RawPacket(rng.randbytes(rng.randint(1, 99))))
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(200):
        program.run(RawPacket(rng.randbytes(rng.randint(1, 99))))
    gc.collect()
    assert len(gc.get_objects()) - before < 50
