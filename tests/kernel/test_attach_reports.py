"""What attached filters report: packets' bytes, times, lengths, tags and losses; sources."""

from __future__ import annotations

import socket
import threading
import time
from ipaddress import ip_address

import pytest

import pfcompile
from pfcompile.errors import AttachmentError, KernelError, ProgramError
from pfcompile.kernel.attach import (
    Action,
    Cgroup,
    Direction,
    Report,
    Socket,
    Tc,
    Xdp,
    attach,
)
from pfcompile.kernel.attach.reporting import MOST_BYTES
from pfcompile.kernel.bpf.links import XdpMode
from tests.kernel.attaching import PATIENCE, cgroup_folder, eventually, receiver
from tests.kernel.namespaces import LEFT, RIGHT_IP, ethernet, udp

pytestmark = [pytest.mark.bpf, pytest.mark.netns, pytest.mark.usefixtures("with_bpf")]
PORT, OTHER = 5353, 5454
INCOMING = [Xdp(LEFT, XdpMode.GENERIC), Xdp(LEFT, XdpMode.NATIVE), Tc(LEFT)]


def compiled(text, dlt=1, **options):
    return pfcompile.compile(text, link_type=dlt, **options)


def on(cable, *arguments, **more):
    return cable.left.call(attach, *arguments, **more)


def read(reports, count):
    """Return at least so many packets, if they come."""
    found = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < deadline:
        found += reports.read(0.2)
    return found


@pytest.mark.parametrize("place", INCOMING, ids=str)
@pytest.mark.parametrize("action", [Action.REPORT, Action.DROP])
def test_packets_of_all_lengths_are_reported_whole(cable, raw, place, action):
    frames = [udp(PORT, bytes(n % 256 for n in range(size))) for size in range(0, 1470, 13)]
    began = time.time_ns()
    with (
        on(cable, place, compiled(f"udp port {PORT}"), action, report=Report()) as session,
        session.reports() as reports,
    ):
        for frame in frames:
            raw.send(frame)
            raw.send(udp(OTHER, b"x"))
        got = read(reports, len(frames))
        assert [packet.data for packet in got] == frames
        assert [packet.wire_length for packet in got] == [len(frame) for frame in frames]
        times = [packet.timestamp_ns for packet in got]
        assert all(began - 10**9 < each < time.time_ns() + 10**9 for each in times)
        assert len({packet.interface for packet in got}) == 1
        assert got[0].interface == cable.left.call(socket.if_nametoindex, LEFT)
        counted = session.counters()
        assert (counted.matched_packets, counted.reported, counted.lost) == (len(frames),) * 2 + (
            0,
        )
        session.replace(compiled("ip6"))
        raw.send(udp(PORT, b"x"))
        raw.send(ethernet(b"\x60" + bytes(39), kind=0x86DD))
        assert [packet.data[12:14] for packet in read(reports, 1)] == [b"\x86\xdd"]


@pytest.mark.parametrize("most", [1, 60, 64, 65, 100, 128, 1000, MOST_BYTES])
def test_only_so_many_bytes(cable, raw, most):
    frames = [udp(PORT, b"y" * size) for size in (0, 18, 22, 23, 58, 86, 87, 958, 1400)]
    with (
        on(cable, Tc(LEFT), compiled("udp"), Action.REPORT, report=Report(most)) as session,
        session.reports() as reports,
    ):
        for frame in frames:
            raw.send(frame)
        got = read(reports, len(frames))
        assert [packet.data for packet in got] == [frame[:most] for frame in frames]
        assert [packet.wire_length for packet in got] == [len(frame) for frame in frames]


@pytest.mark.parametrize("place", INCOMING, ids=str)
def test_tags_are_where_they_were(cable, raw, place):
    """At tc the kernel has taken a VLAN tag out of the packet; whoever reads wants to see it."""
    text = "vlan 42 and udp port 53"
    live = isinstance(place, Tc)
    frames = [udp(53, b"tagged", vlan=42), udp(53, b"x", vlan=43), udp(53, b"untagged")]
    with (
        on(cable, place, compiled(text, live=live), Action.REPORT) as session,
        session.reports() as reports,
    ):
        for frame in frames * 2:
            raw.send(frame)
        got = read(reports, 2)
        assert eventually(lambda: session.counters().seen_packets == 6)
        assert [packet.data for packet in got] == frames[:1] * 2
        assert {packet.wire_length for packet in got} == {len(frames[0])}
        saved = compiled(text, savefile=True)
        assert all(saved.match(packet.data) for packet in got)
        assert session.counters().reported == 2


def test_what_finds_no_room_is_counted(cable, raw):
    report = Report(MOST_BYTES, 1 << 18)
    count = 2000
    with on(cable, Xdp(LEFT), compiled("udp"), Action.REPORT, report=report) as session:
        for number in range(count):
            raw.send(udp(PORT, number.to_bytes(4, "big") + bytes(1000)))
        assert eventually(lambda: session.counters().seen_packets == count)
        counted = session.counters()
        assert counted.reported + counted.lost == count
        assert 100 < counted.reported < count
        with session.reports() as reports:
            got = read(reports, counted.reported)
            # Those that came first found room.
            numbers = [int.from_bytes(packet.data[42:46], "big") for packet in got]
            assert numbers == list(range(counted.reported))
            raw.send(udp(PORT, b"again"))
            assert [packet.data for packet in read(reports, 1)] == [udp(PORT, b"again")]


def test_an_iterator_that_another_thread_stops(cable, raw):
    with (
        on(cable, Tc(LEFT), compiled("udp"), Action.REPORT) as session,
        session.reports() as reports,
    ):
        got = []

        def take():
            got.extend(packet.data for packet in reports)

        thread = threading.Thread(target=take)
        thread.start()
        frames = [udp(PORT, bytes([number])) for number in range(100)]
        for frame in frames:
            raw.send(frame)
        assert eventually(lambda: len(got) == 100)
        reports.stop()
        thread.join()
        assert got == frames


