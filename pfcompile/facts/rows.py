"""The row that most tables are made of, and the index by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Number(NamedTuple):
    """A number that a document gives a name to.

    Attributes:
        value: The number as it stands in a packet, read big-endian.
        names: The words a filter may use for it; the first is the usual one.
        description: What it stands for, and the document that says so.
    """

    value: int
    names: tuple[str, ...]
    description: str


def by_name(rows: Iterable[Number]) -> dict[str, int]:
    """Return every name in `rows` with its number.

    Raises:
        ValueError: A name stands for two numbers: a mistake in the table.
    """
    index: dict[str, int] = {}
    for row in rows:
        for name in row.names:
            if index.setdefault(name, row.value) != row.value:
                raise ValueError(f"{name!r} is both {index[name]} and {row.value}")
    return index
