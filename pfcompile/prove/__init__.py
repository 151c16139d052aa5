"""Proofs about classic programs with z3, for every packet at once.

Nothing imports this when a filter is compiled or run; z3 is an extra (`pfcompile[prove]`).
"""

from pfcompile.prove.question import disjoint, implies, prove, satisfiable
from pfcompile.prove.result import Different, Equal, Holds, Undecided, Witness

__all__ = [
    "Different",
    "Equal",
    "Holds",
    "Undecided",
    "Witness",
    "disjoint",
    "implies",
    "prove",
    "satisfiable",
]
