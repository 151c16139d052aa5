"""The seed of the random tests: PFCOMPILE_SEED in the environment, or a fixed one."""

from __future__ import annotations

import os
from typing import Final

SEED: Final = int(os.environ.get("PFCOMPILE_SEED", "20261121"))


def rerun(path: str) -> str:
    """Return the command that repeats the tests of one file, to be printed when one fails."""
    return f"rerun: PFCOMPILE_SEED={SEED} pytest -n0 {path}"
