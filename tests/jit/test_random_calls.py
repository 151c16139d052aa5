"""Random programs of calls: helpers, functions, what registers say; and 64-bit immediates."""

from __future__ import annotations

import pytest

from tests.jit.random_programs import CALLS, EXITS, JUMPS, MEMORY, WIDES
from tests.jit.random_runs import run_random

PROGRAMS = (150, pytest.param(500, marks=pytest.mark.long))
ROWS_USED = [*CALLS, *CALLS, *CALLS, *WIDES, *MEMORY[:4], *JUMPS[-3:], *EXITS]


@pytest.mark.parametrize("programs", PROGRAMS)
def test_both_machines_agree(programs):
    ways = run_random("tests/jit/test_random_calls.py", ROWS_USED, programs)
    assert set(ways) == {"ended", "RunError", "BudgetError"}
    # Enough of them get somewhere.
    assert min(ways["ended"], ways["RunError"]) > programs // 20, ways
