"""Which productions of the grammar are used."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pfcompile.syntax import parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _productions() -> list[Any]:
    """Return PLY's productions; the first one stands for the whole text, and has no function."""
    return [each for each in parser._parser().productions if each.callable is not None]


def all_productions() -> set[str]:
    """Return every production of the grammar, as it is written there."""
    return {each.str for each in _productions()}


@contextmanager
def productions_used() -> Iterator[set[str]]:
    """Give a set to which the productions are added that are used from here on."""
    used: set[str] = set()
    productions = _productions()
    functions = [each.callable for each in productions]

    def counted(name: str, function: Callable[[Any], None]) -> Callable[[Any], None]:
        def count(parts: Any) -> None:
            used.add(name)
            function(parts)

        return count

    try:
        for each, function in zip(productions, functions, strict=True):
            each.callable = counted(each.str, function)
        yield used
    finally:
        for each, function in zip(productions, functions, strict=True):
            each.callable = function
