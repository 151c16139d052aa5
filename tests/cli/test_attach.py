"""`pfcompile attach`: what it says, obeys and leaves behind."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import termios

import pytest

import pfcompile
from pfcompile.kernel.attach import attachments
from tests.cli.attaching import PFCOMPILE, attached, run
from tests.cli.capturing import PROJECT, packets_of
from tests.kernel.attaching import (
    cgroup_folder,
    comes,
    drained,
    eventually,
    name_of_run,
    ours,
    receiver,
    skip_without_links,
)
from tests.kernel.namespaces import LEFT, LEFT_IP, flood, pair, raw_sender, udp

pytestmark = [pytest.mark.bpf, pytest.mark.netns]
PORT, OTHER = 5353, 5454
EXPRESSION = f"udp dst port {PORT}"


@pytest.fixture(autouse=True)
def _bpf():
    skip_without_links()


@pytest.fixture
def cable():
    with pair() as made:
        yield made


@pytest.fixture
def sender(cable):
    with cable.right.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


def send(sender, port, count=1, text=b"x"):
    for _ in range(count):
        sender.sendto(text, (LEFT_IP, port))


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (("xdp", LEFT), f"xdp on {LEFT}"),
        (("xdp", LEFT, "--mode", "generic"), f"xdp on {LEFT}, generic"),
        (("xdp", LEFT, "--mode", "native"), f"xdp on {LEFT}, native"),
        (("tc", LEFT), f"tc on {LEFT}, ingress"),
        (("tc", LEFT, "--direction", "ingress", "--first"), f"tc on {LEFT}, ingress"),
    ],
)
def test_drops_and_counts(cable, sender, arguments, place):
    with (
        receiver(cable, PORT, OTHER) as (matching, rest),
        attached(cable, *arguments, "--action", "drop", *EXPRESSION.split()) as process,
    ):
        assert process.first_line == f"{place}: drop '{EXPRESSION}'\n"
        send(sender, PORT, 20)
        send(sender, OTHER, 30, b"rest")
        assert comes(rest, [b"rest"] * 30)
        process.process.send_signal(signal.SIGUSR1)
        assert process.line().startswith("50 packets seen")
        status, out, err = process.end()
        assert (status, out) == (0, b"")
        counted = f"50 packets seen ({20 * 43 + 30 * 46} bytes), 20 dropped ({20 * 43} bytes)\n"
        assert err == counted
        assert drained(matching) == []
        send(sender, PORT)
        assert comes(matching, [b"x"])


@pytest.mark.parametrize(("action", "said"), [("pass", "passed"), ("count", "matched")])
def test_the_other_actions(cable, sender, action, said):
    with (
        receiver(cable, PORT, OTHER) as (matching, rest),
        attached(cable, "xdp", LEFT, "--action", action, EXPRESSION) as process,
    ):
        send(sender, OTHER, 3)
        send(sender, PORT, 2)
        assert comes(matching, [b"x"] * 2)
        assert comes(rest, [] if action == "pass" else [b"x"] * 3)
        status, _, err = process.end(signal.SIGTERM)
        assert status == 0
        assert f"5 packets seen ({5 * 43} bytes), 2 {said} (86 bytes)" in err


@pytest.mark.parametrize("kind", ["xdp", "tc"])
def test_killed_it_leaves_nothing(cable, sender, kind):
    before = ours()
    with receiver(cable, PORT) as (sock,):
        with attached(cable, kind, LEFT, "--action", "drop", EXPRESSION) as process:
            made = [now - old for now, old in zip(ours(), before, strict=True)]
            assert all(made)
            send(sender, PORT)
            process.process.kill()
            process.process.wait()
        assert eventually(lambda: not any(now & new for now, new in zip(ours(), made, strict=True)))
        assert drained(sock) == []
        send(sender, PORT, text=b"y")
        assert comes(sock, [b"y"])


def test_a_socket_of_another_process(cable, sender):
    with receiver(cable, PORT) as (sock,):
        named = f"{os.getpid()}:{sock.fileno()}"
        with attached(cable, "socket", named, "--action", "drop", "udp[8] = 0x78") as process:
            send(sender, PORT)
            send(sender, PORT, text=b"y")
            assert comes(sock, [b"y"])
            assert process.end()[0] == 0
        send(sender, PORT)
        assert comes(sock, [b"x"])


def test_a_cgroup(cable):
    with (
        cgroup_folder() as folder,
        attached(cable, "cgroup", str(folder), "--direction", "egress", "ip") as process,
    ):
        assert process.first_line == f"cgroup {folder}, egress: count 'ip'\n"
        assert process.end()[2].startswith("0 packets seen")


def test_the_file_is_read_again(cable, sender, tmp_path):
    file = tmp_path / "filter"
    file.write_text(f"udp port {OTHER}  # not yet\n")
    with (
        receiver(cable, PORT) as (sock,),
        attached(cable, "xdp", LEFT, "--action", "drop", "-F", str(file)) as process,
    ):
        send(sender, PORT)
        assert comes(sock, [b"x"])
        for emptied in ("", "  # nothing\n"):
            file.write_text(emptied)
            process.process.send_signal(signal.SIGHUP)
            assert "has no expression any more" in process.line()
            assert process.line() == "pfcompile: the filter stays as it was\n"
        file.write_text("udp prt 7")
        process.process.send_signal(signal.SIGHUP)
        lines = [process.line() for _ in range(5)]
        assert "syntax error" in lines[0]
        assert lines[-1] == "pfcompile: the filter stays as it was\n"
        file.write_text(EXPRESSION)
        process.process.send_signal(signal.SIGHUP)
        assert process.line() == "filtering with what the file has now\n"
        send(sender, PORT)
        assert process.end()[2] == "2 packets seen (86 bytes), 1 dropped (43 bytes)\n"
        assert drained(sock) == []


def test_the_interface_goes_away(cable):
    with attached(cable, "tc", LEFT, EXPRESSION) as process:
        cable.down(remove=True)
        status, _, err = process.result()
        assert status == 1
        assert "somebody has detached it, or what it was attached to has gone" in err
        assert err.startswith("0 packets seen")


def test_on_a_terminal_the_counts_are_shown(cable, sender):
    ours_end, its_end = pty.openpty()
    process = cable.left.start(
        [*PFCOMPILE, "attach", "xdp", LEFT, EXPRESSION],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stderr=its_end,
    )
    os.close(its_end)
    try:
        shown = b""
        while b"\n" not in shown:
            shown += os.read(ours_end, 1000)
        send(sender, PORT, 3)
        while b"3 packets seen (129 bytes), 3 matched (129 bytes), " not in shown:
            shown += os.read(ours_end, 1000)
        assert b"packets/s" in shown
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours_end)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("xdp", "nope", "ip"), 1, "no interface 'nope'; there are: lo, left0"),
        (("xdp", "any", "ip"), 1, "stands for all interfaces"),
        (("xdp", LEFT, "udp prt 7"), 2, "syntax error"),
        (("xdp", LEFT, "-y", "LINUX_SLL", "ip"), 1, "compile it with that link type"),
        (("xdp", LEFT, "-y", "NONE", "ip"), 2, "NONE"),
        (("xdp", LEFT, "-F", "/nowhere"), 2, "cannot read the expression"),
        (("tc", LEFT, "--direction", "up", "ip"), 2, "'up' is not one of"),
        (("cgroup", "/nowhere", "ip"), 1, "ENOENT"),
        (("socket", "1:x", "ip"), 2, "1234:5 is descriptor 5 of process 1234"),
        (("socket", "999999999:0", "ip"), 1, "no such process"),
    ],
)
def test_mistakes(cable, arguments, status, said):
    done = run(cable, "attach", *arguments)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


FRAMES = [udp(PORT, b"n" * size) for size in range(0, 400, 40)]


@pytest.mark.parametrize("kind", ["xdp", "tc"])
@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
def test_reports_go_to_a_file(cable, tmp_path, kind, suffix):
    """Scapy, another's reader, finds what was sent; a filter that drops may report, too."""
    out = tmp_path / f"out.{suffix}"
    arguments = (kind, LEFT, "--action", "drop", "-w", str(out), EXPRESSION)
    with attached(cable, *arguments) as process, raw_sender(cable) as raw:
        for frame in FRAMES:
            raw.send(frame)
            raw.send(udp(OTHER, b"x"))
        status, _, err = process.end()
        assert status == 0
        assert "20 packets seen" in err
        assert "10 dropped" in err
        assert "10 reported, 0 lost" in err
    assert packets_of(out) == FRAMES


