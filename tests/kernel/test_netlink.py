"""Programs attached by netlink: tc filters and XDP, which stay until they are taken away."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time

import pytest

from pfcompile.errors import KernelError, ProgramError
from pfcompile.kernel import netlink
from pfcompile.kernel.bpf import create_map, load
from pfcompile.kernel.bpf.kinds import MapKind
from pfcompile.kernel.bpf.links import XdpMode, attach_xdp
from pfcompile.kernel.netlink import Hook
from tests.kernel import ebpf_programs
from tests.kernel.ebpf_programs import (
    SCHED_CLS,
    XDP_PASS,
    constant,
    counting,
    open_files,
    total,
)
from tests.kernel.namespaces import LEFT, pair, raw_sender, udp

pytestmark = [pytest.mark.bpf, pytest.mark.netns]
GO_ON = -1
"""TC_ACT_UNSPEC: the next filter decides."""


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


def inside(cable, function):
    """Run a test's whole body in the left namespace: netlink speaks to where its thread is."""
    return cable.left.call(function)


def arrived(cable, counts, wanted):
    with raw_sender(cable) as sender:
        sender.send(udp(4444, b"x"))
    for _ in range(100):
        if total(counts) == wanted:
            return True
        time.sleep(0.01)
    return False


def test_filters_are_added_listed_replaced_and_deleted(cable, index):
    def body():
        assert netlink.filters(index) == ()
        with load(constant(0, SCHED_CLS, "one")) as one, load(constant(0, SCHED_CLS, "two")) as two:
            with pytest.raises(KernelError, match=r"clsact|doesn't exist|EINVAL"):
                netlink.add_filter(index, one)
            assert netlink.ensure_clsact(index)
            assert not netlink.ensure_clsact(index)
            second = netlink.add_filter(index, one, priority=7, handle=3, name="second")
            first = netlink.add_filter(index, two, priority=2)
            assert netlink.filters(index) == (first, second)
            assert (first.name, first.program_id) == ("two", two.info().id)
            assert netlink.filters(index, Hook.EGRESS) == ()
            with pytest.raises(KernelError, match="EEXIST"):
                netlink.add_filter(index, one, priority=7, handle=3)
            replaced = netlink.replace_filter(index, two, priority=7, handle=3, name="second")
            assert netlink.filters(index) == (first, replaced)
            netlink.delete_filter(index, priority=2)
            assert netlink.filters(index) == (replaced,)
            with pytest.raises(KernelError, match="ENOENT"):
                netlink.delete_filter(index, priority=2)
            with pytest.raises(ProgramError, match="priority is 1 to 65535"):
                netlink.add_filter(index, one, priority=0)
            netlink.remove_clsact(index)
            assert netlink.filters(index) == ()

    inside(cable, body)


def qdiscs():
    tc = shutil.which("tc", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if tc is None:
        pytest.skip("tc is not installed")
    return subprocess.run(
        [tc, "qdisc", "show", "dev", LEFT], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("hook", Hook)
def test_a_filter_lasts_as_long_as_its_block(cable, index, hook):
    with (
        create_map(MapKind.PERCPU_ARRAY, 4, 8, 1) as counts,
        load(counting(GO_ON, SCHED_CLS), [counts]) as program,
    ):

        def body():
            with netlink.tc_filter(index, program, hook) as added:
                assert netlink.filters(index, hook) == (added,)
                if hook is Hook.INGRESS:
                    assert arrived(cable, counts, 1)
            assert "clsact" not in qdiscs()
            netlink.ensure_clsact(index)
            other = netlink.add_filter(index, program, Hook.INGRESS, priority=9)
            with (
                pytest.raises(ZeroDivisionError),
                netlink.tc_filter(index, program, hook),
            ):
                raise ZeroDivisionError
            assert netlink.filters(index) == (other,)
            with netlink.tc_filter(index, program, hook):
                netlink.remove_clsact(index)

        inside(cable, body)


@pytest.mark.parametrize("mode", [XdpMode.GENERIC, XdpMode.NATIVE])
def test_xdp_by_netlink(cable, index, mode):
    with (
        create_map(MapKind.PERCPU_ARRAY, 4, 8, 1) as counts,
        load(counting(XDP_PASS), [counts]) as program,
        load(constant(XDP_PASS)) as other,
    ):

        def body():
            assert netlink.xdp_programs(index) == {}
            with netlink.xdp_program(index, program, mode):
                assert netlink.xdp_programs(index) == {mode: program.info().id}
                assert arrived(cable, counts, 1)
                with pytest.raises(KernelError, match="EBUSY"):
                    netlink.attach_xdp(index, other, mode)
                with pytest.raises(KernelError, match="EBUSY"):
                    attach_xdp(program, index, mode)
                with pytest.raises(KernelError, match="EEXIST"):
                    netlink.detach_xdp(index, mode, expected=other)
                netlink.attach_xdp(index, other, mode, replace=True)
                assert netlink.xdp_programs(index) == {mode: other.info().id}
                netlink.attach_xdp(index, program, mode, replace=True)
            assert netlink.xdp_programs(index) == {}
            netlink.detach_xdp(index, mode)
            with attach_xdp(program, index, mode):
                assert netlink.xdp_programs(index) == {mode: program.info().id}
                with pytest.raises(KernelError, match="EBUSY"):
                    netlink.detach_xdp(index, mode)

        inside(cable, body)


def test_no_interface(cable):
    def body():
        with load(constant(XDP_PASS)) as program:
            for act in (
                lambda: netlink.ensure_clsact(4000),
                lambda: netlink.attach_xdp(4000, program),
                lambda: netlink.xdp_programs(4000),
            ):
                with pytest.raises(KernelError, match=r"4000.*ENODEV"):
                    act()

    inside(cable, body)
