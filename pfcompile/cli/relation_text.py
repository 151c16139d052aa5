"""The answer of `pfcompile prove` in words, with the packets that show it.

Importing this loads z3, and raises MissingExtraError where it is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import ANCILLARY_WORDS
from pfcompile.cli.dissection import dissect
from pfcompile.prove import Related, Undecided, Witness
from pfcompile.prove.wording import FAR_SHIFTS, FROM_HEADERS, meaning, takers

if TYPE_CHECKING:
    from collections.abc import Iterator

_METADATA_NAMES: Final = {int(row.word): row.dump_name for row in ANCILLARY_WORDS}


def tell(answer: Related | Undecided, dlt: int, *, from_headers: bool) -> str:
    """Return what there is to say, the relation first.

    Args:
        answer: The answer.
        dlt: What packets are taken for.
        from_headers: Whether a program has loads that only a kernel can place.
    """
    if isinstance(answer, Undecided):
        return f"undecided: {answer.reason}\n"
    lines = [f"{answer.relation.value}: {meaning(answer)}"]
    if answer.far_shifts:
        lines.append(FAR_SHIFTS)
    if from_headers:
        lines.append(FROM_HEADERS)
    for witness in answer.witnesses:
        lines += ["", *_packet(witness, dlt)]
    return "\n".join(lines) + "\n"


def _packet(witness: Witness, dlt: int) -> Iterator[str]:
    """Yield the lines about one packet."""
    a, b = witness.verdicts
    yield f"{takers(witness)} this packet: A returns {a}, B returns {b}"
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
