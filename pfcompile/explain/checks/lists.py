"""Long lists of hosts, networks and ports: values that others of the list cover.

Short lists are tried term by term, with proofs (`explain.proofs`); here values are sorted instead,
which takes no longer for a thousand of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.explain.codes import warning
from pfcompile.explain.explanation import Related
from pfcompile.explain.runs import LONG, runs_of
from pfcompile.ir.arithmetic import WORD
from pfcompile.lower.lists import Ipv4List, Ipv6List, PortList
from pfcompile.lower.qualified import qualified
from pfcompile.lower.qualifiers import ALL_128
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Direction, Junction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.errors import Span
    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.runs import Run
    from pfcompile.explain.subject import Occurrence, Subject

_MOST_TOLD: Final = 10


def covered_by_others(subject: Subject) -> Iterator[FilterWarning]:
    """Yield values of long lists that add nothing, at most ten of each list."""
    places = {occurrence.span: occurrence for occurrence in subject.occurrences}
    for run in runs_of(subject):
        adds_up = (run.junction is Junction.OR) is not run.negated
        if len(run.spans) > LONG and adds_up:
            yield from _covered(subject, run, places)


def _covered(subject: Subject, run: Run, places: dict[Span, Occurrence]) -> Iterator[FilterWarning]:
    ranges = sorted(
        (low, -high, span) for span in run.spans for low, high in _ranges(subject, places[span])
    )
    told = 0
    widest: tuple[int, Span] | None = None
    for _, negative_high, span in ranges:
        high = -negative_high
        if widest is not None and high <= widest[0]:
            told += 1
            if told <= _MOST_TOLD:
                shown, other = subject.quoted(span), subject.quoted(widest[1])
                said = "stands there twice" if shown == other else f"is covered by {other}"
                related = Related(widest[1], f"covers {shown}")
                yield warning("PF103", span, f"{shown} {said}", "it can be left out", related)
        else:
            widest = high, span


def _ranges(subject: Subject, occurrence: Occurrence) -> Iterator[tuple[int, int]]:
    """Yield the first and last value of an operand; nothing for what has none in a row."""
    assert isinstance(occurrence.node, tree.Qualified)
    match qualified(subject.at(occurrence), occurrence.node):
        case (
            Ipv4List(direction=Direction.SRC_AND_DST)
            | Ipv6List(direction=Direction.SRC_AND_DST)
            | PortList(direction=Direction.SRC_AND_DST)
        ):
            return
        case PortList(values=values):
            yield from values
        case Ipv4List(values=values):
            for address, mask in values:
                yield from _of_prefix(address, mask, WORD)
        case Ipv6List(values=values):
            for address, mask in values:
                yield from _of_prefix(address, mask, ALL_128)
        case _:
            return


def _of_prefix(address: int, mask: int, full: int) -> Iterator[tuple[int, int]]:
    rest = full & ~mask
    if rest & (rest + 1) == 0:
        yield address, address | rest
