"""Random programs of loads, stores and atomic operations at addresses that are mostly wrong."""

from __future__ import annotations

import pytest

from tests.jit.random_programs import ARITHMETIC, JUMPS, MEMORY, WIDES
from tests.jit.random_runs import run_random

PROGRAMS = (150, pytest.param(500, marks=pytest.mark.long))
ROWS_USED = [*MEMORY, *MEMORY, *MEMORY, *ARITHMETIC[:28], *JUMPS[:8], *WIDES]


@pytest.mark.parametrize("programs", PROGRAMS)
def test_both_machines_agree(programs):
    ways = run_random("tests/jit/test_random_memory.py", ROWS_USED, programs)
    assert set(ways) == {"ended", "RunError", "BudgetError"}
    # Enough of them get somewhere.
    assert min(ways["ended"], ways["RunError"]) > programs // 20, ways
