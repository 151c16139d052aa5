"""Inputs and outputs that behave unlike files: named pipes, appending, pipes that do not wait."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

from tests.captures.capture_building import parse
from tests.captures.capture_building import pcap as build

CAPTURE = Path(__file__).parents[2] / "pcaps" / "ethernet.pcap"
COMMAND = [sys.executable, "-m", "pfcompile", "filter"]


def test_a_named_pipe_is_opened_once(tmp_path):
    """Whoever opens it twice loses what was written to it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(CAPTURE.read_bytes()))
    writer.start()
    command = [*COMMAND, "-j", "2", "-r", str(pipe), "-r", str(CAPTURE), "--count", "tcp"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    writer.join()
    assert (done.returncode, done.stdout) == (0, "10 packets\n")


def test_a_pipe_that_does_not_wait_has_not_ended():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    content = CAPTURE.read_bytes()
    process = subprocess.Popen(
        [*COMMAND, "-r", "-", "--count", "tcp"], stdin=reading, stdout=subprocess.PIPE
    )
    os.close(reading)
    os.write(writing, content[:500])
    threading.Event().wait(1)
    os.write(writing, content[500:])
    os.close(writing)
    assert process.communicate(timeout=60)[0] == b"5 packets\n"


def test_more_threads_than_there_may_be():
    command = [*COMMAND, "-j", "3000", "-r", str(CAPTURE), "--count", "tcp"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "5 packets\n")


def test_appending_keeps_what_was_there(tmp_path):
    """Also where the file may not grow as long as it would have to."""
    source, output = tmp_path / "in.pcap", tmp_path / "out"
    source.write_bytes(build([(n, 0, bytes(1000), 1000) for n in range(600)]))
    before = b"x" * 300_000
    output.write_bytes(before)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))

    with output.open("ab") as stream:
        command = [*COMMAND, "-r", str(source), "-w", "-"]
        done = subprocess.run(
            command,
            check=False,
            stdout=stream,
            stderr=subprocess.PIPE,
            preexec_fn=limit,
            timeout=60,
        )
    assert done.returncode == 1
    assert b"cannot be written" in done.stderr
    content = output.read_bytes()
    assert content.startswith(before)
    items, error = parse(content[len(before) :])
    assert error is None
    assert len(items) > 100
