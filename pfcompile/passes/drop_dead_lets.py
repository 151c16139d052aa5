"""Drop assignments that nothing reads.

Before::
    b0:  let v0 = 14, b1
    b1:  br ldh[12] == 0x800, b2, b3
After::
    b1:  br ldh[12] == 0x800, b2, b3

Sound because setting a variable shows only where it is read; a load in the dropped value could have
run off a packet that is cut off, where equivalent programs may differ. A division by what may be
zero is kept, since that ends the filter.

A single walk from the ends: what is read below an assignment is known when it is reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.ir.graph import Accept, Block, Branch, Builder, Graph, Label, Let, Reject, rebuild
from pfcompile.ir.values import may_end, variables

if TYPE_CHECKING:
    from pfcompile.ir.values import Variable


def drop_dead_lets(graph: Graph) -> Graph:
    """Return `graph` without assignments to variables that are not read before they are set."""
    if not any(isinstance(block, Let) for block in graph.blocks):
        return graph
    read_below: dict[Label, frozenset[Variable]] = {}

    def rewrite(builder: Builder, block: Block) -> Label:
        match block:
            case Accept() | Reject():
                label = builder.add(block)
                read: frozenset[Variable] = frozenset()
            case Branch(test=test, yes=yes, no=no):
                label = builder.add(block)
                own = variables(test.left) | variables(test.right)
                read = read_below[yes] | read_below[no] | own
            case Let(variable=variable, value=value, next=after):
                if variable not in read_below[after] and not may_end(value):
                    return after
                label = builder.add(block)
                read = read_below[after] - {variable} | variables(value)
        read_below[label] = read
        return label

    return rebuild(graph, rewrite)
