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

    A block that no packet comes to, as there are before the first pass, has those that one would
    be in if what the last tests on the way say were all that is known.
    """
    arriving = _Arrivals()
    in_theory = _Arrivals()
    nothing = Facts()
    arriving.add(graph.entry, Situation(nothing, {}, tuple(place(nothing, layout))))
    for label in graph.labels:
        here, ways_on = arriving.take(label, layout), arriving
        if not here:
            here, ways_on = in_theory.take(label, layout), in_theory
        yield label, here
        for situation in here:
            for target, after, is_possible in _goes_on(graph[label], label, situation, layout):
                (ways_on if is_possible else in_theory).add(target, after)


class _Arrivals:
    """The situations of packets that have come to each block so far, by their kind."""

    def __init__(self) -> None:
        self._at: dict[Label, dict[object, Situation]] = {}

    def add(self, label: Label, situation: Situation) -> None:
        here = self._at.setdefault(label, {})
        known = here.get(situation.kind)
        here[situation.kind] = situation if known is None else known.joined(situation)

    def take(self, label: Label, layout: LinkLayout) -> tuple[Situation, ...]:
        here = tuple(self._at.pop(label, {}).values())
        return here if len(here) <= MOST else (_all_joined(here, label, layout),)


def _goes_on(
    block: Block, label: Label, situation: Situation, layout: LinkLayout
) -> Iterator[tuple[Label, Situation, bool]]:
    """Yield where a packet goes on to, what is known of it then, and whether any packet does."""
    facts, meanings = situation.facts, situation.meanings
    match block:
        case Accept() | Reject():
            pass
        case Branch(test=test, yes=yes, no=no):
            asked = settled_test(test, meanings)
            outcome = facts.decide(asked)
            for target, truth in ((yes, True), (no, False)):
                is_possible = outcome is None or outcome is truth
                learnt = (facts if is_possible else Facts()).assume(asked, truth)
                after = Situation(learnt, meanings, tuple(place(learnt, layout)))
                yield target, after, is_possible
        case Let(variable=assigned, value=value, next=after_it):
            meaning = settled(value, meanings)
            if variables(meaning) or not is_small(meaning):
                meaning = _opaque(assigned, 2 * label + 1)
            meanings = {**meanings, assigned: meaning}
            yield after_it, Situation(facts, meanings, situation.placed), True


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
