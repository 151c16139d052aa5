"""The keyword that a misspelt word is nearest to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST: Final = 20
"""No keyword is as long, nor any word that could be meant for one."""

_SUGGESTIONS: Final = 3


def nearest(word: str, choices: Iterable[str]) -> list[str]:
    """Return the choices nearest to `word`, at most three, or none if all are far from it.

    One mistake is near in a word of up to five letters, two in a longer one; nothing is near a
    single letter. Of equally near ones, those with the same first letter win.
    """
    if not 1 < len(word) <= _LONGEST:
        return []
    limit = 1 if len(word) <= 5 else 2
    far = {
        choice: (distance(word, choice), word[0] != choice[0])
        for choice in choices
        if abs(len(choice) - len(word)) <= limit
    }
    least = min(far.values(), default=(limit + 1, True))
    return [choice for choice in far if far[choice] == least <= (limit, True)][:_SUGGESTIONS]


def distance(a: str, b: str) -> int:
    """Return how many mistakes lead from `a` to `b`.

    A mistake is a letter left out, added, or changed, or two neighbours swapped: the optimal string
    alignment distance of Damerau (1964).
    """
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a):
        above, below = row, [i + 1]
        for j, other in enumerate(b):
            cost = min(above[j] + (letter != other), above[j + 1] + 1, below[j] + 1)
            if i and j and letter == b[j - 1] and other == a[i - 1]:
                cost = min(cost, before[j - 1] + 1)
            below.append(cost)
        before, row = above, below
    return row[-1]
