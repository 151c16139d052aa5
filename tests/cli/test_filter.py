"""`pfcompile filter` as a process."""

from __future__ import annotations

import os
import pty
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli import in_process

PCAPS = Path(__file__).parents[2] / "pcaps"
ETHERNET = PCAPS / "ethernet.pcap"
MIXED = PCAPS / "mixed.pcapng"
CUT = PCAPS / "cut-short.pcap"
COMMAND = [sys.executable, "-m", "pfcompile", "filter"]


def run(*arguments, stdin=b"", cwd=None, **environment):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        cwd=cwd,
        timeout=60,
        env={**os.environ, "TZ": "UTC", **environment},
    )


@pytest.fixture
def start():
    """Start processes that are gone when the test ends, however it ends."""
    started = []

    def begin(*arguments, **options):
        started.append(subprocess.Popen(*arguments, **options))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        with process:  # closes its pipes and waits
            pass


def packets_in(content: bytes) -> list[bytes]:
    """Return the packets of a little-endian pcap file, by hand."""
    place, found = 24, []
    while place < len(content):
        (length,) = struct.unpack_from("<I", content, place + 8)
        found.append(content[place + 16 : place + 16 + length])
        place += 16 + length
    assert place == len(content)
    return found


def test_lines():
    done = run("-r", ETHERNET, "tcp", "port", "443")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == [
        "2023-11-14 22:13:20.123456 TCP 10.0.0.1.51000 > 10.0.0.2.443 length 54, captured 54",
        "2023-11-14 22:13:20.124457 TCP 10.0.0.2.443 > 10.0.0.1.51000 length 54, captured 54",
        "2023-11-14 22:13:20.125458 TCP 10.0.0.1.51000 > 10.0.0.2.443 length 86, captured 86",
    ]
    assert b"22 packets read" in done.stderr
    assert b"3 matched (194 bytes)" in done.stderr


def test_time_follows_the_zone_and_the_precision():
    done = run("-r", PCAPS / "ethernet-nanoseconds.pcap", "-c", "1", TZ="EST5")
    assert done.stdout.startswith(b"2023-11-14 17:13:20.123456789 TCP")


@pytest.mark.parametrize(
    ("expression", "count"),
    [("", 22), ("tcp", 5), ("arp", 2), ("ip6", 5), ("udp port 53", 1), ("not ip", 12)],
)
def test_count(expression, count):
    done = run("-r", ETHERNET, "--count", *expression.split())
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{count} packet{'s' * (count != 1)}\n".encode()


def test_one_word_or_many_and_a_file(tmp_path):
    (tmp_path / "expression").write_text("tcp port\n  443\n")
    expected = run("-r", ETHERNET, "tcp port 443").stdout
    assert expected
    assert run("-r", ETHERNET, "tcp", "port", "443").stdout == expected
    assert run("-r", ETHERNET, "-F", tmp_path / "expression").stdout == expected
    assert run("-r", ETHERNET, "-O", "-n", "-s", "96", "tcp", "port", "443").stdout == expected


@pytest.mark.parametrize("name", ["ethernet", "ethernet-big-endian", "ethernet-nanoseconds"])
def test_kept_records_are_unchanged(tmp_path, name):
    source = PCAPS / f"{name}.pcap"
    out = tmp_path / "out.pcap"
    done = run("-r", source, "-w", out)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == source.read_bytes()
    assert done.stdout == b""


def test_pipes():
    content = ETHERNET.read_bytes()
    done = run("-r", "-", "-w", "-", "udp", stdin=content)
    assert done.returncode == 0, done.stderr
    frames = packets_in(content)
    assert packets_in(done.stdout) == [frames[number] for number in (4, 5, 11, 14)]


