"""The oracle and the usual filters, for the tests of this folder."""

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


@pytest.fixture(scope="session")
def usual_filters():
    path = Path(__file__).resolve().parents[1] / "filters" / "usual.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
