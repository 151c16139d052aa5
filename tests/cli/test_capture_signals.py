"""What `pfcompile capture` does when it is told something, or when it is ended."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pfcompile import read
from tests.cli.capturing import (
    COMMAND,
    PROJECT,
    SECONDS,
    Running,
    capture,
    counts,
    packets_of,
    wait_until,
)
from tests.kernel.namespaces import LEFT, Pair, flood, pair, raw_sender, udp

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

pytestmark = pytest.mark.netns

LONG_LIST = "udp and (" + " or ".join(f"port {port}" for port in range(2, 12000, 11)) + ")"
"""Too long for net.core.optmem_max as it is on most machines; without port 53 and with 2."""


@pytest.fixture(scope="module")
def cable() -> Iterator[Pair]:
    with pair() as made:
        yield made


@pytest.fixture
def sender(cable: Pair) -> Iterator[socket.socket]:
    with raw_sender(cable) as sock:
        yield sock


def next_line(running: Running) -> str:
    assert running.process.stderr is not None
    return running.process.stderr.readline().decode()


def promiscuity(name: str) -> int:
    from pyroute2 import IPRoute  # noqa: PLC0415 - an extra

    with IPRoute() as route:
        (link,) = route.get_links(route.link_lookup(ifname=name)[0])
        return int(link.get_attr("IFLA_PROMISCUITY"))


def test_counts_are_said_on_request(cable: Pair, sender: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    with capture(cable, "-w", str(path), "udp port 53") as running:
        for _ in range(3):
            sender.send(udp(53, b"x"))
        wait_until(lambda: len(packets_of(path)) == 3)
        running.process.send_signal(signal.SIGUSR1)
        assert next_line(running) == (
            "3 packets captured, 3 packets received by filter, 0 packets dropped by kernel\n"
        )
        sender.send(udp(53, b"x"))
        status, _, err = running.end()
    assert status == 0
    assert counts(err) == (4, 4, 0)


UNBUFFERED = pytest.mark.parametrize("options", [("-U",), ()], ids=["unbuffered", "natively"])
"""Who wants packets at once gets them from Python; else native code waits for them."""


@UNBUFFERED
def test_the_filter_is_exchanged(
    cable: Pair, sender: socket.socket, tmp_path: Path, options: tuple[str, ...]
) -> None:
    path, text = tmp_path / "out.pcap", tmp_path / "filter"
    text.write_text("udp port 53", encoding="utf-8")

    def send(content: bytes) -> None:
        for port in (53, 54, 2):
            sender.send(udp(port, content))

    with capture(cable, *options, "-F", str(text), "-w", str(path)) as running:
        send(b"one")
        text.write_text("udp port 54", encoding="utf-8")
        running.process.send_signal(signal.SIGHUP)
        assert next_line(running) == f"filtering with what {text} has now\n"
        send(b"two")
        text.write_text("udp prot 2", encoding="utf-8")
        running.process.send_signal(signal.SIGHUP)
        assert "prot" in next_line(running)
        while "stays as it was" not in next_line(running):
            pass
        send(b"three")
        text.write_text(" # emptied, to be written anew\n", encoding="utf-8")
        running.process.send_signal(signal.SIGHUP)
        assert "no expression any more" in next_line(running)
        text.unlink()
        running.process.send_signal(signal.SIGHUP)
        assert "stays as it was" in next_line(running)
        send(b"four")
        status, _, _ = running.end()
    assert status == 0
    kept = [udp(54, content) for content in (b"two", b"three", b"four")]
    assert packets_of(path) == [udp(53, b"one"), *kept]


@UNBUFFERED
def test_a_pcapng_file_says_which_filter_each_packet_passed(
    cable: Pair, sender: socket.socket, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """With another filter another section begins; others' readers take such files."""
    path, text = tmp_path / "out.pcapng", tmp_path / "filter"
    text.write_text("udp port 53", encoding="utf-8")
    with capture(cable, *options, "-F", str(text), "-w", str(path)) as running:
        sender.send(udp(53, b"one"))
        wait_until(lambda: b"one" in path.read_bytes())
        text.write_text("udp port 54", encoding="utf-8")
        running.process.send_signal(signal.SIGHUP)
        assert next_line(running).startswith("filtering with")
        sender.send(udp(54, b"two"))
        sender.send(udp(54, b"three"))
        assert running.end()[0] == 0
    frames = [udp(53, b"one"), udp(54, b"two"), udp(54, b"three")]
    assert packets_of(path) == frames
    assert [data for _, data in read(path)] == frames
    content = path.read_bytes()
    parts = [b"udp port 53", b"one", b"udp port 54", b"two", b"three"]
    places = [content.index(part) for part in parts]
    assert places == sorted(places)
    assert content.count(b"udp port 5") == 2
    if shutil.which("tcpdump") is not None:
        done = subprocess.run(
            ["tcpdump", "-n", "-r", str(path)], capture_output=True, text=True, check=True
        )
        assert len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_no_packet_is_unfiltered_while_the_filter_is_exchanged(
    cable: Pair, sender: socket.socket, tmp_path: Path, workers: int
) -> None:
    path, text = tmp_path / "out.pcap", tmp_path / "filter"
    texts = ["udp port 53", f"{LONG_LIST}"]
    text.write_text(texts[0], encoding="utf-8")
    allowed = {udp(53, b"short list"), udp(2, b"long list")}
    options = ("--fanout", str(workers), "-F", str(text), "-w", str(path))
    with capture(cable, *options) as running:
        with flood(sender, *allowed, udp(54, b"neither")):
            for number in range(1, 5):
                text.write_text(texts[number % 2], encoding="utf-8")
                running.process.send_signal(signal.SIGHUP)
                while "filtering with" not in next_line(running):
                    pass
                time.sleep(0.1)
        assert running.end()[0] == 0
    paths = [path] if workers == 1 else [path.with_name(f"out.pcap.{n}") for n in range(workers)]
    assert {packet for each in paths for packet in packets_of(each)} == allowed


