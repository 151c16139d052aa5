"""`pfcompile filter --dask`, as it is typed."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.cli import in_process
from tests.many_machines.agreement import ETHERNET, PCAPS, one_process
from tests.many_machines.clusters import PATIENCE

COMMAND = [sys.executable, "-m", "pfcompile", "filter", "--dask", "local"]

pytestmark = pytest.mark.filterwarnings("error")


def command(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        **options,
    )


def test_the_command_counts():
    done = command("-r", PCAPS, "--count", "tcp port 443")
    assert done.returncode == 1
    assert done.stdout == b"63 packets\n"
    first, second = done.stderr.decode().splitlines()
    assert first.endswith("cut-short.pcap: byte 1806: the last record is cut short: 75 of 76 bytes")
    assert second.startswith("359 packets read (23572 bytes), 63 matched (3736 bytes), ")


def test_the_command_writes(out):
    wanted = one_process([ETHERNET, PCAPS / "mixed.pcapng"], out / "wanted.pcapng", "tcp")
    done = command("-r", ETHERNET, "-r", PCAPS / "mixed.pcapng", "-w", out / "x.pcapng", "tcp")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().rpartition(",")[0] == wanted.rpartition(",")[0]
    assert (out / "x.pcapng").read_bytes() == (out / "wanted.pcapng").read_bytes()


def test_the_command_says_what_is_wrong(out):
    file = out / "filter"
    file.write_text("tcp prot 80 # no\n")
    said = in_process.refused("filter", "--dask", "local", "-r", ETHERNET, "--count", "-F", file)
    assert "pfcompile: 1:5: can't parse filter expression" in said
    names = ("-n", "host nowhere.invalid")
    said = in_process.refused("filter", "--dask", "local", "-r", ETHERNET, "--count", *names)
    assert "nowhere.invalid" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "--dask needs -w or --count"),
        ("-w -", "--dask writes to a file or a folder"),
        ("--count -r -", "--dask does not read standard input"),
        ("--count -c 3", "--dask does not go with -c"),
        ("--count -j 1", "--dask does not go with -j"),
        ("--stats", "--dask does not go with --stats"),
        ("--count -s 100", "--dask does not go with -s"),
        ("--count --write-format pcap", "--write-format needs -w"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    said = in_process.refused("filter", "--dask", "local", "-r", ETHERNET, *options.split())
    assert message in said


def test_the_command_shows_a_person_how_far_it_is(large, out):
    leader, follower = pty.openpty()
    started = subprocess.Popen(
        [*COMMAND, "-r", large[0].parent, "-w", out / "x.pcap", "--engine", "interp"],
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while data := os.read(leader, 65536):
            shown += data
    os.close(leader)
    assert started.wait(PATIENCE) == 0
    assert re.search(rb"[1-7]/8 tasks", shown)
    assert b"320000 packets read" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_nothing(large, out, number):
    older = out / "x.pcap"
    older.write_bytes(b"older")
    started = subprocess.Popen(
        [*COMMAND, "-r", large[0].parent, "-w", older, "--engine", "interp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + PATIENCE
        while not list(out.glob(".pfcompile-*/*")):
            assert time.monotonic() < end, "no piece is written"
            time.sleep(0.005)
        os.killpg(started.pid, number)  # as a terminal does: to the workers, too
        said = started.communicate(timeout=PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    assert (started.returncode, *said) == (128 + number, b"", b"")
    assert [each.name for each in out.iterdir()] == ["x.pcap"]
    assert older.read_bytes() == b"older"


def test_dask_is_loaded_when_it_is_needed():
    code = (
        "import sys, pfcompile.distributed\n"
        "assert not {'dask', 'distributed', 'rich'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)
