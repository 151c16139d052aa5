"""The files that `pfcompile capture` writes: several interfaces, pcapng, rotation, workers."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from scapy.all import PcapNgReader, RawPcapReader

from pfcompile import read
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
from tests.kernel.namespaces import LEFT, Pair, pair, raw_sender, udp
from tests.kernel.sending import BATCH, send, wanted

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.netns

RECORD = 16 + len(udp(53, b"%05d" % 0))


@pytest.fixture(scope="module")
def cable() -> Iterator[Pair]:
    with pair() as made:
        yield made


@pytest.fixture
def sender(cable: Pair) -> Iterator[socket.socket]:
    with raw_sender(cable) as sock:
        yield sock


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [udp(53, b"%05d" % number) for number in range(first, first + count)]


def blocks_of(path: Path) -> list[tuple[int, bytes]]:
    """Return the blocks of a pcapng file: type and body."""
    content, found, place = path.read_bytes(), [], 0
    while place < len(content):
        kind, length = struct.unpack_from("<2I", content, place)
        assert struct.unpack_from("<I", content, place + length - 4) == (length,)
        found.append((kind, content[place + 8 : place + length - 4]))
        place += length
    return found


def options_of(body: bytes, fixed: int) -> dict[int, bytes]:
    found = {}
    place = fixed
    while True:
        code, length = struct.unpack_from("<2H", body, place)
        if code == 0:
            assert place + 4 == len(body)
            return found
        found[code] = body[place + 4 : place + 4 + length]
        place += 4 + length + -length % 4


def test_a_pcapng_file_says_what_it_is(cable: Pair, sender: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "out.pcapng"
    arguments = ("-s", "100", "-w", str(path), "--comment", "what for", "udp port 53")
    before = time.time_ns()
    with capture(cable, *arguments) as running:
        for frame in numbered(3):
            sender.send(frame)
        assert running.end()[0] == 0
    kinds = [kind for kind, _ in blocks_of(path)]
    assert kinds == [0x0A0D0D0A, 1, 6, 6, 6, 5]
    (_, section), (_, interface), *_, (_, statistics) = blocks_of(path)
    told = options_of(section, 16)
    assert told[1] == b"what for"
    assert told[3].startswith(b"Linux ")
    assert told[4].startswith(b"pfcompile ")
    assert struct.unpack_from("<H2xI", interface) == (1, 100)
    told = options_of(interface, 8)
    assert told[2] == LEFT.encode()
    assert told[9] == b"\x09"
    assert told[11] == b"\0udp port 53"
    assert told[12].startswith(b"Linux ")
    told = options_of(statistics, 12)
    assert {code: struct.unpack("<Q", told[code])[0] for code in (6, 7, 8)} == {6: 3, 7: 0, 8: 3}
    times = [high << 32 | low for high, low in (struct.unpack("<2I", told[n]) for n in (2, 3))]
    assert before <= times[0] <= times[1] <= time.time_ns()
    assert [data for _, data in read(path)] == numbered(3)
    with PcapNgReader(str(path)) as reader:
        assert [bytes(packet) for packet in reader] == numbered(3)


def test_several_interfaces(cable: Pair, sender: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "out.pcapng"
    with capture(cable, "-i", "any", "-c", "2", "-w", str(path), "udp port 53") as running:
        sender.send(udp(53, b"seen twice"))
        assert running.result()[0] == 0
    packets = [struct.unpack_from("<I", body)[0] for kind, body in blocks_of(path) if kind == 6]
    assert sorted(packets) == [0, 1]
    linktypes = [struct.unpack_from("<H", body)[0] for kind, body in blocks_of(path) if kind == 1]
    assert linktypes == [1, 276]
    result = run(cable, "-i", LEFT, "-i", "any", "-w", str(tmp_path / "out.pcap"), "udp")
    assert result.returncode == 2
    assert "EN10MB and LINUX_SLL2; write pcapng" in result.stderr


def test_one_of_several_interfaces_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    with pair() as own, capture(own, "-i", "lo", "-w", str(path), "udp port 53") as running:
        own.down()
        time.sleep(0.5)
        assert running.process.poll() is None
        status, _, err = running.end()
    assert status == 1
    assert "is down" in err


def test_files_by_size_are_cut_where_tcpdump_cuts_them(
    cable: Pair, sender: socket.socket, tmp_path: Path
) -> None:
    frames = numbered(1000)
    with capture(cable, "-C", "10k", "-w", str(tmp_path / "out.pcap"), "udp port 53") as running:
        for frame in frames:
            sender.send(frame)
        status, _, err = running.end()
    assert status == 0
    assert counts(err) == (1000, 1000, 0)
    names = ["out.pcap", *(f"out.pcap{n}" for n in range(1, 100))]
    files = [tmp_path / name for name in names if (tmp_path / name).exists()]
    assert len(files) == len(list(tmp_path.iterdir())) > 5
    assert [packet for file in files for packet in packets_of(file)] == frames
    # A packet is written as long as there are not yet more bytes than that.
    assert {file.stat().st_size for file in files[:-1]} == {24 + RECORD * (10216 // RECORD + 1)}


def test_a_command_is_run_on_each_file_that_is_complete(
    cable: Pair, sender: socket.socket, tmp_path: Path
) -> None:
    frames = numbered(500)
    out = tmp_path / "out.pcap"
    with capture(cable, "-C", "10k", "-z", "gzip", "-w", str(out), "udp port 53") as running:
        for frame in frames:
            sender.send(frame)
        assert running.end()[0] == 0
    names = ["out.pcap.gz", *(f"out.pcap{n}.gz" for n in range(1, 100))]
    wait_until(lambda: all(path.suffix == ".gz" for path in tmp_path.iterdir()))
    files = [tmp_path / name for name in names if (tmp_path / name).exists()]
    assert len(files) == len(list(tmp_path.iterdir())) > 3
    assert [data for file in files for _, data in read(file)] == frames


def test_the_first_file_by_size_is_written_again(
    cable: Pair, sender: socket.socket, tmp_path: Path
) -> None:
    arguments = ("-C", "1k", "-W", "11", "-w", str(tmp_path / "out.pcapng"), "udp port 53")
    with capture(cable, *arguments) as running:
        for frame in numbered(1000):
            sender.send(frame)
        assert running.end()[0] == 0
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [f"out.pcapng{number:02}" for number in range(11)]
    kept = [data for file in files for _, data in read(file)]
    assert sorted(kept) == numbered(len(kept), 1000 - len(kept))
    for file in files:
        assert blocks_of(file)[-1][0] == 5, "statistics end each file"


def test_files_by_time(cable: Pair, sender: socket.socket, tmp_path: Path) -> None:
    arguments = ("-G", "1", "-w", str(tmp_path / "%s.pcap"), "udp port 53")
    frames = numbered(25)
    with capture(cable, *arguments) as running:
        for frame in frames:
            sender.send(frame)
            time.sleep(0.1)
        assert running.end()[0] == 0
    files = sorted(tmp_path.iterdir())
    assert len(files) >= 2
    assert [packet for file in files for packet in packets_of(file)] == frames
    for file, following in pairwise(files):
        with RawPcapReader(str(file)) as reader:
            seconds = [meta.sec for _, meta in reader]
        assert all(second < int(following.stem) for second in seconds)


def test_a_capture_for_a_time_ends_without_packets(cable: Pair, tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    began = time.monotonic()
    with capture(cable, "-G", "1", "-W", "1", "-w", str(path), "udp port 53") as running:
        status, _, err = running.result()
    assert status == 0
    assert counts(err) == (0, 0, 0)
    assert time.monotonic() - began > 0.5
    assert [file.name for file in tmp_path.iterdir()] == ["out.pcap"]


def test_workers_share_the_packets_flow_by_flow(
    cable: Pair, sender: socket.socket, tmp_path: Path
) -> None:
    path = tmp_path / "out.pcap"
    flows = {source: [] for source in range(2000, 2016)}
    with capture(cable, "--fanout", "3", "-w", str(path), "udp port 53") as running:
        for number in range(100):
            for source, sent in flows.items():
                frame = bytearray(udp(53, b"%d" % number))
                frame[34:36] = source.to_bytes(2, "big")
                sent.append(bytes(frame))
                sender.send(frame)
        status, _, err = running.end()
    assert status == 0
    assert counts(err) == (1600, 1600, 0)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["out.pcap.0", "out.pcap.1", "out.pcap.2"]
    found = [packets_of(file) for file in files]
    assert sum(len(packets) > 0 for packets in found) > 1
    for source, sent in flows.items():
        port = source.to_bytes(2, "big")
        assert sent in [[p for p in packets if p[34:36] == port] for packets in found]


def test_workers_end_with_their_count(cable: Pair, sender: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    arguments = ("--fanout", "2", "-c", "5", "-w", str(path), "udp port 53")
    with capture(cable, *arguments) as running:
        for frame in numbered(20):
            sender.send(frame)
        status, _, err = running.result()
    assert status == 0
    assert counts(err)[0] == 5
    assert sum(len(packets_of(file)) for file in tmp_path.iterdir()) == 5


@pytest.mark.parametrize(("direction", "expected"), [("in", "i"), ("out", "o"), ("inout", "io")])
def test_directions(
    cable: Pair, sender: socket.socket, tmp_path: Path, direction: str, expected: str
) -> None:
    path = tmp_path / "out.pcap"
    incoming, outgoing = udp(53, b"i"), udp(53, b"o")
    with capture(cable, "-Q", direction, "-w", str(path), "udp port 53") as running:
        sender.send(incoming)
        with cable.left.call(socket_on, LEFT) as back:
            back.send(outgoing)
        time.sleep(0.1)
        status, _, err = running.end()
    assert status == 0
    assert packets_of(path) == [udp(53, each.encode()) for each in expected]
    assert counts(err)[:2] == (len(expected), len(expected))


def socket_on(name: str) -> socket.socket:
    import socket as sockets  # noqa: PLC0415 - the name is a type above

    sock = sockets.socket(sockets.AF_PACKET, sockets.SOCK_RAW, 0)
    sock.bind((name, 0))
    return sock


def test_loopback_packets_are_seen_once(cable: Pair, tmp_path: Path) -> None:
    def send_some() -> None:
        import socket as sockets  # noqa: PLC0415 - the name is a type above

        with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as sock:
            for _ in range(3):
                sock.sendto(b"hello", ("127.0.0.1", 53))

    for interface in ("lo", "any"):
        path = tmp_path / f"{interface}.pcap"
        with capture(cable, "-w", str(path), "udp port 53", interface=interface) as running:
            cable.left.call(send_some)
            assert running.end()[0] == 0
        assert len(packets_of(path)) == 3


@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
def test_vlans_live_and_from_the_file_agree(
    cable: Pair, sender: socket.socket, tmp_path: Path, suffix: str
) -> None:
    path, again = tmp_path / f"out.{suffix}", tmp_path / f"again.{suffix}"
    expression = "vlan 42 and udp port 53"
    with capture(cable, "-w", str(path), expression) as running:
        for vlan in (None, 42, 43, 42):
            sender.send(udp(53, b"x", vlan=vlan))
        assert running.end()[0] == 0
    assert [data for _, data in read(path)] == [udp(53, b"x", vlan=42)] * 2
    command = [*COMMAND[:-1], "filter", "-r", str(path), "-w", str(again), expression]
    subprocess.run(command, check=True, cwd=PROJECT, capture_output=True, timeout=SECONDS)
    assert [data for _, data in read(again)] == [data for _, data in read(path)]


def test_as_many_packets_as_can_be_sent(cable: Pair, sender: socket.socket, tmp_path: Path) -> None:
    """A tenth of them match: all are in the file, in order; tcpdump beside it drops no fewer."""
    path, other = tmp_path / "out.pcap", tmp_path / "tcpdump.pcap"
    batches = 100
    tcpdump = None
    if shutil.which("tcpdump") is not None:
        tcpdump = cable.left.start(
            ["tcpdump", "-n", "-i", LEFT, "-w", str(other), "udp port 53"],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert tcpdump.stderr is not None
        assert "listening" in tcpdump.stderr.readline()
    with capture(cable, "-w", str(path), "udp port 53") as running:
        send(sender, batches)
        time.sleep(0.3)
        status, _, err = running.end()
    assert status == 0
    captured, received, dropped = counts(err)
    assert received == batches * BATCH // 10
    assert captured == received - dropped
    found = packets_of(path)
    assert len(found) == captured
    rest = iter(wanted(batches))
    assert all(packet in rest for packet in found), "in order, bytes and lengths right"
    if tcpdump is not None:
        tcpdump.send_signal(2)
        _, told = tcpdump.communicate(timeout=SECONDS)
        (theirs,) = re.findall(r"(\d+) packets? dropped by kernel", told)
        assert dropped <= int(theirs)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-C", "1"), "-w"),
        (("-G", "1", "-w", "-"), "-w"),
        (("--fanout", "2"), "-w"),
        (("-W", "3", "-w", "x.pcap"), "-C or -G"),
        (("-z", "gzip", "-w", "x.pcap"), "on the files of -C or -G"),
        (("-C", "1", "-z", "no-such-command", "-w", "x.pcap"), "there is no command"),
        (("-C", "0", "-w", "x.pcap"), "is no size"),
        (("-C", "1t", "-w", "x.pcap"), "is no size"),
        (("--comment", "x", "-w", "x.pcap"), "write pcapng"),
        (("--comment", "x"), "-w"),
        (("-Q", "up"), "-Q"),
    ],
)
def test_what_does_not_go_together_is_told(
    cable: Pair, arguments: tuple[str, ...], words: str
) -> None:
    result = run(cable, "-i", LEFT, *arguments, "udp")
    assert result.returncode == 2, result.stderr
    assert words in result.stderr


@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
def test_without_llvmlite_the_file_is_the_same(
    cable: Pair, sender: socket.socket, tmp_path: Path, suffix: str
) -> None:
    found = []
    for blocked in ("", "sys.modules['llvmlite'] = None; "):
        path = tmp_path / f"{bool(blocked)}.{suffix}"
        script = f"import sys; {blocked}from pfcompile.cli import main; sys.exit(main())"
        with capture(cable, "-w", str(path), "udp", command=(sys.executable, "-c", script)) as run_:
            for size in (0, 1, 2, 3, 500):
                sender.send(udp(53, bytes(size), vlan=size or None))
            assert run_.end()[0] == 0
        found.append([data for _, data in read(path)])
    assert found[0] == found[1] == [udp(53, bytes(n), vlan=n or None) for n in (0, 1, 2, 3, 500)]
