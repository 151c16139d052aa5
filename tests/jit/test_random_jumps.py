"""Random programs of arithmetic, jumps and loops, with a budget that is often too small."""

from __future__ import annotations

from tests.jit.random_programs import ARITHMETIC, JUMPS, MEMORY
from tests.jit.random_runs import run_random

PROGRAMS = 500
ROWS_USED = [*ARITHMETIC, *JUMPS, *JUMPS, *MEMORY[:12]]


def test_both_machines_agree():
    ways = run_random("tests/jit/test_random_jumps.py", ROWS_USED, PROGRAMS)
    assert set(ways) == {"ended", "RunError", "BudgetError"}
    # Enough of them get somewhere.
    assert min(ways["ended"], ways["RunError"]) > PROGRAMS // 20, ways
