"""Options and fixtures for all tests."""

from __future__ import annotations

import pytest

from tests.oracles.libpcap import Libpcap


def pytest_addoption(parser):
    parser.addoption(
        "--bless",
        action="store_true",
        help="write what the golden tests give into their files instead of comparing",
    )


@pytest.fixture(scope="session")
def libpcap():
    try:
        oracle = Libpcap()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with oracle:
        yield oracle
