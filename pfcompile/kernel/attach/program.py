"""The program around a filter: it counts, asks the filter and the sets, reports, and acts.

::

    main:    look up this CPU's counters; count the packet as seen
             call filter (by pointers; where not all of the packet lies in one piece, by helpers)
             0: return "no match"
             look the addresses up in each set: in none: return "no match"
             count it as matched, and by its source
             write it to the events
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

from pfcompile.ebpf.builder import Builder
from pfcompile.ebpf.isa import (
    R0,
    R1,
    R2,
    R6,
    R7,
    R8,
    R10,
    Arithmetic,
    Atomic,
    Condition,
    Wide,
)
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.ebpf.translate import write
from pfcompile.ebpf.translate.verdicts import Verdicts
from pfcompile.kernel.attach.counting import COUNTERS_MAP, MATCHED, SEEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.ebpf.isa import Register
    from pfcompile.ebpf.translate.targets import Form
    from pfcompile.kernel.attach.rows import Row

CONTEXT: Final = R6
LENGTH: Final = R7
COUNTERS: Final = R8
"""What these registers hold in main, once set."""

DESCRIPTION_MAP: Final = "pf_description"
"""The map's name in the kernel, by which what this project has attached is found again."""

_COUNTERS_KEY: Final = -4
"""Where on the stack, from R10."""
_LOOKUP: Final = 1
_XDP_GET_BUFF_LEN: Final = 188
"""Numbers of helpers, linux/bpf.h."""
_YES_NO: Final = Verdicts(match=1, no_match=0)


class Action(Enum):
    """What becomes of packets that match, by the name that the command line has for it."""

    DROP = "drop"
    """They end here; all others go on."""
    PASS = "pass"  # noqa: S105 - no password
    """They go on; all others end here."""
    COUNT = "count"
    """They go on, as all others do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a program is made from.

    Attributes:
        row: The kind of place.
        instructions: The filter.
        action: What becomes of packets that match.
    """

    row: Row
    instructions: Sequence[Instruction]
    action: Action

    @property
    def maps(self) -> tuple[str, ...]:
        """The names of the program's maps, as it numbers them."""
        return (COUNTERS_MAP, DESCRIPTION_MAP)

    @property
    def verdicts(self) -> tuple[int, int]:
        """What the program returns for a match, and else."""
        go_on, end = self.row.passes, self.row.drops
        match self.action:
            case Action.DROP:
                return end, go_on
            case Action.PASS:
                return go_on, end
            case Action.COUNT:
                return go_on, go_on


def build(plan: Plan, name: str = "pfcompile") -> EbpfProgram:
    """Return the program.

    Raises:
        ProgramError: The filter is not valid, or loads a metadata word that the place has not.
    """
    return _Writer(plan).write(name)


class _Writer:
    """One program under way."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._row = plan.row
        self._code = Builder()
        self._number = {name: number for number, name in enumerate(plan.maps)}

    def write(self, name: str) -> EbpfProgram:
        matches, others = self._plan.verdicts
        b = self._code
        self._begin()
        self._count(SEEN)
        self._ask_filter()
        self._count(MATCHED)
        b.mov(R0, matches).exit()
        b.label("no match").mov(R0, others).exit()
        # Without counters there is no program: every CPU has some.
        b.label("go on").mov(R0, self._row.passes).exit()
        for form in self._row.forms:
            b.label(_filter_of(form)).emit(*write(self._plan.instructions, form, _YES_NO))
        row = self._row
        return EbpfProgram(b.finish(), row.kind.value, row.program_type, row.flags, name=name)

    def _begin(self) -> None:
        b = self._code
        b.mov(CONTEXT, R1)
        # Only so that the program has the map, by which it is known what it is.
        b.wide(R1, self._number[DESCRIPTION_MAP], Wide.MAP_INDEX)
        if self._row.length is None:
            b.mov(R1, CONTEXT).call(_XDP_GET_BUFF_LEN).mov(LENGTH, R0)
        else:
            b.load(32, LENGTH, CONTEXT, self._row.length)
        b.store(32, R10, _COUNTERS_KEY, 0)
        b.mov(R2, R10).alu(Arithmetic.ADD, R2, _COUNTERS_KEY)
        b.wide(R1, self._number[COUNTERS_MAP], Wide.MAP_INDEX).call(_LOOKUP)
        b.jump_if(Condition.EQ, R0, 0, "go on").mov(COUNTERS, R0)

    def _count(self, offset: int) -> None:
        """Add 1 and the packet's bytes to two counters that are neighbours."""
        self._add(COUNTERS, offset, 1)
        self._add(COUNTERS, offset + 8, LENGTH)

    def _add(self, base: Register, offset: int, value: Register | int) -> None:
        """Add to a 64-bit number in this CPU's part of a map."""
        b = self._code
        if self._row.is_interrupted:
            b.mov(R1, value).atomic(Atomic.ADD, 64, base, offset, R1)
        else:
            b.load(64, R1, base, offset).alu(Arithmetic.ADD, R1, value).store(64, base, offset, R1)

    def _ask_filter(self) -> None:
        """Go to "no match" unless the filter matches."""
        b = self._code
        first, *rest = self._row.forms
        if not rest:
            self._call(first)
            b.jump_if(Condition.EQ, R0, 0, "no match")
            return
        (whole,) = rest
        if self._row.length is None:
            self._go_if_whole(first, "in one piece")
            self._call(whole)
            b.jump("asked").label("in one piece")
            self._call(first)
            b.label("asked").jump_if(Condition.EQ, R0, 0, "no match")
        else:
            self._call(first)
            b.jump_if(Condition.NE, R0, 0, "match")
            self._go_if_whole(first, "no match")
            self._call(whole)
            b.jump_if(Condition.EQ, R0, 0, "no match")
            b.label("match")

    def _call(self, form: Form) -> None:
        self._code.mov(R1, CONTEXT).call_local(_filter_of(form))

    def _go_if_whole(self, form: Form, label: str) -> None:
        """Go to a label where all of the packet lies in one piece."""
        b = self._code
        assert form.data is not None
        assert form.data_end is not None
        b.load(32, R1, CONTEXT, form.data.offset).load(32, R2, CONTEXT, form.data_end.offset)
        b.alu(Arithmetic.SUB, R2, R1).jump_if(Condition.GE, R2, LENGTH, label)


def _filter_of(form: Form) -> str:
    return f"filter by {form.access.value}"
