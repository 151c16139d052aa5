"""The walk over all ways through a program, with what is known at each step.

At the slots where ways meet a state is compared with those that were there before: what one of them
covers needs no second look. Each state that is kept is a node of a graph, with an edge to every
node that the program can come to next. So a program ends if that graph has no circle: an execution
without end would go around one. Only edges that pass a counted jump (`may_goto`) do not count, as
the machine ends those.

First every way is followed by itself, which unrolls loops and proves most. Where that takes more
steps than the budget, states that meet are joined instead, and what grows is widened: then the work
is bounded by the size of the program, but a loop is a circle and not proved to end.

Source: for joining and widening, Cousot and Cousot, "Abstract interpretation", POPL 1977.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import count
from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.ebpf.check.covering import covers, join, without
from pfcompile.ebpf.check.faults import Unproved
from pfcompile.ebpf.check.scalars import unite, widen
from pfcompile.ebpf.check.states import CELL_BYTES, State
from pfcompile.ebpf.check.steps import Next, Place, step, unproved_step
from pfcompile.ebpf.check.trails import Trail, refusal
from pfcompile.ebpf.isa import STACK_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pfcompile.ebpf.check.flow import Flow
    from pfcompile.ebpf.check.subjects import Subject

_COMPARED: Final = 32
"""Earlier states of a place that a new one is compared with: the latest."""
_PATIENCE: Final = 3
"""Joins at a place before bounds that grow are given up."""
_STACK_UNIT: Final = 32
"""Bytes to which the kernel rounds the stack of a function."""

Observer: TypeAlias = "Callable[[int, State], object]"
_Key: TypeAlias = tuple[int, ...]
"""A slot and the slots that open calls return to."""


class TooMuchError(Exception):
    """The walk took more steps than it may."""


@dataclass(slots=True)
class _Node:
    """A state that is kept.

    Attributes:
        slot: Its instruction.
        state: What is known there.
        trail: How it was reached.
        joins: How many others have been joined into it.
        is_waiting: Whether it has still to be followed.
        next_nodes: Nodes that the program can come to next, but by counted jumps.
    """

    slot: int
    state: State
    trail: Trail
    joins: int = 0
    is_waiting: bool = True
    next_nodes: set[int] = field(default_factory=set)


class Walk:
    """One walk.

    Attributes:
        steps: Instructions looked at, as often as they were.
        reached: Instructions that have been.
        unproved: Those of them that may do what they may not, with the first reason.

    Args:
        flow: The program.
        subject: What it is checked for.
        budget: Steps that it may take.
        is_strict: Whether the first thing that is not proved is a refusal.
        is_joining: Whether states that meet are joined.
        observe: Called with each slot and state on the way.
    """

    def __init__(
        self,
        flow: Flow,
        subject: Subject,
        budget: int,
        *,
        is_strict: bool,
        is_joining: bool,
        observe: Observer | None = None,
    ) -> None:
        self.steps = 0
        self.reached: set[int] = set()
        self.unproved: dict[int, str] = {}
        self._flow = flow
        self._subject = subject
        self._budget = budget
        self._is_strict = is_strict
        self._is_joining = is_joining
        self._observe = observe
        self._nodes: list[_Node] = []
        self._kept: defaultdict[_Key, list[int]] = defaultdict(list)
        self._waiting: list[tuple[int, int, int]] = []
        self._order = count()
        self._depths: dict[int, int] = {}
        self._chains: set[tuple[int, ...]] = set()

    def run(self, start: State) -> None:
        """Follow all ways from the program's start.

        Raises:
            CheckRefusal: Something is not proved; only where the walk is strict.
            TooMuchError: The budget is used up.
        """
        self._arrive(None, Next(0, start), Trail(0))
        while self._waiting:
            *_, number = heapq.heappop(self._waiting)
            node = self._nodes[number]
            if node.is_waiting:
                node.is_waiting = False
                self._follow(number, node)

    def circle(self) -> Sequence[_Node]:
        """Return nodes that lead from the first to the last and back again; nothing if none do."""
        graph = {number: node.next_nodes for number, node in enumerate(self._nodes)}
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            # It goes against the edges, and says the first node twice.
            return [self._nodes[number] for number in reversed(error.args[1][1:])]
        return ()

    def deepest_stack(self) -> int:
        """Return the bytes of stack of all calls in each other, at most."""
        sizes = {
            entry: -(-depth // _STACK_UNIT) * _STACK_UNIT for entry, depth in self._depths.items()
        }
        return max((sum(sizes[entry] for entry in chain) for chain in self._chains), default=0)

    def _follow(self, number: int, node: _Node) -> None:
        """Go on from a node to the next ones."""
        here = [(Next(node.slot, node.state), node.trail)]
        while here:
            way, trail = here.pop()
            for following in self._step(way, trail):
                counted = following._replace(is_counted=following.is_counted or way.is_counted)
                how = following.how
                gone = Trail(following.slot, trail, way.slot, how) if how else trail
                if following.slot in self._flow.meetings:
                    self._arrive(number, counted, gone)
                else:
                    here.append((counted, gone))

    def _step(self, way: Next, trail: Trail) -> Sequence[Next]:
        """Look at one instruction."""
        self.steps += 1
        if self.steps > self._budget:
            raise TooMuchError
        slot, state = way.slot, way.state
        self.reached.add(slot)
        if self._observe is not None:
            self._observe(slot, state)
        self._measure(state)
        place = Place(
            self._flow, self._subject, slot, self._flow.program[slot], self._flow.row(slot), state
        )
        try:
            return step(place)
        except Unproved as unproved:
            if self._is_strict:
                raise refusal(self._flow, slot, str(unproved), state, trail) from None
            self.unproved.setdefault(slot, str(unproved))
            return unproved_step(place)

    def _arrive(self, before: int | None, way: Next, trail: Trail) -> None:
        """Keep a state, or find it covered."""
        state = without(way.state, self._flow.live, way.slot)
        key = (way.slot, *(frame.returns_to or 0 for frame in state.frames))
        kept = self._kept[key]
        found = self._meet(kept, state) if self._is_joining else self._known(kept, state)
        if found is None:
            found = len(self._nodes)
            kept.append(found)
            self._nodes.append(_Node(way.slot, state, trail))
            self._wait(found)
        if before is not None and not way.is_counted:
            self._nodes[before].next_nodes.add(found)

    def _known(self, kept: Sequence[int], state: State) -> int | None:
        """Return the latest node that covers a state."""
        for number in reversed(kept[-_COMPARED:]):
            if covers(self._nodes[number].state, state):
                return number
        return None

    def _meet(self, kept: Sequence[int], state: State) -> int | None:
        """Return the one node of a place, the state joined into it."""
        if not kept:
            return None
        (number,) = kept
        node = self._nodes[number]
        if covers(node.state, state):
            return number
        node.joins += 1
        joined = join(node.state, state, unite if node.joins <= _PATIENCE else widen)
        if not covers(node.state, joined):
            node.state = joined
            if not node.is_waiting:
                node.is_waiting = True
                self._wait(number)
        return number

    def _wait(self, number: int) -> None:
        """Let a node be followed, the last one first.

        Of states that get joined the first slot of the deepest call comes first instead, so that
        all that can meet there has met.
        """
        node = self._nodes[number]
        turn = next(self._order)
        first = (-node.state.depth, node.slot) if self._is_joining else (-turn, 0)
        heapq.heappush(self._waiting, (*first, number))

    def _measure(self, state: State) -> None:
        """Take down how much stack the running call has used."""
        frame = state.frame
        lowest = min(frame.stack, default=STACK_SIZE // CELL_BYTES)
        depth = max(1, STACK_SIZE - lowest * CELL_BYTES)
        if depth > self._depths.get(frame.entry, 0):
            self._depths[frame.entry] = depth
        self._chains.add(tuple(each.entry for each in state.frames))
