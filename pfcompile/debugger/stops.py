"""What there is to see where a run has stopped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pfcompile.captures.formats.records import Record
    from pfcompile.debugger.breakpoints import Breakpoint
    from pfcompile.debugger.machines import Access, Code, End, Region, Register


class Reason(Enum):
    """Why a run has stopped."""

    BEGIN = "at the packet's first instruction"
    STEP = "as many instructions as were wanted"
    BREAK = "a breakpoint"
    END = "the program has ended"
    INTERRUPT = "interrupted"
    NOWHERE = "there is nowhere to go"


class MapView(NamedTuple):
    """A map as it is.

    Attributes:
        name: Its name.
        entries: Its keys and values.
        zeros: Of an array, the bytes of a value: what is not in `entries` is so many zeros. None
            for a map whose keys come and go.
    """

    name: str
    entries: tuple[tuple[bytes, bytes], ...]
    zeros: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """All there is to see at a stop.

    Attributes:
        number: The packet's, from 1.
        record: The packet as it was captured.
        code: The program.
        position: The instruction that comes next, or the last one at the end.
        steps: Instructions run.
        end: How the program has ended, or None.
        registers: The registers.
        regions: The stack.
        maps: The maps.
        packet: The packet as it is now.
        access: What the last instruction did to the packet.
        printed: The lines that the program has printed.
    """

    number: int
    record: Record
    code: Code
    position: int
    steps: int
    end: End | None
    registers: tuple[Register, ...]
    regions: tuple[Region, ...]
    maps: tuple[MapView, ...]
    packet: bytes
    access: Access | None
    printed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a deed has led.

    Attributes:
        reason: Why it went no further.
        view: What is to be seen there.
        before: What was to be seen before; None for the first stop.
        hits: The breakpoints that stopped it.
        note: What else is to be said, or "".
        verdicts: How many runs have ended on the way, by verdict, where several could.
    """

    reason: Reason
    view: View
    before: View | None = None
    hits: tuple[Breakpoint, ...] = ()
    note: str = ""
    verdicts: tuple[tuple[End, int], ...] = ()
