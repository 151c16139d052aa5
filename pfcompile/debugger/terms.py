"""Parts of the expression as places in its program."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pfcompile.debugger.mistakes import Mistake
from pfcompile.errors import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.debugger.machines import Code


def spans_of(term: str, text: str) -> list[Span]:
    """Return where a term stands in an expression; any blanks in it are as good as others."""
    words = r"\s+".join(map(re.escape, term.split()))
    return [Span(*found.span()) for found in re.finditer(rf"(?<!\w){words}(?!\w)", text)]


def parts_of(code: Code) -> list[str]:
    """Return the parts of the expression that have instructions, in its order."""
    spans = sorted({span for origins in code.origins for span in origins})
    return list(dict.fromkeys(part(code, span) for span in spans))


def part(code: Code, span: Span) -> str:
    """Return a part of the expression, on one line."""
    return " ".join(code.text[span.start : span.end].split())


def entries_of(term: str, code: Code) -> frozenset[int]:
    """Return the instructions at which a run comes to a term, from one that is for another.

    Those of a term are the ones for a part that lies in it; where there are none, as of `443` in
    `tcp port 443`, those for the smallest parts that it lies in.

    Raises:
        Mistake: The expression has no such term, or no instruction is for it.
    """
    if not code.origins:
        raise Mistake(
            f"'{term}' is not the number of an instruction, and nothing is known of an expression",
            f"instructions: 0 to {len(code.lines) - 1}; or: break if CONDITION",
        )
    found = spans_of(term, code.text)
    known = ", ".join(f"'{part}'" for part in parts_of(code))
    if not found:
        raise Mistake(f"there is no '{term}' in the expression", f"it has {known}")
    inside = {position for span in found for position in _instructions_of(span, code.origins)}
    if not inside:
        message = f"no instruction is for '{term}': other tests have told what it would"
        raise Mistake(message, f"there are some for {known}" if known else None)
    before: dict[int, list[int]] = {}
    for position, ways in enumerate(code.ways):
        for after in ways:
            before.setdefault(after, []).append(position)
    return frozenset(
        position
        for position in inside
        if position not in before or not inside.issuperset(before[position])
    )


def _instructions_of(span: Span, origins: Sequence[tuple[Span, ...]]) -> set[int]:
    """Return the instructions that are for what stands in a span."""
    everything = {each for found in origins for each in found}
    wanted = {each for each in everything if _covers(span, each)}
    if not wanted:
        around = [each for each in everything if _covers(each, span)]
        least = min((each.end - each.start for each in around), default=0)
        wanted = {each for each in around if each.end - each.start == least}
    return {position for position, found in enumerate(origins) if wanted.intersection(found)}


def _covers(outer: Span, inner: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end
