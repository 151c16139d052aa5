"""Terms that make no difference: what holds never, always, or whenever others do.

A term is taken as true, and as false. Where the filter stays the same for every packet, the term
makes no difference there. The others that this depends on are found by leaving out each in turn:
what stays different without it is to blame.

Filters that optimise to the same program are the same without a proof; packets that z3 has found
before tell most of the others apart, so that few are asked about.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.generate import generate
from pfcompile.cbpf.interpreter import run as run_program
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.contradiction import rejects_all
from pfcompile.errors import FilterError, MissingExtraError, ProgramError
from pfcompile.explain.codes import warning
from pfcompile.explain.explanation import Related
from pfcompile.explain.runs import Run, runs_of
from pfcompile.explain.words.english import listed
from pfcompile.ir.graph import Accept, Reject
from pfcompile.lower.lowering import lower
from pfcompile.passes.pipeline import simplify
from pfcompile.syntax.tree import Junction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pfcompile.errors import Span
    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.subject import Subject

MOST_TERMS: Final = 24
"""Above, terms are not tried one by one: each takes a proof or two."""

LONGEST_PROGRAM: Final = 1500
"""Instructions; proofs about longer ones take too long."""

LONGEST_FOR_CUTS: Final = 120
"""Instructions of the unoptimised program."""

SECONDS: Final = 2.0
"""How long all proofs of one explanation may take, by default."""

_PADDING: Final = bytes(2048)
"""Behind packets that are tried again, so that no program reads past their end."""


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
            said = "every packet matches, also those that were not thought of"
            return Proved((warning("PF105", subject.expression.span, said),))
        case _:
            pass
    runs = runs_of(subject)
    if len(runs) > MOST_TERMS:
        return Proved((), f"terms were not tried one by one: {len(runs)} are too many")
    search = _Search(subject, runs, time.monotonic() + seconds)
    try:
        found = tuple(search.warnings())
    except _TooLongError:
        return Proved((), "terms were not tried one by one: the program is too long")
    return Proved(found, search.left_out)


def _no_packet(subject: Subject) -> FilterWarning:
    """Return the warning for a filter that the optimiser finds to be impossible."""
    error = rejects_all(subject.expression, subject.text, subject.options)
    _, _, why = error.message.partition(": ")
    said = "no packet matches" + (f": {why}" if why else "")
    return warning("PF106", error.span or subject.expression.span, said, error.hint)


class _TooLongError(Exception):
    """The way out where a program is too long for proofs."""


@dataclass(frozen=True, slots=True)
class _Packet:
    """A packet that has told two filters apart."""

    content: bytes
    wire_length: int
    ancillary: Mapping[int, int]


@dataclass
class _Search:
    """Tries the terms of one expression."""

    subject: Subject
    runs: Sequence[Run]
    deadline: float
    left_out: str | None = None
    _programs: dict[tuple[frozenset[Span], frozenset[Span]], tuple[Instruction, ...]] = field(
        default_factory=dict
    )
    _packets: list[_Packet] = field(default_factory=list)

    def warnings(self) -> Iterator[FilterWarning]:
        """Yield what is said about the terms, the last ones first."""
        dropped: dict[int, bool] = {}
        told: set[int] = set()
        everything = self._verdict_of_all()
        if everything is not None:
            yield everything
            return
        # From the right, so that what is blamed is what was written last.
        for number in reversed(range(len(self.runs))):
            if number in told or not self.runs[number].can_be_taken:
                continue
            found = self._without_difference(number, dropped)
            if found is None:
                continue
            value, irrelevant = found
            culprits = self._culprits(number, value, dropped)
            run = self.runs[number]
            if irrelevant or value == run.neutral:
                dropped[number] = run.neutral
            told |= {number}
            if not (irrelevant or value == run.neutral):
                told |= set(culprits)
            yield self._said(number, value, culprits, irrelevant=irrelevant)

    def _verdict_of_all(self) -> FilterWarning | None:
        """Return what to say of a filter that takes every packet or none, or None."""
        whole = self._program({})
        accepts, rejects = _constant(accept=True), _constant(accept=False)
        if self._same(whole, rejects):
            return warning(
                "PF106",
                self.subject.expression.span,
                "no packet matches: its terms cannot hold together",
            )
        if self._same(whole, accepts):
            return warning(
                "PF105", self.subject.expression.span, "every packet matches: one term always holds"
            )
        return None

    def _without_difference(
        self, number: int, dropped: Mapping[int, bool]
    ) -> tuple[bool, bool] | None:
        """Return the value that a term can be taken for, and whether any value will do."""
        whole = self._program(dropped)
        same = {
            value: self._same(whole, self._program({**dropped, number: value}))
            for value in (True, False)
        }
        if not any(same.values()):
            return None
        if all(same.values()):
            return self.runs[number].neutral, True
        return same[True], False

    def _culprits(self, number: int, value: bool, dropped: Mapping[int, bool]) -> list[int]:
        """Return the other terms without which this one would make a difference."""
        left_out = dict(dropped)
        for other, run in enumerate(self.runs):
            if other == number or other in left_out or not run.can_be_taken:
                continue
            without = {**left_out, other: run.neutral}
            if self._same(self._program(without), self._program({**without, number: value})):
                left_out = without
        return [
            other for other in range(len(self.runs)) if other != number and other not in left_out
        ]

    def _program(self, taken: Mapping[int, bool]) -> tuple[Instruction, ...]:
        """Return the optimised program with some terms taken as true or false."""
        spans: dict[bool, set[Span]] = {True: set(), False: set()}
        for number, value in taken.items():
            spans[value] |= self.runs[number].spans
        key = frozenset(spans[True]), frozenset(spans[False])
        if key not in self._programs:
            subject = self.subject
            graph = simplify(lower(subject.expression, subject.text, subject.options, *key))
            program = generate(graph, 1, None)
            if len(program) > LONGEST_PROGRAM:
                raise _TooLongError
            self._programs[key] = program
        return self._programs[key]

    def _same(self, a: tuple[Instruction, ...], b: tuple[Instruction, ...]) -> bool:
        """Return whether two programs are known to give the same verdict on every packet."""
        if a == b:
            return True
        if any(_verdict(a, packet) != _verdict(b, packet) for packet in self._packets):
            return False
        try:
            from pfcompile.prove import Different, Equal, prove  # noqa: PLC0415 - z3 is an extra
        except MissingExtraError:
            self.left_out = (
                "terms that never or always hold, or that others imply, are looked for with z3, "
                "which is not installed: pip install 'pfcompile[prove]'"
            )
            return False
        left = int((self.deadline - time.monotonic()) * 1000)
        if left < 1:
            self.left_out = "not all terms were tried: the time is up"
            return False
        match prove(a, b, timeout_ms=left, real_lengths=True):
            case Equal():
                return True
            case Different(packet, wire_length, _, ancillary):
                self._packets.append(_Packet(packet + _PADDING, wire_length, ancillary))
                return False
            case _:
                self.left_out = "not all terms were tried: the time is up"
                return False

    def _said(
        self, number: int, value: bool, culprits: Sequence[int], *, irrelevant: bool
    ) -> FilterWarning:
        """Return the warning about one term."""
        run = self.runs[number]
        shown = self._shown(number)
        others = [self._shown(other) for other in culprits]
        because = listed(others, "and")
        holds = value != run.negated
        related = tuple(
            Related(self.runs[other].span, f"with this, {shown} makes no difference")
            for other in culprits
        )
        if not others:
            word = "always" if holds else "never"
            code = "PF102" if holds else "PF101"
            return warning(code, run.place, f"{shown} {word} holds here", None)
        verb = "hold" if len(others) > 1 else "holds"
        if irrelevant or value == run.neutral:
            code = "PF104" if run.is_protocol and run.junction is Junction.AND else "PF103"
            if others == [shown]:
                said = f"{shown} stands there twice"
            elif run.junction is Junction.OR:
                said = f"{shown} adds nothing: where it holds, {because} {verb} already"
            else:
                said = f"{shown} adds nothing: where {because} {verb}, it always holds"
            return warning(code, run.place, said, "it can be left out", *related)
        if run.junction is Junction.OR:
            said = f"{shown} always holds where {because} {verb.replace('hold', 'do')} not"
            said = said.replace("does not", "does not hold").replace("do not", "do not hold")
            return warning("PF102", run.place, said, "this part takes every packet", *related)
        said = f"{shown} never holds together with {because}: this part matches no packet"
        return warning("PF101", run.place, said, None, *related)

    def _shown(self, number: int) -> str:
        """Return a term as messages quote it, with what it inherits."""
        run = self.runs[number]
        word = "not " if run.negated else ""
        return f"`{word}{self._quoted(run)}`"

    def _quoted(self, run: Run) -> str:
        return run.written or self.subject.quoted(run.span)


def depends_on_optimiser(
    optimised: Sequence[Instruction], unoptimised: Sequence[Instruction], seconds: float
) -> bool:
    """Return whether z3 finds a packet, cut off somewhere, that only one of two programs takes.

    False also where the time is too short, or z3 is not installed.
    """
    if optimised == unoptimised or seconds <= 0:
        return False
    try:
        from pfcompile.prove.question import Question  # noqa: PLC0415 - z3 is an extra
        from pfcompile.prove.verdicts import DIFFER  # noqa: PLC0415 - the same
    except MissingExtraError:
        return False
    start = time.monotonic()
    question = Question(
        (optimised, unoptimised), timeout_ms=int(seconds * 1000) + 1, real_lengths=True
    )
    never = question.is_known_never(DIFFER)
    return not never and time.monotonic() - start < seconds


def _constant(*, accept: bool) -> tuple[Instruction, ...]:
    """Return the program that takes every packet, or none."""
    return (Instruction(Op.RET_K.value, 0, 0, int(accept)),)


def _verdict(program: Sequence[Instruction], packet: _Packet) -> int | None:
    """Return what a program says of a packet; None where no machine would run it."""
    try:
        return run_program(program, packet.content, packet.wire_length, packet.ancillary)
    except (ProgramError, FilterError):
        return None
