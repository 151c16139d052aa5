"""How two expressions are related, and packets that tell them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.captures.summary import describe_packet
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import FilterError, MissingExtraError
from pfcompile.facts import link_types
from pfcompile.page.analysis import mistake
from pfcompile.page.course import MOST_BYTES
from pfcompile.page.spans import places_in

if TYPE_CHECKING:
    from pfcompile.page.analysis import Remark
    from pfcompile.page.asked import Filter
    from pfcompile.prove import Witness

PROOF_MS: Final = 20_000
"""Milliseconds that z3 may take."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A packet that shows a difference.

    Attributes:
        takers: Which expression takes it.
        summary: What it is, and how long.
        bytes: Its bytes as hex, the first of them.
        left_out: How many of its bytes are not shown.
    """

    takers: str
    summary: str
    bytes: str
    left_out: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """How A and B are related.

    Attributes:
        remarks: What is wrong with B; then there is no more.
        relation: In a word or two, or None.
        meaning: The same in a sentence.
        notes: What is to be known besides.
        witnesses: Packets that show it.
    """

    remarks: tuple[Remark, ...] = ()
    relation: str | None = None
    meaning: str = ""
    notes: tuple[str, ...] = ()
    witnesses: tuple[Shown, ...] = ()


def compare(a: Filter, b: Filter) -> Comparison:
    """Say how `a`, which is right, and `b`, which may be wrong, are related."""
    try:
        dlt = link_types.number(a.link_type)
        first, second = (
            compile_text(
                each.text,
                dlt,
                netmask=each.netmask,
                savefile=each.savefile,
                optimize=False,
                max_instructions=None,
                resolver=each.resolver,
            ).instructions
            for each in (a, b)
        )
    except ValueError as error:
        return Comparison(relation="undecided", meaning=str(error))
    except FilterError as error:
        return Comparison((mistake(error, places_in(error.text)),))
    try:
        from pfcompile.prove import Undecided, relate  # noqa: PLC0415 - z3 is an extra
        from pfcompile.prove.wording import FAR_SHIFTS, meaning  # noqa: PLC0415 - the same
    except MissingExtraError as error:
        return Comparison(relation="undecided", meaning=str(error))
    related = relate(first, second, timeout_ms=PROOF_MS, real_lengths=True)
    if isinstance(related, Undecided):
        return Comparison(relation="undecided", meaning=related.reason)
    return Comparison(
        relation=related.relation.value,
        meaning=meaning(related),
        notes=(FAR_SHIFTS,) if related.far_shifts else (),
        witnesses=tuple(_shown(each, dlt) for each in related.witnesses),
    )


def _shown(witness: Witness, dlt: int) -> Shown:
    from pfcompile.prove.wording import takers  # noqa: PLC0415 - z3 is there by now

    summary = describe_packet(dlt, witness.packet) if witness.packet else "an empty packet"
    length = f"{len(witness.packet)} bytes captured of {witness.wire_length}"
    return Shown(
        f"{takers(witness)} this packet",
        f"{summary}, {length}",
        witness.packet[:MOST_BYTES].hex(),
        max(0, len(witness.packet) - MOST_BYTES),
    )
