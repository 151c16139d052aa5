"""What tests of attached filters have in common: cables, sockets at both ends, and what is left."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import socket
import time
from pathlib import Path

import pytest

from pfcompile.kernel.attach.pins import pinned
from pfcompile.kernel.bpf.links import all_links
from pfcompile.kernel.bpf.maps import all_maps
from pfcompile.kernel.bpf.probes import feature
from pfcompile.kernel.bpf.programs import all_programs
from tests.kernel import ebpf_programs
from tests.kernel.namespaces import LEFT_IP

PATIENCE = 60
"""Seconds: what is to come comes sooner, but on a busy machine nobody knows when."""
OURS = ("pf_", "pfcompile")
SO_RCVBUFFORCE = 33


def skip_without_links():
    """Skip the test where filters cannot be attached: no root, or an older kernel."""
    ebpf_programs.skip_without_bpf()
    for name in ("xdp_link", "tcx_link", "cgroup_link", "xdp_frags", "ringbuf", "lpm_batches"):
        state = feature(name)
        if not state.available:
            pytest.skip(f"{name} (Linux {state.since}): {state.reason}")
    _sweep()


def name_of_run(kind):
    """Return a name for what stays when its process is killed, until the next test run sweeps."""
    return f"{kind}-of-{os.getpid()}-{time.monotonic_ns()}"


@functools.cache
def _sweep():
    """Take away the pins and cgroups of test runs that were killed."""
    folders = [each for place in _cgroups() for each in place.glob("*-of-*")]
    for path in (*pinned(), *folders):
        found = re.fullmatch(r"[a-z]+-of-(\d+)-\d+", path.name)
        if found and not Path(f"/proc/{found[1]}").exists():
            with contextlib.suppress(OSError):  # somebody else sweeps as well
                path.rmdir() if path.is_dir() else path.unlink()


def eventually(holds):
    """Wait until something holds, and return whether it does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def ours():
    """Return what this project has in the kernel now: numbers of programs, maps and links."""
    programs = {each.id for each in all_programs() if each.name.startswith(OURS)}
    links = {each.id for each in all_links() if each.program_id in programs}
    maps = {each.id for each in all_maps() if each.name.startswith(OURS)}
    return programs, maps, links


@contextlib.contextmanager
def nothing_left():
    """Check that what the block has made is gone with it, whatever others do meanwhile."""
    before = ours()
    during = [set(), set(), set()]
    yield during
    assert eventually(
        lambda: (
            not any(
                (now - old) & made for now, old, made in zip(ours(), before, during, strict=True)
            )
        )
    )


@contextlib.contextmanager
def receiver(cable, *ports, room=1 << 22):
    """Open sockets at the left end, one for each port, that do not wait."""
    with contextlib.ExitStack() as stack:
        made = []
        for port in ports:
            sock = stack.enter_context(
                cable.left.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
            )
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, room)
            sock.bind((LEFT_IP, port))
            sock.setblocking(False)
            made.append(sock)
        yield made


def drained(sock):
    """Return what a socket has got until now."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(sock.recv(70_000))
    return found


def comes(sock, wanted):
    """Tell whether a socket gets these datagrams, in their order, and no others meanwhile."""
    found = []
    eventually(lambda: found.extend(drained(sock)) or len(found) >= len(wanted))
    return found + drained(sock) == wanted


@contextlib.contextmanager
def cgroup_folder():
    """Make a cgroup, or skip the test."""
    places = _cgroups()
    if not places:
        pytest.skip("no cgroup2 file system is mounted")
    folder = places[0] / name_of_run("cgroup")
    folder.mkdir()
    try:
        yield folder
    finally:
        assert eventually(lambda: _removed(folder))


def _cgroups():
    """Return where file systems of type cgroup2 are mounted."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return [Path(line.split(" ")[4]) for line in mounts if " - cgroup2 " in line]


def _removed(folder):
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()
