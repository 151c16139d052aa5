"""One expression with some of its terms taken as true or false, and which of these are the same."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.generate import generate
from pfcompile.cbpf.interpreter import run
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.errors import MissingExtraError, ProgramError
from pfcompile.lower.lowering import lower
from pfcompile.passes.pipeline import simplify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.errors import Span
    from pfcompile.explain.runs import Run
    from pfcompile.explain.subject import Subject

Code = tuple[Instruction, ...]

LONGEST: Final = 1500
"""Instructions; proofs about longer programs take too long."""

_PADDING: Final = bytes(2048)
"""Behind packets that are tried again, so that no program reads past their end."""

NOT_INSTALLED: Final = (
    "terms that never or always hold, or that others imply, are looked for with z3, which is not "
    "installed: pip install 'pfcompile[prove]'"
)
NO_TIME: Final = "not all terms were tried one by one: the time is up (--timeout gives more)"


class TooLongError(Exception):
    """A program is too long for proofs."""


@dataclass(frozen=True, slots=True)
class _Packet:
    """A packet that has told two filters apart."""

    content: bytes
    wire_length: int
    ancillary: Mapping[int, int]


class Filters:
    """The filters that an expression is when terms are taken as true or false.

    Filters that optimise to the same program are the same without a proof; packets that z3 has
    found before tell most of the others apart, so that few are asked about.

    Attributes:
        left_out: Why some were not compared, or None.
    """

    def __init__(self, subject: Subject, runs: Sequence[Run], seconds: float) -> None:
        self.left_out: str | None = None
        self._subject = subject
        self._runs = runs
        self._deadline = time.monotonic() + seconds
        self._programs: dict[tuple[frozenset[Span], frozenset[Span]], Code] = {}
        self._packets: list[_Packet] = []

    def taken(self, values: Mapping[int, bool]) -> Code:
        """Return the program with some terms, by their numbers, taken as true or false.

        Raises:
            TooLongError: It is too long for proofs.
        """
        spans: dict[bool, set[Span]] = {True: set(), False: set()}
        for number, value in values.items():
            spans[value] |= self._runs[number].spans
        key = frozenset(spans[True]), frozenset(spans[False])
        if key not in self._programs:
            subject = self._subject
            graph = simplify(lower(subject.expression, subject.text, subject.options, *key))
            program = generate(graph, 1, None)
            if len(program) > LONGEST:
                raise TooLongError
            self._programs[key] = program
        return self._programs[key]

    def is_late(self) -> bool:
        """Return whether the time is up, which is then why something was left out."""
        late = time.monotonic() > self._deadline
        if late and self.left_out is None:
            self.left_out = NO_TIME
        return late

    def same(self, a: Code, b: Code) -> bool:
        """Return whether two are known to give the same verdict on every packet."""
        if a == b:
            return True
        if self.left_out == NOT_INSTALLED:
            return False
        if any(_verdict(a, packet) != _verdict(b, packet) for packet in self._packets):
            return False
        try:
            from pfcompile.prove import Different, Equal, prove  # noqa: PLC0415 - z3 is an extra
        except MissingExtraError:
            self.left_out = NOT_INSTALLED
            return False
        left = int((self._deadline - time.monotonic()) * 1000)
        if left < 1:
            self.left_out = NO_TIME
            return False
        match prove(a, b, timeout_ms=left, real_lengths=True):
            case Equal():
                return True
            case Different(packet, wire_length, _, ancillary):
                self._packets.append(_Packet(packet + _PADDING, wire_length, ancillary))
                return False
            case _:
                self.left_out = NO_TIME
                return False


def constant(*, accepts: bool) -> Code:
    """Return the program that takes every packet, or none."""
    return (Instruction(Op.RET_K.value, 0, 0, int(accepts)),)


def depends_on_optimiser(optimised: Code, unoptimised: Code, seconds: float) -> bool:
    """Return whether there is a packet, cut off somewhere, that only one of two programs takes.

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
    # It is not known to be never also when the time ran out.
    never = question.is_known_never(DIFFER)
    return not never and time.monotonic() - start < seconds


def _verdict(program: Code, packet: _Packet) -> int | None:
    """Return what a program says of a packet; None where no kernel would run it."""
    try:
        return run(program, packet.content, packet.wire_length, packet.ancillary)
    except ProgramError:
        return None
