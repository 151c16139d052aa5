"""`pfcompile attach`: what it says, obeys and leaves behind."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess

import pytest

from tests.cli.attaching import PFCOMPILE, attached, run
from tests.cli.capturing import PROJECT
from tests.kernel import ebpf_programs
from tests.kernel.attaching import cgroup_folder, comes, drained, eventually, ours, receiver
from tests.kernel.namespaces import LEFT, LEFT_IP, pair

pytestmark = [pytest.mark.bpf, pytest.mark.netns]
PORT, OTHER = 5353, 5454
EXPRESSION = f"udp dst port {PORT}"


@pytest.fixture(autouse=True)
def _bpf():
    ebpf_programs.skip_without_bpf()


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
    process = cable.left.call(
        subprocess.Popen,
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
