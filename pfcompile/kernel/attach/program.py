"""The program around a filter: it counts, asks the filter and the sets, reports, and acts.

::

    main:    look up this CPU's counters; count the packet as seen
             call filter (by pointers; where not all of the packet lies in one piece, by helpers)
             0: return "no match"
             look its addresses up in the sets (`addresses`)
             not as each wants it: return "no match"
             count it as matched, and by its source
             report it (`reporting`)
             return "match"
    filter:  the translation of the classic program, 1 or 0

A filter that reads by pointers sees what lies in one piece, which nearly always is all that it
wants, at a tenth of the cost of helpers. Where it says "match" that is final, since whatever is
past the end would have made it say no. Where it says no of a packet in several pieces, the same
filter is asked again by helpers. At XDP the pieces are asked for first: the length that pointers
tell is that of the first one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.isa import R0, R1, R2, R10, Arithmetic, Condition
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.ebpf.translate import write
from pfcompile.ebpf.translate.verdicts import Verdicts
from pfcompile.errors import ProgramError
from pfcompile.facts.link_types import describe
from pfcompile.kernel.attach.addresses import (
    SETTABLE_LINK_TYPES,
    SOURCES_MAP,
    SetRule,
    count_source,
    write_addresses,
)
from pfcompile.kernel.attach.counting import COUNTERS_MAP, MATCHED, SEEN
from pfcompile.kernel.attach.reporting import EVENTS_MAP, write_report
from pfcompile.kernel.attach.writing import CONTEXT, COUNTERS, LENGTH, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.ebpf.translate.targets import Form
    from pfcompile.kernel.attach.rows import Row

DESCRIPTION_MAP: Final = "pf_description"
"""The map's name in the kernel, by which what this project has attached is found again."""

_COUNTERS_KEY: Final = -4
"""Where on the stack, from R10."""
_XDP_GET_BUFF_LEN: Final = 188
"""The helper's number, linux/bpf.h."""
_YES_NO: Final = Verdicts(match=1, no_match=0)