def test_every_interface_gets_its_own_filter(tmp_path):
    out = tmp_path / "out.pcapng"
    done = run("-r", MIXED, "-w", out, "icmp or icmp6")
    assert done.returncode == 0, done.stderr
    # Both ICMPs, on Ethernet and on raw IP.
    assert b"4 matched" in done.stderr
    assert run("-r", out, "--count").stdout == b"4 packets\n"
    assert out.read_bytes().count(b"eth0") == out.read_bytes().count(b"tun0") == 1


def test_formats(tmp_path):
    newer = tmp_path / "out.pcapng"
    assert run("-r", ETHERNET, "-w", newer, "tcp").returncode == 0
    assert newer.read_bytes()[:4] == b"\n\r\r\n"
    back = tmp_path / "back"
    assert run("-r", newer, "-w", back, "--write-format", "pcap").returncode == 0
    assert len(packets_in(back.read_bytes())) == 5
    done = run("-r", MIXED, "-w", tmp_path / "out.pcap")
    assert done.returncode == 1
    assert b"one link type" in done.stderr


def test_several_inputs(tmp_path):
    out = tmp_path / "out.pcap"
    done = run("-r", ETHERNET, "-r", PCAPS / "ethernet-big-endian.pcap", "-w", out, "arp")
    assert done.returncode == 0, done.stderr
    assert len(packets_in(out.read_bytes())) == 4
    assert run("-r", ETHERNET, "-r", ETHERNET, "-c", "25", "--count").stdout == b"25 packets\n"


def test_damage(tmp_path):
    out = tmp_path / "out.pcap"
    done = run("-r", CUT, "-w", out)
    assert done.returncode == 1
    whole = packets_in(ETHERNET.read_bytes())[:-1]
    assert packets_in(out.read_bytes()) == whole
    offset = 24 + sum(16 + len(packet) for packet in whole)
    assert f"{CUT}: byte {offset}:".encode() in done.stderr
    assert b"21 packets read" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("content", [b"", b"\xd4\xc3\xb2\xa1", b"not a capture", b"\x1f\x8b\x08\0"])
def test_no_capture_at_all(tmp_path, content):
    out = tmp_path / "out"
    out.write_bytes(b"precious")
    done = run("-r", "-", "-w", out, stdin=content)
    assert done.returncode == 1
    assert b"-: byte 0:" in done.stderr
    assert b"Traceback" not in done.stderr
    assert out.read_bytes() == b"precious"


@pytest.mark.parametrize("expression", ["tcp port", "host ((", "nonsense", "port 99999999"])
def test_a_bad_expression(tmp_path, expression):
    out = tmp_path / "out"
    out.write_bytes(b"precious")
    for source in (ETHERNET, MIXED, PCAPS / "empty.pcap"):
        done = run("-r", source, "-w", out, "-n", expression)
        assert done.returncode == 2, done.stderr
        assert b"Traceback" not in done.stderr
        assert out.read_bytes() == b"precious"


def test_usage(tmp_path):
    same = tmp_path / "in.pcap"
    same.write_bytes(ETHERNET.read_bytes())
    (tmp_path / "link").symlink_to(same)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    for arguments in (
        [],
        ["tcp"],
        ["-r", same, "-w", same],
        ["-r", same, "-w", tmp_path / "link"],
        ["-r", ETHERNET, "-r", same, "-w", same],
        ["-r", "-", "-r", "-"],
        ["-r", same, "-c", "0"],
        ["-r", same, "-c", "x"],
        ["-r", same, "-w", "-", "--count"],
        ["-r", same, "--write-format", "pcap"],
        ["-r", same, "-w", tmp_path / "x", "--write-format", "snoop"],
        ["-r", same, "-F", tmp_path / "missing"],
        ["-r", same, "-F", tmp_path / "binary"],
        ["-r", same, "-F", tmp_path / "binary", "tcp"],
    ):
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert done.stdout == b""
        assert b"Traceback" not in done.stderr
    assert same.read_bytes() == ETHERNET.read_bytes()
    assert not (tmp_path / "x").exists()