def test_a_cgroup_and_a_packet_socket(cable, raw):
    with (
        cable.left.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0) as sock,
        on(cable, Socket(sock), compiled("udp"), Action.REPORT) as session,
        session.reports() as reports,
    ):
        sock.bind((LEFT, 3))
        raw.send(udp(PORT, b"to a socket"))
        assert [each.data for each in read(reports, 1)] == [udp(PORT, b"to a socket")]
    with cgroup_folder() as folder:
        place = Cgroup(str(folder), Direction.EGRESS)
        with attach(place, compiled("udp", 12), Action.REPORT) as session:
            from tests.kernel.test_attach import SURELY, TO_ITSELF, run_in  # noqa: PLC0415

            run_in(folder, TO_ITSELF, SURELY)
            with session.reports() as reports:
                got = read(reports, 7)
                assert {packet.data[28:] for packet in got} == {b"hello"}
                assert {packet.wire_length for packet in got} == {33}


def test_large_packets_are_read_out_of_their_pieces(cable):
    """A local sender's segments are one packet of up to 64 KB at tc, in many pieces."""
    listener = cable.right.call(socket.create_server, (RIGHT_IP, PORT))
    with listener, cable.left.call(socket.create_connection, (RIGHT_IP, PORT)) as client:
        server, _ = listener.accept()
        text = bytes(range(256)) * 1000
        place = Tc(LEFT, Direction.EGRESS)
        with (
            server,
            on(cable, place, compiled(f"tcp dst port {PORT}"), Action.REPORT) as session,
            session.reports() as reports,
        ):
            client.sendall(text)
            got = b""
            while len(got) < len(text):
                got += server.recv(1 << 20)
            assert eventually(lambda: session.counters().reported >= 4)
            packets = reports.read(1)
            payload = b"".join(each.data[54 + 12 :] for each in packets)
            assert text.startswith(payload)
            assert max(packet.wire_length for packet in packets) > 2000


def test_what_cannot_be(cable):
    with pytest.raises(ProgramError, match="1 to 65535 can be reported"):
        Report(0)
    with pytest.raises(ProgramError, match="1 to 65535 can be reported"):
        Report(65_536)
    with pytest.raises(ProgramError, match="no room for two packets"):
        Report(60_000, 65_536)
    with pytest.raises(KernelError, match=r"power of two of whole pages.*EINVAL"):
        on(cable, Xdp(LEFT), compiled("ip"), report=Report(100, 10_000))
    with (
        receiver(cable, PORT) as (sock,),
        pytest.raises(ProgramError, match="attach at tc or a cgroup"),
    ):
        attach(Socket(sock), compiled("ip", 12), Action.REPORT)
    with on(cable, Xdp(LEFT), compiled("ip")) as session:
        with pytest.raises(AttachmentError, match="reports no packets"):
            session.reports()
        with pytest.raises(AttachmentError, match="does not count by source"):
            session.sources()
        with pytest.raises(AttachmentError, match="attached without reports"):
            session.replace(compiled("ip"), Action.REPORT)


def ip4(source, *, tags=0):
    addresses = socket.inet_aton(source) + socket.inet_aton("10.9.0.1")
    header = b"\x45" + bytes(11) + addresses
    return tagged(header, 0x0800, tags)


def ip6(source, *, tags=0):
    addresses = socket.inet_pton(socket.AF_INET6, source) + bytes(15) + b"\1"
    header = b"\x60" + bytes(7) + addresses
    return tagged(header, 0x86DD, tags)


def tagged(payload, kind, tags):
    for _ in range(tags):
        payload, kind = b"\0\x05" + kind.to_bytes(2, "big") + payload, 0x8100
    return ethernet(payload, kind=kind)


@pytest.mark.parametrize("place", INCOMING, ids=str)
def test_counts_by_source(cable, raw, place):
    frames = {
        "192.0.2.1": [ip4("192.0.2.1")] * 5,
        "192.0.2.2": [ip4("192.0.2.2", tags=1), ip4("192.0.2.2", tags=2)] * 2,
        "2001:db8::1": [ip6("2001:db8::1")] * 3,
        "2001:db8::2": [ip6("2001:db8::2", tags=2)] * 2,
        None: [ethernet(bytes(60), kind=0x88B5)],
    }
    with on(cable, place, compiled(""), Action.DROP, sources=10) as session:
        for each in frames.values():
            for frame in each:
                raw.send(frame)
        assert eventually(lambda: session.counters().seen_packets == 15)
        got = [(row.source, row.packets) for row in session.sources()]
        wanted = [
            (None if name is None else ip_address(name), len(f)) for name, f in frames.items()
        ]
        assert got == wanted
        sizes = {row.source: row.bytes for row in session.sources()}
        assert sizes[ip_address("192.0.2.1")] == 5 * 34
        session.replace(compiled("ip6"), Action.COUNT)
        for number in range(20):
            raw.send(ip6(f"2001:db8::1:{number}"))
        assert eventually(lambda: session.counters().seen_packets == 35)
        rows = session.sources()
        assert len(rows) == 11
        assert sum(row.packets for row in rows) == 35
        assert rows[0].source is None  # those that found no room are with those without a source
        assert rows[0].packets == 1 + 14


def test_counts_by_source_need_addresses(cable):
    with cable.left.call(socket.socket, socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        program = compiled("link[0] = 0", 10)
        with pytest.raises(ProgramError, match=r"found in packets of DLT_EN10MB .* and DLT_RAW"):
            attach(Socket(sock), program, sources=5)
