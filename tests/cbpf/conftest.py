from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.oracles.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Kernel() as oracle:
        yield oracle
