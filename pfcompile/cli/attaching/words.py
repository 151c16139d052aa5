"""What people are told of an attachment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.kernel.attach import Action

if TYPE_CHECKING:
    from pfcompile.kernel.attach import Counters

_MATCHED: Final = {Action.DROP: "dropped", Action.PASS: "passed", Action.COUNT: "matched"}
_STEP: Final = 1000
_THREE_DIGITS: Final = 100
_PREFIXES: Final = ("", "k", "M", "G", "T")


def counted(counters: Counters, action: Action, *, reports: bool = False) -> str:
    """Return a line: what came by, what matched, and what became of it."""
    parts = [
        f"{counters.seen_packets} packets seen ({counters.seen_bytes} bytes)",
        f"{counters.matched_packets} {_MATCHED[action]} ({counters.matched_bytes} bytes)",
    ]
    if reports:
        parts.append(f"{counters.reported} reported, {counters.lost} lost")
    return ", ".join(parts)


def rate(packets: int, seconds: float) -> str:
    """Return packets a second, in three digits or so."""
    value = packets / seconds if seconds > 0 else 0.0
    step = 0
    while value >= _STEP and step < len(_PREFIXES) - 1:
        value /= _STEP
        step += 1
    digits = 1 if step and value < _THREE_DIGITS else 0
    return f"{value:.{digits}f}{_PREFIXES[step]} packets/s"


def quoted(expression: str) -> str:
    """Return an expression as it is shown in a line."""
    text = " ".join(expression.split())
    return f"'{text}'" if text else "every packet"
