"""Random programs of every row."""

from __future__ import annotations

import pytest

from pfcompile.ebpf.isa import ROWS
from tests.jit.random_runs import run_random

PROGRAMS = (150, pytest.param(500, marks=pytest.mark.long))
ROWS_USED = [*ROWS]


@pytest.mark.parametrize("programs", PROGRAMS)
def test_both_machines_agree(programs):
    ways = run_random("tests/jit/test_random_everything.py", ROWS_USED, programs)
    assert set(ways) == {"ended", "RunError", "BudgetError"}
    # Enough of them get somewhere.
    assert min(ways["ended"], ways["RunError"]) > programs // 20, ways
