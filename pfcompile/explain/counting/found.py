"""What has been counted of a filter over captures, by term and by test of its graph."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pfcompile.fields import describe
from pfcompile.ir.graph import Accept, Branch, Let, Reject
from pfcompile.ir.text import print_test, print_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.analysis.counters import BlockFlow
    from pfcompile.ir.graph import Graph, Label


@dataclass(frozen=True, slots=True)
class TermHits:
    """What a term was asked, and what it said.

    Packets come to the terms from left to right, and to a term only where those before it have left
    the matter open.

    Attributes:
        text: The term as understood, with what it inherits; without a `not` before it.
        start: Where it begins in the expression, in characters.
        end: Where it ends.
        reached: How many packets came to it.
        true: For how many it was true.
        false: For how many it was false.
        cut_short: For how many it was neither, since it needed bytes that are not captured, or
            divided by zero. They do not match.
        let_in: How many packets matched because of what it said, without a further term.
        turned_away: How many did not match because of what it said, or were cut short in it.
    """

    text: str
    start: int
    end: int
    reached: int
    true: int
    false: int
    cut_short: int
    let_in: int
    turned_away: int


@dataclass(frozen=True, slots=True)
class LinkTypeHits:
    """The packets of one link type.

    Attributes:
        dlt: The link type (DLT value).
        link_type: Its name.
        packets: How many packets there were.
        matched: How many of them matched.
        turned_away_before: How many did not match and came to no term: on some link types headers
            are measured first.
        terms: The terms in the order of the expression.
        graph: The graph that the program is made from.
        flows: The packets of each of its blocks, by label.
    """

    dlt: int
    link_type: str
    packets: int
    matched: int
    turned_away_before: int
    terms: tuple[TermHits, ...]
    graph: Graph
    flows: tuple[BlockFlow, ...]

    @property
    def blocks(self) -> Mapping[Label, int]:
        """How many packets came to each block of the graph."""
        return {
            label: flow.reached for label, flow in zip(self.graph.labels, self.flows, strict=True)
        }

    @property
    def edges(self) -> Mapping[tuple[Label, bool], int]:
        """How many packets took each way out of a test: where it held, and where not.

        The one way out of an assignment counts as one where a test held.
        """
        found: dict[tuple[Label, bool], int] = {}
        for label, flow in zip(self.graph.labels, self.flows, strict=True):
            match self.graph[label]:
                case Branch():
                    found[label, True] = flow.yes
                    found[label, False] = flow.no
                case Let():
                    found[label, True] = flow.yes
                case Accept() | Reject():
                    pass
        return found

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "link_type": self.link_type,
            "dlt": self.dlt,
            "packets": self.packets,
            "matched": self.matched,
            "turned_away_before": self.turned_away_before,
            "terms": [asdict(term) for term in self.terms],
            "blocks": self._blocks(),
        }

    def _blocks(self) -> list[dict[str, Any]]:
        words = describe(self.graph, self.dlt)
        return [self._block(label, words[label]) for label in self.graph.labels]

    def _block(self, label: Label, words: str) -> dict[str, Any]:
        flow = self.flows[label]
        shown: dict[str, Any] = {"block": f"b{label}", "words": words, "reached": flow.reached}
        match self.graph[label]:
            case Branch(test=test, yes=yes, no=no):
                shown |= {"test": print_test(test), "yes": f"b{yes}", "no": f"b{no}"}
                shown |= {"yes_hits": flow.yes, "no_hits": flow.no, "cut_short": flow.cut_short}
            case Let(variable=variable, value=value, next=after):
                shown |= {"let": f"v{variable.number} = {print_value(value)}", "next": f"b{after}"}
                shown |= {"next_hits": flow.yes, "cut_short": flow.cut_short}
            case Accept():
                shown["end"] = "accept"
            case Reject():
                shown["end"] = "reject"
        return shown


@dataclass(frozen=True, slots=True)
class Hits:
    """What an expression did with captures.

    Attributes:
        text: The expression.
        understood: The same as it was understood, with all that is inherited written out.
        optimized: Whether the graphs are the optimised ones.
        link_types: The link types that occurred, by number.
    """

    text: str
    understood: str
    optimized: bool
    link_types: tuple[LinkTypeHits, ...]

    @property
    def packets(self) -> int:
        """How many packets there were."""
        return sum(each.packets for each in self.link_types)

    @property
    def matched(self) -> int:
        """How many of them matched."""
        return sum(each.matched for each in self.link_types)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "expression": self.text,
            "understood": self.understood,
            "graph": "optimized" if self.optimized else "as written",
            "packets": self.packets,
            "matched": self.matched,
            "link_types": [each.as_json() for each in self.link_types],
        }
