"""The search for an expression that is true of the right samples, made of given pieces.

Pieces are split off one after the other, from left to right as the text will have them. A piece
that is true of all that is wanted leaves `PIECE and ...`, one that is true of nothing else leaves
`PIECE or ...`; what it has decided is nobody's care to its right. Where no piece does either, one
is taken that divides the matter best: `... or (PIECE and ...)`, where the first part may be true of
anything that is wanted anyway.

Of some ways that look good the shortest is kept.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.decompile.phrases import Form, Phrase

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pfcompile.decompile.probes import Level

_MOST_PROBLEMS: Final = 400
"""Parts that are solved before the search takes only what looks best."""

_WIDTHS: Final = (5, 4, 3, 3)
"""How many ways are tried in an expression's first parts; in all others the first that succeeds."""

_MOST_ATTEMPTS: Final = 3
"""How many may fail there."""


class _Split(NamedTuple):
    """A piece split off: `piece and rest` or `piece or rest`."""

    score: float
    form: Form
    piece: Phrase


@dataclass(slots=True)
class Search:
    """One search.

    Attributes:
        vocabulary: The pieces that may stand behind some encapsulations.
        everything: A bit for each sample.
        movers: Encapsulations behind which something is known only of what passes them.
        deadline: From when on only what looks best is tried, by the monotonic clock.
    """

    vocabulary: Callable[[Level], Sequence[Phrase]]
    everything: int
    movers: frozenset[str]
    deadline: float
    _known: dict[tuple[int, int, Level], Phrase | None] = field(default_factory=dict)
    _problems: int = 0

    def solve(self, truth: int, care: int, level: Level, depth: int = 0) -> Phrase | None:
        """Return a phrase that is true of `truth` among `care`, None where none is found.

        There must be samples of both kinds in `care`.
        """
        truth &= care
        key = truth, care, level
        if key not in self._known:
            self._known[key] = None  # whatever comes back to this problem gets nowhere
            self._known[key] = self._solve(truth, care, level, depth)
        return self._known[key]

    def _solve(self, truth: int, care: int, level: Level, depth: int) -> Phrase | None:
        self._problems += 1
        exact: list[Phrase] = []
        splits: list[_Split] = []
        open_: list[Phrase] = []
        wrong = care & ~truth
        for piece in self.vocabulary(level):
            true = piece.truth & care
            if true in {0, care}:
                continue
            if true == truth:
                exact.append(piece)
            elif true == wrong:
                exact.append(piece.negated(self.everything))
            else:
                split = _split(piece, true, truth, wrong, self.everything)
                if split is None:
                    open_.append(piece)
                elif split.form is Form.AND or not self.movers.intersection(piece.after):
                    splits.append(split)
        best = min(exact, key=lambda phrase: phrase.cost, default=None)
        if best is not None and best.is_plain:
            return best
        width = 1
        if self._has_time() and depth < len(_WIDTHS):
            width = _WIDTHS[depth]
        splits.sort(key=lambda split: -split.score)
        found = [
            best,
            *(self._behind(split, truth, care, level, depth) for split in splits[: width + 1]),
        ]
        if not splits or all(phrase is None for phrase in found):
            open_.sort(key=lambda piece: _disorder(piece.truth, truth, wrong))
            for piece in open_[:width]:
                found += self._divided(piece, truth, care, level, depth)
        return min(
            (phrase for phrase in found if phrase is not None),
            key=lambda phrase: phrase.cost,
            default=None,
        )

    def _has_time(self) -> bool:
        return self._problems < _MOST_PROBLEMS and time.monotonic() < self.deadline

    def _behind(
        self, split: _Split, truth: int, care: int, level: Level, depth: int
    ) -> Phrase | None:
        """Return what is left joined to a piece that has been split off."""
        piece = split.piece
        left = care & (piece.truth if split.form is Form.AND else ~piece.truth)
        rest = self.solve(truth, left, piece.after, depth + 1)
        if rest is None:
            return None
        # The rest may say it all; but not where it stands behind a piece that moves headers.
        if rest.truth & care == truth and piece.after == level:
            return rest
        return piece.joined(split.form, rest)

    def _divided(
        self, piece: Phrase, truth: int, care: int, level: Level, depth: int
    ) -> list[Phrase | None]:
        """Return `first or (piece and second)` and its like, of which none may move headers."""
        if piece.after != level:
            return []
        negated = piece.negated(self.everything)
        return [
            self._united(form, each, truth, care, level, depth)
            for form in (Form.OR, Form.AND)
            for each in (piece, negated)
        ]

    def _united(
        self, form: Form, piece: Phrase, truth: int, care: int, level: Level, depth: int
    ) -> Phrase | None:
        """Return `first or (piece and second)`, or `first and (piece or second)`."""
        inner = Form.AND if form is Form.OR else Form.OR
        if form is Form.OR:
            free, decided = truth & piece.truth, piece.truth
        else:
            free, decided = care & ~truth & ~piece.truth, ~piece.truth
        first = self._part(truth, care & ~free, level, depth)
        if first is None:
            return None
        left = care & decided & (~first.truth if form is Form.OR else first.truth)
        second = self._part(truth, left, level, depth)
        if second is None:
            return None
        grouped = piece.joined(inner, second)
        if first.after == level:
            return first.joined(form, grouped)
        return grouped.joined(form, first) if grouped.after == level else None

    def _part(self, truth: int, care: int, level: Level, depth: int) -> Phrase | None:
        """Solve a part; None also where nothing is left to tell apart."""
        if truth & care in {0, care}:
            return None
        return self.solve(truth, care, level, depth + 1)


def _split(piece: Phrase, true: int, truth: int, wrong: int, everything: int) -> _Split | None:
    """Return how a piece can be split off, None if it cannot."""
    if true & truth == truth:
        decided, form = (wrong & ~true).bit_count() / wrong.bit_count(), Form.AND
    elif true & wrong == 0:
        decided, form = true.bit_count() / truth.bit_count(), Form.OR
    elif true & truth == 0:
        decided, form = true.bit_count() / wrong.bit_count(), Form.AND
        piece = piece.negated(everything)
    elif true & wrong == wrong:
        decided, form = (truth & ~true).bit_count() / truth.bit_count(), Form.OR
        piece = piece.negated(everything)
    else:
        return None
    return _Split(decided - min(piece.cost, _LONG) / _WORTH, form, piece)


_LONG: Final = 60
"""Characters; what is longer is a list, and a long one is one piece all the same."""

_WORTH: Final = 200
"""Characters that are worth it to decide everything."""


def _disorder(true: int, truth: int, wrong: int) -> float:
    """Return how mixed the two sides of a piece are: the product of what is right and wrong."""
    a, b = (true & truth).bit_count(), (true & wrong).bit_count()
    c, d = truth.bit_count() - a, wrong.bit_count() - b
    return a * b / (a + b + 1) + c * d / (c + d + 1)
