"""Turn a filter that no packet can match into rejection.

Before::
    b0:  br ldh[34] == 1, b1, b3
    b1:  br ldh[34] == 2, b2, b3
    b2:  accept
    b3:  reject
After::
    b0:  reject

Sound because every way to acceptance contradicts itself. A single search of bounded length, which
takes a filter for possible when it gives up.
"""

from __future__ import annotations

from pfcompile.analysis.reach import may_accept
from pfcompile.ir.graph import Builder, Graph, Reject


def refuse_impossible(graph: Graph) -> Graph:
    """Return `graph`, or rejection where nothing can get through it."""
    if may_accept(graph):
        return graph
    builder = Builder()
    return builder.finish(builder.add(Reject()))
