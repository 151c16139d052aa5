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
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from pfcompile.errors import AttachmentError, InternalError, KernelError, ProgramError
from pfcompile.facts.link_types import describe
from pfcompile.kernel.attach import counting, description
from pfcompile.kernel.attach import sources as source_counts
from pfcompile.kernel.attach.addresses import PARTS, SOURCES_MAP
from pfcompile.kernel.attach.counting import COUNTERS_MAP
from pfcompile.kernel.attach.description import Description
from pfcompile.kernel.attach.needs import explained
from pfcompile.kernel.attach.pins import pin_path
from pfcompile.kernel.attach.program import DESCRIPTION_MAP, Action, Plan, build
from pfcompile.kernel.attach.reporting import EVENTS_MAP, Report, Reports, create_ring
from pfcompile.kernel.attach.sets import AddressSet
from pfcompile.kernel.bpf.programs import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.kernel.attach.counting import Counters
    from pfcompile.kernel.attach.places import Hold, Place
    from pfcompile.kernel.attach.sets import WantedSet
    from pfcompile.kernel.attach.sources import SourceCount
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
        """What becomes of packets that match, whoever has said so last; raises KernelError."""
        return Action(self.description().action)

    @property
    def reports_packets(self) -> bool:
        """Whether there are `reports`."""
        return EVENTS_MAP in self._maps

    @property
    def counts_sources(self) -> bool:
        """Whether there are `sources`."""
        return SOURCES_MAP in self._maps

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

    @property
    def sets(self) -> Mapping[str, AddressSet]:
        """The sets that packets are looked up in, by their names; they can be changed."""
        return {rule.name: AddressSet.of(rule, self._maps) for rule in self._plan.rules}

    def sources(self) -> tuple[SourceCount, ...]:
        """Return what was counted by source, the most packets first.

        Raises:
            AttachmentError: It does not count by source.
            KernelError: EBADF where it is closed.
        """
        if not self.counts_sources:
            raise AttachmentError("it does not count by source")
        return source_counts.read(self._maps[SOURCES_MAP])

    def reports(self) -> Reports:
        """Return the packets that it reports, as an iterator that waits; one alone may read them.

        Raises:
            AttachmentError: It reports none, or another process reads them.
            KernelError: EBADF where it is closed.
        """
        if not self.reports_packets:
            raise AttachmentError("it reports no packets")
        told, ours = self.description(), description.process_mark(os.getpid())
        if told.reader not in {None, ours}:
            number = told.reader[0]
            if description.process_mark(number) == told.reader:
                raise AttachmentError(f"process {number} reads its reports, one alone can")
        self._say_who_reads(ours)
        return Reports(self._maps[EVENTS_MAP], self._plan.dlt, self._say_nobody_reads)

    def _say_who_reads(self, reader: tuple[int, int] | None) -> None:
        replace(self.description(), reader=reader).store(self._maps[DESCRIPTION_MAP])

    def _say_nobody_reads(self) -> None:
        # Who has closed the attachment first has nothing to say it in any more.
        with suppress(KernelError):
            self._say_who_reads(None)

    def pin(self, name: str) -> Path:
        """Have it stay when this is closed and its process has ended, under a name.

        `find.open_attachment` gets it back by that name; the machine's next start, or its
        interface's end, ends it too.

        Raises:
            ProgramError: It cannot be called so.
            AttachmentError: What is pinned here would not stay.
            KernelError: EEXIST where the name is taken, EPERM.
        """
        return self._hold.pin(pin_path(name, make=True))

    def detach(self) -> None:
        """Take it off, whoever else holds it or has pinned it; raises KernelError."""
        self._hold.detach()

    def replace(self, program: Filter, action: Action | None = None) -> None:
        """Go on with another filter: every packet meets the old one or the new one.

        Counters go on, too.

        Args:
            program: The new filter.
            action: What becomes of its packets; as before where it is None.

        Raises:
            ProgramError: The filter is for another link type, or reads what is not to be had here.
            AttachmentError: It is to report, but was attached without reports.
            VerifierError: The verifier refuses the program.
            KernelError: ENOLINK where what it was attached to has gone.
        """
        if action is Action.REPORT and not self.reports_packets:
            raise AttachmentError("it was attached without reports: there is no ring for them")
        told = self.description()
        _check_link_type(program, told.dlt, told.place)
        plan = replace(
            self._plan,
            instructions=program.instructions,
            action=Action(told.action) if action is None else action,
        )
        with _load(plan, self._maps, told.attach_type) as loaded:
            self._hold.update(loaded)
        self._plan = plan
        # Asked again: while the verifier was at work, somebody may have begun to read reports.
        told = self.description().with_filter(program.text, plan.action)
        told.store(self._maps[DESCRIPTION_MAP])

    def close(self) -> None:
        """Detach it; again does nothing."""
        self._held.close()


