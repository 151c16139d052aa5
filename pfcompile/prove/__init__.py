"""Proofs about classic programs with z3, for every packet at once.

Nothing imports this when a filter is compiled or run; z3 is an extra (`pfcompile[prove]`).
"""

from pfcompile.prove.proof import disjoint, implies, prove, satisfiable
from pfcompile.prove.question import Limits
from pfcompile.prove.relation import Related, Relation, relate
from pfcompile.prove.result import Different, Equal, Holds, Undecided, Witness
from pfcompile.prove.verification import verify

__all__ = [
    "Different",
    "Equal",
    "Holds",
    "Limits",
    "Related",
    "Relation",
    "Undecided",
    "Witness",
    "disjoint",
    "implies",
    "prove",
    "relate",
    "satisfiable",
    "verify",
]