def test_reports_are_printed(cable):
    arguments = ("xdp", LEFT, "--action", "report", "--bytes", "30", "-c", "3", EXPRESSION)
    with attached(cable, *arguments) as process, raw_sender(cable) as raw:
        for frame in FRAMES:
            raw.send(frame)
        status, out, _ = process.result()
        assert status == 0
        lines = out.decode().splitlines()
        assert len(lines) == 3
        assert all(" UDP " in line or " IP " in line for line in lines)
        assert lines[2].endswith(f"length {len(FRAMES[2])}, captured 30")


def test_nobody_reads_the_reports_any_more(cable):
    with attached(cable, "tc", LEFT, "--action", "report", EXPRESSION) as process:
        process.process.stdout.close()
        with raw_sender(cable) as raw, flood(raw, *FRAMES):
            assert process.process.wait(20) == 0


def test_a_second_signal_ends_it_though_nobody_reads(cable):
    arguments = ("tc", LEFT, "--action", "report", EXPRESSION)
    with attached(cable, *arguments) as process, raw_sender(cable) as raw:
        with flood(raw, *FRAMES):
            # The pipe is full soon, and nobody empties it.
            assert eventually(lambda: is_full(process.process.stdout))
        process.process.send_signal(signal.SIGINT)
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(20) != 0
        assert b" packets seen" in process.process.stderr.read()


