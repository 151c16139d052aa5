"""The answer of `pfcompile prove` in words, with the packets that show it.

Importing this loads z3, and raises MissingExtraError where it is not installed.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import ANCILLARY_WORDS
from pfcompile.cli.dissection import dissect
from pfcompile.prove import Related, Relation, Undecided, Witness

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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

_FAR_SHIFTS: Final = (
    "note: a shift by 32 or more gives 0 here, as in libpcap; kernels shift by the amount's low "
    "five bits"
)

_METADATA_NAMES: Final = {int(row.word): row.dump_name for row in ANCILLARY_WORDS}


def tell(answer: Related | Undecided, dlt: int) -> str:
    """Return what there is to say, the relation first; packets are taken for those of `dlt`."""
    if isinstance(answer, Undecided):
        return f"undecided: {answer.reason}\n"
    meanings = _NEVER if answer.never else _UNCUT if answer.uncut else _MEANINGS
    meaning = meanings[answer.relation]
    gap = "" if answer.gap is None else f": {answer.gap}"
    lines = [f"{answer.relation.value}: {meaning}{gap}"]
    if answer.far_shifts:
        lines.append(_FAR_SHIFTS)
    for witness in answer.witnesses:
        lines += ["", *_packet(witness, dlt)]
    return "\n".join(lines) + "\n"


def _packet(witness: Witness, dlt: int) -> Iterator[str]:
    """Yield the lines about one packet."""
    a, b = witness.verdicts
    takers = "Both take" if a and b else "Only A takes" if a else "Only B takes"
    yield f"{takers} this packet: A returns {a}, B returns {b}"
    if witness.in_kernel is not None:
        in_kernel_a, in_kernel_b = witness.in_kernel
        yield f"    in a kernel: A returns {in_kernel_a}, B returns {in_kernel_b}"
    yield f"    captured: {len(witness.packet)} bytes of {witness.wire_length}"
    if witness.ancillary:
        words = sorted(witness.ancillary.items())
        yield f"    metadata: {', '.join(f'{_METADATA_NAMES[word]} {n}' for word, n in words)}"
    if witness.packet:
        yield f"    hex: {witness.packet.hex()}"
    for line in (dissect(dlt, witness.packet) or "").splitlines():
        yield f"    {line}".rstrip()
