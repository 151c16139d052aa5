"""What libpcap's parser has read by the time that it meets an error.

A parser made by Bison reduces, without a look at the next token, where there is only one production
to reduce by; and by a state's commonest production when the next token fits nowhere, before it
complains. PLY's parser looks first. libpcap generates code at each reduction, so which of two
mistakes it reports depends on this: in `host 1.2.3.999 5` it is the address.

Source: the manual of GNU Bison, "Default Reductions".
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

from ply.yacc import YaccProduction, YaccSymbol

from pfcompile.syntax.parsetab import _lr_action as ACTIONS  # noqa: N812 - PLY's name for them


def consistent_states() -> dict[int, int]:
    """Return state -> action where there is only one, a reduction (a negative number)."""
    states = {}
    for state, actions in ACTIONS.items():
        kinds = set(actions.values())
        if len(kinds) == 1 and min(kinds) < 0:
            states[state] = min(kinds)
    return states


@cache
def _commonest() -> dict[int, int]:
    """Return state -> number of the production that it reduces by for most of its tokens."""
    found = {}
    for state, actions in ACTIONS.items():
        reductions = Counter(-action for action in actions.values() if action < 0)
        if reductions:
            # Of equally common ones Bison takes the first in the grammar.
            found[state] = min(reductions, key=lambda rule: (-reductions[rule], rule))
    return found


def reduce_by_default(parser: Any) -> None:
    """Make every reduction that needs no further token, on the stacks of a stopped parser."""
    commonest = _commonest()
    while parser.statestack[-1] in commonest:
        production = parser.productions[commonest[parser.statestack[-1]]]
        symbol = YaccSymbol()
        symbol.type = production.name
        kept = len(parser.symstack) - production.len
        production.callable(YaccProduction([symbol, *parser.symstack[kept:]]))
        parser.symstack[kept:] = [symbol]
        parser.statestack[kept:] = [parser.goto[parser.statestack[kept - 1]][production.name]]
