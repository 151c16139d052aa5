"""`pfcompile filter -j` as a process: interrupts, full disks, closed pipes, memory."""

from __future__ import annotations

import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from itertools import accumulate

import pytest

from tests.captures.capture_building import pcap
from tests.captures.random_captures import random_pcapng
from tests.generator.seed import SEED

COMMAND = [sys.executable, "-m", "pfcompile", "filter", "--engine", "native"]
LARGE = 300 << 20


def records(count: int) -> list[bytes]:
    rng = random.Random(f"jobs-{SEED}")
    lengths = [rng.choice((0, 40, 60, 90, 200)) for _ in range(count)]
    return [
        struct.pack("<4I", n, n, size, size) + bytes([n & 255]) * size
        for n, size in enumerate(lengths)
    ]


RECORDS = records(20_000)
CHUNK = b"".join(RECORDS)
ENDS = {0, *accumulate(map(len, RECORDS))}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A file of 300 MB, which is the same records again and again."""
    path = tmp_path_factory.mktemp("large") / "large.pcap"
    with path.open("wb") as stream:
        stream.write(pcap([]))
        for _ in range(LARGE // len(CHUNK)):
            stream.write(CHUNK)
    yield path
    path.unlink()


@pytest.fixture
def start():
    """Start processes that are gone when the test ends, however it ends."""
    started = []

    def begin(*arguments, **options):
        started.append(
            subprocess.Popen(
                [*COMMAND, *map(str, arguments)], stderr=subprocess.PIPE, bufsize=0, **options
            )
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        with process:  # closes its pipes and waits
            pass


def check_whole(written: bytes) -> int:
    """Require whole records of the large file, in order and from its start; return their bytes."""
    if not written:
        return 0
    assert written[:24] == pcap([])
    whole, rest = divmod(len(written) - 24, len(CHUNK))
    for number in range(whole):
        place = 24 + number * len(CHUNK)
        assert written[place : place + len(CHUNK)] == CHUNK, f"at {place}"
    assert rest in ENDS
    assert written[len(written) - rest :] == CHUNK[:rest]
    return len(written) - 24


def size_of(path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_an_interrupt_leaves_whole_records(tmp_path, start, large, jobs):
    """At several moments of writing."""
    out = tmp_path / "out.pcap"
    interrupted = 0
    for written in (1, 20 << 20, 90 << 20):
        out.unlink(missing_ok=True)
        process = start("-j", jobs, "-r", large, "-r", large, "-w", out)
        while size_of(out) < written and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        status = process.wait(timeout=30)
        told = process.stderr.read()
        assert status in {0, 130}, told
        interrupted += status == 130
        assert b"Traceback" not in told
        size = check_whole(out.read_bytes()) if status == 130 else size_of(out) - 24
        # It may have counted what it was about to write, but has written nothing uncounted.
        (matched,) = re.findall(r"(\d+) matched", told.decode())
        chunks, rest = divmod(size, len(CHUNK))
        assert int(matched) >= chunks * len(RECORDS) + sorted(ENDS).index(rest)
    assert interrupted


def test_an_interrupt_while_a_pipe_is_written(start, large):
    """It is slow, so threads wait with what they have."""
    process = start("-j", 2, "-r", large, "-w", "-", stdout=subprocess.PIPE)
    taken = [process.stdout.read(100_000)]

    def take():
        while part := process.stdout.read(1 << 16):
            taken.append(part)
            time.sleep(0.001)

    reader = threading.Thread(target=take)
    reader.start()
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    status = process.wait(timeout=30)
    reader.join()
    assert status == 130
    assert check_whole(b"".join(taken)) > 100_000


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("others", [0, 2])
def test_an_interrupt_while_standard_input_is_waited_for(tmp_path, start, large, jobs, others):
    """No thread may be left with a lock that the process needs to end."""
    files = [tmp_path / "small.pcap"] * others
    for each in files:
        each.write_bytes(pcap([]) + CHUNK)
    out = tmp_path / "out.pcap"
    process = start(
        *("-j", jobs, "-r", "-", *(word for each in files for word in ("-r", each)), "-w", out),
        stdin=subprocess.PIPE,
    )
    process.stdin.write(pcap([]) + CHUNK)
    deadline = time.monotonic() + 30
    while size_of(out) <= 24 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    status = process.wait(timeout=30)
    told = process.stderr.read()
    assert status == 130, told
    assert b"Fatal" not in told
    assert check_whole(out.read_bytes()) > 0


@pytest.mark.parametrize("out", ["/dev/full", "pipe"])
@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_an_output_that_fails(start, large, out, jobs):
    """The process ends at once, with threads that are in the middle of it."""
    if out == "pipe":
        process = start("-j", jobs, "-r", large, "-w", "-", stdout=subprocess.PIPE)
        taken = process.stdout.read(1 << 20)
        process.stdout.close()
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == b""
        assert taken == (pcap([]) + CHUNK)[: len(taken)]
        return
    process = start("-j", jobs, "-r", large, "-w", out)
    assert process.wait(timeout=30) == 1
    assert b"No space left on device" in process.stderr.read()


def test_processes_that_end_while_threads_scan(tmp_path, start):
    """An expression that is wrong for the first capture, while others are under way."""
    bad = tmp_path / "bad.pcapng"
    bad.write_bytes(random_pcapng(random.Random(1), 20, sections=1))
    small = tmp_path / "small.pcap"
    small.write_bytes(pcap([]) + CHUNK * 5)
    for _ in range(5):
        process = start(
            "-j", 3, "-r", bad, *(["-r", small] * 6), "--count", "ether[0] = 1 and wlan"
        )
        assert process.wait(timeout=30) == 2, process.stderr.read()


@pytest.mark.parametrize("out", ["/dev/null", "out.pcap"])
def test_memory(tmp_path, large, out):
    """What threads have found waits in memory to be written, but not much of it."""
    # Not from getrusage(), which counts the memory of the process that this was forked from, too.
    code = (
        "import re, sys\nfrom pfcompile.cli import main\ntry: main()\nexcept SystemExit as end:\n"
        "  print(end.code, re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "filter", "-j", "2", "-r", large, "-w", tmp_path / out],
        capture_output=True,
        text=True,
        check=True,
    )
    status, kilobytes = map(int, done.stdout.split())
    assert status == 0
    # Of 300 MB; 75 MB are LLVM's library.
    assert kilobytes < 160 << 10