@dataclass(frozen=True, slots=True)
class _Extras:
    """What a filter does besides.

    Attributes:
        report: What of matching packets is reported; None for nothing, unless the action is
            `Action.REPORT`.
        sets: Sets of addresses that matching packets have to be in, or not to be in.
        sources: How many sources matching packets are counted by; 0 for none.
    """

    report: Report | None = None
    sets: Sequence[WantedSet] = ()
    sources: int = 0


def attach(
    place: Place,
    program: Filter,
    action: Action = Action.COUNT,
    *,
    report: Report | None = None,
    sets: Sequence[WantedSet] = (),
    sources: int = 0,
) -> Attachment:
    """Have a filter see every packet at a place, and do something with those that match.

    Args:
        place: Where.
        program: The filter, for the place's link type (`place.dlt`).
        action: What becomes of packets that match.
        report: What of them is reported, see `Attachment.reports`. None is as much as can be for
            `Action.REPORT`, and nothing for other actions.
        sets: Sets of addresses, all of which have to say yes besides.
        sources: How many sources they are counted by, see `Attachment.sources`; 0 for none.

    Raises:
        ProgramError: The filter is for another link type, or reads what is not to be had there.
        VerifierError: The verifier refuses the program.
        TooOldError: The kernel lacks something.
        KernelError: The place is not there, or taken; EPERM.
    """
    dlt = place.dlt
    if dlt is not None:
        _check_link_type(program, dlt, str(place))
    if action is Action.REPORT and report is None:
        report = Report()
    extras = _Extras(report, sets, sources)
    plan = Plan(
        place.row,
        program.dlt,
        program.instructions,
        action,
        report.bytes if report is not None else 0,
        tuple(each.rule for each in sets),
        counts_sources=sources > 0,
    )
    plan.check()
    try:
        return _attach(place, program, plan, extras)
    except KernelError as refusal:
        raise explained(refusal, plan) from refusal.__cause__


def _attach(place: Place, program: Filter, plan: Plan, extras: _Extras) -> Attachment:
    with ExitStack() as held:
        maps: dict[str, Map] = {}
        for name in plan.maps:
            maps[name] = held.enter_context(_create(name, extras))
        _describe(place, program, plan, maps).store(maps[DESCRIPTION_MAP])
        with _load(plan, maps, place.attach_type) as loaded:
            hold = place.attach(loaded)
        held.callback(hold.close)
        return Attachment(plan, hold, maps, held.pop_all())
    raise InternalError("an exit stack never suppresses")


def _create(name: str, extras: _Extras) -> Map:
    """Make one of the program's maps."""
    if name == COUNTERS_MAP:
        return counting.create()
    if name == DESCRIPTION_MAP:
        return description.create()
    if name == SOURCES_MAP:
        return source_counts.create(extras.sources)
    if name == EVENTS_MAP and extras.report is not None:
        return create_ring(extras.report)
    for wanted in extras.sets:
        for part in PARTS:
            for family in (4, 6):
                if name == wanted.rule.map_name(part, family):
                    return wanted.create(part, family)
    raise InternalError(f"nothing makes the map '{name}'")


def _load(plan: Plan, maps: Mapping[str, Map], attach_type: int) -> LoadedProgram:
    return load(build(plan), [maps[name] for name in plan.maps], attach_type=attach_type)


def _describe(place: Place, program: Filter, plan: Plan, maps: Mapping[str, Map]) -> Description:
    return Description(
        place=str(place),
        row=place.row.name,
        attach_type=place.attach_type,
        dlt=program.dlt,
        expression=program.text,
        action=plan.action.value,
        process=os.getpid(),
        namespace=Path("/proc/thread-self/ns/net").stat().st_ino,
        began=time.time(),
        reported_bytes=plan.reported_bytes,
        counts_sources=plan.counts_sources,
        rules=tuple((rule.name, rule.side.value, rule.is_exception) for rule in plan.rules),
        maps={name: each.shape.id for name, each in maps.items()},
    )


def _check_link_type(program: Filter, dlt: int, place: str) -> None:
    if program.dlt != dlt:
        raise ProgramError(
            f"the filter is for {describe(program.dlt)}, but packets at {place} are"
            f" {describe(dlt)}: compile it with that link type"
        )
