"""Fixtures of tests that attach filters: a cable between namespaces, and who sends on it."""

from __future__ import annotations

import socket

import pytest

from tests.kernel.attaching import skip_without_links
from tests.kernel.ebpf_programs import open_files
from tests.kernel.namespaces import pair, raw_sender


@pytest.fixture
def with_bpf():
    """Skip where filters cannot be attached; check that nothing stays open."""
    skip_without_links()
    before = open_files()
    yield
    assert open_files() == before


@pytest.fixture
def cable():
    with pair() as made:
        yield made


@pytest.fixture
def sender(cable):
    """Give a UDP socket at the right end."""
    with cable.right.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


@pytest.fixture
def raw(cable):
    """Give a socket that puts frames on the cable at the right end."""
    with raw_sender(cable) as sock:
        yield sock
