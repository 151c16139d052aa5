"""The scripts of examples/, run as they are in network namespaces."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pfcompile
from examples import http_requests
from pfcompile.kernel.attach import attachments
from tests.kernel.attaching import comes, drained, eventually, receiver, skip_without_links
from tests.kernel.namespaces import (
    LEFT,
    LEFT_IP,
    RIGHT_IP,
    RIGHT_MAC,
    ethernet,
    pair,
    raw_sender,
    udp,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
SECONDS = 60
PORT, OTHER = 5353, 5454


@pytest.fixture
def cable():
    skip_without_links()
    with pair() as made:
        yield made


@pytest.fixture
def sender(cable):
    with cable.right.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


@contextlib.contextmanager
def started(cable, name, *arguments, says=None):
    """Run an example at the left end while the block runs; wait until it says something."""
    process = cable.left.start(
        [sys.executable, str(EXAMPLES / name), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    try:
        if says is not None:
            line = process.stderr.readline().decode()
            assert re.search(says, line), line + process.stderr.read().decode()
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process):
    """Interrupt an example; return the rest of its output and what it says."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err.decode()
    return out.decode(), err.decode()


def run(cable, name, *arguments):
    return cable.left.call(
        subprocess.run,
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def tcp4(payload, *, words=5, ip_words=5, source=RIGHT_IP):
    """Return a frame with IPv4 and TCP headers of so many words of 4 bytes."""
    segment = struct.pack("!HHIIBBHHH", 40000, 80, 1, 1, words << 4, 0x18, 999, 0, 0)
    segment += bytes(4 * (words - 5)) + payload
    length = 4 * ip_words + len(segment)
    header = struct.pack("!BBHHHBBH", 0x40 | ip_words, 0, length, 1, 0, 64, 6, 0)
    header += socket.inet_aton(source) + socket.inet_aton(LEFT_IP) + bytes(4 * (ip_words - 5))
    return ethernet(header + segment)


def tcp6(payload, *, words=5, source="2001:db8::7"):
    segment = struct.pack("!HHIIBBHHH", 40001, 80, 1, 1, words << 4, 0x18, 999, 0, 0)
    segment += bytes(4 * (words - 5)) + payload
    header = struct.pack("!IHBB", 6 << 28, len(segment), 6, 64)
    header += socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "::1")
    return ethernet(header + segment, kind=0x86DD)


