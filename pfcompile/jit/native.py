"""Programs as native code, with the interpreter's interface.

Registers hold the interpreter's made-up addresses here too, so that results, and what faults where,
are the same. A fault is an exception, never a crash, and the code may run in several threads at
once: the lock that Python has is let go while it runs, and taken for helpers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ebpf.arithmetic import MASK64
from pfcompile.ebpf.machine.code import Environment, Limits
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.interpreter import Outcome
from pfcompile.ebpf.machine.starts import NoData
from pfcompile.errors import ProgramError
from pfcompile.jit.code import NativeCode, Source, prepare
from pfcompile.jit.engine import assembly, object_code
from pfcompile.jit.run import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.ebpf.isa import Instruction
    from pfcompile.ebpf.machine.starts import Start
    from pfcompile.jit.run import Ended

_USUAL_LIMITS: Final = Limits()
_NO_DATA: Final = NoData()
_NOTHING_PROVED: Final[frozenset[int]] = frozenset()


class Timed(NamedTuple):
    """What many runs came to.

    Attributes:
        result: R0 at the end of the last.
        nanoseconds: How long one took, on the average.
    """

    result: int
    nanoseconds: float


class Native:
    """A program as native code: `native` makes one.

    Attributes:
        code: What program arrays hold, for tail calls from here and from the interpreter.
    """

    __slots__ = ("__weakref__", "_environment", "_idle", "_limits", "_starts", "code")

    def __init__(
        self,
        code: NativeCode,
        environment: Environment,
        limits: Limits,
        starts: tuple[type[Start], ...] | None,
    ) -> None:
        self.code = code
        self._starts = starts
        self._environment = environment
        self._limits = limits
        self._idle: list[Workspace] = []

    def run(self, start: Start = _NO_DATA) -> int:
        """Return what the program returns, 0 to 2**64 - 1.

        Raises:
            RunError: It touched what is not its own, or called what is not there; names the
                instruction.
            BudgetError: It ran all the instructions that it may and did not end.
            ProgramError: `start` cannot be made, or nothing was proved for it.
        """
        return self._run(start, 1).result

    def execute(self, start: Start = _NO_DATA) -> Outcome:
        """Run the program and return what that came to; raises as `run` does."""
        ended = self._run(start, 1)
        return Outcome(ended.result, ended.instructions, ended.run.entry.context)

    def repeat(self, start: Start, times: int) -> Timed:
        """Run the program `times` times (1 or more) in one go, on what the last run has left.

        Packets, maps, variables and contexts stay as they are left. Stack frames begin as zeros;
        and where something is proved, metadata that the package has made (`User`) begins each time
        with what the proofs rely on: where the packet begins and ends.

        All tail calls, and all records of ring buffers that are left unfinished, count together.
        As BPF_PROG_TEST_RUN does it with `repeat`.

        Raises:
            ProgramError: `times` is less than 1, or 2**64 or more; or as of `run`.
            RunError: As of `run`.
            BudgetError: The same.
        """
        if not 0 < times <= MASK64:
            raise ProgramError(f"a program is repeated at least once, and not {times} times")
        begin = time.perf_counter_ns()
        ended = self._run(start, times)
        return Timed(ended.result, (time.perf_counter_ns() - begin) / times)

    def _run(self, start: Start, times: int) -> Ended:
        if self._starts is not None and not isinstance(start, self._starts):
            names = " or ".join(kind.__name__ for kind in self._starts) or "no start"
            raise ProgramError(
                f"what is proved of this native code is proved for {names}, not for "
                f"{type(start).__name__}"
            )
        # Lists do this in one step, so that no two threads get the same one.
        try:
            workspace = self._idle.pop()
        except IndexError:
            workspace = Workspace()
        try:
            return workspace.run(self.code, self._environment, self._limits, start, times)
        finally:
            self._idle.append(workspace)


def native(
    program: Sequence[Instruction],
    environment: Environment | None = None,
    limits: Limits = _USUAL_LIMITS,
    *,
    proved: frozenset[int] = _NOTHING_PROVED,
    starts: tuple[type[Start], ...] = (),
) -> Native:
    """Return a program as native code of this processor.

    LLVM does less for longer programs (`pfcompile.jit.effort`), so that the time grows in
    proportion to them; the code of those is slower. Threads compile one after the other. A program
    without loops and functions that is within the budget runs without being counted.

    Args:
        program: Any; it is checked first (`check_structure`).
        environment: What it can call and use; without one, the helpers of `HELPERS`.
        limits: How far a run may go.
        proved: Slots of memory accesses that cannot fault. In the packet and in stack frames these
            run without a check of where they end; all others, and those elsewhere, with one.
        starts: The ways of being started that `proved` holds for; with something proved, the
            program can be started in no other way.

    Raises:
        ProgramError: The program is not valid, or wants what is not in `environment`.
    """
    given = Environment(HELPERS) if environment is None else environment
    source = prepare(program, given, proved, limits.instructions)
    return Native(NativeCode(source), given, limits, starts if proved else None)


def native_assembly(
    program: Sequence[Instruction],
    environment: Environment | None = None,
    *,
    proved: frozenset[int] = _NOTHING_PROVED,
    triple: str | None = None,
) -> str:
    """Return a program's native code in assembly language; see `native` and `native_object`."""
    source = _source(program, environment, proved)
    return assembly(source.text(0), source.effort, triple)


def native_object(
    program: Sequence[Instruction],
    environment: Environment | None = None,
    *,
    proved: frozenset[int] = _NOTHING_PROVED,
    triple: str | None = None,
) -> bytes:
    """Return a program's native code as an object file.

    Args:
        program: As for `native`.
        environment: The same.
        proved: The same.
        triple: What it is for, as LLVM says it ("aarch64-unknown-linux-gnu"); None for this
            processor.

    Raises:
        ProgramError: As of `native`; or LLVM does not know such a processor.
    """
    source = _source(program, environment, proved)
    return object_code(source.text(0), source.effort, triple)


def _source(
    program: Sequence[Instruction], environment: Environment | None, proved: frozenset[int]
) -> Source:
    given = Environment(HELPERS) if environment is None else environment
    return prepare(program, given, proved, _USUAL_LIMITS.instructions)
