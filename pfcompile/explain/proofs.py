"""Terms that make no difference: what holds never, always, or whenever others do.

A term is taken as true, and as false. Where the filter stays the same for every packet, the term
makes no difference there. The others that this depends on are found by leaving out each in turn:
what stays different without it is to blame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.contradiction import rejects_all
from pfcompile.explain.codes import warning
from pfcompile.explain.explanation import Related
from pfcompile.explain.filters import LONGEST, Filters, TooLongError, constant
from pfcompile.explain.runs import beside, is_needed, runs_of
from pfcompile.explain.words import NOTHING, describe
from pfcompile.explain.words.english import listed
from pfcompile.facts.link_layouts import Encoding
from pfcompile.ir.graph import Accept, Reject
from pfcompile.lower.lowering import lower
from pfcompile.passes.pipeline import simplify
from pfcompile.syntax.tree import Junction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.runs import Beside, Run
    from pfcompile.explain.subject import Subject

MOST_TERMS: Final = 24
"""Above, terms are not tried one by one: each takes a proof or two."""

_TOO_LONG: Final = "terms were not tried one by one: the program is too long"

SECONDS: Final = 2.0
"""How long all proofs of one explanation may take, by default."""


@dataclass(frozen=True, slots=True)
class Proved:
    """What was found.

    Attributes:
        warnings: In no order.
        left_out: Why some were not looked for, or None.
    """

    warnings: tuple[FilterWarning, ...]
    left_out: str | None = None


def find(subject: Subject, seconds: float = SECONDS) -> Proved:
    """Return the terms that make no difference.

    Args:
        subject: The expression.
        seconds: How long the proofs may take.
    """
    whole = simplify(lower(subject.expression, subject.text, subject.options))
    match whole[whole.entry]:
        case Reject():
            return Proved((_no_packet(subject),))
        case Accept():
            return Proved((_every_packet(subject),))
        case _:
            pass
    runs = runs_of(subject)
    if len(runs) > MOST_TERMS:
        return Proved((), f"terms were not tried one by one: {len(runs):,} are too many")
    if len(subject.occurrences) > LONGEST:  # Each takes an instruction at least.
        return Proved((), _TOO_LONG)
    filters = Filters(subject, runs, seconds)
    try:
        found = tuple(_Search(subject, runs, filters).warnings())
    except TooLongError:
        return Proved((), _TOO_LONG)
    return Proved(found, filters.left_out)


_IN_QUOTES: Final = re.compile("'([^']*)'")


def _every_packet(subject: Subject) -> FilterWarning:
    return warning("PF105", subject.expression.span, "every packet matches")


def _no_packet(subject: Subject) -> FilterWarning:
    """Return the warning for a filter that the optimiser finds to be impossible."""
    error = rejects_all(subject.expression, subject.text, subject.options)
    _, _, why = error.message.partition(": ")
    why = _IN_QUOTES.sub(r"`\1`", why)  # as all warnings quote terms
    said = "no packet matches" + (f": {why}" if why else "")
    hint = None if error.hint is None else _IN_QUOTES.sub(r"`\1`", error.hint)
    odd = any(
        each.moved or each.frame.layout.encoding is Encoding.COOKED for each in subject.occurrences
    )
    if odd and hint is not None and hint.endswith("do not carry it"):
        hint = None  # They may carry it: it is looked for in the wrong place.
    if hint is None and "cannot both hold" in why:
        hint = "for packets with either, join them with `or`"
    return warning("PF106", error.span or subject.expression.span, said, hint)


class _Search:
    """Tries the terms of one expression.

    A term is taken for what it says with the `not` before it: it "holds" where that is true.
    """

    def __init__(self, subject: Subject, runs: Sequence[Run], filters: Filters) -> None:
        self._subject = subject
        self._runs = runs
        self._filters = filters

    def warnings(self) -> Iterator[FilterWarning]:
        """Yield what is said about the terms, the last ones first."""
        whole = self._filters.taken({})
        if self._filters.same(whole, constant(accepts=False)):
            yield self._none_matches()
            return
        if self._filters.same(whole, constant(accepts=True)):
            yield _every_packet(self._subject)
            return
        dropped: dict[int, bool] = {}
        settled: set[int] = set()
        # From the right, so that what is blamed is what was written last.
        for number in reversed(range(len(self._runs))):
            run = self._runs[number]
            if self._filters.is_late():
                return
            if number in settled or run.moves or not run.can_be_taken:
                continue
            # What is told must be so in the expression as it stands, and still be so where all is
            # left out that was told before: of two equal terms, one stays.
            outcomes = self._outcomes(number, {})
            outcomes = outcomes and outcomes & self._outcomes(number, dropped)
            if not outcomes:
                continue
            # Where both will do, the question is what else lets those packets through.
            holds = False not in outcomes
            others = self._needed_for(number, holds, dropped)
            is_neutral = (run.neutral != run.negated) in outcomes
            if is_neutral:
                dropped[number] = run.neutral
            else:
                settled |= self._absorbed(run)
            yield self._said(run, self._parts(run, others), holds=holds, alone=is_neutral)

    def _absorbed(self, run: Run) -> set[int]:
        """Return the terms that make no difference either, beside one that always decides."""
        return {
            number
            for number, other in enumerate(self._runs)
            if other.way
            and other.way[-1].chain is run.way[-1].chain
            and other is not run
            and is_needed(run, other) is (run.junction is Junction.AND)
        }

    def _none_matches(self) -> FilterWarning:
        """Return the warning for a filter that z3 finds to be impossible, with the terms to blame.

        Those that must all hold are left out in turn; what still takes nothing did not need them.
        """
        left_out: dict[int, bool] = {}
        nothing = constant(accepts=False)
        for number, run in enumerate(self._runs):
            if run.can_be_taken and run.junction is not Junction.OR:
                without = {**left_out, number: run.neutral}
                if self._filters.same(self._filters.taken(without), nothing):
                    left_out = without
        blamed = [run for number, run in enumerate(self._runs) if number not in left_out]
        shown = listed([_shown(run) for run in blamed], "and")
        together = "cannot hold together" if len(blamed) > 1 else "never holds"
        span = blamed[0].span.to(blamed[-1].span)
        return warning("PF106", span, f"no packet matches: {shown} {together}")

    def _outcomes(self, number: int, dropped: Mapping[int, bool]) -> set[bool]:
        """Return what a term can be taken for, holding or not, without a difference."""
        run, whole = self._runs[number], self._filters.taken(dropped)
        return {
            holds
            for holds in (True, False)
            if self._filters.same(
                whole, self._filters.taken({**dropped, number: holds != run.negated})
            )
        }

    def _needed_for(self, number: int, holds: bool, dropped: Mapping[int, bool]) -> list[int]:
        """Return the other terms without which this one would make a difference."""
        run = self._runs[number]
        left_out: dict[int, bool] = {}
        # What was told to add nothing is not what others are explained with, if it can be helped.
        order = sorted(range(len(self._runs)), key=lambda other: other not in dropped)
        for other in order:
            its = self._runs[other]
            if other == number or not its.can_be_taken:
                continue
            # What must hold beside it is left out by holding, what may hold instead by not.
            needed = is_needed(run, its)
            without = {**left_out, other: needed != its.negated}
            with_value = {**without, number: holds != run.negated}
            if self._filters.same(self._filters.taken(without), self._filters.taken(with_value)):
                left_out = without
        return [each for each in range(len(self._runs)) if each != number and each not in left_out]

    def _lack(self, run: Run) -> str:
        """Return why a term never holds, where the link type is the reason."""
        occurrence = next(each for each in self._subject.occurrences if each.span in run.spans)
        if occurrence.moved or run.negated:
            return ""
        said = describe(self._subject, occurrence, run.written)
        return f": {said.removeprefix(NOTHING)}" if said.startswith(NOTHING) else ""

    def _parts(self, run: Run, others: Sequence[int]) -> list[Beside]:
        """Return the parts of the expression that other terms stand in, each once."""
        return list(dict.fromkeys(beside(self._subject, run, self._runs[each]) for each in others))

    def _said(
        self, run: Run, parts: Sequence[Beside], *, holds: bool, alone: bool
    ) -> FilterWarning:
        """Return the warning about a term that can be taken as holding, or as not.

        Args:
            run: The term.
            parts: What it makes no difference beside.
            holds: What it can be taken for.
            alone: Whether it can be left out and what it is joined to stay.
        """
        shown = _shown(run)
        if not parts:
            if holds:
                return warning("PF102", run.span, f"{shown} always holds here")
            return warning("PF101", run.span, f"{shown} never holds here{self._lack(run)}")
        needed = [f"`{part.written}`" for part in parts if part.is_needed]
        instead = [f"`{part.written}`" for part in parts if not part.is_needed]
        related = tuple(
            Related(part.span, f"with this, {shown} makes no difference") for part in parts
        )
        if alone and [*needed, *instead] == [shown]:
            said = f"{shown} stands there twice"
            return warning("PF103", run.span, said, "it can be left out", *related)
        if holds:
            where = listed([*_hold(needed), *_do_not_hold(instead)], "and")
            if run.junction is Junction.OR:
                said = f"{shown} always holds where {where}: this part takes every packet"
                return warning("PF102", run.span, said, None, *related)
            code = "PF104" if run.is_protocol else "PF103"
            said = f"{shown} adds nothing: it holds where {where}"
            return warning(code, run.span, said, "it can be left out", *related)
        if not instead:
            said = f"{shown} never holds together with {listed(needed, 'and')}"
            hint = f"for packets with either: {parts[0].written} or {run.written}"
            either = len(parts) == 1 and not run.negated
            return warning("PF101", run.span, said, hint if either else None, *related)
        where = listed(["it holds", *_hold(needed)], "and")
        said = f"{shown} adds nothing: where {where}, {listed(instead, 'or')} holds anyway"
        if set(needed) & set(instead):
            said = f"{shown} adds nothing: {listed(instead, 'or')} alone takes all of it"
        hint = "it can be left out" if alone else "all that it is joined to can be left out"
        return warning("PF103", run.span, said, hint, *related)


def _shown(run: Run) -> str:
    """Return a term as messages quote it, with `not` and what it inherits."""
    return f"`not {run.written}`" if run.negated else f"`{run.written}`"


def _hold(shown: Sequence[str]) -> list[str]:
    if not shown:
        return []
    return [f"{listed(shown, 'and')} {'holds' if len(shown) == 1 else 'hold'}"]


def _do_not_hold(shown: Sequence[str]) -> list[str]:
    if len(shown) < 2:
        return [f"{each} does not hold" for each in shown]
    return [f"neither {listed(shown, 'nor')} holds"]
