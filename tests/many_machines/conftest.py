"""Fixtures of tests that filter by several processes: them, and places for what they write."""

from __future__ import annotations

import os
import random

import pytest

from tests.captures.capture_building import pcap
from tests.generator.seed import SEED
from tests.many_machines.clusters import processes

# Its assertions show what they compare, as those of the tests do.
pytest.register_assert_rewrite("tests.many_machines.agreement")


@pytest.fixture(scope="package")
def client(_own_cache):
    with processes() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path):
    """No test leaves a folder of pieces behind."""
    yield
    assert not [each for each in tmp_path.rglob("*") if ".pfcompile-" in each.name]


@pytest.fixture
def out(tmp_path):
    made = tmp_path / "out"
    made.mkdir()
    return made


@pytest.fixture
def large(tmp_path):
    """Return captures that keep the interpreter busy for a while, and what they are to become."""
    rng = random.Random(SEED)
    folder = tmp_path / "large"
    folder.mkdir()
    contents = [
        pcap([(each, 0, rng.randbytes(60), 60) for each in range(40_000)]) for _ in range(2)
    ]
    paths = [folder / f"{each:02}.pcap" for each in range(8)]
    for number, path in enumerate(paths):
        if number < 2:
            path.write_bytes(contents[number])
        else:
            os.link(paths[number % 2], path)
    return paths
