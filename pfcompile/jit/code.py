"""A program as native code, beside the interpreter's steps of the same program.

The steps are what native code falls back on: they say why an access is a fault and give what
64-bit immediates stand for, and through them the interpreter's programs can tail-call this one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.arithmetic import MASK32
from pfcompile.ebpf.isa import Callee
from pfcompile.ebpf.machine.code import Code
from pfcompile.ebpf.machine.faults import Fault
from pfcompile.ebpf.machine.steps import make_steps
from pfcompile.ebpf.structure import check_structure
from pfcompile.jit.blocks import longest_run, sites_of
from pfcompile.jit.effort import effort_for
from pfcompile.jit.engine import Engine
from pfcompile.jit.module import asked_constants, sees_stack, write_module

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.ebpf.isa import Instruction
    from pfcompile.ebpf.machine.code import Environment, Function, Step
    from pfcompile.jit.blocks import Site
    from pfcompile.jit.effort import Effort

_NUMBERS: Final = count(1)


@dataclass(frozen=True, slots=True)
class Source:
    """What native code is made from.

    Attributes:
        steps: The interpreter's, by slot.
        sites: The instructions by slot.
        environment: What the program can call and use.
        proved: Slots of memory accesses that cannot fault.
        counted: Whether the budget can end within the program.
    """

    steps: list[Step]
    sites: Mapping[int, Site]
    environment: Environment
    proved: frozenset[int]
    counted: bool

    @property
    def effort(self) -> Effort:
        """How much work LLVM is given with it."""
        return effort_for(self.sites)

    def text(self, number: int) -> str:
        """Return it in LLVM's language; `number` is what native code calls it."""
        return write_module(dict(self.sites), number, self.proved, counted=self.counted)


def prepare(
    program: Sequence[Instruction],
    environment: Environment,
    proved: frozenset[int],
    budget: int,
) -> Source:
    """Return what native code of a program is made from.

    Args:
        program: Any; it is checked first.
        environment: What it can call and use.
        proved: Slots of memory accesses that cannot fault.
        budget: How many instructions a run may take.

    Raises:
        ProgramError: The program is not valid, or wants what is not in `environment`.
    """
    rows = check_structure(program)
    steps = make_steps(program, rows, environment)
    sites = sites_of(program, rows)
    longest = longest_run(sites)
    counted = longest is None or longest > budget
    return Source(steps, MappingProxyType(sites), environment, proved, counted)


class NativeCode(Code):
    """A program as native code; what the machines of this package run.

    Attributes:
        number: What native code calls it.
        sites: Its instructions by slot.
        constants: Which of its 64-bit immediates Python gives the value of, numbered.
        has_stack: Whether anybody can see what is in its stack frames.
        has_proofs: Whether it relies on proofs, and so on being started as they say.
        engine: Its machine code, which ends with this object.
    """

    def __init__(self, source: Source) -> None:
        steps = source.steps
        super().__init__(steps, MappingProxyType({steps[slot]: slot for slot in source.sites}))
        self._source = source
        self.number = next(_NUMBERS)
        self.sites = source.sites
        self.constants = asked_constants(source.sites)
        self.has_stack = sees_stack(source.sites)
        self.has_proofs = bool(source.proved)
        self.engine = Engine(source.text(self.number), source.effort)

    @cached_property
    def for_tail_calls(self) -> NativeCode:
        """The same program for tail calls: nothing is known of what it is entered with.

        Part of the budget is used, and what was proved was so for a program that begins.
        """
        if self._source.counted and not self._source.proved:
            return self
        return NativeCode(replace(self._source, counted=True, proved=frozenset()))

    def slot_after(self, slot: int, instructions: int) -> int:
        """Return the slot that comes so many instructions after one, without a jump."""
        for _ in range(instructions):
            slot = self.sites[slot].after
        return slot

    def function_of(self, site: Site, number: int) -> Function:
        """Return what a call calls outside of the program.

        Args:
            site: The call.
            number: What the register holds that it goes through, if it does.

        Raises:
            Fault: There is no helper with the number in that register.
        """
        environment = self._source.environment
        wanted = site.instruction.imm & MASK32
        if site.row.operation is Callee.KFUNC:
            return environment.kfuncs[wanted]
        if site.row.operation is Callee.HELPER:
            return environment.helpers[wanted].function
        helper = environment.helpers.get(number)
        if helper is None:
            raise Fault(f"calls helper {number}, which there is not")
        return helper.function
