"""Graphs that grow from a state: what a machine does from there on, each state one block.

States that are equal become one block, so a graph is as large as the number of states that can be
told apart, and no larger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pfcompile.errors import ProgramError
from pfcompile.ir.graph import Accept, Branch, Builder, Reject, Test

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from pfcompile.ir.graph import Graph, Label

MOST_STATES: Final = 60_000
"""A program with more ways that differ is not taken apart."""


@dataclass(frozen=True, slots=True)
class Fork:
    """Two states to go on with, as a test says."""

    test: Test
    yes: Any
    no: Any


@dataclass(frozen=True, slots=True)
class Step:
    """The one state to go on with."""

    next: Any


Move: TypeAlias = Fork | Step | Accept | Reject


def grow(start: Hashable, move: Callable[[Any], Move]) -> Graph:
    """Return the graph of all states that can be reached from `start`; they have no cycle.

    Raises:
        ProgramError: There are too many.
    """
    builder = Builder()
    labels: dict[Hashable, Label] = {}
    moves: dict[Hashable, Move] = {}
    waiting = [start]
    while waiting:
        state = waiting[-1]
        if state in labels:
            waiting.pop()
            continue
        if state not in moves:
            moves[state] = move(state)
            if len(moves) > MOST_STATES:
                raise ProgramError("the program has too many ways through it to be taken apart")
        here = moves[state]
        missing = [after for after in _after(here) if after not in labels]
        if missing:
            waiting += missing
            continue
        match here:
            case Fork(test=test, yes=yes, no=no):
                labels[state] = builder.add(Branch(test, labels[yes], labels[no]))
            case Step(next=after):
                labels[state] = labels[after]
            case _:
                labels[state] = builder.add(here)
    return builder.finish(labels[start])


def _after(move: Move) -> tuple[Any, ...]:
    match move:
        case Fork(yes=yes, no=no):
            return (yes, no)
        case Step(next=after):
            return (after,)
        case Accept() | Reject():
            return ()
