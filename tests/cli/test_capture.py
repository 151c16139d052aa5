"""`pfcompile capture` as a process, on a veth pair."""

from __future__ import annotations

import errno
import os
import signal
import struct
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from scapy.all import PcapNgReader, RawPcapReader

from tests.cli.capturing import (
    COMMAND,
    PROJECT,
    SECONDS,
    capture,
    counts,
    packets_of,
    run,
    wait_until,
)
from tests.kernel.namespaces import (
    LEFT,
    RIGHT_IP,
    Pair,
    flood,
    pair,
    raw_sender,
    run_unprivileged,
    udp,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def cable() -> Iterator[Pair]:
    with pair() as made:
        yield made


@pytest.fixture
def sender(cable: Pair) -> Iterator[socket.socket]:
    with raw_sender(cable) as sock:
        yield sock


def test_the_matching_packets_are_written(
    cable: Pair, sender: socket.socket, tmp_path: Path
) -> None:
    path = tmp_path / "out.pcap"
    before = time.time()
    with capture(cable, "-w", str(path), "-c", "3", "udp", "port", "53") as running:
        for port in (53, 80, 53, 81, 53, 53):
            sender.send(udp(port, b"%d" % port))
        status, out, err = running.result()
    assert (status, out) == (0, b"")
    assert f"listening on {LEFT}, link-type EN10MB (Ethernet)" in running.first_line
    assert packets_of(path) == [udp(53, b"53")] * 3
    assert counts(err)[0] == 3
    assert path.read_bytes()[:4] == struct.pack("<I", 0xA1B23C4D), "nanoseconds"
    with RawPcapReader(str(path)) as reader:
        (_, first), *_ = reader
    assert before <= first.sec + first.usec / 1e9 <= time.time()


def test_a_pcapng_file_where_its_name_says_so(
    cable: Pair, sender: socket.socket, tmp_path: Path
) -> None:
    path = tmp_path / "out.pcapng"
    with capture(cable, "-w", str(path), "-c", "2", "udp") as running:
        for _ in range(2):
            sender.send(udp(53, b"x"))
        assert running.result()[0] == 0
    with PcapNgReader(str(path)) as reader:
        assert [bytes(packet) for packet in reader] == [udp(53, b"x")] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_file_whole(
    cable: Pair, sender: socket.socket, tmp_path: Path, number: int
) -> None:
    path = tmp_path / "out.pcap"
    with capture(cable, "-w", str(path), "udp port 53") as running:
        for index in range(500):
            sender.send(udp(53, b"%d" % index))
        # Idle, the capture writes what it has: nothing has to come for the rest to be there.
        wait_until(lambda: len(packets_of(path)) == 500)
        for index in range(500, 1000):
            sender.send(udp(53, b"%d" % index))
        status, _, err = running.end(number)
    got = packets_of(path)
    assert status == 0
    assert got == [udp(53, b"%d" % index) for index in range(len(got))]
    captured, received, dropped = counts(err)
    assert captured == len(got) >= 500
    assert received >= captured
    assert dropped == 0


def test_a_file_without_packets_is_a_file(cable: Pair, tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    with capture(cable, "-w", str(path), "udp port 53") as running:
        assert path.stat().st_size == 24, "the header is there at once"
        status, _, err = running.end()
    assert status == 0
    assert counts(err) == (0, 0, 0)
    assert path.stat().st_size == 24


def test_a_pipe_gets_each_packet_at_once(cable: Pair, sender: socket.socket) -> None:
    with capture(cable, "-w", "-", "udp port 53") as running:
        assert running.process.stdout is not None
        fd = running.process.stdout.fileno()
        assert len(read_exactly(fd, 24)) == 24
        for _ in range(3):
            sender.send(udp(53, b"now"))
            record = read_exactly(fd, 16 + len(udp(53, b"now")))
            assert record[16:] == udp(53, b"now")
        assert running.end()[0] == 0


def read_exactly(fd: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = os.read(fd, count - len(data))
        assert piece, "the pipe ended"
        data += piece
    return data


def test_a_reader_who_leaves_ends_it_quietly(cable: Pair, sender: socket.socket) -> None:
    with capture(cable, "udp port 53") as running:
        assert running.process.stdout is not None
        running.process.stdout.close()
        running.process.stdout = None
        sender.send(udp(53, b"nobody reads this"))
        status, _, err = running.result()
    assert status == 0
    assert "Traceback" not in err
    assert "Broken pipe" not in err


def test_a_second_signal_breaks_off_what_nobody_reads(cable: Pair, sender: socket.socket) -> None:
    with capture(cable, "-w", "-", "udp port 53") as running:
        # More than a pipe holds, so that the capture waits for its reader.
        for _ in range(200):
            sender.send(udp(53, b"x" * 1000))
        time.sleep(0.2)
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert running.process.poll() is None
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(SECONDS) == 130
        assert "Traceback" not in running.result()[2]


def test_without_a_file_each_packet_is_a_line(cable: Pair, sender: socket.socket) -> None:
    with capture(cable, "-n", "-c", "2", "udp port 53") as running:
        sender.send(udp(53, b"one"))
        sender.send(udp(53, b"two", vlan=5))
        status, out, _ = running.result()
    lines = out.decode().splitlines()
    # Seen live, a tagged packet is UDP to port 53 as well: its tag is not in its bytes.
    assert status == 0
    assert len(lines) == 2
    for line in lines:
        assert f"UDP {RIGHT_IP}.40000 > " in line


def test_vlans_live_and_from_the_file_agree(
    cable: Pair, sender: socket.socket, tmp_path: Path
) -> None:
    path, again = tmp_path / "out.pcap", tmp_path / "again.pcap"
    wanted = udp(53, b"wanted", vlan=42)
    with capture(cable, "-U", "-w", str(path), "vlan 42 and udp port 53") as running:
        for packet in (
            udp(53, b"untagged"),
            udp(53, b"another", vlan=43),
            wanted,
            udp(54, b"port", vlan=42),
            wanted,
        ):
            sender.send(packet)
        wait_until(lambda: len(packets_of(path)) == 2)
        status, _, _ = running.end()
    assert status == 0
    assert packets_of(path) == [wanted] * 2
    command = [
        *COMMAND[:-1],
        "filter",
        "-r",
        str(path),
        "-w",
        str(again),
        "vlan 42 and udp port 53",
    ]
    subprocess.run(command, check=True, cwd=PROJECT, capture_output=True, timeout=SECONDS)
    assert packets_of(again) == [wanted] * 2


def test_snaplen_cuts_packets(cable: Pair, sender: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    frame = udp(53, b"x" * 300)
    with capture(cable, "-s", "50", "-c", "1", "-w", str(path), "udp") as running:
        sender.send(frame)
        assert running.result()[0] == 0
    with RawPcapReader(str(path)) as reader:
        assert reader.snaplen == 50
        ((data, meta),) = reader
    assert data == frame[:50]
    assert meta.wirelen == len(frame)


def test_no_packet_that_does_not_match_is_ever_written(
    cable: Pair, sender: socket.socket, tmp_path: Path
) -> None:
    path = tmp_path / "out.pcap"
    wanted, other = udp(53, b"wanted"), udp(80, b"other")
    with (
        flood(sender, other, wanted),
        capture(cable, "-c", "2000", "-w", str(path), "udp port 53") as running,
    ):
        status, _, _ = running.result()
    assert status == 0
    assert packets_of(path) == [wanted] * 2000


def test_drops_of_the_kernel_are_reported(
    cable: Pair, sender: socket.socket, tmp_path: Path
) -> None:
    path = tmp_path / "out.pcap"
    with capture(cable, "-B", "16", "-w", str(path), "udp port 53") as running:
        # Stopped, it cannot empty its queue.
        running.process.send_signal(signal.SIGSTOP)
        for _ in range(3000):
            sender.send(udp(53, b"x" * 500))
        running.process.send_signal(signal.SIGCONT)
        wait_until(lambda: path.stat().st_size > 24)
        status, _, err = running.end()
    captured, received, dropped = counts(err)
    assert status == 0
    assert received == 3000
    assert 1000 < dropped < 3000, "even the smallest ring has two blocks of 512 KiB"
    assert captured == received - dropped == len(packets_of(path))


@pytest.mark.parametrize(("remove", "words"), [(False, "is down"), (True, "disappeared")])
def test_an_interface_that_is_lost_leaves_the_file_whole(
    tmp_path: Path, remove: bool, words: str
) -> None:
    path = tmp_path / "out.pcap"
    with (
        pair() as own,
        raw_sender(own) as sock,
        capture(own, "-w", str(path), "udp port 53") as running,
    ):
        for _ in range(5):
            sock.send(udp(53, b"before"))
        wait_until(lambda: len(packets_of(path)) == 5)
        own.down(remove=remove)
        status, _, err = running.result()
    assert status == 1
    assert f"{LEFT}" in err
    assert words in err
    assert "Traceback" not in err
    assert packets_of(path) == [udp(53, b"before")] * 5


def test_the_netmask_is_that_of_the_interface(cable: Pair, sender: socket.socket) -> None:
    broadcast, host = (
        udp(53, b"x")[:30] + bytes((10, 9, 0, last)) + udp(53, b"x")[34:] for last in (255, 254)
    )
    with capture(cable, "-c", "1", "ip broadcast") as running:
        sender.send(host)
        sender.send(broadcast)
        status, out, _ = running.result()
    assert status == 0
    assert b"10.9.0.255" in out


def test_any_captures_on_all_interfaces(cable: Pair, sender: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    with capture(cable, "-c", "1", "-w", str(path), "udp port 53", interface="any") as running:
        sender.send(udp(54, b"other"))
        sender.send(udp(53, b"any"))
        assert running.result()[0] == 0
    assert "LINUX_SLL2" in running.first_line
    (data,) = packets_of(path)
    assert data[20:] == udp(53, b"any")[14:]


def test_the_expression_can_come_from_a_file(
    cable: Pair, sender: socket.socket, tmp_path: Path
) -> None:
    text = tmp_path / "filter"
    text.write_text("udp port\n53\n", encoding="utf-8")
    with capture(cable, "-F", str(text), "-c", "1") as running:
        sender.send(udp(54, b"other"))
        sender.send(udp(53, b"x"))
        status, out, _ = running.result()
    assert status == 0
    assert b".53 length" in out


def test_interfaces_are_listed(cable: Pair) -> None:
    result = run(cable, "-D")
    names = [line.split()[0].split(".", 1)[1] for line in result.stdout.splitlines()]
    assert result.returncode == 0
    assert set(names) == {"lo", LEFT, "any"}
    assert "[Up, Running, Loopback]" in result.stdout


def test_without_the_privilege_the_capability_is_named(cable: Pair) -> None:
    result = run_unprivileged(cable.left, [*COMMAND, "-i", LEFT, "udp"], cwd=PROJECT)
    assert result.returncode == 1
    assert "CAP_NET_RAW" in result.stderr
    assert "setcap" in result.stderr
    assert errno.errorcode[errno.EPERM] in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("-i", "lefto", "udp"), 1, f"did you mean {LEFT}?"),
        (("-i", "a-name-that-no-interface-can-have", "udp"), 1, "there are: lo"),
        (("-i", "", "udp"), 1, "no interface ''"),
        (("udp",), 2, f"lo, {LEFT}, any"),
        (("-i", LEFT, "udp", "prot", "53"), 2, "prot"),
        (("-i", LEFT, "-c", "0", "udp"), 2, "-c"),
        (("-i", LEFT, "-s", "-1", "udp"), 2, "-s"),
        (("-i", LEFT, "-s", "262145", "udp"), 2, "-s"),
        (("-i", LEFT, "-F", "/nowhere/filter"), 2, "/nowhere/filter"),
        (("-i", LEFT, "-F", "/dev/null", "udp"), 2, "not both"),
        (("-i", LEFT, "-w", "/nowhere/out.pcap", "udp"), 1, "/nowhere/out.pcap"),
    ],
)
def test_mistakes_are_told(
    cable: Pair, arguments: tuple[str, ...], status: int, words: str
) -> None:
    result = run(cable, *arguments)
    assert result.returncode == status, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_mistake_leaves_an_older_file_alone(cable: Pair, tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    path.write_bytes(b"older")
    assert run(cable, "-i", LEFT, "-w", str(path), "udp prot 53").returncode == 2
    assert run(cable, "-i", "lefto", "-w", str(path), "udp").returncode == 1
    assert path.read_bytes() == b"older"
