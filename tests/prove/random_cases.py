"""What the random tests of this folder print when they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.cbpf.listing import tcpdump
from tests.generator.seed import rerun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction


def story(file: str, expression: str, *programs: Sequence[Instruction]) -> str:
    """Return what to print when a random test fails."""
    listings = "\n--\n".join(tcpdump(program) for program in programs)
    return f"{expression!r}\n{listings}\n{rerun('tests/prove/' + file)}"
