"""Object files in the kernel: loaded by bpftool, `ip` and `tc`, as people do, and at work."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pfcompile.captures.reader import read_records
from pfcompile.compiler import compile as compile_text
from pfcompile.ebpf.elf import read, write
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import Xdp
from pfcompile.ebpf.translate import translate
from tests.ebpf.llvm_objects import everything
from tests.ebpf.test_elf import CONTENTS, SPECS, WITH_ALL
from tests.generator.seed import SEED, rerun
from tests.kernel import namespaces
from tests.kernel.namespaces import LEFT, pair

CAPTURE = Path(__file__).parents[2] / "pcaps" / "ethernet.pcap"
CLONE_FS, CLONE_NEWNS = 0x200, 0x20000
WANTED, OTHER = 4444, 5555
FILTER = f"udp dst port {WANTED}"


def tool(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def done(*command, **options):
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=30, **options
    )
    if result.returncode and "Operation not permitted" in result.stderr + result.stdout:
        pytest.skip(f"{command[0]}: {result.stderr or result.stdout}")
    assert result.returncode == 0, f"{result.args}: {result.stdout}{result.stderr}"
    return result.stdout


def done_alone(*command):
    """Run a command whose mounts nobody else sees: iproute2 mounts a file system for programs."""
    namespaces._call("unshare", CLONE_NEWNS)
    done("mount", "--make-rprivate", "/")
    return done(*command)


class Pins:
    """A mount namespace with a file system for programs, which goes with this process.

    As with `namespaces.Namespace`, nothing but a file descriptor holds it, and it the programs.
    """

    def __init__(self, folder):
        self.folder = folder
        self.count = 0

        def make():
            namespaces._call("unshare", CLONE_NEWNS)
            done("mount", "--make-rprivate", "/")
            done("mount", "-t", "bpf", "none", folder)
            return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

        self.fd = namespaces._in_thread(make)

    def bpftool(self, *arguments):
        """Run bpftool, and return what it prints as JSON, where it prints any."""

        def inside():
            namespaces._call("unshare", CLONE_FS)
            namespaces._call("setns", self.fd, CLONE_NEWNS)
            return done(tool("bpftool"), "-j", *arguments)

        printed = namespaces._in_thread(inside)
        return json.loads(printed) if printed.strip() else None

    def load(self, data, file):
        """Load the programs of an object; return the folder that holds them."""
        self.count += 1
        folder = self.folder / str(self.count)
        file.write_bytes(data)
        self.bpftool("prog", "loadall", file, folder)
        return folder

    def run(self, program, packet, file):
        """Return what the kernel's machine says of a packet."""
        file.write_bytes(packet)
        return self.bpftool("prog", "run", "pinned", program, "data_in", file)["retval"]


