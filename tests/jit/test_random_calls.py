"""Random programs of calls: helpers, functions, what registers say; and 64-bit immediates."""

from __future__ import annotations

from tests.jit.random_programs import CALLS, EXITS, JUMPS, MEMORY, WIDES
from tests.jit.random_runs import run_random

PROGRAMS = 500
ROWS_USED = [*CALLS, *CALLS, *CALLS, *WIDES, *MEMORY[:4], *JUMPS[-3:], *EXITS]


def test_both_machines_agree():
    ways = run_random("tests/jit/test_random_calls.py", ROWS_USED, PROGRAMS)
    assert set(ways) == {"ended", "RunError", "BudgetError"}
    # Enough of them get somewhere.
    assert min(ways["ended"], ways["RunError"]) > PROGRAMS // 20, ways
