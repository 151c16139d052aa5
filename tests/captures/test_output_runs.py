"""Outputs that take whole runs of records: whatever fails, what is left is whole records."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import pytest

from pfcompile.captures import output as output_module
from pfcompile.captures.blocks.scans import Structure
from pfcompile.captures.formats.pcapng import SectionState
from pfcompile.captures.formats.records import Interface
from pfcompile.captures.output import _NOT_COPIED, Output
from pfcompile.errors import CaptureError
from tests.captures.capture_building import enhanced, obsolete, parse, simple
from tests.captures.random_captures import random_pcap
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/captures/test_output_runs.py")
LENGTHS = (0, 3, 14, 60, 90, 1500, 9000)


@dataclass
class Made:
    """Records, and what finds their ends.

    Attributes:
        structure: What they need to be read.
        records: They.
    """

    structure: Structure
    records: list[bytes]

    @property
    def content(self) -> bytes:
        return b"".join(self.records)

    @property
    def ends(self) -> list[int]:
        found = [0]
        for each in self.records:
            found.append(found[-1] + len(each))
        return found

    def write(self, output: Output, rng: random.Random) -> None:
        """Write all of them: alone, few and many together."""
        position = 0
        while position < len(self.records):
            count = rng.choice((1, 1, 2, 10, 100))
            taken = self.records[position : position + count]
            position += count
            if count == 1:
                output.write(taken[0])
            else:
                run = memoryview(bytearray(b"".join(taken)))
                output.write_run(run, self.structure.record_ends)
            if rng.random() < 0.1:
                output.flush()
        output.flush()

    def write_often(self, output: Output, count: int) -> None:
        """Write all of them together, so many times."""
        for _ in range(count):
            output.write_run(memoryview(self.content), self.structure.record_ends)
        output.flush()


def pcap_records(rng: random.Random, count: int) -> Made:
    content = random_pcap(rng, count, lengths=LENGTHS)
    (header, *items) = parse(content)[0]
    return Made(Structure(header=header), [bytes(each.raw) for each in items])


def pcapng_records(rng: random.Random, count: int) -> Made:
    order = rng.choice("<>")
    state = SectionState(order, [Interface(0, 1, 40)], 1)
    made = []
    for _ in range(count):
        data = rng.randbytes(rng.choice(LENGTHS))
        kind = rng.choice((enhanced, obsolete, simple))
        made.append(simple(order, data) if kind is simple else kind(order, 0, 5, data))
    return Made(Structure(section=state), made)


KINDS = {"pcap": pcap_records, "pcapng": pcapng_records}


@contextmanager
def largest_file(size: int):
    """Let no file grow beyond a size: writes come back short, and then fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk(tmp_path, kind):
    """It is filled up to the last record that has room, and nothing comes behind."""
    large = 0
    for number in range(150):
        rng = random.Random(f"output-{SEED}-{kind}-{number}")
        made = KINDS[kind](rng, rng.choice((5, 60, 600)))
        total = len(made.content)
        limit = rng.choice((rng.randrange(total), rng.choice(made.ends[:-1])))
        path = tmp_path / f"{number}"
        output = Output(path)
        with largest_file(limit), pytest.raises(CaptureError, match="File too large"):
            made.write(output, rng)
        output.write(b"behind")
        output.write_run(memoryview(made.content), made.structure.record_ends)
        output.close()
        expected = max(end for end in made.ends if end <= limit)
        assert path.read_bytes() == made.content[:expected], f"{number} {limit}\n{RERUN}"
        large += limit > _NOT_COPIED
        path.unlink()
    assert large > 50


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_disk(small_disk, kind):
    for number in range(20):
        rng = random.Random(f"small-{SEED}-{kind}-{number}")
        made = KINDS[kind](rng, 600)
        path = small_disk / "out"
        output = Output(path)
        with pytest.raises(CaptureError, match="No space left"):
            made.write(output, rng)
        output.close()
        written = path.read_bytes()
        assert made.content.startswith(written)
        assert len(written) in made.ends
        assert 65536 - 9100 < len(written) <= 65536
        path.unlink()


