"""What is known at each place of a graph, the ways there kept apart by the headers they found.

Behind `ip or ip6` a shared test of ports looks at two different places, through a variable that
each way has set. Facts that hold on both ways would say nothing of either; so ways are joined only
where the same headers are known on them, and variables stand for the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final

from pfcompile.analysis.facts import Facts
from pfcompile.fields.addresses import is_small, settled, settled_test
from pfcompile.fields.placing import place
from pfcompile.ir.graph import Accept, Branch, Let, Reject
from pfcompile.ir.values import Variable, variable, variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pfcompile.facts.link_layouts import LinkLayout
    from pfcompile.fields.placing import Placed
    from pfcompile.ir.graph import Block, Graph, Label
    from pfcompile.ir.values import Value

MOST: Final = 12
"""Situations at one place; more are joined to one, of which less is known."""

_OPAQUE: Final = 1 << 20
"""Above, a variable stands for what is not followed: its number's lower part is the one that was
set, the upper part tells apart where that was. No meaning is made of such variables, so that each
is what the graph's variable of its number is now."""


def _opaque(assigned: Variable, place: int) -> Variable:
    return variable(_OPAQUE * (place + 1) + assigned.number)


def as_written(number: int) -> int:
    """Return the graph's number of a variable that perhaps is not followed."""
    return number % _OPAQUE


@dataclass(frozen=True, slots=True)
class Situation:
    """One of the ways to a place.

    Attributes:
        facts: What holds, of settled values.
        meanings: What each variable stands for.
        placed: The headers that are known, the outermost first.
    """

    facts: Facts
    meanings: Mapping[Variable, Value]
    placed: tuple[Placed, ...]

    @property
    def kind(self) -> object:
        """What situations that are joined have in common."""
        return self.placed, frozenset(self.meanings.items())

    def joined(self, other: Situation) -> Situation:
        """Return what is known in this or an `other` situation of the same kind."""
        return Situation(self.facts.met(other.facts), self.meanings, self.placed)


def situations(graph: Graph, layout: LinkLayout) -> Iterator[tuple[Label, tuple[Situation, ...]]]:
    """Yield each block with the situations that a packet may be in when it comes there.

    None where facts show that no packet comes.
    """
    arriving: dict[Label, dict[object, Situation]] = {}

    def arrive(label: Label, situation: Situation) -> None:
        here = arriving.setdefault(label, {})
        known = here.get(situation.kind)
        here[situation.kind] = situation if known is None else known.joined(situation)

    nothing = Facts()
    arrive(graph.entry, Situation(nothing, {}, tuple(place(nothing, layout))))
    for label in graph.labels:
        here = tuple(arriving.pop(label, {}).values())
        if len(here) > MOST:
            here = (_all_joined(here, label, layout),)
        yield label, here
        for situation in here:
            for target, after in _goes_on(graph[label], label, situation, layout):
                arrive(target, after)


def _goes_on(
    block: Block, label: Label, situation: Situation, layout: LinkLayout
) -> Iterator[tuple[Label, Situation]]:
    """Yield where a packet goes on to, and what is known of it then."""
    facts, meanings = situation.facts, situation.meanings
    match block:
        case Accept() | Reject():
            pass
        case Branch(test=test, yes=yes, no=no):
            asked = settled_test(test, meanings)
            outcome = facts.decide(asked)
            for target, truth in ((yes, True), (no, False)):
                if outcome is not (not truth):
                    learnt = facts.assume(asked, truth)
                    yield target, Situation(learnt, meanings, tuple(place(learnt, layout)))
        case Let(variable=assigned, value=value, next=after):
            meaning = settled(value, meanings)
            if variables(meaning) or not is_small(meaning):
                meaning = _opaque(assigned, 2 * label + 1)
            yield after, Situation(facts, {**meanings, assigned: meaning}, situation.placed)


def _all_joined(here: tuple[Situation, ...], label: Label, layout: LinkLayout) -> Situation:
    """Return what is known in all situations; what variables stand for where that is the same."""
    facts = reduce(Facts.met, (each.facts for each in here))
    meanings = {
        assigned: meaning
        if all(each.meanings.get(assigned) is meaning for each in here)
        else _opaque(assigned, 2 * label)
        for assigned, meaning in here[0].meanings.items()
    }
    return Situation(facts, meanings, tuple(place(facts, layout)))
