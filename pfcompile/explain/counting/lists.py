"""Lists of terms that native code asks for at once, while each is counted."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pfcompile.analysis.counters import Shortcut
from pfcompile.ir.ranges import RangeList, normal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.ir.graph import Label
    from pfcompile.lower.terms import TermGraph

_MOST_FIRSTS: Final = 65_535
"""Sets that a look-up tells apart, beside that of all other numbers."""


def shortcuts_of(terms: TermGraph) -> Iterator[Shortcut]:
    """Yield a shortcut for each list of a graph."""
    for run in terms.lists:
        here = [terms.terms[number] for number in run.terms]
        firsts: tuple[RangeList, ...] | None = None
        owners: tuple[int, ...] = ()
        if run.elements is not None and len(run.elements) <= _MOST_FIRSTS:
            firsts, owners = first_of(run.elements)
        yield Shortcut(
            begins=_labels([each.begins for each in here]),
            true=_labels([each.true for each in here]),
            false=_labels([each.false for each in here]),
            any_of_them=run.any_of_them,
            firsts=firsts,
            owners=owners,
        )


def _labels(labels: Sequence[Label | None]) -> tuple[Label, ...]:
    found = tuple(label for label in labels if label is not None)
    assert len(found) == len(labels)
    return found


def first_of(sets: Sequence[RangeList]) -> tuple[tuple[RangeList, ...], tuple[int, ...]]:
    """Return the numbers that each set is the first to have, and which sets those are.

    A set all of whose numbers are in those before it is left out.
    """
    edges = sorted(
        (low, number, high) for number, ranges in enumerate(sets) for low, high in ranges
    )
    starts = sorted({*(low for low, _, _ in edges), *(high + 1 for _, _, high in edges)})
    owned: dict[int, list[tuple[int, int]]] = {}
    open_: list[tuple[int, int]] = []  # sets that have begun, by number, with where they end
    next_edge = 0
    for start, after in pairwise(starts):
        while next_edge < len(edges) and edges[next_edge][0] <= start:
            _, number, high = edges[next_edge]
            heappush(open_, (number, high))
            next_edge += 1
        while open_ and open_[0][1] < start:
            heappop(open_)
        if open_:
            owned.setdefault(open_[0][0], []).append((start, after - 1))
    owners = tuple(sorted(owned))
    return tuple(normal(owned[each]) for each in owners), owners
