"""Short ways for the tests of this folder to read an expression."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfcompile.errors import FilterError
from pfcompile.syntax import tree
from pfcompile.syntax.parser import parse
from pfcompile.syntax.tree import Direction, Kind, Proto, Qualifiers

USUAL = tuple(
    line
    for line in (Path(__file__).parents[1] / "filters" / "usual.txt").read_text().splitlines()
    if line and not line.startswith("#")
)
"""The filters that people really type."""


def read(text: str) -> tree.Expression:
    """Return the tree of an expression that is not blank."""
    node = parse(text)
    assert node is not None
    return node


def refused(text: str) -> FilterError:
    """Return the error of an expression that does not parse."""
    with pytest.raises(FilterError) as caught:
        parse(text)
    return caught.value


_WORDS = {word.value: word for words in (Proto, Direction, Kind) for word in words}


def qualified(words: str, identifier: tree.Identifier) -> tree.Qualified:
    """Return an identifier under qualifiers given as words, "" for none at all."""
    found = {type(_WORDS[word]): _WORDS[word] for word in words.split()}
    qualifiers = Qualifiers(found.get(Proto), found.get(Direction), found.get(Kind))
    return tree.Qualified(qualifiers if words else None, identifier)
