"""Rings on a veth pair, with programs made by hand."""

from __future__ import annotations

import random
import select
import subprocess
import threading
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from pfcompile.cbpf.isa import MAX_INSTRUCTIONS, Instruction, Op
from pfcompile.errors import KernelError
from pfcompile.kernel import socket_filter
from pfcompile.kernel.blocks import packet_at
from pfcompile.kernel.opening import open_socket
from pfcompile.kernel.ring import Fanout, Ring
from pfcompile.kernel.ring_programs import Direction, sufficient_optmem
from tests.generator.seed import SEED
from tests.kernel.namespaces import LEFT, Pair, pair, raw_sender, udp
from tests.kernel.programs import ACCEPT, REJECT, udp_to_port

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from pfcompile.kernel.ring import Block

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def cable() -> Iterator[Pair]:
    with pair() as made:
        yield made


@pytest.fixture
def sender(cable: Pair) -> Iterator[socket.socket]:
    with raw_sender(cable) as sock:
        yield sock


def packets(ring: Ring) -> Iterator[bytes]:
    """Yield the packets that are in a ring, until no block comes for a while."""
    while True:
        block = ring.take()
        if block is None:
            poll = select.poll()
            poll.register(ring, select.POLLIN)
            if not poll.poll(300):
                return
            continue
        yield from taken(ring, block)


def everything(ring: Ring) -> Iterator[bytes]:
    """Yield the packets that are in a ring, without waiting for any."""
    while (block := ring.take()) is not None:
        yield from taken(ring, block)


def taken(ring: Ring, block: Block) -> Iterator[bytes]:
    """Yield the packets of a block and give it back."""
    place = block.first
    for _ in range(block.packets):
        assert ring.memory is not None
        packet = packet_at(ring.memory, place)
        place += packet.step
        yield packet.data
    ring.release(block)


def send_until(over: threading.Event, sender: socket.socket, frame: bytes) -> None:
    while not over.is_set():
        sender.send(frame)


def test_blocks_come_round_again(cable: Pair, sender: socket.socket) -> None:
    frame = udp(53, bytes(1400))
    with cable.left.call(Ring, LEFT, udp_to_port(53), buffer_bytes=1, timeout_ms=10) as ring:
        count = ring.block_bytes // (len(frame) + 200)
        for _ in range(5):
            for _ in range(count):
                sender.send(udp(54, b"other"))
                sender.send(frame)
            assert list(packets(ring)) == [frame] * count
        assert ring.statistics() == (5 * count, 0)
        assert ring.is_empty()


def test_a_trickle_is_seen_soon(cable: Pair, sender: socket.socket) -> None:
    with cable.left.call(Ring, LEFT, udp_to_port(53), timeout_ms=10) as ring:
        for _ in range(5):
            assert ring.is_empty()
            sender.send(udp(53, b"x"))
            assert not ring.is_empty()
            assert list(islice(packets(ring), 1)) == [udp(53, b"x")]
            list(packets(ring))


def test_what_came_before_the_end_is_taken(cable: Pair, sender: socket.socket) -> None:
    with cable.left.call(Ring, LEFT, udp_to_port(53), timeout_ms=50) as ring:
        sender.send(udp(53, b"before"))
        ring.end()
        sender.send(udp(53, b"after"))
        assert not ring.is_done()
        assert list(packets(ring)) == [udp(53, b"before")]
        assert ring.is_done()


def test_the_end_waits_for_no_timeout(cable: Pair, sender: socket.socket) -> None:
    """The block under way is taken as it is; the kernel would hand it over in a minute."""
    with cable.left.call(Ring, LEFT, udp_to_port(53), timeout_ms=60_000) as ring:
        for _ in range(3):
            sender.send(udp(53, b"before"))
        assert ring.take() is None
        ring.end()
        assert list(everything(ring)) == [udp(53, b"before")] * 3
        sender.send(udp(53, b"after"))
        assert ring.is_done()
        assert ring.take() is None
        assert ring.statistics() == (3, 0)


