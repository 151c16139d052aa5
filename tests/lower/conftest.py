"""The kernel's own interpreter, for the tests of this folder."""

from __future__ import annotations

import pytest

from tests.oracles.kernel import Kernel


@pytest.fixture
def kernel():
    with Kernel() as oracle:
        yield oracle
