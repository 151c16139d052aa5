"""Programs run by both machines, and what they must agree on."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pfcompile.ebpf.machine.code import Environment, Limits
from pfcompile.ebpf.machine.faults import RunError
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.maps.kinds import create
from pfcompile.ebpf.maps.vocabulary import MapSpec, MapType
from pfcompile.jit.native import native

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class World:
    """What a program is run in: made anew for each machine, so that none sees what another did.

    `start` is what it is started with; what is in `seen` both must leave alike.
    """

    start: Any
    seen: list[Any] = field(default_factory=list)
    environment: Environment = field(default_factory=lambda: Environment(HELPERS))
    limits: Limits = field(default_factory=Limits)
    contents: Callable[[], object] = lambda: None


def outcome(machine: Any, world: World) -> tuple[Any, ...]:
    """Return everything that both machines must agree on after a run."""
    came: tuple[Any, ...]
    try:
        ended = machine.execute(world.start)
    except RunError as error:
        came = (type(error).__name__, error.slot, error.reason)
    else:
        context = ended.context
        came = ("ended", ended.result, ended.instructions, context and bytes(context._bytes))
    return (*came, [bytes(one) for one in world.seen], world.contents())


def check(program: Any, make: Callable[[], World], note: str, **options: Any) -> tuple[Any, ...]:
    """Run `program` in both machines, in worlds of their own; return what both came to."""
    ours, theirs = make(), make()
    compiled = native(program, ours.environment, ours.limits, **options)
    machine = Machine(program, theirs.environment, theirs.limits)
    got, wanted = outcome(compiled, ours), outcome(machine, theirs)
    assert got == wanted, f"{program}\n{note}"
    return got


def full_environment(trace: Callable[[str], object] = lambda _line: None) -> tuple[Any, Any]:
    """Return an environment with something of everything, and what tells what is in it."""
    array = create(MapSpec(MapType.ARRAY, 4, 16, 1))
    array.update(bytes(4), bytes(range(16)))
    table = create(MapSpec(MapType.HASH, 4, 8, 4))
    table.update(bytes(4), b"12345678")
    ring = create(MapSpec(MapType.RINGBUF, 0, 0, 4096))
    variables = {number: bytearray(bytes(range(number, number + 8))) for number in (1, 2, 3)}
    regions = (bytearray(range(32)), bytes(range(16)))
    numbers = (1, 2, 3, 5, 7, 8, 12, 26, 130, 131, 132, 133, 189)
    environment = Environment(
        HELPERS,
        maps={1: array, 2: table, 3: ring},
        variables=variables,
        kfuncs={number: lambda _run, a, b, *_: (a ^ b) - 1 for number in numbers},
        regions=regions,
        clock=lambda: 123456789,
        random=random.Random(5),
        trace=trace,
    )

    def contents() -> object:
        held = {}
        for key in (bytes(4), b"\1\0\0\0", b"\2\0\0\0"):
            held[key] = (bytes(array.lookup(key) or b""), bytes(table.lookup(key) or b""))
        return held, ring.drain(), [bytes(one) for one in (*variables.values(), *regions)]

    return environment, contents