@pytest.fixture(scope="module")
def pins(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("bpf(2) needs root")
    tool("bpftool")
    made = Pins(tmp_path_factory.mktemp("pins"))
    yield made
    os.close(made.fd)


@pytest.mark.bpf
@pytest.mark.parametrize("target", ["xdp", "tc", "socket"])
@pytest.mark.parametrize("text", ["udp port 53", "ip6 and tcp", "vlan 7 and len > 100"])
def test_bpftool_loads_filters(pins, tmp_path, target, text):
    program = translate(compile_text(text).instructions, target)
    folder = pins.load(write(replace(program, name="my_filter")), tmp_path / "x.o")
    shown = pins.bpftool("prog", "show", "pinned", folder / "my_filter")
    assert shown["name"] == "my_filter"
    assert shown["type"] == {"xdp": "xdp", "tc": "sched_cls", "socket": "socket_filter"}[target]
    assert shown["gpl_compatible"] is True


@pytest.mark.bpf
def test_bpftool_loads_maps_variables_and_functions(pins, tmp_path):
    folder = pins.load(write(WITH_ALL, SPECS, CONTENTS), tmp_path / "x.o")
    shown = pins.bpftool("prog", "show", "pinned", folder / "all")
    assert len(shown["map_ids"]) == len(SPECS)
    maps = [pins.bpftool("map", "show", "id", number) for number in shown["map_ids"]]
    found = {(each["type"], each["bytes_key"], each["bytes_value"]) for each in maps}
    assert found == {("hash", 4, 8), ("array", 4, 8), ("lpm_trie", 8, 4)}


@pytest.mark.bpf
def test_our_machine_and_the_kernel_agree_on_objects(pins, tmp_path):
    rng = random.Random(SEED)
    # LLVM's object as it is, and after we have linked and written it anew.
    original = read(everything())
    specs = [each.spec() for each in original.maps]
    contents = {
        number: each.contents
        for number, each in enumerate(original.maps)
        if each.contents is not None
    }
    rewritten = {name: write(original.program(name), specs, contents) for name in original.programs}
    folder = pins.load(everything(), tmp_path / "llvm.o")
    anew = {
        name: pins.load(data, tmp_path / f"{name}.o") / name for name, data in rewritten.items()
    }
    for name in original.programs:
        machine = Machine(original.program(name).instructions, original.environment())
        for _ in range(12):
            packet = rng.randbytes(rng.randint(14, 200))
            ours = machine.run(Xdp(packet)) & 0xFFFFFFFF
            assert pins.run(folder / name, packet, tmp_path / "packet") == ours, rerun(__file__)
            assert pins.run(anew[name], packet, tmp_path / "packet") == ours, rerun(__file__)


@pytest.mark.bpf
def test_a_filter_in_an_object_gives_our_verdicts(pins, tmp_path):
    text = "udp or tcp port 443"
    classic = compile_text(text)
    folder = pins.load(write(translate(classic.instructions, "xdp")), tmp_path / "x.o")
    with CAPTURE.open("rb") as stream:
        records = [record.data for record in read_records(stream, "ethernet.pcap")]
    program, file = folder / "pfcompile", tmp_path / "packet"
    verdicts = [pins.run(program, packet, file) for packet in records]
    assert verdicts == [2 if classic.match(packet) else 1 for packet in records]
    assert set(verdicts) == {1, 2}


def arrivals(cable, attach, detach):
    """Return the ports of the datagrams that arrive before, with and after a program."""
    ports = []
    receiver = cable.left.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM, 0)
    other = cable.left.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM, 0)
    sender = cable.right.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM, 0)
    with receiver, other, sender:
        for sock, port in ((receiver, WANTED), (other, OTHER)):
            sock.bind(("0.0.0.0", port))  # noqa: S104
            sock.settimeout(0.5)
        for step in (lambda: None, attach, detach):
            step()
            for port in (OTHER, WANTED):
                sender.sendto(b"x" * 32, (namespaces.LEFT_IP, port))
            # What is sent last is waited for; what came before it is there by then.
            seen = {WANTED} if receiver.recv(64) else set()
            other.setblocking(False)
            try:
                other.recv(64)
                seen.add(OTHER)
            except BlockingIOError:
                pass
            ports.append(seen)
    return ports


@pytest.mark.netns
def test_ip_attaches_an_object_and_it_drops_what_it_should(tmp_path):
    file = tmp_path / "filter.o"
    file.write_bytes(write(translate(compile_text(FILTER).instructions, "xdp")))
    ip = tool("ip")
    with pair() as cable:
        seen = arrivals(
            cable,
            lambda: cable.left.call(
                done_alone, ip, "link", "set", LEFT, "xdpgeneric", "obj", file, "sec", "xdp"
            ),
            lambda: cable.left.call(done_alone, ip, "link", "set", LEFT, "xdpgeneric", "off"),
        )
    assert seen == [{WANTED, OTHER}, {WANTED}, {WANTED, OTHER}]


@pytest.mark.netns
def test_tc_attaches_an_object_and_it_drops_what_it_should(tmp_path):
    file = tmp_path / "filter.o"
    file.write_bytes(write(translate(compile_text(FILTER).instructions, "tc")))
    tc = tool("tc")
    with pair() as cable:
        cable.left.call(done_alone, tc, "qdisc", "add", "dev", LEFT, "clsact")
        seen = arrivals(
            cable,
            lambda: cable.left.call(
                done_alone, tc, "filter", "add", "dev", LEFT, "ingress",
                "bpf", "da", "obj", file, "sec", "tc",
            ),
            lambda: cable.left.call(done_alone, tc, "filter", "del", "dev", LEFT, "ingress"),
        )  # fmt: skip
    assert seen == [{WANTED, OTHER}, {WANTED}, {WANTED, OTHER}]


@pytest.mark.netns
def test_an_object_with_maps_is_attached(tmp_path):
    if namespaces.reason_to_skip():
        pytest.skip(namespaces.reason_to_skip())
    file = tmp_path / "maps.o"
    file.write_bytes(write(WITH_ALL, SPECS, CONTENTS))
    ip = tool("ip")
    with pair() as cable:
        cable.left.call(
            done_alone, ip, "link", "set", LEFT, "xdpgeneric", "obj", file, "sec", "xdp"
        )
        (shown,) = json.loads(cable.left.call(done_alone, ip, "-j", "link", "show", LEFT))
        assert shown["xdp"]["prog"]["name"] == "all"
