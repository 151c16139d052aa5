"""The oracle, for the tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.oracles.libpcap import Libpcap


@pytest.fixture(scope="session")
def libpcap():
    try:
        oracle = Libpcap()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with oracle:
        yield oracle
