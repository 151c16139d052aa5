"""What programs write: every packet once, with its bytes; and what found no room, counted."""

from __future__ import annotations

import random
import signal
import socket
import struct
import threading
import time

import pytest

from pfcompile.errors import KernelError, ProgramError
from pfcompile.kernel.bpf import create_map, load
from pfcompile.kernel.bpf.kinds import MapKind
from pfcompile.kernel.bpf.links import XdpMode, attach_xdp
from pfcompile.kernel.bpf.perf_events import PerfEvents
from pfcompile.kernel.bpf.ring_buffer import RingEvents
from tests.generator.seed import SEED
from tests.kernel import ebpf_programs
from tests.kernel.ebpf_programs import (
    MOST_COPIED,
    number,
    open_files,
    perf_output,
    ring_output,
)
from tests.kernel.namespaces import LEFT, pair, raw_sender, udp

pytestmark = pytest.mark.bpf
PORT = 4444


@pytest.fixture(autouse=True)
def _bpf():
    ebpf_programs.skip_without_bpf()
    before = open_files()
    yield
    assert open_files() == before


class Perf:
    """A program that writes packets to a perf event array, and who reads it."""

    def __init__(self, size):
        self.array = create_map(MapKind.PERF_EVENT_ARRAY, name="events")
        self.program = load(perf_output(), [self.array])
        self.events = PerfEvents(self.array, pages=max(1, size // 4096))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in (self.events, self.program, self.array):
            each.close()


class Ring(Perf):
    """The same with a ring buffer, where the program counts what found no room."""

    def __init__(self, size):
        self.array = create_map(MapKind.RINGBUF, 0, 0, size, name="events")
        self.counts = create_map(MapKind.ARRAY, 4, 8, 1)
        self.program = load(ring_output(), [self.array, self.counts])
        self.events = RingEvents(self.array, lambda: number(self.counts[bytes(4)]))

    def __exit__(self, *_):
        self.lost = self.events.lost
        super().__exit__()
        self.counts.close()


def packet_of(data):
    """Return the packet of an event: its length is written before it."""
    (length,) = struct.unpack_from("=Q", data)
    return data[8 : 8 + length]


@pytest.mark.parametrize("kind", [Perf, Ring])
def test_every_packet_once_with_its_bytes(kind):
    """Sizes of all remainders, and rings that are gone through many times."""
    rng = random.Random(SEED)
    with kind(16384) as made:
        for _ in range(60):
            sent = [rng.randbytes(rng.randrange(14, 200)) for _ in range(rng.randrange(1, 25))]
            for packet in sent:
                made.program.test_run(packet)
            # The test runs are on whichever CPU this thread is: of each CPU in their order.
            found = made.events.drain()
            assert sorted(packet_of(event.data) for event in found) == sorted(sent)
            if kind is Ring:
                assert [packet_of(event.data) for event in found] == sent
                assert {event.cpu for event in found} == {-1}
            assert not made.events.drain()
        assert made.events.lost == 0


@pytest.mark.parametrize("kind", [Perf, Ring])
@pytest.mark.parametrize("count", [10, 2000])
def test_losses_are_counted_exactly(kind, count):
    with kind(4096) as made:
        for round_ in range(3):
            packets = [struct.pack("=I", n) + bytes(56) for n in range(count)]
            before = made.events.lost
            for packet in packets:
                made.program.test_run(packet)
            lost = made.events.lost - before
            found = [packet_of(event.data) for event in made.events.drain()]
            assert len(found) + lost == count, round_
            assert len(set(found)) == len(found)
            assert set(found) <= set(packets)
            assert (lost == 0) == (count == 10)
        total_lost = made.events.lost
    assert (made.lost if kind is Ring else made.events.lost) == total_lost


def test_records_that_were_given_up_are_passed_over():
    with Ring(8192) as made:
        for size in (MOST_COPIED + 1, 60, MOST_COPIED + 1, MOST_COPIED, MOST_COPIED + 1):
            made.program.test_run(bytes(size))
        found = made.events.drain()
        assert [len(packet_of(event.data)) for event in found] == [60, MOST_COPIED]
        assert {len(event.data) for event in found} == {8 + MOST_COPIED}


@pytest.mark.parametrize("kind", [Perf, Ring])
def test_waiting_and_timeouts(kind):
    with kind(8192) as made:
        started = time.monotonic()
        assert made.events.read(0.05) == []
        assert time.monotonic() - started >= 0.05
        assert made.events.read(0) == []
        timer = threading.Timer(0.05, lambda: made.program.test_run(bytes(60)))
        timer.start()
        (event,) = made.events.read(5)
        timer.join()
        assert packet_of(event.data) == bytes(60)
        timer = threading.Timer(0.05, made.events.stop)
        timer.start()
        assert made.events.read() == []
        timer.join()


@pytest.mark.parametrize("kind", [Perf, Ring])
def test_a_signal_handler_ends_the_iteration(kind):
    with kind(8192) as made:
        taken = []
        old = signal.signal(signal.SIGALRM, lambda *_: made.events.stop())
        try:
            made.program.test_run(bytes(60))
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            taken.extend(made.events)
        finally:
            signal.signal(signal.SIGALRM, old)
        assert [packet_of(event.data) for event in taken] == [bytes(60)]
        # Stopped is stopped: what came since is still given.
        made.program.test_run(bytes(61))
        assert [len(packet_of(event.data)) for event in made.events] == [61]


@pytest.mark.parametrize("kind", [Perf, Ring])
@pytest.mark.netns
def test_packets_of_a_cable(kind):
    with pair() as cable, kind(1 << 20) as made:
        index = cable.left.call(socket.if_nametoindex, LEFT)
        sent = [udp(PORT, struct.pack("!I", n) + bytes(n % 90)) for n in range(2000)]
        with (
            cable.left.call(attach_xdp, made.program, index, XdpMode.NATIVE),
            raw_sender(cable) as sender,
        ):
            thread = threading.Thread(target=lambda: [sender.send(packet) for packet in sent])
            thread.start()
            found = []
            deadline = time.monotonic() + 10
            while len(found) < len(sent) and time.monotonic() < deadline:
                found += made.events.read(0.2)
            thread.join()
        assert made.events.lost == 0
        assert sorted(packet_of(event.data) for event in found) == sorted(sent)


def test_closed_events_are_taken_out_of_the_map():
    with create_map(MapKind.PERF_EVENT_ARRAY, name="events") as array:
        for _ in range(3):
            with load(perf_output(), [array]) as program, PerfEvents(array, pages=1) as events:
                program.test_run(bytes(60))
                assert len(events.drain()) == 1
        events.close()
        assert events.lost == 0
        events.stop()


def test_refusals():
    with create_map(MapKind.PERF_EVENT_ARRAY) as array:
        with pytest.raises(ProgramError, match="power of two"):
            PerfEvents(array, pages=3)
        with pytest.raises(KernelError, match="map the ring"):
            RingEvents(array)
    with create_map(MapKind.ARRAY, 4, 4, 1000) as array, pytest.raises(KernelError):
        RingEvents(array)