def test_the_end_while_packets_come(cable: Pair, sender: socket.socket) -> None:
    """All that the kernel has let in is in the blocks, and whole, when nobody waits for them."""
    rng = random.Random(f"ring-end-{SEED}")
    frame = udp(53, bytes(range(200)))
    for _ in range(20):
        over, enough = threading.Event(), rng.randrange(1, 2000)
        sending = threading.Thread(target=send_until, args=(over, sender, frame))
        with cable.left.call(Ring, LEFT, udp_to_port(53), timeout_ms=60_000) as ring:
            sending.start()
            try:
                while ring.statistics().received < enough:
                    pass
                ring.end()
                found = list(everything(ring))
                received, dropped = ring.statistics()
            finally:
                over.set()
                sending.join()
            assert set(found) == {frame}
            assert (len(found), dropped) == (received, 0)


@pytest.mark.parametrize(
    ("buffer_bytes", "timeout_ms", "block_bytes"),
    [
        (16 << 20, 1000, 2 << 20),
        (16 << 20, 10, 512 << 10),  # 32 blocks of a packet each last for 320 ms
        (64 << 20, 10, 2 << 20),
        (8 << 20, 100, 1 << 20),
        (1, 1, 512 << 10),
    ],
)
def test_size_of_blocks(cable: Pair, buffer_bytes: int, timeout_ms: int, block_bytes: int) -> None:
    with cable.left.call(
        Ring, LEFT, REJECT, buffer_bytes=buffer_bytes, timeout_ms=timeout_ms
    ) as ring:
        assert ring.memory is not None
        assert ring.block_bytes == block_bytes
        assert len(ring.memory) == max(buffer_bytes, 2 * block_bytes)


def test_workers_get_nothing_before_all_are_there(cable: Pair, sender: socket.socket) -> None:
    fanout = Fanout()
    rings = [
        cable.left.call(Ring, LEFT, udp_to_port(53), timeout_ms=10, fanout=fanout) for _ in range(3)
    ]
    sender.send(udp(53, b"early"))
    for ring in rings:
        ring.start()
    for _ in range(10):
        sender.send(udp(53, b"shared"))
    found = [list(packets(ring)) for ring in rings]
    for ring in rings:
        ring.close()
    assert sorted(map(len, found)) == [0, 0, 10], "one flow, one worker"


def test_the_longest_program_goes_with_what_is_called_sufficient() -> None:
    loads = (Instruction(Op.LD_W_IND, 0, 0, 4), Instruction(Op.LDX_MSH, 0, 0, 14))
    program = loads * ((MAX_INSTRUCTIONS - 1) // 2) + ACCEPT
    with pair() as own:
        number = sufficient_optmem(program)
        script = f"echo {number} > /proc/sys/net/core/optmem_max"
        if own.left.call(subprocess.run, ["sh", "-c", script], check=False).returncode != 0:
            pytest.skip("net.core.optmem_max cannot be set")
        with own.left.call(open_socket, cooked=False) as sock:
            socket_filter.attach(program, sock)
            socket_filter.attach(program, sock)


def test_a_program_that_is_refused_leaves_the_one_before(
    cable: Pair, sender: socket.socket
) -> None:
    with cable.left.call(Ring, LEFT, udp_to_port(53), timeout_ms=10) as ring:
        with pytest.raises(KernelError):
            ring.exchange((Instruction(Op.LD_IMM, 0, 0, 0),))
        sender.send(udp(53, b"x"))
        sender.send(udp(54, b"x"))
        assert list(packets(ring)) == [udp(53, b"x")]
        ring.exchange(REJECT)
        sender.send(udp(53, b"x"))
        assert not list(packets(ring))


def test_what_leaves_can_be_left_out(cable: Pair, sender: socket.socket) -> None:
    with cable.left.call(Ring, LEFT, ACCEPT, timeout_ms=10, direction=Direction.OUT) as ring:
        sender.send(udp(53, b"incoming"))
        assert not list(packets(ring))
        assert ring.statistics() == (0, 0)
