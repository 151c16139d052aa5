"""The prover's answers in words."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.prove.relation import Related, Relation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.prove.result import Witness

_MEANINGS: Final[Mapping[Relation, str]] = MappingProxyType(
    {
        Relation.EQUAL: "A and B return the same for every packet",
        Relation.ALIKE: "A and B take the same packets, but return different numbers (see -s)",
        Relation.A_IMPLIES_B: "B takes every packet that A takes, and others",
        Relation.B_IMPLIES_A: "A takes every packet that B takes, and others",
        Relation.DISJOINT: "no packet is taken by both A and B",
        Relation.NEITHER: "each takes packets that the other does not, and both take some",
        Relation.DIFFERENT: "A and B are not equal; how they differ is undecided",
    }
)

_NEVER: Final[Mapping[Relation, str]] = MappingProxyType(
    {
        Relation.A_IMPLIES_B: "A takes no packet at all, and B takes some",
        Relation.B_IMPLIES_A: "B takes no packet at all, and A takes some",
    }
)
"""The same, where it is so because the one that implies the other takes nothing."""

_UNCUT: Final[Mapping[Relation, str]] = MappingProxyType(
    {
        Relation.EQUAL: "A and B return the same for every packet that both read whole",
        Relation.ALIKE: "of packets that both read whole, A and B take the same, but return "
        "different numbers (see -s)",
        Relation.A_IMPLIES_B: "of packets that both read whole, B takes all that A takes, and "
        "others",
        Relation.B_IMPLIES_A: "of packets that both read whole, A takes all that B takes, and "
        "others",
    }
)
"""The same, where a packet that is cut off inside what one of them reads may be an exception."""

FAR_SHIFTS: Final = (
    "note: a shift by 32 or more gives 0 here, as in libpcap; kernels shift by the amount's low "
    "five bits"
)
"""What is said of `Related.far_shifts`."""

FROM_HEADERS: Final = (
    "note: loads that a kernel counts from the link or the network header are outside the packet "
    "here, as in libpcap"
)
"""What is said of programs that have such loads (`cbpf.isa.counts_from_header`)."""


def meaning(related: Related) -> str:
    """Return what a relation means of programs A and B, and why it is not known better."""
    meanings = _NEVER if related.never else _UNCUT if related.uncut else _MEANINGS
    gap = "" if related.gap is None else f": {related.gap}"
    return f"{meanings[related.relation]}{gap}"


def takers(witness: Witness) -> str:
    """Return which of two programs take a packet."""
    a, b = witness.verdicts
    return "Both take" if a and b else "Only A takes" if a else "Only B takes"
