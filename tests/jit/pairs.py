"""Programs run by both machines, and what they must agree on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pfcompile.ebpf.asm import disassemble
from pfcompile.ebpf.machine.code import Environment, Limits
from pfcompile.ebpf.machine.faults import RunError
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.jit import native

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class World:
    """What a program is run in: made twice, so that neither machine sees what the other did.

    `start` is what it is started with, `seen` what it can change and both must have left alike.
    """

    start: Any
    seen: list[Any] = field(default_factory=list)
    environment: Environment = field(default_factory=lambda: Environment(HELPERS))
    limits: Limits = field(default_factory=Limits)


def outcome(machine: Any, world: World) -> tuple[Any, ...]:
    """Return everything that both machines must agree on after a run."""
    try:
        ended = machine.execute(world.start)
    except RunError as error:
        came = (type(error), error.slot, error.reason)
    else:
        context = ended.context
        came = ("ended", ended.result, ended.instructions, context and bytes(context._bytes))
    return (*came, *(bytes(one) for one in world.seen))


def check(program: Any, make: Callable[[], World], note: str = "", **options: Any) -> Any:
    """Run `program` in both machines, in worlds of their own; return what both came to."""
    ours, theirs = make(), make()
    compiled = native(program, ours.environment, ours.limits, **options)
    machine = Machine(program, theirs.environment, theirs.limits)
    got, wanted = outcome(compiled, ours), outcome(machine, theirs)
    assert got == wanted, f"{disassemble(program, syntax='clang') if note is None else ''}{note}"
    return got
