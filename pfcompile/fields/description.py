"""Each block of a graph in the words of packet fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.analysis.facts import Facts
from pfcompile.facts.link_layouts import layout as layout_of
from pfcompile.fields import wording
from pfcompile.fields.addresses import settled, settled_test
from pfcompile.fields.expressions import Writer
from pfcompile.fields.placing import place
from pfcompile.fields.situations import situations
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Accept, Branch, Let, Reject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.facts.link_layouts import LinkLayout
    from pfcompile.fields.placing import Placed
    from pfcompile.fields.situations import Situation
    from pfcompile.ir.graph import Block, Graph, Label, Test
    from pfcompile.ir.values import Value


def describe(graph: Graph, dlt: int) -> Mapping[Label, str]:
    """Return what each block tests, in the words of packet fields.

    ::

        describe(graph, 1)[Label(0)]    # "eth.type == ip"
        describe(graph, 1)[Label(1)]    # "tcp/udp.dstport == 443"

    A field has its protocol's name where what holds on every way to the block shows that the
    protocol's header is there; `ip.proto/ip6.nexthdr` is one on some ways and the other on others.
    Other bytes are written as the filter language asks for them: `ether[12:2]`, `tcp[20:4]`.

    Args:
        graph: Any graph, of a filter or read from a program.
        dlt: The link type (DLT value) of its packets.

    Returns:
        For a branch what holds on its yes side, for an assignment `v0 = 4 * ip.ihl`, for an end
        "accept" or "reject".

    Raises:
        ValueError: There is no such link type.
    """
    layout = layout_of(dlt)
    return {
        label: _described(graph[label], here, layout) for label, here in situations(graph, layout)
    }


def _described(block: Block, here: Sequence[Situation], layout: LinkLayout) -> str:
    match block:
        case Accept():
            return "accept"
        case Reject():
            return "reject"
        case Branch(test=test):
            return _test(test, here, layout)
        case Let(variable=assigned, value=value):
            return f"v{assigned.number} = {_value(value, here, layout)}"


def _test(test: Test, here: Sequence[Situation], layout: LinkLayout) -> str:
    asked = [(settled_test(test, each.meanings), each) for each in here]
    ways = (
        [wording.phrase(one, Writer(_where_it_holds(one, each, layout))) for one, each in asked],
        [wording.of_bytes(one, Writer(each.placed, names_fields=False)) for one, each in asked],
    )
    for phrases in ways:
        whole = wording.united(phrases) if phrases else None
        if whole is not None:
            return str(whole)
    return wording.plain(test, Writer(place(Facts(), layout), names_fields=False))


def _where_it_holds(test: Test, situation: Situation, layout: LinkLayout) -> Sequence[Placed]:
    """Return the headers that are known where a test of bits for a number holds.

    One load may tell of a header and look into it: `eth.type == ip and ip.dscp == 46`.
    """
    if test.op is not Comparison.EQ:
        return situation.placed
    learnt = situation.facts.assume(test, outcome=True)
    return place(learnt, layout)


def _value(value: Value, here: Sequence[Situation], layout: LinkLayout) -> str:
    written = {Writer(each.placed).value(settled(value, each.meanings)) for each in here}
    if len(written) == 1:
        return written.pop()
    return Writer(place(Facts(), layout), names_fields=False).value(value)
