"""What a translated program returns for packets that match and for those that do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pfcompile.ebpf.translate.targets import VALUE
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from pfcompile.ebpf.translate.targets import Target

Verdict: TypeAlias = int | str
"""A number, the name of one of the target's actions, or `VALUE`."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What is returned.

    Attributes:
        match: For a packet that matches; None for what the classic program returns.
        no_match: For any other.
    """

    match: int | None
    no_match: int


def find_verdicts(target: Target, match: Verdict | None, no_match: Verdict | None) -> Verdicts:
    """Return the verdicts that are asked for; None asks for the target's own.

    Raises:
        ProgramError: The target has no such action, or a number does not fit 32 bits.
    """
    rejected = _number(target, target.no_match if no_match is None else no_match)
    return Verdicts(
        match=_number(target, target.match if match is None else match),
        no_match=0 if rejected is None else rejected,
    )


def _number(target: Target, verdict: Verdict) -> int | None:
    if verdict == VALUE:
        return None
    if isinstance(verdict, str):
        number = target.actions.get(verdict)
        if number is None:
            names = ", ".join((VALUE, *target.actions))
            raise ProgramError(
                f"'{target.name}' has no verdict '{verdict}': give a number, {names}"
            )
        return number
    if not -(1 << 31) <= verdict < 1 << 32:
        raise ProgramError(f"the verdict {verdict} does not fit 32 bits")
    return verdict
