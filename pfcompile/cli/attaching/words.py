"""What people are told of an attachment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.kernel.attach import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pfcompile.kernel.attach import Counters, SetRule, SourceCount

_MATCHED: Final = {
    Action.DROP: "dropped",
    Action.PASS: "passed",
    Action.COUNT: "matched",
    Action.REPORT: "matched",
}
_MOST_SOURCES: Final = 20
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


def by_source(rows: Sequence[SourceCount]) -> Iterator[str]:
    """Yield a line for each source of those that were counted most."""
    for row in rows[:_MOST_SOURCES]:
        named = "others, or no IP" if row.source is None else str(row.source)
        yield f"{row.packets:12} packets {row.bytes:15} bytes  {named}"
    if len(rows) > _MOST_SOURCES:
        yield f"and {len(rows) - _MOST_SOURCES} others"


def rate(packets: int, seconds: float) -> str:
    """Return packets a second, in three digits or so."""
    value = packets / seconds if seconds > 0 else 0.0
    step = 0
    while value >= _STEP and step < len(_PREFIXES) - 1:
        value /= _STEP
        step += 1
    digits = 1 if step and value < _THREE_DIGITS else 0
    return f"{value:.{digits}f}{_PREFIXES[step]} packets/s"


def matching(expression: str, rules: Iterable[SetRule]) -> str:
    """Return what matches, as it is shown in a line: an expression, and sets besides."""
    text = " ".join(expression.split())
    asked = " ".join(f"[{rule.label}]" for rule in rules)
    return f"'{text}' {asked}".strip() if text else asked or "every packet"
