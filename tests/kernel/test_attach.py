"""Filters attached to interfaces, cgroups and sockets: what they let through and count."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import pfcompile
from pfcompile.errors import KernelError, ProgramError
from pfcompile.kernel.attach import (
    Action,
    Cgroup,
    Direction,
    ProcessSocket,
    SetRule,
    Socket,
    Tc,
    Xdp,
    attach,
    needs,
)
from pfcompile.kernel.attach.program import Plan
from pfcompile.kernel.attach.rows import ROWS
from pfcompile.kernel.bpf.links import XdpMode
from pfcompile.kernel.bpf.probes import feature
from tests.kernel.attaching import (
    cgroup_folder,
    comes,
    drained,
    eventually,
    ours,
    receiver,
)
from tests.kernel.namespaces import (
    LEFT,
    LEFT_IP,
    RIGHT,
    RIGHT_IP,
    ethernet,
    flood,
    raw_sender,
    udp,
)

pytestmark = [pytest.mark.bpf, pytest.mark.netns, pytest.mark.usefixtures("with_bpf")]
PORT, OTHER = 5353, 5454
EXPRESSION = f"udp dst port {PORT}"
INCOMING = [
    Xdp(LEFT, XdpMode.GENERIC),
    Xdp(LEFT, XdpMode.NATIVE),
    Xdp(LEFT),
    Tc(LEFT),
    Tc(LEFT, first=True),
]
ROOT = Path(__file__).parents[2]


def compiled(text, place=None, **options):
    return pfcompile.compile(text, link_type=1 if place is None else place.dlt, **options)


def on(cable, place, program, *settings, **more):
    return cable.left.call(attach, place, program, *settings, **more)


def mixed(sender, count):
    """Send datagrams to both ports; return what each should get."""
    sent = {PORT: [], OTHER: []}
    for number in range(count):
        for port, data in sent.items():
            data.append(struct.pack("!I", number) + bytes(number % 50))
            sender.sendto(data[-1], (LEFT_IP, port))
    return sent


def frame_bytes(datagrams):
    return sum(14 + 20 + 8 + len(data) for data in datagrams)


@pytest.mark.parametrize("place", INCOMING, ids=str)
@pytest.mark.parametrize("action", Action)
def test_what_matches_and_what_does_not(cable, sender, place, action):
    """Matching traffic is gone or alone, the rest is whole, and the counters are exact."""
    count = 300
    with receiver(cable, PORT, OTHER) as (matching, rest):
        with on(cable, place, compiled(EXPRESSION), action) as session:
            assert session.counters() == (0, 0, 0, 0, 0, 0)
            sent = mixed(sender, count)
            assert eventually(lambda: session.counters().seen_packets == 2 * count)
            got = session.counters()
            assert got.matched_packets == count
            assert got.matched_bytes == frame_bytes(sent[PORT])
            assert got.seen_bytes == frame_bytes(sent[PORT] + sent[OTHER])
            wanted = {
                Action.DROP: ([], sent[OTHER]),
                Action.PASS: (sent[PORT], []),
                Action.COUNT: (sent[PORT], sent[OTHER]),
                Action.REPORT: (sent[PORT], sent[OTHER]),
            }[action]
            assert comes(matching, wanted[0])
            assert comes(rest, wanted[1])
        # It went with its block.
        sent = mixed(sender, 5)
        assert comes(matching, sent[PORT])
        assert comes(rest, sent[OTHER])


@pytest.fixture
def out(cable):
    with cable.left.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


def test_what_goes_out(cable, out):
    with cable.right.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as rest:
        rest.bind((RIGHT_IP, OTHER))
        place = Tc(LEFT, Direction.EGRESS)
        with on(cable, place, compiled(EXPRESSION), Action.DROP) as session:
            for _ in range(50):
                out.sendto(b"x", (RIGHT_IP, PORT))
                out.sendto(b"y", (RIGHT_IP, OTHER))
            got = session.counters()
            assert got[:4] == (100, 100 * 43, 50, 50 * 43)
            rest.settimeout(5)
            assert [rest.recv(9) for _ in range(50)] == [b"y"] * 50


def test_packets_in_pieces_are_read_whole(cable, sender):
    """What is sent from files and pages lies in pieces, of which pointers reach the first."""
    listener = cable.right.call(socket.create_server, (RIGHT_IP, PORT))
    with listener, cable.left.call(socket.create_connection, (RIGHT_IP, PORT)) as client:
        server, _ = listener.accept()
        text = b"GET /needle HTTP/1.1\r\n" + b"x" * 3000
        wanted = "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420"
        far = "tcp[((tcp[12] & 0xf0) >> 2) + 900:1] = 0x78"
        with server:
            for expression in (wanted, far):
                with on(cable, Tc(LEFT, Direction.EGRESS), compiled(expression)) as session:
                    client.sendall(text)
                    got = b""
                    while len(got) < len(text):
                        got += server.recv(65536)
                    assert got == text
                    assert session.counters().matched_packets >= 1, expression


def test_large_packets_in_native_mode(cable):
    """Packets of a large MTU come in several pieces there; the filter sees all of them, and len."""

    def grow(name):
        from pyroute2 import IPRoute  # noqa: PLC0415 - an extra

        with IPRoute() as route:
            (index,) = route.link_lookup(ifname=name)
            route.link("set", index=index, mtu=9000)

    cable.right.call(grow, RIGHT)
    cable.left.call(grow, LEFT)
    packet = ethernet(bytes(8800) + b"\x77" + bytes(10), kind=0x9000)
    program = compiled("ether[8814] = 0x77 and len = 8825 and ether[12:2] = 0x9000")
    for mode in (XdpMode.NATIVE, XdpMode.GENERIC):
        with on(cable, Xdp(LEFT, mode), program) as session, raw_sender(cable) as raw:
            for _ in range(20):
                raw.send(packet)
                raw.send(packet[:-1])
            assert eventually(lambda s=session: s.counters().seen_packets == 40)
            assert session.counters()[:4] == (40, 20 * (8825 + 8824), 20, 20 * 8825)


@pytest.mark.parametrize(
    "place", [Xdp(LEFT, XdpMode.GENERIC), Xdp(LEFT, XdpMode.NATIVE), Tc(LEFT)], ids=str
)
def test_replacing_loses_no_packet_of_other_traffic(cable, sender, place):
    programs = [compiled(EXPRESSION), compiled(f"{EXPRESSION} or tcp port 9")]
    with (
        receiver(cable, PORT, OTHER, room=1 << 26) as (matching, rest),
        on(cable, place, programs[0], Action.DROP) as session,
    ):
        stop = threading.Event()
        all_sent, got_through = [], []

        def send():
            while not stop.is_set():
                all_sent.extend(mixed(sender, 10)[OTHER])
                # No faster than they come through: neither the socket has room for all that is
                # sent until the end, nor in native mode the interface's ring.
                wanted = len(all_sent)
                if not eventually(
                    lambda n=wanted: got_through.extend(drained(rest)) or len(got_through) >= n
                ):
                    break

        thread = threading.Thread(target=send)
        thread.start()
        replaced = 0
        while thread.is_alive() and (replaced < 100 or len(all_sent) < 1000):
            session.replace(programs[replaced % 2])
            replaced += 1
        stop.set()
        thread.join()
        count = len(all_sent)
        assert got_through == all_sent
        assert eventually(lambda: session.counters().seen_packets == 2 * count)
        assert comes(matching, [])
        got = session.counters()
        assert (got.seen_packets, got.matched_packets) == (2 * count, count)
        session.replace(programs[0], Action.PASS)
        assert session.action is Action.PASS
        assert session.description().action == "pass"
        assert session.description().expression == EXPRESSION
        sent = mixed(sender, 10)
        assert eventually(lambda: session.counters().seen_packets == 2 * count + 20)
        assert comes(matching, sent[PORT])
        assert comes(rest, [])


def test_under_a_flood_nothing_that_both_drop_comes_through(cable):
    with (
        receiver(cable, PORT) as (matching,),
        raw_sender(cable) as raw,
        on(cable, Xdp(LEFT), compiled("udp"), Action.DROP) as session,
        flood(raw, udp(PORT, b"x")),
    ):
        for number in range(50):
            session.replace(compiled("udp" if number % 2 else "ip"))
        assert drained(matching) == []
        assert session.counters().matched_packets > 100


def run_in(folder, code, *arguments):
    code = (
        "import os, socket, sys\n"
        f"open({str(folder / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n" + code
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


SURELY, NEVER = "30", "0.2"
"""Seconds for which what comes is waited for, and what does not."""
TO_ITSELF = (
    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "r = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "r.bind(('127.0.0.1', 0))\n"
    "r.settimeout(float(sys.argv[1]))\n"
    "for _ in range(7):\n"
    "    try:\n"
    "        s.sendto(b'hello', r.getsockname())\n"
    "        print(r.recv(9).decode(), end=' ')\n"
    "    except OSError as error:\n"
    "        print(type(error).__name__, end=' ')\n"
)


@pytest.mark.parametrize("direction", Direction)
def test_the_packets_of_a_cgroup(direction):
    with cgroup_folder() as folder:
        place = Cgroup(str(folder), direction)
        assert place.dlt == 12
        program = compiled("udp[8:4] = 0x68656c6c and src host 127.0.0.1", place)
        with attach(place, program) as session:
            assert run_in(folder, TO_ITSELF, SURELY) == "hello " * 6 + "hello"
            assert session.counters()[:4] == (7, 7 * 33, 7, 7 * 33)
            session.replace(program, Action.DROP)
            assert "hello" not in run_in(folder, TO_ITSELF, NEVER)
            assert session.counters().matched_packets == 14
            assert session.description().place == f"cgroup {folder}, {direction.value}"
        assert run_in(folder, TO_ITSELF, SURELY) == "hello " * 6 + "hello"
    with pytest.raises(KernelError, match="ENOENT"):
        attach(Cgroup("/nowhere"), compiled("ip", place))


def datagrams(sender, texts):
    for text in texts:
        sender.sendto(text, (LEFT_IP, PORT))


def test_a_socket_and_its_ip_headers(cable, sender):
    with receiver(cable, PORT) as (sock,):
        place = Socket(sock)
        assert place.dlt == 12
        text = f"src host {RIGHT_IP} and udp dst port {PORT} and udp[8] = 0x78"
        program = compiled(text, place)
        with attach(place, program, Action.DROP) as session:
            datagrams(sender, [b"x1", b"y2", b"x3"])
            assert eventually(lambda: session.counters().seen_packets == 3)
            assert comes(sock, [b"y2"])
            assert session.counters()[:4] == (3, 30, 2, 20)
            session.replace(program, Action.PASS)
            datagrams(sender, [b"x1", b"y2", b"x3"])
            assert eventually(lambda: session.counters().seen_packets == 6)
            assert comes(sock, [b"x1", b"x3"])
            with pytest.raises(KernelError, match=r"it has a filter.*EEXIST"):
                attach(place, program)
            with attach(Socket(sock, force=True), program, Action.DROP):
                datagrams(sender, [b"x4", b"y5"])
                assert comes(sock, [b"y5"])
        datagrams(sender, [b"x6"])
        assert comes(sock, [b"x6"])


def test_a_socket_that_is_closed_first(cable):
    with receiver(cable, PORT) as (sock,):
        session = attach(Socket(sock), compiled("udp", Socket(sock)), Action.DROP)
        sock.close()
        session.close()


def test_a_packet_socket(cable):
    with cable.left.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        assert Socket(sock).dlt == 1
        with attach(Socket(sock), compiled(EXPRESSION), Action.PASS) as session:
            sock.bind((LEFT, 3))
            sock.setblocking(False)
            with raw_sender(cable) as raw:
                for port in (PORT, OTHER, PORT):
                    raw.send(udp(port, b"data"))
            assert eventually(lambda: session.counters().seen_packets == 3)
            assert comes(sock, [udp(PORT, b"data")] * 2)


HOLD = """
import sys, time
import pfcompile
from pfcompile.kernel.attach import Action, ProcessSocket, Xdp, Tc, Cgroup, attach
place = eval(sys.argv[1])
program = pfcompile.compile(sys.argv[2], link_type=place.dlt)
held = attach(place, program, Action.DROP)
print("attached", flush=True)
time.sleep(600)
"""


def holder(cable, place, text):
    """Start a process that holds an attachment, and wait until it does."""
    code = [sys.executable, "-c", HOLD, place, text]
    process = cable.left.start(code, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "attached\n"
    return process


def end(process):
    process.kill()
    process.communicate()


@pytest.mark.parametrize("place", [f"Xdp({LEFT!r})", f"Tc({LEFT!r})"])
def test_killed_it_leaves_nothing(cable, sender, place):
    before = ours()
    with receiver(cable, PORT) as (sock,):
        process = holder(cable, place, EXPRESSION)
        try:
            made = [now - old for now, old in zip(ours(), before, strict=True)]
            assert all(made)
            datagrams(sender, [b"x"])
            assert drained(sock) == []
        finally:
            end(process)
        assert eventually(lambda: not any(now & new for now, new in zip(ours(), made, strict=True)))
        datagrams(sender, [b"y"])
        assert eventually(lambda: drained(sock) == [b"y"])


def test_killed_it_leaves_another_process_its_packets(cable, sender):
    with receiver(cable, PORT) as (sock,):
        place = f"ProcessSocket({os.getpid()}, {sock.fileno()})"
        process = holder(cable, place, "udp[8] = 0x78")
        try:
            datagrams(sender, [b"x", b"y"])
            assert comes(sock, [b"y"])
        finally:
            end(process)
        # What is still on the socket lets everything through.
        got = []

        def comes_through():
            datagrams(sender, [b"x"])
            got.extend(drained(sock))
            return b"x" in got

        assert eventually(comes_through)


def test_a_socket_of_another_process_is_not_kept_open(cable, sender):
    with receiver(cable, PORT) as (sock,):
        code = (
            "import socket, sys\n"
            "sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"sock.bind(({LEFT_IP!r}, {OTHER}))\n"
            "print(sock.fileno(), flush=True)\n"
            "sys.stdin.readline()\n"
            "sock.close()\n"
            "print('closed', flush=True)\n"
            "sys.stdin.readline()\n"
        )
        process = cable.left.call(
            subprocess.Popen,
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            number = int(process.stdout.readline())
            place = ProcessSocket(process.pid, number)
            with attach(place, compiled("udp", place), Action.DROP) as session:
                sender.sendto(b"x", (LEFT_IP, OTHER))
                assert eventually(lambda: session.counters().matched_packets == 1)
                process.stdin.write("\n")
                process.stdin.flush()
                assert process.stdout.readline() == "closed\n"
                with receiver(cable, OTHER):
                    pass
            del sock
            with pytest.raises(KernelError, match="EBADF"):
                attach(place, compiled("udp"))
        finally:
            end(process)
            process.stdin.close()
            process.stdout.close()
    with pytest.raises(KernelError, match=r"no such process.*ESRCH"):
        attach(ProcessSocket(process.pid, number), compiled("udp"))


def test_mistakes_and_refusals(cable):
    with pytest.raises(KernelError, match="no interface 'nope'"):
        on(cable, Xdp("nope"), compiled("ip"))
    with pytest.raises(KernelError, match="stands for all interfaces"):
        on(cable, Tc("any"), compiled("ip"))
    with pytest.raises(ProgramError, match=r"the filter is for DLT_RAW .*DLT_EN10MB"):
        on(cable, Tc(LEFT), compiled("ip", Cgroup("/")))
    with pytest.raises(ProgramError, match="metadata word 'type' is not to be had at 'xdp'"):
        on(cable, Xdp(LEFT), compiled("inbound", live=True))
    with on(cable, Xdp(LEFT, XdpMode.GENERIC), compiled("ip")) as session:
        with pytest.raises(KernelError, match=r"another program is attached there.*EBUSY"):
            on(cable, Xdp(LEFT, XdpMode.GENERIC), compiled("ip"))
        with pytest.raises(ProgramError, match="compile it with that link type"):
            session.replace(compiled("ip", Cgroup("/")))
        cable.down(remove=True)
        assert eventually(lambda: is_gone(session))
        session.close()


def is_gone(session):
    try:
        session.replace(compiled("ip"))
    except KernelError as error:
        assert "is gone" in str(error)  # noqa: PT017
        return True
    return False


def test_the_longest_filters(cable):
    """Thousands of instructions, twice in a program, are still taken."""
    hosts = " or ".join(f"10.{n >> 8}.{n & 255}.7" for n in range(1500))
    for place in (Xdp(LEFT), Tc(LEFT)):
        program = compiled(f"host ({hosts})")
        assert len(program.instructions) > 3000
        with on(cable, place, program, Action.DROP) as session:
            session.replace(program)


def test_what_an_older_kernel_lacks_is_said(cable, monkeypatch):
    """Here the kernel has all of it: what it is asked for refuses, and a probe says no."""
    monkeypatch.setattr(
        needs.probes,
        "feature",
        lambda name: feature(name)._replace(available=name != "xdp_frags"),
    )
    with (
        on(cable, Xdp(LEFT), compiled("ip")),
        pytest.raises(needs.TooOldError, match=r"this kernel lacks xdp_frags \(Linux 5\.18\)"),
    ):
        on(cable, Xdp(LEFT), compiled("ip"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_is_needed_has_a_probe(row):
    plan = Plan(row, 1, (), Action.REPORT, 1, (SetRule("s"),), counts_sources=True)
    assert all(feature(name).available for name in needs.needed(plan))
