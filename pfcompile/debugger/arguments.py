"""The arguments of commands: numbers, and words of a choice."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pfcompile.debugger.mistakes import Mistake
from pfcompile.names.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,18}")


def number_in(rest: str, usage: str, default: int = 1) -> int:
    """Return the number that a command was given.

    Raises:
        Mistake: It is none.
    """
    if not rest:
        return default
    if NUMBER.fullmatch(rest) is None:
        raise Mistake(f"'{shortened(rest)}' is not a number", f"usage: {usage}")
    return int(rest, 16 if rest[:2].lower() == "0x" else 10)


def shortened(rest: str) -> str:
    """Return what was written, for a message."""
    return rest if len(rest) <= 40 else f"{rest[:40]}..."


def refuse_more(rest: str, usage: str) -> None:
    """Raise Mistake where something was written that a command does not take."""
    if rest:
        raise Mistake(f"'{shortened(rest)}' is too much", f"usage: {usage}")


def choice(word: str, choices: Iterable[str], usage: str) -> str:
    """Return the choice that a word begins.

    Raises:
        Mistake: None or several do.
    """
    known = list(choices)
    begun = [word] if word in known else [each for each in known if each.startswith(word)]
    if word and len(begun) == 1:
        return begun[0]
    close = nearest(word, known)
    hint = f"did you mean {' or '.join(close)}?" if close else f"usage: {usage}"
    raise Mistake(
        f"'{shortened(word)}' does not fit here" if word else "something is missing", hint
    )


def at_least_one(rest: str, usage: str) -> int:
    """Return the number that a command was given, 1 for nothing; raises Mistake for 0."""
    count = number_in(rest, usage)
    if count == 0:
        raise Mistake("0 is no number of instructions", f"usage: {usage}")
    return count
