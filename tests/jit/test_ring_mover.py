"""Blocks of a ring moved into a file: what arrives is what the copier makes, block after block."""

from __future__ import annotations

import fcntl
import os
import struct
from typing import TYPE_CHECKING

import pytest

from pfcompile.jit.ring import NativeCopier, NativeMover
from pfcompile.kernel.abi import BLOCK_STATUS, TP_STATUS_USER
from pfcompile.kernel.blocks import CHUNK, Limits, Moved, PythonCopier, Wait, Walk
from pfcompile.kernel.ring import Blocks
from tests.jit.test_ring import FIRST, SHAPES, address_of, block, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pfcompile.kernel.blocks import Shape

BLOCK_BYTES = 1 << 20
BLOCKS = 4
PACKETS = 3000
"""Of a block: their records are more than are written together."""
SNAPLEN = 262144


class Ring:
    """Blocks in memory, and a pipe that can be read when somebody says so."""

    def __init__(self, shape: Shape) -> None:
        self.memory = bytearray(BLOCK_BYTES * BLOCKS)
        options = {"snaplen": SNAPLEN, "interface": 3}
        self.python = PythonCopier(self.memory, shape, **options)
        address = address_of(self.memory)
        copier = NativeCopier(address, BLOCK_BYTES, shape, cached=False, **options)
        self.readable, self.ready = os.pipe()
        self.woken, self.wakes = os.pipe()
        blocks = Blocks(address, BLOCK_BYTES, BLOCKS, self.readable)
        self.mover = NativeMover(copier, blocks, cached=False)

    def fill(self, number: int, seed: int, packets: int = PACKETS) -> bytes:
        """Hand a block over; return the records of its packets."""
        content = block(packets, seed)
        assert len(content) <= BLOCK_BYTES
        start = number * BLOCK_BYTES
        self.memory[start : start + len(content)] = content
        struct.pack_into("=III", self.memory, start + BLOCK_STATUS, TP_STATUS_USER, packets, FIRST)
        return self.records(start + FIRST, packets)

    def records(self, first: int, packets: int) -> bytes:
        """Return the records of some packets, as Python makes them."""
        return bytes(self.python.copy(Walk(first, packets), Limits()).records)

    def head(self, number: int) -> tuple[int, int]:
        """Return the status and the count of a block."""
        found = struct.unpack_from("=II", self.memory, number * BLOCK_BYTES + BLOCK_STATUS)
        return found[0], found[1]

    def move(self, number: int, output: int, *, milliseconds: int = 20) -> Moved:
        return self.mover.move(number, output, Wait(self.woken, milliseconds))

    def close(self) -> None:
        for descriptor in {self.readable, self.ready, self.woken, self.wakes}:
            os.close(descriptor)


@pytest.fixture
def shape() -> Shape:
    return SHAPES[0]


@pytest.fixture
def ring(shape: Shape) -> Iterator[Ring]:
    made = Ring(shape)
    yield made
    made.close()


@pytest.fixture
def output(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def content_of(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_all_blocks_are_moved_in_order(shape: Shape, ring: Ring, output: int) -> None:
    del shape
    expected, taken = b"", 0
    for first, filled in ((2, 3), (1, 1), (2, 4)):  # on from where the one before has ended
        for n in range(filled):
            number = (first + n) % BLOCKS
            expected += ring.fill(number, seed=10 * first + n)
        moved = ring.move(first, output)
        taken += moved.written
        assert moved.number == (first + filled) % BLOCKS
        assert (bytes(moved.records), moved.sent, moved.rest) == (b"", 0, None)
        assert moved.packets == sum(
            PACKETS - left_out(ring, (first + n) % BLOCKS) for n in range(filled)
        )
    assert content_of(output) == expected
    assert taken == len(expected) > 6 * CHUNK
    assert {ring.head(number) for number in range(BLOCKS)} == {(0, 0)}


def left_out(ring: Ring, number: int) -> int:
    """Return how many packets of a block have no record: those that loopback shows twice."""
    walk, found = Walk(number * BLOCK_BYTES + FIRST, PACKETS), 0
    while walk.left:
        found += ring.python.copy(walk, Limits(packets=1)).packets
    return PACKETS - found


def test_a_block_that_is_not_handed_over_stays(ring: Ring, output: int) -> None:
    ring.fill(1, seed=1)
    moved = ring.move(0, output)
    assert moved == (0, 0, 0, b"", 0, None)
    assert ring.head(1) == (TP_STATUS_USER, PACKETS)
    assert content_of(output) == b""


def test_its_time_ends_also_where_the_ring_seems_to_have_something(ring: Ring, output: int) -> None:
    os.write(ring.ready, b"x")  # it can be read, and has no block: as no kernel does it
    assert ring.move(0, output).number == 0


@pytest.mark.timeout(60)
def test_what_wakes_it_ends_the_wait(ring: Ring, output: int) -> None:
    os.write(ring.wakes, b"x")
    assert ring.move(0, output, milliseconds=3_600_000) == (0, 0, 0, b"", 0, None)


@pytest.mark.timeout(60)
def test_what_is_wrong_with_the_ring_ends_the_wait(ring: Ring, output: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, ring.ready)  # POLLHUP
    os.close(null)
    assert ring.move(0, output, milliseconds=3_600_000) == (0, 0, 0, b"", 0, None)


def test_what_wakes_it_comes_before_what_is_left_of_a_block(ring: Ring, output: int) -> None:
    expected = ring.fill(0, seed=1)
    os.write(ring.wakes, b"x")
    moved = ring.move(0, output, milliseconds=3_600_000)
    assert (moved.number, moved.written, bytes(moved.records)) == (0, 0, b"")
    assert moved.rest == (0, FIRST, PACKETS)
    assert ring.records(FIRST, PACKETS) == expected
    assert ring.head(0) == (TP_STATUS_USER, PACKETS), "it is not given back"


def test_a_write_that_is_cut_short_is_told(ring: Ring) -> None:
    """A pipe takes some of it; the records, and the packets behind them, are for the caller."""
    reads, writes = os.pipe2(os.O_NONBLOCK)
    room = fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, 64 * 1024)
    assert room < CHUNK
    expected = ring.fill(0, seed=1) + ring.fill(1, seed=2)
    moved = ring.move(0, writes)
    assert (moved.number, moved.written, moved.sent) == (0, 0, room)
    assert moved.rest is not None
    assert ring.head(0) == (TP_STATUS_USER, PACKETS), "it is not given back"
    found = os.read(reads, room) + bytes(moved.records[moved.sent :])
    found += ring.records(moved.rest.first, moved.rest.packets)
    assert found + ring.records(BLOCK_BYTES + FIRST, PACKETS) == expected
    os.close(reads)
    os.close(writes)


def test_a_write_that_fails_is_told(ring: Ring) -> None:
    expected = ring.fill(0, seed=1)
    full = os.open("/dev/full", os.O_WRONLY)
    moved = ring.move(0, full)
    os.close(full)
    assert (moved.number, moved.written, moved.sent) == (0, 0, 0)
    assert moved.rest is not None
    rest = ring.records(moved.rest.first, moved.rest.packets)
    assert bytes(moved.records) + rest == expected
