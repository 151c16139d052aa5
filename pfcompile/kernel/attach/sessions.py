"""Attachments: a filter where packets pass, as long as somebody holds it.

::

    program = pfcompile.compile("udp port 53")
    with attach(Xdp("eth0"), program, Action.DROP) as session:
        while True:
            time.sleep(1)
            print(session.counters())
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from pfcompile.errors import InternalError, ProgramError
from pfcompile.facts.link_types import describe
from pfcompile.kernel.attach import counting, description
from pfcompile.kernel.attach.counting import COUNTERS_MAP
from pfcompile.kernel.attach.description import Description
from pfcompile.kernel.attach.program import DESCRIPTION_MAP, Action, Plan, build
from pfcompile.kernel.bpf.programs import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.kernel.attach.counting import Counters
    from pfcompile.kernel.attach.places import Hold, Place
    from pfcompile.kernel.bpf.maps import Map
    from pfcompile.kernel.bpf.programs import LoadedProgram


class Filter(Protocol):
    """What is attached: what `pfcompile.compile` returns."""

    @property
    def instructions(self) -> Sequence[Instruction]:
        """The classic program."""

    @property
    def dlt(self) -> int:
        """The link type that it is for."""

    @property
    def text(self) -> str:
        """The expression."""


class Attachment:
    """A filter that is attached until this is closed, or its process ends. A context manager."""

    def __init__(self, plan: Plan, hold: Hold, maps: Mapping[str, Map], held: ExitStack) -> None:
        """Take over what `attach` has made.

        Args:
            plan: What the program was made from.
            hold: What keeps it there.
            maps: Its maps by their names.
            held: What is closed with this.
        """
        self._plan = plan
        self._hold = hold
        self._maps = maps
        self._held = held

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def action(self) -> Action:
        """What becomes of packets that match."""
        return self._plan.action

    def description(self) -> Description:
        """Return what it says of itself; raises KernelError."""
        return description.read(self._maps[DESCRIPTION_MAP])

    def counters(self) -> Counters:
        """Return what was counted until now; raises KernelError."""
        return counting.read(self._maps[COUNTERS_MAP])

    def is_attached(self) -> bool:
        """Tell whether packets still meet it: not after it was detached, or without its interface.

        Raises:
            KernelError: EBADF where it is closed.
        """
        return self._hold.is_attached()

    def replace(self, program: Filter, action: Action | None = None) -> None:
        """Go on with another filter: every packet meets the old one or the new one.

        Counters go on, too.

        Args:
            program: The new filter.
            action: What becomes of its packets; as before where it is None.

        Raises:
            ProgramError: The filter is for another link type, or reads what is not to be had here.
            VerifierError: The verifier refuses the program.
            KernelError: ENOLINK where what it was attached to has gone.
        """
        told = self.description()
        _check_link_type(program, told.dlt, told.place)
        plan = replace(
            self._plan,
            instructions=program.instructions,
            action=self._plan.action if action is None else action,
        )
        with _load(plan, self._maps, told.attach_type) as loaded:
            self._hold.update(loaded)
        self._plan = plan
        told.with_filter(program.text, plan.action).store(self._maps[DESCRIPTION_MAP])

    def close(self) -> None:
        """Detach it; again does nothing."""
        self._held.close()


def attach(place: Place, program: Filter, action: Action = Action.COUNT) -> Attachment:
    """Have a filter see every packet at a place, and do something with those that match.

    Args:
        place: Where.
        program: The filter, for the place's link type (`place.dlt`).
        action: What becomes of packets that match.

    Raises:
        ProgramError: The filter is for another link type, or reads what is not to be had there.
        VerifierError: The verifier refuses the program.
        KernelError: The place is not there, or taken; EPERM.
    """
    dlt = place.dlt
    if dlt is not None:
        _check_link_type(program, dlt, str(place))
    plan = Plan(place.row, program.instructions, action)
    with ExitStack() as held:
        maps = {name: held.enter_context(each) for name, each in _maps(plan)}
        _describe(place, program, action).store(maps[DESCRIPTION_MAP])
        with _load(plan, maps, place.attach_type) as loaded:
            hold = place.attach(loaded)
        held.callback(hold.close)
        return Attachment(plan, hold, maps, held.pop_all())
    raise InternalError("an exit stack never suppresses")


def _maps(plan: Plan) -> Iterator[tuple[str, Map]]:
    """Yield new maps with their names, as the program numbers them."""
    for name in plan.maps:
        if name == COUNTERS_MAP:
            yield name, counting.create()
        else:
            yield name, description.create()


def _load(plan: Plan, maps: Mapping[str, Map], attach_type: int) -> LoadedProgram:
    return load(build(plan), [maps[name] for name in plan.maps], attach_type=attach_type)


def _describe(place: Place, program: Filter, action: Action) -> Description:
    return Description(
        place=str(place),
        row=place.row.name,
        attach_type=place.attach_type,
        dlt=program.dlt,
        expression=program.text,
        action=action.value,
        process=os.getpid(),
        namespace=Path("/proc/thread-self/ns/net").stat().st_ino,
        began=time.time(),
    )


def _check_link_type(program: Filter, dlt: int, place: str) -> None:
    if program.dlt != dlt:
        raise ProgramError(
            f"the filter is for {describe(program.dlt)}, but packets at {place} are"
            f" {describe(dlt)}: compile it with that link type"
        )
