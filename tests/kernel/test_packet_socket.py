"""Captures on a veth pair, with programs made by hand."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.errors import KernelError
from pfcompile.kernel import socket_filter
from pfcompile.kernel.packet_socket import Packet, PacketSocket
from tests.kernel.namespaces import (
    LEFT,
    Namespace,
    Pair,
    ethernet,
    flood,
    pair,
    raw_sender,
    reason_to_skip,
    run_unprivileged,
    udp,
)
from tests.kernel.programs import ACCEPT, udp_to_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.netns

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cable() -> Iterator[Pair]:
    with pair() as made:
        yield made


@pytest.fixture
def own_cable() -> Iterator[Pair]:
    with pair() as made:
        yield made


@pytest.fixture
def sender(cable: Pair) -> Iterator[socket.socket]:
    with raw_sender(cable) as sock:
        yield sock


def captured(packets: PacketSocket) -> list[Packet]:
    """Return what is in the queue: a veth delivers before send() returns, or very soon after."""
    found: list[Packet] = []
    deadline = time.monotonic() + 0.2
    while time.monotonic() < deadline:
        packet = packets.receive()
        if packet is None:
            packets.wait(0.02)
        else:
            found.append(packet)
    return found


def test_packets_come_with_bytes_lengths_and_times(cable: Pair, sender: socket.socket) -> None:
    sent = [udp(53, b"x" * size) for size in (0, 1, 100, 1400)]
    with cable.left.call(PacketSocket, LEFT, ACCEPT) as packets:
        before = time.time_ns()
        for packet in sent:
            sender.send(packet)
        got = captured(packets)
        after = time.time_ns()
        assert packets.link_type.name == "EN10MB"
        assert packets.filters_in_kernel
        assert [packet.data for packet in got] == sent
        assert [packet.wire_length for packet in got] == [len(packet) for packet in sent]
        times = [packet.timestamp_ns for packet in got]
        assert all(before <= moment <= after for moment in times)
        assert any(moment % 1000 for moment in times), "nanoseconds"
        assert packets.statistics() == (4, 0)
        assert packets.statistics() == (4, 0), "the kernel's count begins anew, ours does not"


def test_the_kernel_filters(cable: Pair, sender: socket.socket) -> None:
    with cable.left.call(PacketSocket, LEFT, udp_to_port(53)) as packets:
        assert socket_filter.read_back(packets._socket) == udp_to_port(53)
        for port in (52, 53, 54, 53):
            sender.send(udp(port, b"payload"))
        assert [packet.data for packet in captured(packets)] == [udp(53, b"payload")] * 2
        assert packets.statistics().received == 2


@pytest.mark.parametrize("tag", [1, 42, 0x6FFF])
def test_a_vlan_tag_is_put_back(cable: Pair, sender: socket.socket, tag: int) -> None:
    frame = udp(53, b"tagged", vlan=tag)
    with cable.left.call(PacketSocket, LEFT, ACCEPT) as packets:
        sender.send(frame)
        (packet,) = captured(packets)
    assert packet.data == frame
    assert packet.wire_length == len(frame)


def test_the_outer_of_two_tags_keeps_its_tpid(cable: Pair, sender: socket.socket) -> None:
    inner = udp(53, b"twice", vlan=7)
    frame = inner[:12] + struct.pack("!HH", 0x88A8, 100) + inner[12:]
    with cable.left.call(PacketSocket, LEFT, ACCEPT) as packets:
        sender.send(frame)
        (packet,) = captured(packets)
    assert packet.data == frame


@pytest.mark.parametrize("vlan", [None, 42])
def test_snaplen_cuts_and_the_wire_length_stays(
    cable: Pair, sender: socket.socket, vlan: int | None
) -> None:
    frame = udp(53, b"x" * 500, vlan=vlan)
    program = udp_to_port(53, kept=60)
    with cable.left.call(PacketSocket, LEFT, program, snaplen=60) as packets:
        sender.send(frame)
        (packet,) = captured(packets)
    assert packet.data == frame[:60]
    assert packet.wire_length == len(frame)


def test_no_packet_that_does_not_match_is_ever_seen(cable: Pair, sender: socket.socket) -> None:
    wanted, other = udp(53, b"wanted"), udp(80, b"other")
    seen = {wanted: 0, other: 0}
    control: set[bytes] = set()
    with flood(sender, other, wanted):
        for _ in range(40):
            with cable.left.call(PacketSocket, LEFT, udp_to_port(53)) as packets:
                packets.wait(5)
                for packet in itertools.islice(iter(packets.receive, None), 100):
                    seen[packet.data] += 1
        with cable.left.call(PacketSocket, LEFT, ACCEPT) as packets:
            for packet in itertools.islice(packets, 100):
                control.add(packet.data)
    assert control == {wanted, other}, "both were there to be seen"
    assert seen[wanted] >= 40
    assert seen[other] == 0


def test_what_the_kernel_drops_is_counted(cable: Pair, sender: socket.socket) -> None:
    with cable.left.call(PacketSocket, LEFT, udp_to_port(53), buffer_bytes=16384) as packets:
        for _ in range(1000):
            sender.send(udp(53, b"x" * 200))
            sender.send(udp(54, b"not counted"))
        got = captured(packets)
        counts = packets.statistics()
    assert counts.received == 1000
    assert 0 < counts.dropped < 1000
    assert len(got) == counts.received - counts.dropped


def test_loopback_packets_are_seen_once(cable: Pair) -> None:
    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(3):
                sock.sendto(b"hello", ("127.0.0.1", 53))

    with cable.left.call(PacketSocket, "lo", udp_to_port(53)) as packets:
        cable.left.call(send)
        assert len(captured(packets)) == 3


def test_any_shows_where_each_packet_came_from(cable: Pair, sender: socket.socket) -> None:
    program = udp_to_port(53, ether_type=0, header=20)
    with cable.left.call(PacketSocket, "any", program) as packets:
        assert packets.link_type.name == "LINUX_SLL2"
        assert packets.filters_in_kernel
        sender.send(udp(53, b"one"))
        sender.send(udp(54, b"two"))
        (packet,) = captured(packets)
    index = cable.left.call(socket.if_nametoindex, LEFT)
    header = struct.pack("!HHIHBB", 0x0800, 0, index, 1, 0, 6) + udp(53, b"")[6:12] + b"\0\0"
    assert packet.data == header + udp(53, b"one")[14:]
    assert packet.wire_length == len(packet.data)


def test_what_the_kernel_cannot_filter_is_filtered_after_it(
    cable: Pair, sender: socket.socket
) -> None:
    # The sender's address is in the cooked header, and nowhere in what the kernel filters.
    program = (
        Instruction(Op.LD_W_ABS, 0, 0, 12),
        Instruction(Op.JEQ_K, 0, 3, 0x02000000),
        Instruction(Op.LD_H_ABS, 0, 0, 16),
        Instruction(Op.JEQ_K, 0, 1, 0x0002),
        Instruction(Op.RET_K, 0, 0, 262144),
        Instruction(Op.RET_K, 0, 0, 0),
    )
    stranger = udp(53, b"one")[:6] + bytes.fromhex("020000000099") + udp(53, b"one")[12:]
    with cable.left.call(PacketSocket, "any", program) as packets:
        assert not packets.filters_in_kernel
        sender.send(stranger)
        sender.send(udp(53, b"two"))
        (packet,) = captured(packets)
    assert packet.data.endswith(b"two")


def test_a_tunnel_gives_bare_ip_packets() -> None:
    reason = reason_to_skip()
    if reason is not None:
        pytest.skip(reason)
    namespace = Namespace()
    try:
        tunnel = namespace.call(open_tunnel, "tun0")
    except OSError as error:
        namespace.close()
        pytest.skip(f"no tunnels here: {error}")
    try:
        with namespace.call(PacketSocket, "tun0", ACCEPT) as packets:
            assert packets.link_type.name == "RAW"
            os.write(tunnel, udp(53, b"bare")[14:])
            assert [packet.data for packet in captured(packets)] == [udp(53, b"bare")[14:]]
    finally:
        os.close(tunnel)
        namespace.close()


def open_tunnel(name: str) -> int:
    from pyroute2 import IPRoute  # noqa: PLC0415 - an extra

    from tests.kernel.namespaces import quiet  # noqa: PLC0415

    quiet()
    tunnel = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tunnel, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1001))  # TUNSETIFF
    with IPRoute() as route:
        route.link("set", index=socket.if_nametoindex(name), state="up")
    return tunnel


@pytest.mark.parametrize("promiscuous", [True, False])
def test_promiscuous_mode_lasts_as_long_as_the_capture(cable: Pair, promiscuous: bool) -> None:
    def level() -> int:
        from pyroute2 import IPRoute  # noqa: PLC0415 - an extra

        with IPRoute() as route:
            (link,) = route.get_links(route.link_lookup(ifname=LEFT)[0])
            return int(link.get_attr("IFLA_PROMISCUITY"))

    assert cable.left.call(level) == 0
    with cable.left.call(PacketSocket, LEFT, ACCEPT, promiscuous=promiscuous):
        assert cable.left.call(level) == int(promiscuous)
    assert cable.left.call(level) == 0


def test_stop_ends_an_iteration_that_waits(cable: Pair, sender: socket.socket) -> None:
    with cable.left.call(PacketSocket, LEFT, ACCEPT) as packets:
        sender.send(udp(53, b"before"))
        timer = threading.Timer(0.2, packets.stop)
        timer.start()
        assert [packet.data for packet in packets] == [udp(53, b"before")]
        timer.join()
        packets.close()  # and once more at the end


@pytest.mark.parametrize(
    ("remove", "number", "words"),
    [(False, errno.ENETDOWN, "is down"), (True, errno.ENODEV, "disappeared")],
)
def test_losing_the_interface_ends_the_capture_after_its_packets(
    own_cable: Pair, remove: bool, number: int, words: str
) -> None:
    with own_cable.left.call(PacketSocket, LEFT, ACCEPT) as packets:
        with raw_sender(own_cable) as sock:
            for _ in range(3):
                sock.send(udp(53, b"before"))
        packets.wait(1)
        own_cable.down(remove=remove)
        got = []
        with pytest.raises(KernelError, match=f"{LEFT}.*{words}") as caught:
            got.extend(iter(packets.receive, None))
        assert caught.value.errno == number
    assert len(got) <= 3


def test_packets_before_the_end_are_handed_out(own_cable: Pair) -> None:
    with own_cable.left.call(PacketSocket, LEFT, ACCEPT) as packets:
        with raw_sender(own_cable) as sock:
            for _ in range(3):
                sock.send(udp(53, b"before"))
        own_cable.down()
        got = [packets.receive() for _ in range(3)]
        assert [packet.data for packet in got if packet] == [udp(53, b"before")] * 3
        with pytest.raises(KernelError):
            packets.receive()


def test_an_interface_that_is_down_says_how_to_bring_it_up(own_cable: Pair) -> None:
    own_cable.down()
    with pytest.raises(KernelError, match=f"ip link set {LEFT} up") as caught:
        own_cable.left.call(PacketSocket, LEFT, ACCEPT)
    assert caught.value.errno == errno.ENETDOWN


def test_a_refused_filter_leaves_no_socket_behind(cable: Pair) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    with pytest.raises(KernelError, match="attach"):
        cable.left.call(PacketSocket, LEFT, ())
    assert sorted(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize("kind", ["packet", "raw"])
def test_filters_on_privileged_sockets(cable: Pair, kind: str) -> None:
    kinds: dict[str, Callable[[], socket.socket]] = {
        "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
        "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    }
    with cable.left.call(kinds[kind]) as sock:
        socket_filter.attach(udp_to_port(53), sock)
        assert socket_filter.read_back(sock) == udp_to_port(53)


def test_without_the_privilege_the_capability_is_named(cable: Pair) -> None:
    script = (
        "from pfcompile.errors import KernelError\n"
        "from pfcompile.kernel.packet_socket import PacketSocket\n"
        "from tests.kernel.programs import ACCEPT\n"
        f"try: PacketSocket({LEFT!r}, ACCEPT)\n"
        "except KernelError as error: print(error.errno, error)\n"
    )
    process = run_unprivileged(cable.left, [sys.executable, "-c", script], cwd=PROJECT)
    assert process.stdout.startswith(f"{errno.EPERM} "), process.stderr
    for words in ("CAP_NET_RAW", "sudo", "setcap"):
        assert words in process.stdout


def test_a_namespace_goes_with_its_descriptor(cable: Pair) -> None:
    frame = ethernet(b"", kind=0x9000)
    assert len(frame) == 14
    with pair() as other:
        inode = os.fstat(other.left.fd).st_ino
        assert inode != os.fstat(cable.left.fd).st_ino
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(other.left.fd)
