"""Reject at once where a load cannot succeed.

Before::
    b0:  br ldb[4] == 6, b1, b2
    b1:  br ldb[0xfffffffe] == 5, b3, b2
After::
    b0:  reject

Offsets like that come from link types whose network header seems to begin before the packet does.
Sound because captured packets are shorter than 2 GiB, lengths being signed (pcap/pcap.h): the load
would end the filter with "no match". The kernel takes offsets from SKF_LL_OFF and SKF_NET_OFF on
for such from the link and the network header (linux/filter.h), so those are left alone. It is done
after all that may find a filter impossible, since libpcap takes such expressions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pfcompile.facts.kernel_offsets import ANCILLARY_BASE, HEADER_BASE
from pfcompile.ir.graph import Graph, Reject, rebuild, used_values
from pfcompile.ir.values import REMEMBERED, Load, Value, parts

if TYPE_CHECKING:
    from pfcompile.ir.graph import Block, Builder, Label

_NO_PACKET_REACHES: Final = 1 << 31


def reject_lost_loads(graph: Graph) -> Graph:
    """Return `graph` with rejection in place of what loads from where no packet reaches."""
    if not any(_is_lost(value) for block in graph.blocks for value in used_values(block)):
        return graph

    def rewrite(builder: Builder, block: Block) -> Label:
        lost = any(map(_is_lost, used_values(block)))
        return builder.add(Reject() if lost else block)

    return rebuild(graph, rewrite)


@lru_cache(REMEMBERED)
def _is_lost(value: Value) -> bool:
    """Return whether a value takes a load that fails for every packet."""
    match value:
        case Load(base=None, offset=offset) if offset >= _NO_PACKET_REACHES:
            return not HEADER_BASE <= offset < ANCILLARY_BASE  # metadata is no load here
        case _:
            return any(map(_is_lost, parts(value)))
