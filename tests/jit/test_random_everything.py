"""Random programs of every row."""

from __future__ import annotations

from pfcompile.ebpf.isa import ROWS
from tests.jit.random_runs import run_random

PROGRAMS = 500
ROWS_USED = [*ROWS]


def test_both_machines_agree():
    ways = run_random("tests/jit/test_random_everything.py", ROWS_USED, PROGRAMS)
    assert set(ways) == {"ended", "RunError", "BudgetError"}
    # Enough of them get somewhere.
    assert min(ways["ended"], ways["RunError"]) > PROGRAMS // 20, ways
