"""What the probes find is what bpftool finds."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from pfcompile.kernel.bpf import probes
from pfcompile.kernel.bpf.probes import Group, ProgramType, feature, features
from tests.kernel import ebpf_programs
from tests.kernel.ebpf_programs import open_files

pytestmark = pytest.mark.bpf


@pytest.fixture(autouse=True)
def _bpf():
    ebpf_programs.skip_without_bpf()


@pytest.fixture(scope="module")
def theirs():
    path = shutil.which("bpftool", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        pytest.skip("bpftool is not installed")
    done = subprocess.run(
        [path, "-j", "feature", "probe", "kernel"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def named(group):
    return [state for state in features() if state.group is group]


def test_program_types_and_maps_as_bpftool_says(theirs):
    for state in named(Group.PROGRAM):
        assert state.available == theirs["program_types"][f"have_{state.name}_prog_type"], state
    for state in named(Group.MAP):
        assert state.available == theirs["map_types"][f"have_{state.name}_map_type"], state


def test_helpers_as_bpftool_says(theirs):
    for name, _, _, kind in probes._HELPERS:
        listed = theirs["helpers"][f"{kind.name.lower()}_available_helpers"]
        assert feature(name).available == (name in listed), name


def test_all_are_tried_once_and_leave_nothing():
    probes._state.cache_clear()
    before = open_files()
    first = features()
    assert open_files() == before
    assert features() == first
    assert all(again is state for again, state in zip(features(), first, strict=True))
    assert len({state.name for state in first}) == len(first)
    for state in first:
        assert state.available is not True or not state.reason
        assert all(part.isdigit() for part in state.since.split("."))
    print({state.name: state.reason for state in first if not state.available})


def test_what_no_kernel_has_is_not_found():
    for number in (5000, 0x7FFF_FFFF):
        row = probes.FEATURES[0]._replace(
            name=f"helper {number}",
            attempt=lambda n=number: probes._call_helper(ProgramType.XDP, n),
        )
        assert probes._state(row).available is False
    # Socket filters may not redirect, though others may.
    row = row._replace(attempt=lambda: probes._call_helper(ProgramType.SOCKET_FILTER, 51))
    assert probes._state(row).available is False
    assert "verifier" in probes._state(row).reason


def test_what_cannot_be_tried_is_not_said_to_be_missing(monkeypatch):
    monkeypatch.setattr("pfcompile.kernel.bpf.programs.call", lambda *_: -1)
    row = probes.FEATURES[0]._replace(name="without privilege")
    state = probes._state(row)
    assert state.available is None
    assert "CAP_BPF is missing" in state.reason
