"""Programs as native code, with the interpreter's interface.

Registers hold the interpreter's made-up addresses here too, so that results, and what faults where,
are the same. A fault is an exception, never a crash, and the code may run in several threads at
once: the lock that Python has is let go while it runs, and taken for helpers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ebpf.machine.code import Environment, Limits
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.interpreter import Outcome
from pfcompile.ebpf.machine.starts import NoData
from pfcompile.errors import ProgramError
from pfcompile.jit.code import NativeCode, prepare
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

        All tail calls, and all records of ring buffers that are left unfinished, count together.
        As BPF_PROG_TEST_RUN does it with `repeat`; raises as `run` does.
        """
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
    bound: int | None = None,
) -> Native:
    """Return a program as native code of this processor.

    Args:
        program: Any; it is checked first (`check_structure`).
        environment: What it can call and use; without one, the helpers of `HELPERS`.
        limits: How far a run may go.
        proved: Slots of memory accesses that cannot fault: these run without a check, all others
            with one.
        starts: The ways of being started that `proved` holds for; with something proved, the
            program can be started in no other way.
        bound: How many instructions a run takes at most, where that is proved; a program without
            loops and functions needs no proof. With a bound within the budget, nothing counts.

    Raises:
        ProgramError: The program is not valid, or wants what is not in `environment`.
    """
    given = Environment(HELPERS) if environment is None else environment
    source = prepare(program, given, proved, limits.instructions, bound)
    return Native(NativeCode(source), given, limits, starts if proved else None)


def native_assembly(
    program: Sequence[Instruction],
    environment: Environment | None = None,
    *,
    proved: frozenset[int] = _NOTHING_PROVED,
    triple: str | None = None,
) -> str:
    """Return a program's native code in assembly language; see `native` and `native_object`."""
    return assembly(_text(program, environment, proved), triple)


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
    return object_code(_text(program, environment, proved), triple)


def _text(
    program: Sequence[Instruction], environment: Environment | None, proved: frozenset[int]
) -> str:
    given = Environment(HELPERS) if environment is None else environment
    return prepare(program, given, proved, _USUAL_LIMITS.instructions, None).text(0)