class Action(Enum):
    """What becomes of packets that match, by the name that the command line has for it."""

    DROP = "drop"
    """They end here; all others go on."""
    PASS = "pass"  # noqa: S105 - no password
    """They go on; all others end here."""
    COUNT = "count"
    """They go on, as all others do."""
    REPORT = "report"
    """They go on, as all others do, and are reported; other actions may report them, too."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a program is made from.

    Attributes:
        row: The kind of place.
        dlt: What packets begin with.
        instructions: The filter.
        action: What becomes of packets that match.
        reported_bytes: How many bytes of each of them are reported; 0 for no reports.
        rules: The sets that they have to be in, besides.
        counts_sources: Whether they are counted by their source.
    """

    row: Row
    dlt: int
    instructions: Sequence[Instruction]
    action: Action
    reported_bytes: int = 0
    rules: tuple[SetRule, ...] = ()
    counts_sources: bool = False

    def check(self) -> None:
        """Raise ProgramError where not all of it goes together."""
        wants_addresses = self.rules or self.counts_sources
        if wants_addresses and self.dlt not in SETTABLE_LINK_TYPES:
            known = " and ".join(map(describe, SETTABLE_LINK_TYPES))
            raise ProgramError(f"addresses are found in packets of {known}")
        if self.reported_bytes and self.row.forms[-1].is_from_network:
            raise ProgramError(
                "what Internet sockets get cannot be reported whole: attach at tc or a cgroup"
            )
        names = [rule.name for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise ProgramError(f"two sets are called '{name}'")

    @property
    def maps(self) -> tuple[str, ...]:
        """The names of the program's maps, as it numbers them."""
        return (
            COUNTERS_MAP,
            DESCRIPTION_MAP,
            *((EVENTS_MAP,) if self.reported_bytes else ()),
            *((SOURCES_MAP,) if self.counts_sources else ()),
            *(name for rule in self.rules for name in rule.maps),
        )

    @property
    def verdicts(self) -> tuple[int, int]:
        """What the program returns for a match, and else."""
        go_on, end = self.row.passes, self.row.drops
        match self.action:
            case Action.DROP:
                return end, go_on
            case Action.PASS:
                return go_on, end
            case Action.COUNT | Action.REPORT:
                return go_on, go_on


def build(plan: Plan, name: str = "pfcompile") -> EbpfProgram:
    """Return the program.

    Raises:
        ProgramError: The filter is not valid, or loads a metadata word that the place has not; or
            addresses are asked for where they are not found, reports where they are not to be had.
    """
    plan.check()
    writer = Writer(plan.row, plan.maps)
    matches, others = plan.verdicts
    b = writer.code
    _begin(writer)
    _count(writer, SEEN)
    _ask_filter(writer)
    if plan.rules or plan.counts_sources:
        write_addresses(writer, plan.dlt, plan.rules, counts_sources=plan.counts_sources)
    _count(writer, MATCHED)
    if plan.counts_sources:
        count_source(writer)
    if plan.reported_bytes:
        write_report(writer, plan.reported_bytes)
    b.mov(R0, matches).exit()
    b.label("no match").mov(R0, others).exit()
    # Without counters there is no program: every CPU has some.
    b.label("go on").mov(R0, plan.row.passes).exit()
    for form in plan.row.forms:
        b.label(_filter_of(form)).emit(*write(plan.instructions, form, _YES_NO))
    row = plan.row
    return EbpfProgram(b.finish(), row.kind.value, row.program_type, row.flags, name=name)


def _begin(writer: Writer) -> None:
    b = writer.code
    b.mov(CONTEXT, R1)
    # Only so that the program has the map, by which it is known what it is.
    writer.take_map(R1, DESCRIPTION_MAP)
    if writer.row.length is None:
        b.mov(R1, CONTEXT).call(_XDP_GET_BUFF_LEN).mov(LENGTH, R0)
    else:
        b.load(32, LENGTH, CONTEXT, writer.row.length)
    b.store(32, R10, _COUNTERS_KEY, 0)
    writer.look_up(COUNTERS_MAP, _COUNTERS_KEY)
    b.jump_if(Condition.EQ, R0, 0, "go on").mov(COUNTERS, R0)


def _count(writer: Writer, offset: int) -> None:
    """Add 1 and the packet's bytes to two counters that are neighbours."""
    writer.add(COUNTERS, offset, 1)
    writer.add(COUNTERS, offset + 8, LENGTH)


def _ask_filter(writer: Writer) -> None:
    """Go to "no match" unless the filter matches."""
    b = writer.code
    first, *rest = writer.row.forms
    if not rest:
        _call(writer, first)
        b.jump_if(Condition.EQ, R0, 0, "no match")
        return
    (whole,) = rest
    if writer.row.length is None:
        _go_if_whole(writer, first, "in one piece")
        _call(writer, whole)
        b.jump("asked").label("in one piece")
        _call(writer, first)
        b.label("asked").jump_if(Condition.EQ, R0, 0, "no match")
    else:
        _call(writer, first)
        b.jump_if(Condition.NE, R0, 0, "match")
        _go_if_whole(writer, first, "no match")
        _call(writer, whole)
        b.jump_if(Condition.EQ, R0, 0, "no match")
        b.label("match")


def _call(writer: Writer, form: Form) -> None:
    writer.code.mov(R1, CONTEXT).call_local(_filter_of(form))


def _go_if_whole(writer: Writer, form: Form, label: str) -> None:
    """Go to a label where all of the packet lies in one piece."""
    b = writer.code
    assert form.data is not None
    assert form.data_end is not None
    b.load(32, R1, CONTEXT, form.data.offset).load(32, R2, CONTEXT, form.data_end.offset)
    b.alu(Arithmetic.SUB, R2, R1).jump_if(Condition.GE, R2, LENGTH, label)


def _filter_of(form: Form) -> str:
    return f"filter by {form.access.value}"
