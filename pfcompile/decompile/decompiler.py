"""From a program to an expression: guess, compare on samples, prove, learn from what differs.

The program becomes a graph; what the graph asks suggests pieces of expressions; a search puts
pieces together that are true of the same samples as the program; the result is compiled again and
proved. Where the proof fails it gives a packet, which is one sample more, and the search begins
anew.

Source: Solar-Lezama, "Program Synthesis by Sketching", 2008, for the circle of guess and
counterexample.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pfcompile.compiler import DEFAULT_SNAPLEN, netmask_number
from pfcompile.decompile.guesses import Guesser
from pfcompile.decompile.meanings import movers
from pfcompile.decompile.obstacles import (
    find_lengths,
    find_metadata,
    find_unsayable,
    is_seccomp,
    returned,
    uses_metadata,
)
from pfcompile.decompile.outline import outline
from pfcompile.decompile.probes import meant
from pfcompile.decompile.proving import Judge, clean_graph
from pfcompile.decompile.questions import Questions, tests_of
from pfcompile.decompile.reading import as_run, read_graph
from pfcompile.decompile.result import Decompiled, Obstacle, Proof
from pfcompile.decompile.structure import Search
from pfcompile.decompile.training import Training
from pfcompile.errors import FilterError, ProgramError
from pfcompile.facts import link_types
from pfcompile.ir.values import Const
from pfcompile.lower.context import Options, Source
from pfcompile.names.resolvers import NoNames
from pfcompile.prove import Undecided

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.decompile.phrases import Phrase
    from pfcompile.decompile.probes import Level
    from pfcompile.ir.graph import Graph

TIMEOUT_SECONDS: Final = 30.0
"""How long all may take if nobody says."""

_MOST_ROUNDS: Final = 100

_LEAST_PROOF_MS: Final = 5000
"""What a proof gets even where the time is up: without it all was in vain."""

_NOTHING: Final = "1 = 0"
"""What no packet is."""

_ANYTHING: Final = "len >= 0"
"""What every packet is."""

_NAMES: Final = NoNames()
"""One object, so that what is known of pieces is found again."""

# Address families of IPv6 that only files have: NetBSD and OpenBSD, FreeBSD, Darwin.
_FOREIGN_FAMILIES: Final = frozenset({24, 28, 30})
_FAMILY_LINKS: Final = frozenset({0, 108, 109, 117})
"""NULL, LOOP, ENC, PFLOG: the link types whose headers have such numbers."""


def decompile(
    instructions: Iterable[Instruction],
    link_type: str | int = "EN10MB",
    *,
    netmask: int | str | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> Decompiled:
    """Return an expression that means what a classic program means, and how that is known.

    Args:
        instructions: The program.
        link_type: What its packets begin with: a name or DLT value.
        netmask: Of the IPv4 network, for `ip broadcast`.
        timeout: How many seconds all may take, more or less.

    Raises:
        ProgramError: The program is not valid, or has too many ways through it.
        ValueError: There is no such link type, or the netmask is none.
        MissingExtraError: z3 is not installed.
    """
    program = as_run(tuple(instructions))
    task = _Task(
        program,
        Options(link_types.number(link_type), _NAMES, netmask_number(netmask)),
        time.monotonic() + timeout,
    )
    try:
        return task.result()
    except RecursionError:
        return task.nothing("it is nested too deeply")


@dataclass(frozen=True, slots=True)
class _Task:
    """One decompilation.

    Attributes:
        program: The program.
        options: What expressions are compiled with.
        deadline: When to give up, by the monotonic clock.
    """

    program: tuple[Instruction, ...]
    options: Options
    deadline: float

    def result(self) -> Decompiled:
        """Return the best that can be said of the program."""
        if is_seccomp(self.program):
            what = "a filter for system calls (seccomp), which never sees a packet"
            return self.nothing("it is no packet filter", (Obstacle(what),))
        unsayable = find_unsayable(self.program)
        if unsayable:
            return self.nothing("it does what no expression can", unsayable)
        return replace(self, options=self._sourced()).searched(find_lengths(self.program))

    def nothing(self, reason: str, obstacles: tuple[Obstacle, ...] = ()) -> Decompiled:
        """Return that there is no expression, and why."""
        return self._answer(None, Proof.NONE, reason, obstacles)

    def _answer(
        self, text: str | None, proof: Proof, reason: str, obstacles: tuple[Obstacle, ...]
    ) -> Decompiled:
        source = self.options.source
        netmask = self.options.netmask
        needs_netmask = text is not None and "ip broadcast" in text
        return Decompiled(
            text,
            proof,
            reason,
            obstacles,
            self.options.dlt,
            self._snaplen(),
            netmask=_dotted(netmask) if needs_netmask else None,
            live=source is Source.LIVE,
            savefile=source is Source.SAVEFILE,
            accepts_nothing=text == _NOTHING,
        )

    def _snaplen(self) -> int:
        lengths = returned(self.program)
        return lengths[-1] if lengths else DEFAULT_SNAPLEN

    def _sourced(self) -> Options:
        """Return the options with where packets come from, as far as the program shows it."""
        if uses_metadata(self.program):
            return replace(self.options, source=Source.LIVE)
        if self.options.dlt in _FAMILY_LINKS:
            numbers = {
                test.right.value
                for test in tests_of(read_graph(self.program))
                if isinstance(test.right, Const)
            }
            swapped = {int.from_bytes(n.to_bytes(4, "little"), "big") for n in numbers}
            if _FOREIGN_FAMILIES & (numbers | swapped):
                return replace(self.options, source=Source.SAVEFILE)
        return self.options

    def searched(self, obstacles: tuple[Obstacle, ...]) -> Decompiled:
        """Return what a search for an expression gives."""
        graph = clean_graph(self.program)
        judge = Judge(
            self.program, graph, self.options, self._snaplen(), only_acceptance=bool(obstacles)
        )
        finder = _Finder(graph, self.options, judge, self.deadline)
        text, proof, reason = finder.find()
        if proof is not Proof.NONE and obstacles:
            # It is proved which packets match, and that is all that can be said.
            proof, reason = Proof.NONE, "only which packets match is proved, not what is returned"
        if text is None or (proof is Proof.NONE and not obstacles):
            obstacles += find_metadata(self.program)
        return self._answer(text, proof, reason, obstacles)


def _dotted(netmask: int) -> str:
    return ".".join(map(str, netmask.to_bytes(4, "big")))


class _Finder:
    """The circle of guess and counterexample."""

    def __init__(self, graph: Graph, options: Options, judge: Judge, deadline: float) -> None:
        self._graph = graph
        self._options = options
        self._judge = judge
        self._deadline = deadline
        questions = Questions([graph])
        self._guesser = Guesser(questions, graph, options)
        pieces = [piece.graph for piece in self._guesser.pieces(())]
        self._training = Training(graph, questions.tests, pieces)
        self._phrases: dict[Level, Sequence[Phrase]] = {}

    def find(self) -> tuple[str | None, Proof, str]:
        """Return an expression, its proof, and why it has none."""
        text, reason = self._guess(), ""
        for _ in range(_MOST_ROUNDS):
            if text is None:
                break
            try:
                answer = self._judge.judge(text, self._left_ms())
            except (FilterError, ProgramError):  # too long, as a list can become
                break
            match answer:
                case Proof():
                    return text, answer, ""
                case Undecided(reason=reason):
                    return text, Proof.NONE, f"the proof was not finished: {reason}"
                case _:
                    self._training.learn(answer.packet, answer.wire_length, answer.ancillary)
            if time.monotonic() > self._deadline:
                break
            text = self._guess()
        return self._outlined(text)

    def _left_ms(self) -> int:
        return max(_LEAST_PROOF_MS, int((self._deadline - time.monotonic()) * 1000))

    def _guess(self) -> str | None:
        """Return an expression that is right on all samples, None where none is found."""
        samples = self._training.samples
        self._phrases.clear()
        truth, lost = samples.of_graph(self._graph)
        care = samples.all & ~lost
        # What comes before every filter of this link type is no part of the expression.
        gate = meant(_ANYTHING, self._options, ())
        if gate is not None:
            care &= samples.of_graph(gate)[0]
        truth &= care
        if truth == care:
            # The empty expression accepts what does not pass the gate, too.
            return "" if gate is None or gate.is_constant else _ANYTHING
        if truth == 0:
            return _NOTHING
        search = Search(self._vocabulary, samples.all, movers(self._options), self._deadline)
        try:
            found = search.solve(truth, care, ())
        except RecursionError:  # hundreds of pieces, one after the other
            return None
        return None if found is None else found.text

    def _vocabulary(self, level: Level) -> Sequence[Phrase]:
        if level not in self._phrases:
            samples = self._training.samples
            self._phrases[level] = [
                piece.phrase(samples.of_graph(piece.graph)[0])
                for piece in self._guesser.pieces(level)
            ]
        return self._phrases[level]

    def _outlined(self, last: str | None) -> tuple[str | None, Proof, str]:
        """Return the graph test by test, where nothing better is right."""
        text = outline(self._graph, self._guesser.plain)
        if text is not None:
            try:
                answer = self._judge.judge(text, self._left_ms())
            except (FilterError, ProgramError):
                answer = None
            if isinstance(answer, Proof):
                return text, answer, ""
        return last, Proof.NONE, "no expression was found that is right for all packets"