def test_without_a_file_a_hangup_ends_it(
    cable: Pair, sender: socket.socket, tmp_path: Path
) -> None:
    path = tmp_path / "out.pcap"
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where nohup runs the tests
    try:
        with capture(cable, "-w", str(path), "udp port 53") as running:
            sender.send(udp(53, b"x"))
            assert running.end(signal.SIGHUP)[0] == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert packets_of(path) == [udp(53, b"x")]


@pytest.mark.parametrize("suffix", ["pcap", "lines"])
def test_what_is_too_long_for_the_kernel_is_filtered_here(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "out.pcap"
    with pair() as own, raw_sender(own) as sock:
        set_optmem(own, 20480)
        output = ("-w", str(path)) if suffix == "pcap" else ()
        with capture(own, *output, LONG_LIST) as running:
            assert "filtering outside the kernel" in running.first_line
            told = next_line(running)
            assert "natively: the filter of " in told
            assert "too long for net.core.optmem_max" in told
            for port in (2, 53, 13, 3):
                sock.send(udp(port, b"x"))
            time.sleep(0.1)
            status, out, err = running.end()
        assert status == 0
        assert counts(err) == (2, 4, 0)
        if suffix == "pcap":
            assert packets_of(path) == [udp(2, b"x"), udp(13, b"x")]
        else:
            assert len(out.splitlines()) == 2
        enough = int(told.rsplit("=", 1)[1])
        set_optmem(own, enough)
        with capture(own, "-c", "1", LONG_LIST) as running:
            assert "outside" not in running.first_line
            sock.send(udp(2, b"x"))
            assert running.result()[0] == 0


def set_optmem(cable: Pair, number: int) -> None:
    # The files of a process are those of its namespace; since Linux 6.7 each has its own number.
    script = f"echo {number} > /proc/sys/net/core/optmem_max"
    done = cable.left.call(subprocess.run, ["sh", "-c", script], check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"net.core.optmem_max cannot be set: {done.stderr!r}")


def test_counts_are_live_on_a_terminal(cable: Pair, sender: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    controller, terminal = pty.openpty()
    process = cable.left.start(
        [*COMMAND, "-i", LEFT, "-w", str(path), "udp port 53"],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    try:
        told = read_until(controller, b"listening on")
        sender.send(udp(53, b"x"))
        told = read_until(controller, b"1 packets captured, 1 packets received by filter, 0")
        assert b"\r" in told
        process.send_signal(signal.SIGINT)
        told = read_until(controller, b"dropped by kernel\r\n")
        assert b"\r\x1b[K1 packets captured\r\n" in told
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        os.close(controller)


def read_until(descriptor: int, words: bytes) -> bytes:
    told = b""
    deadline = time.monotonic() + SECONDS
    while words not in told:
        assert time.monotonic() < deadline, told
        told += os.read(descriptor, 4096)
    return told


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_stays_behind_a_killed_capture(
    cable: Pair, sender: socket.socket, tmp_path: Path, workers: int
) -> None:
    path = tmp_path / "out.pcap"
    arguments = ("--fanout", str(workers), "-w", str(path), "udp port 53")
    interfaces = cable.left.call(names)
    with capture(cable, *arguments) as running:
        files = sorted(tmp_path.iterdir())
        assert len(files) == workers
        assert cable.left.call(promiscuity, LEFT) == workers
        with flood(sender, *(udp(53, b"x" * size) for size in (10, 100, 1000))):
            wait_until(lambda: sum(file.stat().st_size for file in files) > 100_000)
            running.process.kill()
            running.process.wait()
    assert cable.left.call(promiscuity, LEFT) == 0
    assert cable.left.call(names) == interfaces
    assert not Path("/proc/net/packet").exists() or packet_sockets(cable) == 0
    for file in files:
        content = file.read_bytes()
        place = 24
        # Only the very last record may be cut: if the process was killed while it was written.
        while place + 16 <= len(content):
            place += 16 + struct.unpack_from("<8xI", content, place)[0]
        assert place + 16 > len(content)


def names() -> list[str]:
    import socket as sockets  # noqa: PLC0415 - the name is a type above

    return [name for _, name in sockets.if_nameindex()]


def packet_sockets(cable: Pair) -> int:
    """Return how many packet sockets listen in the left namespace."""
    text = cable.left.call(Path("/proc/thread-self/net/packet").read_text)
    return len(text.splitlines()) - 1


def test_a_capture_that_fails_leaves_nothing_behind(cable: Pair, tmp_path: Path) -> None:
    with capture(cable, "-w", str(tmp_path / "out.pcap"), "udp") as running:
        assert packet_sockets(cable) == 1
        running.end()
    assert packet_sockets(cable) == 0
    assert cable.left.call(promiscuity, LEFT) == 0


@pytest.mark.parametrize("name", ["out.pcap", "out.pcapng"])
def test_signals_are_obeyed_while_packets_come(
    cable: Pair, sender: socket.socket, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    with capture(cable, "-w", str(path), "udp") as running, flood(sender, udp(53, bytes(1000))):
        for _ in range(3):
            time.sleep(0.05)
            running.process.send_signal(signal.SIGUSR1)
            assert "packets captured" in next_line(running)
        status, _, err = running.end()
    captured, received, dropped = counts(err)
    assert status == 0
    assert captured == received - dropped > 0
    assert {data for _, data in read(path)} == {udp(53, bytes(1000))}
    assert sum(1 for _ in read(path)) == captured


@pytest.mark.parametrize("name", ["out.pcap", "out.pcapng"])
def test_a_file_that_grows_no_more_is_whole(
    cable: Pair, sender: socket.socket, tmp_path: Path, name: str
) -> None:
    path, limit = tmp_path / name, 1_000_000
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    command = [*COMMAND[:1], "-c", f"{limited}\n{COMMAND[2]}"]
    with (
        capture(cable, "-w", str(path), "udp", command=command) as running,
        flood(sender, udp(53, bytes(1000))),
    ):
        status, _, err = running.result()
    assert status == 1
    assert f"{path}: cannot be written: File too large" in err
    # As many whole records as fit.
    size = path.stat().st_size
    assert limit - 1200 < size <= limit
    assert {data for _, data in read(path)} == {udp(53, bytes(1000))}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("pause", [0.0, 0.01, 0.2])
def test_a_second_signal_leaves_whole_records(
    cable: Pair, sender: socket.socket, tmp_path: Path, workers: int, pause: float
) -> None:
    """Whether it comes before all is written or after: what is in the files is whole."""
    path = tmp_path / "out.pcap"
    frame = udp(53, bytes(1000))
    options = ("--fanout", str(workers), "-w", str(path), "udp")
    with capture(cable, *options) as running:
        with flood(sender, frame):
            time.sleep(0.5)
            running.process.send_signal(signal.SIGTERM)
            time.sleep(pause)
            with contextlib.suppress(ProcessLookupError):
                running.process.send_signal(signal.SIGINT)
        status, _, err = running.result()
    assert status in {0, 130}
    paths = [path] if workers == 1 else [path.with_name(f"out.pcap.{n}") for n in range(workers)]
    found = [data for each in paths for _, data in read(each)]
    assert set(found) <= {frame}
    if status == 0:
        assert counts(err)[0] == len(found) > 0
    else:
        assert "packets captured" not in err or counts(err)[0] == len(found)
