"""Random programs of arithmetic, jumps and loops, with a budget that is often too small."""

from __future__ import annotations

import pytest

from tests.jit.random_programs import ARITHMETIC, JUMPS, MEMORY
from tests.jit.random_runs import run_random

PROGRAMS = (150, pytest.param(500, marks=pytest.mark.long))
ROWS_USED = [*ARITHMETIC, *JUMPS, *JUMPS, *MEMORY[:12]]


@pytest.mark.parametrize("programs", PROGRAMS)
def test_both_machines_agree(programs):
    ways = run_random("tests/jit/test_random_jumps.py", ROWS_USED, programs)
    assert set(ways) == {"ended", "RunError", "BudgetError"}
    # Enough of them get somewhere.
    assert min(ways["ended"], ways["RunError"]) > programs // 20, ways