METHODS = ("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE")
REQUESTS = [
    (f"{RIGHT_IP}:40000 GET /a HTTP/1.1", tcp4(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")),
    (f"{RIGHT_IP}:40000 POST /b HTTP/1.0", tcp4(b"POST /b HTTP/1.0\r\n\r\n", words=8)),
    (f"{RIGHT_IP}:40000 PUT /c HTTP/1.1", tcp4(b"PUT /c HTTP/1.1\r\n", words=15, ip_words=7)),
    ("[2001:db8::7]:40001 GET /six HTTP/1.1", tcp6(b"GET /six HTTP/1.1\r\nHost: x\r\n\r\n")),
    ("[2001:db8::7]:40001 HEAD / HTTP/1.1", tcp6(b"HEAD / HTTP/1.1\r\n", words=11)),
    *((f"{RIGHT_IP}:40000 {m} / HTTP/1.1", tcp4(f"{m} / HTTP/1.1\r\n".encode())) for m in METHODS),
    *(
        (f"[2001:db8::7]:40001 {m} / HTTP/1.1", tcp6(f"{m} / HTTP/1.1\r\n".encode(), words=6))
        for m in METHODS
    ),
]
NO_REQUESTS = [
    tcp4(b"HTTP/1.1 200 OK\r\n"),
    tcp6(b"HTTP/1.1 200 OK\r\n"),
    tcp4(b""),
    tcp6(b"", words=10),
    tcp4(b"GE"),
    udp(80, b"GET / HTTP/1.1\r\n"),
    tcp4(b"....GET / HTTP/1.1\r\n"),
]


def test_the_expression_means_requests():
    program = pfcompile.compile(http_requests.expression())
    assert all(program.match(frame) for _, frame in REQUESTS)
    assert not any(program.match(frame) for frame in NO_REQUESTS)
    assert [http_requests.request(frame) for _, frame in REQUESTS] == [line for line, _ in REQUESTS]


@pytest.mark.bpf
@pytest.mark.netns
def test_http_requests(cable):
    """Over IPv4 and IPv6, with TCP and IP options; all packets go on."""
    with (
        started(cable, "http_requests.py", LEFT, says=f"{LEFT}: .* instructions") as process,
        raw_sender(cable) as raw,
    ):
        for index, (_, frame) in enumerate(REQUESTS):
            raw.send(frame)
            raw.send(NO_REQUESTS[index % len(NO_REQUESTS)])
        for line, _ in REQUESTS:
            assert process.stdout.readline().decode() == f"{line}\n"
        out, err = ended(process)
        assert out == ""
        assert err == f"{len(REQUESTS)} requests, 0 lost\n"


@pytest.mark.bpf
@pytest.mark.netns
def test_http_requests_of_a_real_connection(cable):
    with (
        started(cable, "http_requests.py", LEFT, says="instructions") as process,
        cable.left.call(socket.create_server, (LEFT_IP, 8080)) as server,
        cable.right.call(socket.create_connection, (LEFT_IP, 8080)) as client,
    ):
        connection, (host, port) = server.accept()
        with connection:
            client.sendall(b"GET /index.html HTTP/1.1\r\nHost: left\r\n\r\n")
            assert connection.recv(100).startswith(b"GET /index.html")
            wanted = f"{host}:{port} GET /index.html HTTP/1.1\n"
            assert process.stdout.readline().decode() == wanted


@pytest.mark.bpf
@pytest.mark.netns
def test_firewall(cable, sender):
    expression = f"udp dst port {PORT} or arp or ip6"
    with receiver(cable, PORT, OTHER) as (matching, rest):
        with (
            started(cable, "firewall.py", LEFT, *expression.split(), says="dropping") as process,
            raw_sender(cable) as raw,
        ):
            for number in range(5):
                sender.sendto(b"x", (LEFT_IP, PORT))
                sender.sendto(bytes([number]), (LEFT_IP, OTHER))
            source = f"{RIGHT_IP} port {sender.getsockname()[1]}"
            raw.send(tcp6(b"hello"))
            raw.send(ethernet(bytes(46), kind=0x0806))
            for _ in range(5):
                line = process.stdout.readline().decode()
                wanted = rf"[-\d]+ [:\d]+ dropped udp {source} > {LEFT_IP} port {PORT}, 43 bytes\n"
                assert re.fullmatch(wanted, line)
            line = process.stdout.readline().decode()
            assert "dropped tcp 2001:db8::7 port 40001 > ::1 port 80, 79 bytes" in line
            line = process.stdout.readline().decode()
            assert "02:00:00:00:00:02 > 02:00:00:00:00:01 type 0x0806, 60 bytes" in line
            _, err = ended(process)
            assert err == "7 packets dropped, 0 of them not logged\n"
        assert drained(matching) == []
        assert comes(rest, [bytes([number]) for number in range(5)])
        sender.sendto(b"x", (LEFT_IP, PORT))
        assert comes(matching, [b"x"])


@pytest.mark.bpf
@pytest.mark.netns
def test_egress(cable):
    """Names of interfaces are the same in all namespaces of a test run: that of the pin is not."""
    name = f"eg{time.monotonic_ns() % 10**9}"
    rename(cable, name)
    try:
        with (
            cable.left.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as out,
            cable.right.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sock,
        ):
            sock.bind((RIGHT_IP, PORT))
            sock.setblocking(False)

            def arrives(text):
                out.sendto(text, (RIGHT_IP, PORT))

            done = run(cable, "egress.py", "attach", name, "udp[8]", "=", "0x78")
            assert (done.stdout, done.stderr) == ("attached\n", "")
            arrives(b"x")
            arrives(b"y")
            assert comes(sock, [b"y"])
            done = run(cable, "egress.py", "query", name)
            assert done.stdout == (
                f"tc on {name}, egress: udp[8] = 0x78\n2 packets seen, 1 dropped\n"
            )
            done = run(cable, "egress.py", "attach", name, "udp[8] = 0x79")
            assert done.stdout == "replaced\n"
            arrives(b"x")
            arrives(b"y")
            assert comes(sock, [b"x"])
            done = run(cable, "egress.py", "detach", name)
            assert done.stdout == "detached\n"
            arrives(b"y")
            assert comes(sock, [b"y"])
            done = run(cable, "egress.py", "query", name)
            assert done.returncode == 1
            assert "no attached filter is called" in done.stderr
    finally:
        for each in attachments():
            if each.name == f"egress-{name}":
                each.end()


def rename(cable, name):
    def change():
        from pyroute2 import IPRoute  # noqa: PLC0415 - an extra

        with IPRoute() as route:
            (index,) = route.link_lookup(ifname=LEFT)
            route.link("set", index=index, state="down")
            route.link("set", index=index, ifname=name)
            route.link("set", index=index, state="up")
            route.neigh("replace", dst=RIGHT_IP, lladdr=RIGHT_MAC, ifindex=index, state="permanent")

    cable.left.call(change)


@pytest.mark.bpf
@pytest.mark.netns
def test_drops_by_source(cable):
    frames = [tcp4(b"", source=f"192.0.2.{n % 3 + 1}") for n in range(9)] + [tcp6(b"")] * 4
    with (
        receiver(cable, PORT),
        started(cable, "drops_by_source.py", LEFT, "0.2", "tcp dst port 80") as process,
        raw_sender(cable) as raw,
    ):
        assert eventually(lambda: process.stdout.readline().decode().startswith("0 packets"))
        for frame in [*frames, udp(80, b"x")]:
            raw.send(frame)
        line = ""
        while not line.startswith("14 packets, 13 dropped"):
            line = process.stdout.readline().decode()
        rows = [process.stdout.readline().decode().split() for _ in range(4)]
        assert [row[-1] for row in rows] == ["2001:db8::7", "192.0.2.1", "192.0.2.2", "192.0.2.3"]
        assert [row[0] for row in rows] == ["4", "3", "3", "3"]
        assert rows[1][2] == str(3 * 54)
        ended(process)


@pytest.mark.netns
@pytest.mark.parametrize("tool", ["iptables", "iptables-legacy", "iptables-nft"])
def test_iptables_rule(cable, sender, tool):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    expression = f"udp dst port {PORT} and udp[8] = 0x78"
    with receiver(cable, PORT) as (sock,):
        done = run(cable, "iptables_rule.py", expression, tool, "-A", "INPUT", "-j", "DROP")
        if done.returncode != 0 and "bpf" not in done.stderr:
            pytest.skip(f"{tool} does not work here: {done.stderr}")
        assert done.returncode == 0, done.stderr
        sender.sendto(b"x", (LEFT_IP, PORT))
        sender.sendto(b"y", (LEFT_IP, PORT))
        assert comes(sock, [b"y"])
        done = run(cable, "iptables_rule.py", expression, tool, "-D", "INPUT", "-j", "DROP")
        assert done.returncode == 0, done.stderr
        sender.sendto(b"x", (LEFT_IP, PORT))
        assert comes(sock, [b"x"])


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["http_requests.py"], 1, "sudo python"),
        (["firewall.py", "eth0"], 1, "sudo python"),
        (["firewall.py", "nope", "udp prt 5"], 1, "did you mean 'port'"),
        (["egress.py", "query"], 1, "sudo python"),
        (["drops_by_source.py"], 1, "sudo python"),
        (["iptables_rule.py"], 1, "sudo python"),
        (["iptables_rule.py", "host " + " or ".join(f"1.1.{n}.7" for n in range(99))], 1, "64"),
        (["iptables_rule.py", "udp", "/nowhere/iptables"], 1, "No such file"),
    ],
)
def test_how_they_are_used(arguments, status, said):
    name, *rest = arguments
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *rest], capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_root_the_words_for_iptables_are_printed():
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "iptables_rule.py"), "udp dst port 53"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"-m bpf --bytecode '\d+(,\d+ \d+ \d+ \d+)+'\n", done.stdout)


def test_every_example_is_tested():
    text = Path(__file__).read_text()
    assert all(path.name in text for path in EXAMPLES.glob("*.py"))
