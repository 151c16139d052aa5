"""Tests of TCP's flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.explain.checks.arithmetic import relations
from pfcompile.explain.codes import warning
from pfcompile.explain.subject import value_of
from pfcompile.explain.words.headers import FLAG_WORDS, flag_names
from pfcompile.explain.words.relations import flags_mask
from pfcompile.syntax.tree import RelationOp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.subject import Subject

_ALL: Final = 0xFF
_SYN, _ACK, _URGENT = 0x02, 0x10, 0x20
_ECN: Final = 0xC0
"""ECE and CWR, which a first SYN that offers ECN has (RFC 3168)."""


def no_other_flag(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `tcp[13] = 2`: only that flag, and no other."""
    for _, relation in relations(subject):
        number = value_of(relation.right)
        if relation.op is not RelationOp.EQ or flags_mask(relation.left) != _ALL:
            continue
        # Whoever names URG means a segment as scanners send it, and no flag at all is one as well.
        if number is None or not 0 < number <= _ALL or number & _URGENT:
            continue
        names = flag_names(number)
        missed = _missed(number)
        mask = number | (_ACK if number & _SYN else 0)
        left = subject.quoted(relation.left.span)
        yield warning(
            "PF125",
            relation.span,
            f"this asks for {names} and no other flag: {missed} does not match",
            f"write {left} & {_flag_words(mask)} = {_flag_words(number)}",
        )


def _missed(number: int) -> str:
    """Return what an exact comparison leaves out that its writer may want."""
    if number & _SYN:
        return f"{flag_names(number)} with ECE, as hosts that use ECN send it,"
    others = {
        0x01: "FIN and ACK, as nearly every FIN comes,",
        0x04: "RST and ACK",
        0x10: "ACK with PSH, as most data comes,",
        0x08: "PSH and ACK, as nearly every PSH comes,",
        0x11: "FIN and ACK with PSH",
        0x14: "RST and ACK with PSH",
    }
    return others.get(number, f"{flag_names(number)} with one more, such as PSH or ACK,")


def _flag_words(bits: int) -> str:
    words = [word for bit, word in FLAG_WORDS.items() if bits & bit]
    joined = "|".join(words)
    return f"({joined})" if len(words) > 1 else joined


def any_flag(subject: Subject) -> Iterator[FilterWarning]:
    """Yield `tcp[13] & (tcp-syn|tcp-ack) != 0`: nearly every segment has ACK."""
    for _, relation in relations(subject):
        mask = flags_mask(relation.left)
        if mask in {None, _ALL} or relation.op is not RelationOp.NE:
            continue
        assert mask is not None
        if value_of(relation.right) == 0 and mask & _ACK and mask != _ACK:
            left = subject.quoted(relation.left.span)
            yield warning(
                "PF126",
                relation.span,
                f"any one of {flag_names(mask)} will do, and nearly every segment has ACK",
                f"write {left} = {_flag_words(mask)} for all of them",
            )
