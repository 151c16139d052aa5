"""Random programs of loads, stores and atomic operations at addresses that are mostly wrong."""

from __future__ import annotations

from tests.jit.random_programs import ARITHMETIC, JUMPS, MEMORY, WIDES
from tests.jit.random_runs import run_random

PROGRAMS = 500
ROWS_USED = [*MEMORY, *MEMORY, *MEMORY, *ARITHMETIC[:28], *JUMPS[:8], *WIDES]


def test_both_machines_agree():
    ways = run_random("tests/jit/test_random_memory.py", ROWS_USED, PROGRAMS)
    assert set(ways) == {"ended", "RunError", "BudgetError"}
    # Enough of them get somewhere.
    assert min(ways["ended"], ways["RunError"]) > PROGRAMS // 20, ways
