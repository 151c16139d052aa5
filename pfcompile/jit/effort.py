"""How much work LLVM is given with a program: less, the longer the program is.

LLVM's time for one function grows faster than the function, most of all where accesses to memory,
with the search for where each really goes, are written out. So that no program keeps a caller
waiting for long, longer ones get code that is slower to run: first the search is a function that
they call, then nothing is optimised, which takes LLVM a time in proportion to the program: about
2 seconds for 5,000 stores. At the full effort, 1,000 of them took 17.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.isa import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.jit.blocks import Site


@dataclass(frozen=True, slots=True)
class Effort:
    """What LLVM does, and for programs up to which length.

    Attributes:
        accesses: The most loads, stores and atomic operations that a program may have for it.
        instructions: The most instructions.
        optimisation: LLVM's level, of its optimiser and of its code generator: 2 or 0.
        inlines: Whether the usual case of finding an address is written out at every access.
    """

    accesses: int
    instructions: int
    optimisation: int
    inlines: bool


FULL: Final = Effort(accesses=128, instructions=2048, optimisation=2, inlines=True)
"""LLVM's -O2. -O3 takes longer and makes no filter faster."""
CALLING: Final = Effort(accesses=512, instructions=2048, optimisation=2, inlines=False)
LEAST: Final = Effort(accesses=1 << 63, instructions=1 << 63, optimisation=0, inlines=False)
EFFORTS: Final = (FULL, CALLING, LEAST)
"""A program gets the first one that it is short enough for."""

_ACCESSES: Final = frozenset({Kind.LOAD, Kind.LOAD_SIGNED, Kind.STORE, Kind.ATOMIC})


def effort_for(sites: Mapping[int, Site]) -> Effort:
    """Return how much work LLVM is given with a program, by its instructions."""
    accesses = sum(site.row.kind in _ACCESSES for site in sites.values())
    return next(
        effort
        for effort in EFFORTS
        if accesses <= effort.accesses and len(sites) <= effort.instructions
    )
