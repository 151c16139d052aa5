"""The places of breakpoints: instructions by number, and terms of the expression."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pfcompile.debugger.arguments import NUMBER, number_in, shortened
from pfcompile.debugger.expressions import parse
from pfcompile.debugger.mistakes import Mistake
from pfcompile.debugger.terms import entries_of, spans_of
from pfcompile.debugger.text import INSTRUCTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.debugger.machines import Code
    from pfcompile.debugger.session import Session

_CONDITION: Final = re.compile(r"(?:^|\s)if\s+")


def split_condition(rest: str) -> tuple[str, str, str]:
    """Return what stands before `if`, whether there is one, and what stands behind it."""
    found = _CONDITION.search(f"{rest} ")
    if found is None:
        return rest, "", ""
    return rest[: found.start()].strip(), "if", rest[found.end() :].strip()


def find_place(session: Session, place: str) -> tuple[Callable[[Code], frozenset[int]], str]:
    """Return what tells the instructions of a place, and its name.

    It is the number of an instruction, or else a term of the expression; quotes make it a term.

    Raises:
        Mistake: There is no such place.
    """
    here = session.code
    is_number = NUMBER.fullmatch(place) is not None
    number = number_in(place, "break N") if is_number else 0
    if is_number and number < len(here.lines) and here.lines[number] is not None:
        only = frozenset((number,))
        # In the program for another link type it is another one.
        name = f"{INSTRUCTION} {number}"
        return lambda code: only if code is here else frozenset(), name
    if is_number and not spans_of(place, here.text):
        last = len(here.lines) - 1
        raise Mistake(f"no instruction begins at {number}", f"instructions: 0 to {last}")
    term = place.strip("\"'")
    if not term.strip():
        raise Mistake("which instruction, or which term?", "usage: break N|TERM|if COND")
    known = {here: _entries(term, session)}

    def where(code: Code) -> frozenset[int]:
        if code not in known:
            try:
                known[code] = entries_of(term, code)
            except Mistake:
                known[code] = frozenset()
        return known[code]

    return where, term


def _entries(term: str, session: Session) -> frozenset[int]:
    try:
        return entries_of(term, session.code)
    except Mistake as mistake:
        try:
            parse(term, session.vocabulary)
        except Mistake:
            raise mistake from None
        raise Mistake(
            f"'{shortened(term)}' is no place to stop",
            f"for a condition: break if {shortened(term)}",
        ) from None