def test_unreadable_and_unwritable(tmp_path):
    for arguments in (
        ["-r", tmp_path],
        ["-r", tmp_path / "missing"],
        ["-r", ETHERNET, "-w", tmp_path / "no" / "out"],
        ["-r", ETHERNET, "-w", "/dev/full"],
    ):
        done = run(*arguments)
        assert done.returncode == 1, arguments
        assert str(arguments[-1]).encode() in done.stderr
        assert b"Traceback" not in done.stderr


def test_standard_output_that_is_full():
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "-r", ETHERNET], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


def long_capture(tmp_path, packets=60_000):
    """Write a capture that takes a while."""
    source = tmp_path / "long.pcap"
    content = ETHERNET.read_bytes()
    source.write_bytes(content + content[24:] * (packets // 22))
    return source


@pytest.mark.parametrize("arguments", [[], ["-w", "-"]])
def test_a_reader_that_goes_away(tmp_path, start, arguments):
    process = start(
        [*COMMAND, "-r", long_capture(tmp_path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.read(100)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 0
    assert errors == b""


def test_interrupt_while_working(tmp_path, start):
    source = long_capture(tmp_path, 400_000)
    out = tmp_path / "out.pcap"
    process = start([*COMMAND, "-r", source, "-w", out, "ip"], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while not (out.exists() and out.stat().st_size > 100_000) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert b"packets read" in errors
    assert b"Traceback" not in errors
    assert packets_in(out.read_bytes())


def test_interrupt_while_waiting_for_input(tmp_path, start):
    """What came through a live pipe is there, though the pipe never ended."""
    out = tmp_path / "out.pcap"
    process = start(
        [*COMMAND, "-r", "-", "-w", out, "tcp"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdin.write(ETHERNET.read_bytes()[:-5])
    process.stdin.flush()
    deadline = time.monotonic() + 20
    while not (out.exists() and out.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    # All that is whole has been handed on before the read that waits.
    assert len(packets_in(out.read_bytes())) == 5
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"21 packets read" in errors
    assert len(packets_in(out.read_bytes())) == 5


def run_on_terminal(start, arguments, *, feed=()):
    """Run with standard error on a terminal and return what it shows.

    Args:
        start: The fixture.
        arguments: Of the command.
        feed: What comes through standard input, with a pause of 0.4 s before each part.
    """
    ours, theirs = pty.openpty()
    process = start(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    for part in feed:
        time.sleep(0.4)
        process.stdin.write(part)
        process.stdin.flush()
    process.stdin.close()
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # EIO: nobody has the terminal open any more
            break
        shown += part
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return shown


def test_progress_on_a_terminal_for_long_inputs_only(tmp_path, start):
    bar = "━".encode()
    out = tmp_path / "out.pcap"
    short = run_on_terminal(start, ["-r", ETHERNET, "-w", out])
    assert bar not in short
    assert b"packets read" in short
    content = ETHERNET.read_bytes()
    feed = [content[n : n + 400] for n in range(0, len(content), 400)]
    long = run_on_terminal(start, ["-r", "-", "-w", out, "tcp"], feed=feed)
    assert bar in long
    assert b"kB" in long or b"bytes" in long
    assert len(packets_in(out.read_bytes())) == 5
    # Lines on standard output and a bar would disturb each other.
    assert bar not in run_on_terminal(start, ["-r", "-", "tcp"], feed=feed)


def test_closed_standard_streams():
    for arguments, redirection in (
        (["-r", ETHERNET], ">&-"),
        (["-r", ETHERNET, "-w", "-"], ">&-"),
        (["-r", "-"], "<&-"),
    ):
        done = subprocess.run(
            ["sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, *map(str, arguments)],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        assert b"closed" in done.stderr
        assert b"Traceback" not in done.stderr


def test_nothing_comes_from_or_goes_to_the_current_folder(tmp_path):
    (tmp_path / "click.py").write_text("raise SystemExit('the wrong click')")
    done = subprocess.run(
        [sys.executable, "-P", *COMMAND[1:], "-r", str(ETHERNET), "--count", "tcp"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout == b"5 packets\n", done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["click.py"]


ENGINES = ("interp", "native", "auto")


@pytest.mark.parametrize("expression", ["tcp port 443", "udp or icmp6", ""])
def test_engines_agree(tmp_path, expression):
    """Lines, counts, files of both formats, and what is said at the end but for the time."""
    for arguments in ([], ["--count"], ["-c", "2"], ["-w", "out.pcap"], ["-w", "out.pcapng"]):
        outcomes = []
        for engine in ENGINES:
            done = run_here("-r", ETHERNET, "--engine", engine, *arguments, expression, at=tmp_path)
            written = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
            said = done.stderr.rsplit(b", ", 1)[0]
            outcomes.append((done.returncode, done.stdout, said, written))
        assert outcomes[0] == outcomes[1] == outcomes[2]
        assert b"22 packets read" in outcomes[0][2] or "-c" in arguments


def test_engines_agree_about_damage():
    interpreted, compiled = (run_here("-r", CUT, "--engine", each, "ip") for each in ENGINES[:2])
    assert interpreted.returncode == compiled.returncode == 1
    assert b"cut short" in compiled.stderr
    assert interpreted.stdout == compiled.stdout
    assert interpreted.stderr.rsplit(b", ", 1)[0] == compiled.stderr.rsplit(b", ", 1)[0]


def test_native_code_into_another_layout(tmp_path):
    """Records of a second file that is laid out otherwise are written anew."""
    nanoseconds = PCAPS / "ethernet-nanoseconds-big-endian.pcap"
    files = []
    for engine in ENGINES:
        output = tmp_path / f"{engine}.pcap"
        inputs = ("-r", ETHERNET, "-r", nanoseconds)
        assert run_here(*inputs, "-w", output, "--engine", engine, "tcp").returncode == 0
        files.append(output.read_bytes())
    assert files[0] == files[1] == files[2]


def test_without_llvm_it_says_so_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    done = run_here("-r", ETHERNET, "-r", ETHERNET, "--engine", "native", "--count", "tcp")
    assert done.returncode == 0
    assert done.stderr.count(b"pfcompile: no native code, so the interpreter filters: ") == 1
    assert done.stdout == run_here("-r", ETHERNET, "-r", ETHERNET, "--count", "tcp").stdout


def test_an_unknown_engine():
    done = run_here("-r", ETHERNET, "--engine", "fast", "tcp")
    assert done.returncode == 2
    assert b"'auto', 'native', 'interp'" in done.stderr


def test_a_full_disk_keeps_whole_records_of_a_run(tmp_path):
    """The file is cut behind the last record that fits, though many were written together."""
    source = tmp_path / "in.pcap"
    packet = struct.pack("<4I", 1, 1, 1000, 1000) + bytes(1000)
    source.write_bytes(ETHERNET.read_bytes()[:24] + packet * 300)
    limit = 100_000
    sizes = []
    for engine in ENGINES[:2]:
        output = tmp_path / f"{engine}.pcap"
        code = (
            "import resource, signal, sys; from pfcompile.cli import main;"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
            f"sys.argv = ['pfcompile', 'filter', '-r', {str(source)!r}, '-w', {str(output)!r},"
            f" '--engine', {engine!r}]; main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 1, done.stderr
        assert b"cannot be written: File too large" in done.stderr
        sizes.append(output.stat().st_size)
    assert sizes == [24 + (limit - 24) // 1016 * 1016] * 2


def run_here(*arguments, at=None):
    """Run the command in this process, with a folder's files as its outputs."""
    placed = [
        at / each if at is not None and str(each).startswith("out.") else each for each in arguments
    ]
    return in_process.run("filter", *placed)