def is_full(pipe):
    """Tell whether there is no room for another block of 4096 bytes in a pipe."""
    waiting = struct.unpack("=i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]
    return waiting > fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) - 2 * 4096


def test_vlan_tags_live_and_in_the_file(cable, tmp_path):
    """The filter says of the file what it has said live."""
    out = tmp_path / "out.pcapng"
    text = "vlan 42 and udp port 53"
    frames = [udp(53, b"1", vlan=42), udp(53, b"2", vlan=41), udp(53, b"3"), udp(54, b"4", vlan=42)]
    for kind in ("xdp", "tc"):
        arguments = (kind, LEFT, "--action", "report", "-w", str(out), text)
        with attached(cable, *arguments) as process, raw_sender(cable) as raw:
            for frame in frames * 3:
                raw.send(frame)
            assert "3 matched" in process.end()[2]
        assert packets_of(out) == frames[:1] * 3
        assert len(list(pfcompile.read(str(out), text))) == 3


def test_what_is_wrong_with_reports(cable, tmp_path):
    out = str(tmp_path / "out.pcap")
    mistakes = [
        (("--bytes", "60", "ip"), 2, "give --report as well"),
        (("--report", "-B", "5", "ip"), 2, "not a power of two"),
        (("--bytes", "0", "ip"), 2, "0 is not in the range"),
        (("--format", "pcap", "ip"), 2, "about the file of -w"),
        (("-w", "/nowhere/x", "ip"), 1, "cannot be written"),
        (("--pin", "x", "-w", out, "ip"), 2, "attach watch"),
    ]
    for arguments, status, said in mistakes:
        done = run(cable, "attach", "xdp", LEFT, *arguments)
        assert (done.returncode, done.stdout) == (status, "")
        assert said in done.stderr
        assert "Traceback" not in done.stderr


@pytest.fixture
def name():
    made = name_of_run("cli")
    yield made
    for each in attachments():
        if each.name == made:
            each.end()


def test_pinned_listed_watched_replaced_and_detached(cable, sender, name):
    with receiver(cable, PORT, OTHER) as (matching, rest):
        done = run(
            cable, "attach", "xdp", LEFT, "--pin", name, "--action", "drop", "--report", "udp"
        )
        assert done.returncode == 0
        assert done.stderr == f"xdp on {LEFT}: drop 'udp', pinned as {name}\n"
        send(sender, PORT, 4)
        listed = run(cable, "attach", "list").stdout
        (line,) = [each for each in listed.splitlines() if each.startswith(name)]
        assert line.split() == [name, "xdp", "on", LEFT, "drop", "4", "4", "pin", "udp"]
        done = run(cable, "attach", "replace", name, EXPRESSION)
        assert done.stderr == f"xdp on {LEFT}: drop '{EXPRESSION}'\n"
        send(sender, OTHER)
        send(sender, PORT)
        assert comes(rest, [b"x"])
        done = run(cable, "attach", "watch", name, "-c", "5")
        assert done.returncode == 0
        assert len(done.stdout.splitlines()) == 5
        assert (
            "6 packets seen (258 bytes), 5 dropped (215 bytes), 5 reported, 0 lost" in done.stderr
        )
        done = run(cable, "attach", "replace", name, "udp prt 5")
        assert done.returncode == 2
        done = run(cable, "attach", "xdp", LEFT, "ip")
        assert done.returncode == 1
        assert "EBUSY" in done.stderr
        done = run(cable, "attach", "detach", name, "nobody")
        assert done.returncode == 1
        assert f"xdp on {LEFT}: detached, 6 packets seen" in done.stderr
        assert "no attached filter is called 'nobody'" in done.stderr
        assert drained(matching) == []
        send(sender, PORT)
        assert comes(matching, [b"x"])


def test_detached_from_outside_it_ends(cable):
    with attached(cable, "tc", LEFT, "ip") as process:
        (found,) = [
            each for each in attachments() if each.description.process == process.process.pid
        ]
        listed = run(cable, "attach", "list").stdout
        assert f"process {process.process.pid}" in listed
        assert run(cable, "attach", "detach", str(found.id)).returncode == 0
        status, _, err = process.result()
        assert status == 1
        assert "somebody has detached it" in err


