"""Let every way skip the tests whose outcome it already knows, and those that change nothing.

Before::
    b0:  br ldh[12] == 0x800, b1, b2
    b1:  br ldb[23] == 6, b2, b2b
    b2:  br ldh[12] == 0x800, b3, b4
After::
    b0:  br ldh[12] == 0x800, b1, b4
    b1:  br ldb[23] == 6, b3, b2b

A test goes as well where the way behind one outcome, from the other side on, comes to the same
place: `broadcast or multicast` does not ask whether it is a broadcast.

Sound because the facts on an edge hold for every packet that takes it: values are pure, and what
was known of a variable is forgotten where it is set. Skipping a test skips its load, which shows
only on packets that are cut off. Only tests are skipped, never an assignment, and no test that
divides by what may be zero.

In one walk in topological order an edge is threaded when all edges into its source are. A test that
vanishes because its sides have become one lets ways past it that had met there, so the walk is made
again as long as it changes anything: each time some way through the graph has fewer tests, and none
has more.

Source: Begel, McCanne, Graham, "BPF+", SIGCOMM 1999, section 3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.analysis.facts import Facts
from pfcompile.ir.graph import Accept, Branch, Builder, Graph, Label, Let, Reject

if TYPE_CHECKING:
    from pfcompile.ir.graph import Block


_LONGEST_WALK: Final = 32
"""Tests that are skipped at once; the next walk skips more."""


def thread_all_jumps(graph: Graph) -> Graph:
    """Return `graph` after as many walks as change something."""
    while True:
        threaded, is_settled = _walk(graph)
        if is_settled or threaded.blocks == graph.blocks:
            return threaded
        graph = threaded


def _walk(graph: Graph) -> tuple[Graph, bool]:
    """Return the graph after one walk, and whether another would find nothing more.

    That is so where no test has vanished and no two blocks have become one: then the facts of this
    walk were those of the graph that it leaves.
    """
    blocks = graph.blocks
    arriving: dict[Label, Facts] = {}
    threaded: dict[Label, Block | Label] = {}

    def follow(label: Label, facts: Facts) -> Label:
        """Return the first block from `label` on that facts do not decide, or a nearer one."""
        for _ in range(_LONGEST_WALK):
            block = blocks[label]
            if not isinstance(block, Branch):
                break
            outcome = facts.decide(block.test)
            if outcome is None or block.test.may_end:
                break
            label = block.yes if outcome else block.no
        return label

    def arrive(label: Label, facts: Facts) -> Label:
        """Hand the facts on to a block that an edge leads to."""
        if not isinstance(blocks[label], Accept | Reject):
            known = arriving.get(label)
            arriving[label] = facts if known is None else known.met(facts)
        return label

    nothing = Facts()
    entry = arrive(follow(graph.entry, nothing), nothing)
    for label in graph.labels:
        facts = arriving.pop(label, None)
        block = blocks[label]
        match block:
            case Accept() | Reject():
                threaded[label] = block
            case _ if facts is None:
                continue  # No way leads here any more.
            case Branch(test=test, yes=yes, no=no, origins=origins):
                if_yes, if_no = facts.assume(test, True), facts.assume(test, False)
                yes_end, no_end = follow(yes, if_yes), follow(no, if_no)
                # Ways lead to higher labels only: a side above an end never comes there.
                if no <= yes_end and follow(no, if_yes) == yes_end and not test.may_end:
                    threaded[label] = arrive(follow(no, facts), facts)
                elif yes <= no_end and follow(yes, if_no) == no_end and not test.may_end:
                    threaded[label] = arrive(follow(yes, facts), facts)
                else:
                    arrive(yes_end, if_yes)
                    arrive(no_end, if_no)
                    threaded[label] = Branch(test, yes_end, no_end, origins)
            case Let(variable=variable, value=value, next=after, origins=origins):
                facts = facts.set_to(variable, value)
                after = arrive(follow(after, facts), facts)
                threaded[label] = Let(variable, value, after, origins)
    rebuilt = _rebuilt(threaded, graph, entry)
    kept = sum(isinstance(block, Branch | Let) for block in threaded.values())
    left = sum(isinstance(block, Branch | Let) for block in rebuilt.blocks)
    vanished = any(isinstance(block, int) for block in threaded.values())
    return rebuilt, kept == left and not vanished


def _rebuilt(blocks: dict[Label, Block | Label], graph: Graph, entry: Label) -> Graph:
    """Return the graph of `blocks`, which have the labels of `graph`; a label there is a jump."""
    builder = Builder()
    names: dict[Label, Label] = {}
    for label in reversed(graph.labels):
        match blocks.get(label):
            case None:
                continue
            case int(other):
                names[label] = names[Label(other)]
            case Branch(test=test, yes=yes, no=no, origins=origins):
                names[label] = builder.add(Branch(test, names[yes], names[no], origins))
            case Let(variable=variable, value=value, next=after, origins=origins):
                names[label] = builder.add(Let(variable, value, names[after], origins))
            case block:
                names[label] = builder.add(block)
    return builder.finish(names[entry])
