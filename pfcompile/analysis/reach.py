"""Can any packet match? Ways through the graph are followed one by one, each with its own facts.

Where ways meet, the facts that the passes keep are only those that hold on all; a filter such as
`port (1 and 2 and 3)` is impossible on each way for another reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.analysis.facts import Facts
from pfcompile.ir.graph import Accept, Branch, Let, successors

if TYPE_CHECKING:
    from pfcompile.ir.graph import Graph, Label

_MOST_STEPS: Final = 400
"""Blocks visited before giving up: to take a filter for possible is safe."""


def may_accept(graph: Graph) -> bool:
    """Return False where facts show that no way through `graph` leads to acceptance."""
    distance = _distances(graph)
    waiting: list[tuple[Label, Facts]] = [(graph.entry, Facts())]
    for _ in range(_MOST_STEPS):
        if not waiting:
            return False
        label, facts = waiting.pop()
        block = graph[label]
        match block:
            case Accept():
                return True
            case Branch(test=test, yes=yes, no=no):
                known = None if test.may_end else facts.decide(test)
                ways = [
                    (target, facts.assume(test, outcome))
                    for target, outcome in ((yes, True), (no, False))
                    if known in (None, outcome) and target in distance
                ]
                # The nearer to acceptance is followed first: most filters can match.
                ways.sort(key=lambda way: -distance[way[0]])
                waiting += ways
            case Let(variable=variable, value=value, next=after) if after in distance:
                waiting.append((after, facts.set_to(variable, value)))
            case _:
                pass
    return True


def _distances(graph: Graph) -> dict[Label, int]:
    """Return how many blocks lie between each block and acceptance, where a way leads there."""
    found: dict[Label, int] = {}
    for label in reversed(graph.labels):
        block = graph[label]
        if isinstance(block, Accept):
            found[label] = 0
        else:
            nearer = [found[target] for target in successors(block) if target in found]
            if nearer:
                found[label] = 1 + min(nearer)
    return found