def test_an_appended_file(tmp_path):
    """Standard output may stand behind what was there before: that stays."""
    made = pcap_records(random.Random(1), 200)
    path = tmp_path / "out"
    path.write_bytes(b"before")
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from pfcompile.captures.output import Output
        ends = [int(each) for each in sys.argv[2].split()]
        content = memoryview(Path(sys.argv[1]).read_bytes())
        Output("-").write_run(content, lambda _: ends)
        """
    )
    source = tmp_path / "content"
    source.write_bytes(made.content)
    limit = made.ends[150] + 6 + 10
    with path.open("ab") as stream:
        done = subprocess.run(
            [sys.executable, "-c", script, source, " ".join(map(str, made.ends[1:]))],
            stdout=stream,
            stderr=subprocess.PIPE,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
    assert b"File too large" in done.stderr
    assert path.read_bytes() == b"before" + made.content[: made.ends[150]]


@pytest.mark.parametrize("count", [2, 600])
def test_a_full_device(count):
    made = pcap_records(random.Random(1), count)
    output = Output("/dev/full")
    with pytest.raises(CaptureError, match="No space left"):
        made.write_often(output, 1)
    output.close()


def drain(descriptor: int, taken: list[bytes], most: int | None = None, pause: float = 0) -> None:
    while (most is None or sum(map(len, taken)) < most) and (part := os.read(descriptor, 5000)):
        taken.append(part)
        time.sleep(pause)
    os.close(descriptor)


@pytest.fixture
def fifo(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("count", [2, 600])
def test_a_pipe_that_is_closed(fifo, count):
    """That is told as what it is; what was read before is as it was written."""
    made = pcap_records(random.Random(1), count)
    taken: list[bytes] = []
    reader = threading.Thread(
        target=lambda: drain(os.open(fifo, os.O_RDONLY), taken, len(made.content) // 2)
    )
    reader.start()
    output = Output(fifo)
    with pytest.raises(BrokenPipeError):
        made.write_often(output, 10_000)
    reader.join()
    output.close()
    found = b"".join(taken)
    assert len(found) >= len(made.content) // 2
    assert (made.content * (len(found) // len(made.content) + 1)).startswith(found)


def interrupt(taken: list[bytes], after: float) -> None:
    """Interrupt this process some time after something has been taken."""
    while not taken:
        time.sleep(0.001)
    time.sleep(after)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("kind", KINDS)
def test_interrupts_of_a_pipe(fifo, kind):
    """While a reader is slow: what has begun is finished, and nothing of it is lost or doubled."""
    made = KINDS[kind](random.Random(f"pipe-{SEED}"), 400)
    for number in range(6):
        taken: list[bytes] = []
        reader = threading.Thread(
            target=lambda taken=taken: drain(os.open(fifo, os.O_RDONLY), taken, pause=0.0005)
        )
        reader.start()
        output = Output(fifo)
        killer = threading.Thread(target=interrupt, args=(taken, 0.01 * number))
        killer.start()
        with pytest.raises(KeyboardInterrupt):
            made.write_often(output, 10_000)
        output.close()
        reader.join()
        killer.join()
        found = b"".join(taken)
        whole, rest = divmod(len(found), len(made.content))
        assert (rest, found) == (0, made.content * whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0, 1, 2, 5])
def test_interrupts_of_a_file(tmp_path, monkeypatch, kind, place):
    """At the moment at which the length that went out is not yet known; writes come back short."""
    made = KINDS[kind](random.Random(f"file-{SEED}"), 400)
    real, calls = os.write, []

    def write_a_part(descriptor, data):
        calls.append(len(data))
        if len(calls) == place + 1:
            os.kill(os.getpid(), signal.SIGINT)
        return real(descriptor, data[: len(data) // 3 + 1])

    output = Output(tmp_path / "out")
    monkeypatch.setattr(output_module.os, "write", write_a_part)
    with pytest.raises(KeyboardInterrupt):
        made.write_often(output, 3)
    output.close()
    assert (tmp_path / "out").read_bytes() == made.content
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("kind", KINDS)
def test_ends_of_records(kind):
    """Those that cutting goes by are those of the records."""
    rng = random.Random(f"ends-{SEED}")
    made = KINDS[kind](rng, 100)
    assert made.structure.record_ends(made.content) == made.ends[1:]
    for _ in range(20):
        first, last = sorted(rng.sample(range(101), 2))
        ends = made.structure.record_ends(b"".join(made.records[first:last]))
        expected = [b - a for a, b in pairwise(made.ends[first : last + 1])]
        assert [b - a for a, b in pairwise([0, *ends])] == expected
