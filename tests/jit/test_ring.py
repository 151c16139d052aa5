"""Blocks of a ring made into records: native code gives what Python gives, byte by byte."""

from __future__ import annotations

import ctypes
import random
import struct
from itertools import product

import pytest

from pfcompile import compile as compile_text
from pfcompile.cbpf.isa import Ancillary, Instruction, Op
from pfcompile.errors import FilterError, ProgramError
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from pfcompile.jit.ring import NativeCopier
from pfcompile.kernel.abi import SOCKADDR_LL, TPACKET3_ADDRESS, TPACKET3_HDR
from pfcompile.kernel.blocks import (
    Copied,
    Copier,
    Limits,
    PythonCopier,
    RecordFormat,
    Shape,
    Walk,
    packet_at,
)
from pfcompile.kernel.cooked import HEADERS
from tests.kernel.namespaces import udp

FIRST = 48


def name_of(shape: Shape) -> str:
    header = "none" if shape.header is None else shape.header.layout.format
    return f"{shape.format.value}-{header}-{shape.tag_offset}"


SHAPES = [
    Shape(form, HEADERS.get(dlt), tag)
    for form, (dlt, tag) in product(RecordFormat, [(1, 12), (113, 14), (276, None), (12, None)])
]


def block(packets: int, seed: int, data: bytes | None = None, skip: int = 0) -> bytearray:
    """Return a block as the kernel writes it, with packets of all kinds."""
    choose = random.Random(seed)
    content = bytearray(FIRST)
    for number in range(packets):
        size = choose.choice([0, 1, 11, 12, 13, 14, 60, 61, 62, 63, 200, 1500])
        packet = data or udp(choose.choice([53, 80]), choose.randbytes(size))[skip : size + skip]
        mac = choose.choice([82, 78, 96])
        step = (mac + len(packet) + 15) // 16 * 16
        entry = bytearray(choose.randbytes(step))
        status = 1 | choose.choice([0, 0, 1 << 4, 1 << 4 | 1 << 6])
        TPACKET3_HDR.pack_into(
            *(entry, 0, step, 1700000000 + number // 10, number * 1000, len(packet)),
            *(len(packet) + choose.choice([0, 0, 1000]), status, mac, mac + 14, 7),
            *(choose.choice([42, 0x6FFF]), choose.choice([0x8100, 0x88A8])),
        )
        SOCKADDR_LL.pack_into(
            *(entry, TPACKET3_ADDRESS, 17, choose.choice([8, 0xDD86]), choose.choice([1, 258])),
            *(choose.choice([1, 772]), choose.choice([0, 3, 4]), choose.choice([0, 6, 8, 32])),
            choose.randbytes(8),
        )
        entry[mac : mac + len(packet)] = packet
        content += entry
    return content


def address_of(memory: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def pair(
    memory: bytearray, shape: Shape, snaplen: int, program: tuple[Instruction, ...] | None = None
) -> tuple[Copier, Copier]:
    options = {"snaplen": snaplen, "interface": 3, "instructions": program}
    native = NativeCopier(address_of(memory), len(memory), shape, cached=False, **options)
    return PythonCopier(memory, shape, **options), native


def all_of(copier: Copier, packets: int, limits: Limits) -> list[tuple[bytes, int, int, int]]:
    """Copy up to each limit until nothing is left; what is stuck is skipped by one packet."""
    walk, found = Walk(FIRST, packets), []
    while walk.left:
        before = walk.left
        copied: Copied = copier.copy(walk, limits)
        found.append((bytes(copied.records), copied.packets, walk.offset, walk.left))
        if walk.left == before:
            limits = limits._replace(until=limits.until + 1)
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
@pytest.mark.parametrize("snaplen", [1, 13, 14, 40, 61, 262144])
def test_native_records_are_those_of_python(shape: Shape, snaplen: int) -> None:
    for seed in range(5):
        memory = block(100, seed)
        python, native = pair(memory, shape, snaplen)
        for limits in (
            Limits(),
            Limits(packets=7),
            Limits(room=1000),
            Limits(room=0),
            Limits(until=1700000003),
        ):
            assert all_of(native, 100, limits) == all_of(python, 100, limits), (seed, limits)


@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
@pytest.mark.parametrize(
    "text",
    ["udp port 53", "vlan 42", "vlan 42 and udp port 53", "len < 60", "outbound", "greater 100"],
)
def test_filters_outside_the_kernel_give_one_verdict(shape: Shape, text: str) -> None:
    dlt = next((dlt for dlt, header in HEADERS.items() if header is shape.header), 12)
    if shape.header is None and shape.tag_offset:
        dlt = 1
    try:
        program = compile_text(text, link_type=dlt, live=True).instructions
    except FilterError:
        pytest.skip("not on this link type")
    memory = block(200, 1, skip=0 if dlt == 1 else 14)
    python, native = pair(memory, shape, 262144, program)
    for limits in (Limits(), Limits(packets=3), Limits(room=500)):
        expected = all_of(python, 200, limits)
        assert all_of(native, 200, limits) == expected
    assert 0 < sum(packets for _, packets, _, _ in expected) < 200


def test_filters_that_only_the_interpreter_runs_are_refused() -> None:
    shape = SHAPES[0]
    memory = block(1, 1)
    for k in (ANCILLARY_BASE + Ancillary.RANDOM, ANCILLARY_BASE + Ancillary.NLATTR):
        program = (Instruction(Op.LD_W_ABS, 0, 0, k), Instruction(Op.RET_A, 0, 0, 0))
        with pytest.raises(ProgramError):
            pair(memory, shape, 100, program)


def test_a_packet_keeps_its_tag_and_origin() -> None:
    memory = block(1, 4, data=udp(53, b"x"))
    packet = packet_at(memory, FIRST)
    assert packet.data == udp(53, b"x")
    assert struct.unpack("!H", struct.pack("<H", 8))[0] in {packet.origin.protocol, 0x0800}
