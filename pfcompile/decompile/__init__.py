"""From a classic program back to an expression that means the same.

::

    decompiler  the whole way: guess, compare on samples, prove, learn from what differs
    reading     a program as a decision graph, in terms of the packet alone
    growth      graphs that grow from a state, for reading and others
    sets        long lists found again in a graph
    questions   what a graph asks, and with which numbers
    guesses     pieces of expressions that it may be made of
    words       the language's words that such pieces are made of
    probes      where a piece has its number, learnt by lowering it
    meanings    what a piece tests, as a graph
    addresses   addresses of several words put together
    accessors   values written with accessors
    spelling    sets of numbers written as hosts, networks, ports
    samples     packets on which truths are compared, many at once
    training    which packets those are
    structure   the search for an expression, made of pieces
    phrases     expressions under way
    outline     a graph written test by test, where nothing else is left
    proving     whether an expression is equal to a program
    obstacles   what no expression can say
    result      what comes of it all

The module itself can be called, as `pfcompile.decompile(instructions)`: the function and this
package have one name, and whichever is asked for first must not hide the other.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from pfcompile.decompile.result import Decompiled, Obstacle, Proof

__all__ = ["Decompiled", "Obstacle", "Proof"]


class _Callable(ModuleType):
    """A module that does what its main function does."""

    def __call__(self, *args: Any, **options: Any) -> Decompiled:
        from pfcompile.decompile.decompiler import decompile  # noqa: PLC0415 - loads z3

        return decompile(*args, **options)


sys.modules[__name__].__class__ = _Callable
