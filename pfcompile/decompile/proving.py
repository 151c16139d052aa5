"""Is an expression equal to a program? It is compiled again, and the two programs are compared.

z3 decides most. Long lists it takes long for; there both programs are read as graphs whose lists
are sets, and walked through together: on every way that some packet can take both must end alike.
That shows equality where it succeeds, and nothing where it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.analysis.facts import Facts
from pfcompile.compiler import compile as compile_text
from pfcompile.decompile.reading import as_run, read_graph
from pfcompile.decompile.result import Proof
from pfcompile.decompile.sets import gather_sets
from pfcompile.errors import ProgramError
from pfcompile.ir.graph import Branch
from pfcompile.lower.context import NETMASK_UNKNOWN, Source
from pfcompile.passes.pipeline import simplify
from pfcompile.prove import Different, Equal, Holds, Undecided, Witness, implies, prove

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.ir.graph import Graph, Label
    from pfcompile.lower.context import Options

_LONG: Final = 1200
"""Instructions of both programs from which on the walk is tried before z3."""

_MOST_STEPS: Final = 50_000

Answer: TypeAlias = Proof | Different | Witness | Undecided
"""How they are equal; or a packet that they treat differently; or that nobody knows."""


def clean_graph(instructions: Sequence[Instruction]) -> Graph:
    """Return a program's graph, simplified, its lists made sets.

    Raises:
        ProgramError: As `read_graph`.
    """
    return gather_sets(simplify(read_graph(instructions)))


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares expressions with a program.

    Attributes:
        instructions: The program.
        graph: It, as `clean_graph` gives it.
        options: What expressions are compiled with.
        snaplen: What they return for a match.
        only_acceptance: Whether any number but 0 is as good as another, since the program returns
            several.
    """

    instructions: tuple[Instruction, ...]
    graph: Graph
    options: Options
    snaplen: int
    only_acceptance: bool

    def judge(self, text: str, timeout_ms: int) -> Answer:
        """Compare an expression with the program."""
        compiled = self._compiled(text)
        is_long = len(compiled) + len(self.instructions) > _LONG
        if is_long and self._is_walked(compiled):
            return Proof.SETS
        answer = self._solved(compiled, timeout_ms)
        if isinstance(answer, Undecided) and not is_long and self._is_walked(compiled):
            return Proof.SETS
        return answer

    def _compiled(self, text: str) -> tuple[Instruction, ...]:
        """Return the unoptimised program, which is what an expression means."""
        options = self.options
        compiled = compile_text(
            text,
            options.dlt,
            self.snaplen,
            None if options.netmask == NETMASK_UNKNOWN else options.netmask,
            optimize=False,
            live=options.source is Source.LIVE,
            savefile=options.source is Source.SAVEFILE,
            resolver=options.resolver,
            max_instructions=None,
        )
        return as_run(compiled.instructions)

    def _solved(self, compiled: tuple[Instruction, ...], timeout_ms: int) -> Answer:
        if self.only_acceptance:
            for pair in ((self.instructions, compiled), (compiled, self.instructions)):
                answer = implies(*pair, timeout_ms=timeout_ms)
                if not isinstance(answer, Holds):
                    return answer
            return Proof.SOLVER
        verdict = prove(self.instructions, compiled, timeout_ms=timeout_ms)
        return Proof.SOLVER if isinstance(verdict, Equal) else verdict

    def _is_walked(self, compiled: tuple[Instruction, ...]) -> bool:
        try:
            return end_alike(self.graph, clean_graph(compiled))
        except ProgramError:
            return False


def end_alike(a: Graph, b: Graph) -> bool:
    """Return whether two graphs are shown to end alike for every packet.

    Sound because facts are: an outcome that they rule out is no packet's.
    """
    waiting: list[tuple[Label, Label, Facts]] = [(a.entry, b.entry, Facts())]
    for _ in range(_MOST_STEPS):
        if not waiting:
            return True
        at, bt, facts = waiting.pop()
        first, second = a[at], b[bt]
        block = first if isinstance(first, Branch) else second
        if not isinstance(block, Branch):
            if type(first) is not type(second):
                return False
            continue
        if block.test.may_end:
            return a.blocks == b.blocks
        known = facts.decide(block.test)
        for outcome in (True, False):
            if known is not None and known is not outcome:
                continue
            after = block.yes if outcome else block.no
            learnt = facts.assume(block.test, outcome)
            waiting.append((after, bt, learnt) if block is first else (at, after, learnt))
    return False
