"""Programs attached by links, on a cable between two network namespaces, and to cgroups."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pfcompile.errors import KernelError
from pfcompile.kernel.bpf import bpffs, create_map, load
from pfcompile.kernel.bpf.kinds import MapKind
from pfcompile.kernel.bpf.links import (
    XDP_HAS_FRAGS,
    AttachType,
    Link,
    LinkInfo,
    LinkType,
    XdpMode,
    all_links,
    attach_cgroup,
    attach_tcx,
    attach_xdp,
)
from tests.kernel import ebpf_programs
from tests.kernel.attaching import cgroup_folder, eventually
from tests.kernel.ebpf_programs import (
    CGROUP_SKB,
    SCHED_CLS,
    XDP_DROP,
    XDP_PASS,
    constant,
    counting,
    open_files,
    total,
)
from tests.kernel.namespaces import LEFT, LEFT_IP, RIGHT, flood, pair, raw_sender, udp

pytestmark = [pytest.mark.bpf, pytest.mark.netns]
PORT = 4444
TCX_NEXT = -1


@pytest.fixture(autouse=True)
def _bpf():
    ebpf_programs.skip_without_bpf()
    before = open_files()
    yield
    assert open_files() == before


@pytest.fixture
def cable():
    with pair() as made:
        yield made


@pytest.fixture
def index(cable):
    return cable.left.call(socket.if_nametoindex, LEFT)


@pytest.fixture
def counts():
    with create_map(MapKind.PERCPU_ARRAY, 4, 8, 1, name="counts") as made:
        yield made


def send(cable, count):
    with raw_sender(cable) as sender:
        for _ in range(count):
            sender.send(udp(PORT, b"x" * 20))


def ids():
    return {each.id for each in all_links()}


@pytest.mark.parametrize("mode", [XdpMode.GENERIC, XdpMode.NATIVE])
def test_xdp_counts_what_comes_in_until_it_is_closed(cable, index, counts, mode):
    with load(counting(XDP_PASS), [counts]) as program:
        with cable.left.call(attach_xdp, program, index, mode) as link:
            number = program.info().id
            told = link.info()
            assert told == LinkInfo(
                LinkType.XDP, told.id, number, interface=index, attach_type=AttachType.XDP
            )
            assert told.id in ids()
            send(cable, 50)
            assert eventually(lambda: total(counts) == 50)
            with pytest.raises(KernelError, match=r"another program is attached there.*EBUSY"):
                cable.left.call(attach_xdp, program, index, mode)
            other = {XdpMode.GENERIC: XdpMode.NATIVE, XdpMode.NATIVE: XdpMode.GENERIC}[mode]
            with pytest.raises(KernelError, match=r"in the other mode.*EEXIST"):
                cable.left.call(attach_xdp, program, index, other)
        assert told.id not in ids()
        send(cable, 50)
        # Attached again: what was sent in between was not counted.
        with cable.left.call(attach_xdp, program, index, mode):
            send(cable, 1)
            assert eventually(lambda: total(counts) == 51)


@pytest.mark.parametrize("direction", [AttachType.TCX_INGRESS, AttachType.TCX_EGRESS])
def test_tcx_programs_run_one_after_the_other(cable, index, counts, direction):
    def exchange():
        """Send one datagram in, and one out."""
        send(cable, 1)
        cable.left.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM).close()
        with cable.left.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
            cable.left.call(out.bind, (LEFT, 0))
            out.send(udp(PORT, b"out"))

    with (
        load(counting(TCX_NEXT, SCHED_CLS), [counts]) as counter,
        load(constant(0, SCHED_CLS)) as last,
        cable.left.call(attach_tcx, counter, index, direction) as link,
    ):
        assert link.info().attach_type == direction
        assert link.info().interface == index
        exchange()
        assert eventually(lambda: total(counts) == 1)
        with cable.left.call(attach_tcx, last, index, direction, first=True):
            exchange()
            time.sleep(0.1)
            assert total(counts) == 1
        with cable.left.call(attach_tcx, last, index, direction):
            exchange()
            assert eventually(lambda: total(counts) == 2)


def test_updating_loses_no_packet(cable, index, counts):
    """Every packet meets the old program or the new one, and all arrive."""
    receiver = cable.left.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
    sender = cable.right.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
    count = 3000
    with (
        receiver,
        sender,
        load(counting(XDP_PASS, name="one"), [counts]) as one,
        load(counting(XDP_PASS, name="two"), [counts]) as two,
        cable.left.call(attach_xdp, one, index, XdpMode.GENERIC) as link,
    ):
        receiver.bind((LEFT_IP, PORT))
        receiver.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
        receiver.settimeout(2)
        updates = 0
        for number in range(count):
            sender.sendto(number.to_bytes(4, "big"), (LEFT_IP, PORT))
            if number % 10 == 0:
                link.update(two if updates % 2 == 0 else one)
                updates += 1
        arrived = [int.from_bytes(receiver.recv(16), "big") for _ in range(count)]
        assert arrived == list(range(count))
        assert total(counts) == count
        current, other = (two, one) if updates % 2 else (one, two)
        with pytest.raises(KernelError, match=r"not the one that was expected.*EPERM"):
            link.update(current, expected=other)
        link.update(other, expected=current)
        assert link.info().program_id == other.info().id
        with (
            load(constant(0, SCHED_CLS)) as wrong,
            pytest.raises(KernelError, match=r"not of the type.*EINVAL"),
        ):
            link.update(wrong)


def test_updating_under_a_flood_never_lets_one_pass(cable, index):
    """Both programs drop: with any gap between them a packet would arrive."""
    receiver = cable.left.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
    with (
        receiver,
        load(constant(XDP_DROP)) as one,
        load(constant(XDP_DROP)) as two,
        cable.left.call(attach_xdp, one, index, XdpMode.GENERIC) as link,
        raw_sender(cable) as sender,
    ):
        receiver.bind((LEFT_IP, PORT))
        receiver.setblocking(False)
        with flood(sender, udp(PORT, b"x")):
            for number in range(300):
                link.update(one if number % 2 else two)
            with pytest.raises(BlockingIOError):
                receiver.recv(16)


def test_detaching_and_the_end_of_an_interface(cable, index):
    with load(constant(XDP_PASS)) as program:
        with cable.left.call(attach_xdp, program, index) as link:
            link.detach()
            assert link.info().interface == 0
            with pytest.raises(KernelError, match=r"is gone.*ENOLINK"):
                link.update(program)
            with cable.left.call(attach_xdp, program, index) as other:
                assert eventually(lambda: other.info().interface == index)
                cable.down(remove=True)
                assert eventually(lambda: other.info().interface == 0)
        with pytest.raises(KernelError, match=r"no such interface|does not take"):
            cable.left.call(attach_xdp, program, index)


def test_large_packets_in_native_mode(cable, index):
    def grow():
        from pyroute2 import IPRoute  # noqa: PLC0415 - an extra

        with IPRoute() as route:
            (peer,) = route.link_lookup(ifname=RIGHT)
            route.link("set", index=peer, mtu=9000)

    cable.right.call(grow)
    with (
        load(constant(XDP_PASS)) as plain,
        pytest.raises(KernelError, match="lower the MTU, or load a program that takes packets"),
    ):
        cable.left.call(attach_xdp, plain, index, XdpMode.NATIVE)
    with load(constant(XDP_PASS), flags=XDP_HAS_FRAGS) as program:
        cable.left.call(attach_xdp, program, index, XdpMode.NATIVE).close()


@pytest.fixture
def cgroup():
    """A cgroup of the test, in a file system of type cgroup2."""
    with cgroup_folder() as folder:
        yield folder


SEND = (
    "import os, socket, sys\n"
    "open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "r = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "r.bind(('127.0.0.1', 0))\n"
    "r.settimeout(0.2)\n"
    "try:\n"
    "    for _ in range(7):\n"
    "        s.sendto(b'x', r.getsockname())\n"
    "        r.recv(9)\n"
    "    print('all')\n"
    "except OSError as error:\n"
    "    print(type(error).__name__)\n"
)


@pytest.mark.parametrize("direction", [0, 1])
def test_a_cgroup_and_its_processes(cgroup, counts, direction):
    direction = AttachType(direction)

    def run():
        done = subprocess.run(
            [sys.executable, "-c", SEND, cgroup], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    with (
        load(counting(1, CGROUP_SKB), [counts], attach_type=direction) as program,
        attach_cgroup(program, cgroup, direction) as link,
    ):
        told = link.info()
        assert told.type == LinkType.CGROUP
        assert told.attach_type == direction
        assert told.cgroup == cgroup.stat().st_ino
        assert run() == "all"
        assert total(counts) == 7
        with load(constant(0, CGROUP_SKB), attach_type=direction) as drop:
            link.update(drop)
            assert run() in {"PermissionError", "TimeoutError"}
    assert run() == "all"
    assert total(counts) == 7
    with load(constant(1, CGROUP_SKB)) as program:
        with pytest.raises(KernelError, match="no folder of a cgroup2"):
            attach_cgroup(program, "/proc", direction)
        with pytest.raises(KernelError, match="ENOENT"):
            attach_cgroup(program, "/nowhere", direction)


HOLD = (
    "import sys, time\n"
    "from pfcompile.kernel.bpf import load\n"
    "from pfcompile.kernel.bpf.links import Link, XdpMode, attach_xdp\n"
    "from tests.kernel.ebpf_programs import XDP_DROP, constant\n"
    "link = attach_xdp(load(constant(XDP_DROP)), int(sys.argv[1]), XdpMode.GENERIC)\n"
    "if len(sys.argv) > 2:\n"
    "    link.pin(sys.argv[2])\n"
    "print(link.info().id, flush=True)\n"
    "time.sleep(60)\n"
)


@contextlib.contextmanager
def holder(cable, index, *pin):
    """A process that holds a link; gives the process and the link's number."""
    process = cable.left.start(
        [sys.executable, "-c", HOLD, str(index), *map(str, pin)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_link_goes_with_its_process(cable, index, number):
    with holder(cable, index) as (process, link):
        assert link in ids()
        process.send_signal(number)
        process.wait()
        assert eventually(lambda: link not in ids())
    with load(constant(XDP_PASS)) as program:
        cable.left.call(attach_xdp, program, index).close()


def test_a_pin_keeps_a_link_after_its_process(cable, index, tmp_path):
    try:
        bpffs.mount(tmp_path)
    except KernelError as error:
        pytest.skip(str(error))
    try:
        pin = tmp_path / "kept"
        with holder(cable, index, pin) as (process, number):
            process.kill()
            process.wait()
        assert number in ids()
        with Link.open(pin) as link, load(constant(XDP_PASS)) as program:
            assert link.info().id == number
            link.update(program)
            with Link.by_id(number) as same:
                assert same.info() == link.info()
        pin.unlink()
        assert eventually(lambda: number not in ids())
    finally:
        bpffs.unmount(tmp_path)


def test_nothing_stays_after_an_exception(cable, index, counts):
    files, made = open_files(), []

    def fail():
        with (
            load(counting(XDP_PASS), [counts]) as program,
            cable.left.call(attach_xdp, program, index) as link,
        ):
            made.append(link.info().id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert made[0] not in ids()
    assert open_files() == files
