"""Scans look at no byte that is not theirs, and write none: where they would, the process ends."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.generator.seed import rerun

RERUN = rerun("tests/jit/test_scan_memory.py")
FILTERS = 140


def run(first: int, count: int) -> tuple[int, int]:
    """Scan between guard pages, in a process of its own; return the captures and packets."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.jit.guard_pages", str(first), str(count)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    lines = done.stdout.splitlines()
    last = lines[-1] if lines else "none"
    assert done.returncode == 0, f"at number {last}: {done.returncode}\n{done.stderr}\n{RERUN}"
    found = re.fullmatch(r"(\d+) captures, (\d+) packets", last)
    return int(found[1]), int(found[2])


@pytest.mark.parametrize("half", [0, 1])
def test_between_guard_pages(half):
    captures, packets = run(half * FILTERS // 2, FILTERS // 2)
    assert captures > 1000
    assert packets > 5 * captures


@pytest.mark.long
def test_many_between_guard_pages():
    captures, _ = run(1000, 1500)
    assert captures > 30_000