def test_one_alone_reads_reports(cable):
    with attached(cable, "tc", LEFT, "--action", "report", "ip") as process:
        (found,) = [
            each for each in attachments() if each.description.process == process.process.pid
        ]
        done = run(cable, "attach", "watch", str(found.id), "-c", "1")
        assert done.returncode == 1
        assert f"process {process.process.pid} reads its reports, one alone can" in done.stderr
        pin = name_of_run("one")
        with found.open() as session:
            session.pin(pin)
        process.process.kill()
        process.process.wait()
    try:
        with raw_sender(cable) as raw:
            raw.send(udp(PORT, b"x"))
        # Nobody reads any more, however that ended.
        done = run(cable, "attach", "watch", pin, "-c", "1")
        assert done.returncode == 0
        assert len(done.stdout.splitlines()) == 1
        assert run(cable, "attach", "watch", pin, "-w", "/nowhere/x").returncode == 1
    finally:
        assert run(cable, "attach", "detach", pin).returncode == 0


def test_sets_change_while_it_runs(cable, sender, tmp_path):
    file = tmp_path / "blocked"
    file.write_text("10.9.0.2  # the other end\n2001:db8::/32\n")
    arguments = ("xdp", LEFT, "--action", "drop", "--map", f"src:blocked={file}", "udp")
    with receiver(cable, PORT) as (sock,), attached(cable, *arguments) as process:
        assert process.first_line == f"xdp on {LEFT}: drop 'udp' [in src:blocked]\n"
        (found,) = [
            each for each in attachments() if each.description.process == process.process.pid
        ]
        of = ("blocked", "--of", str(found.id))
        send(sender, PORT)
        assert run(cable, "map", "del", *of, "10.9.0.2").returncode == 0
        send(sender, PORT, text=b"y")
        assert comes(sock, [b"y"])
        assert run(cable, "map", "list", *of).stdout == "2001:db8::/32\n"
        assert (
            f"blocked: in src:blocked of {found.id}, xdp on {LEFT}"
            in run(cable, "map", "list").stdout
        )
        assert run(cable, "map", "add", *of, "10.9.0.0/24", "10.0.0.1").returncode == 0
        send(sender, PORT)
        done = run(cable, "map", "del", *of, "10.9.0.2")
        assert (done.returncode, done.stderr) == (1, "Error: 1 of 1 were not in 'blocked'\n")
        done = run(cable, "map", "add", *of, "-f", str(file))
        assert done.returncode == 0
        assert run(cable, "map", "list", *of).stdout == (
            "10.0.0.1\n10.9.0.2\n10.9.0.0/24\n2001:db8::/32\n"
        )
        assert run(cable, "map", "add", *of, "10.9.0.256").returncode == 2
        assert run(cable, "map", "add", *of).returncode == 2
        done = run(cable, "map", "list", "nothing", "--of", str(found.id))
        assert "no attached filter has a set 'nothing'; there are: blocked" in done.stderr
        assert run(cable, "map", "list", "blocked", "--of", "nobody").returncode == 1
        status, _, err = process.end()
        assert status == 0
        assert "3 packets seen" in err
        assert "2 dropped" in err
        assert drained(sock) == []


def test_a_set_of_nothing_matches_nothing(cable, sender, tmp_path):
    file = tmp_path / "blocked"
    file.write_text("")
    arguments = ("xdp", LEFT, "--action", "drop", "--map", f"blocked={file}")
    with receiver(cable, PORT) as (sock,), attached(cable, *arguments) as process:
        assert process.first_line == f"xdp on {LEFT}: drop [in blocked]\n"
        send(sender, PORT)
        assert comes(sock, [b"x"])
        assert "1 packets seen (43 bytes), 0 dropped (0 bytes)" in process.end()[2]


def test_exceptions_and_counts_by_source(cable, sender, tmp_path):
    file = tmp_path / "friends"
    file.write_text("10.9.0.2\n")
    arguments = ("xdp", LEFT, "--action", "drop", "--except", f"friends={file}", "--by-source", "9")
    with receiver(cable, PORT) as (sock,), attached(cable, *arguments) as process:
        send(sender, PORT)
        assert comes(sock, [b"x"])
        with raw_sender(cable) as raw:
            raw.send(udp(PORT, b"z").replace(b"\x0a\x09\x00\x02", b"\x0a\x09\x00\x63"))
        err = process.end()[2]
        assert "2 packets seen" in err
        assert err.endswith("           1 packets              43 bytes  10.9.0.99\n")
        assert drained(sock) == []


@pytest.mark.parametrize(
    "text", ["x", "x=", "=f", "up:x=f", ":x=f", "1x=f", "a b=f", "x" * 33 + "=f"]
)
def test_what_is_no_set(cable, text):
    done = run(cable, "attach", "xdp", LEFT, "--map", text, "ip")
    assert done.returncode == 2
    assert "is no set: blocked=blocked.txt is one" in done.stderr
