"""What there is to see, as lines of text: the same on any terminal, in a pipe and in a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.captures.summary import summarize
from pfcompile.debugger.changes import changes, number, shown_bytes
from pfcompile.debugger.stops import Reason
from pfcompile.debugger.terms import part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pfcompile.debugger.breakpoints import Breakpoint
    from pfcompile.debugger.machines import Access, End
    from pfcompile.debugger.stops import Stop, View

ROW: Final = 16
"""Bytes of a line of hexadecimal numbers."""
DUMP_WIDTH: Final = 5 + 3 * ROW + 1
"""Columns of a line of a dump before its text."""
MOST_DUMPED: Final = 256
"""Bytes of a packet that are shown where nobody says how many."""
INSTRUCTION: Final = "instruction"
"""How what a breakpoint is for begins, where that is an instruction by its number."""
MOST_ENTRIES: Final = 32
"""Keys of a map that are shown."""


def stop_lines(stop: Stop) -> Iterator[str]:
    """Yield what is said when a run has stopped."""
    view, before = stop.view, stop.before
    if stop.note and stop.reason is Reason.NOWHERE:
        yield stop.note
        return
    for each in stop.hits:
        yield f"breakpoint {each.number}: {each.what}"
    if stop.reason is Reason.INTERRUPT:
        yield "interrupted"
    if sum(count for _, count in stop.verdicts) > 1:
        for end, count in stop.verdicts:
            yield f"{count} packet{'' if count == 1 else 's'}: {end_line(end)}"
    if before is None or view.number != before.number or view.code is not before.code:
        yield packet_line(view)
    else:
        for line in changes(before, view):
            yield f"   {line}"
    yield place_line(view)
    if stop.note:
        yield stop.note


def packet_line(view: View) -> str:
    """Return a line about the packet."""
    return f"packet {view.number}: {summarize(view.record)}"


def place_line(view: View) -> str:
    """Return the instruction that comes next, or how the program has ended."""
    if view.end is None:
        return f"=> {program_line(view, view.position).lstrip()}"
    count = f"{view.steps} instruction{'' if view.steps == 1 else 's'}"
    return f"{end_line(view.end)} ({count}, the last at {view.position})"


def end_line(end: End) -> str:
    """Return how a program has ended."""
    if end.failed:
        return f"the program fails: {end.why}"
    if end.why is not None:
        return f"ends with no match: {end.why}"
    if not end.verdict.lstrip("-").isdecimal():
        return f"verdict: {end.verdict}"
    return f"{'match' if end.keeps else 'no match'}: returns {end.verdict}"


def program_line(view: View, position: int) -> str:
    """Return an instruction, and the parts of the expression that it is there for."""
    line = view.code.lines[position] or ""
    terms = terms_at(view, position)
    return f"{line:<48}; {', '.join(terms)}" if terms else line


def terms_at(view: View, position: int) -> list[str]:
    """Return the parts of the expression that an instruction is there for."""
    code = view.code
    spans = code.origins[position] if code.origins else ()
    return [part(code, span) for span in spans]


def stops_of(view: View, breakpoints: Iterable[Breakpoint]) -> set[int]:
    """Return the instructions that breakpoints are at."""
    places = (each.where(view.code) for each in breakpoints if each.where is not None)
    return {position for found in places for position in found}


def program_lines(view: View, breakpoints: Iterable[Breakpoint]) -> Iterator[str]:
    """Yield the program, with a `*` at breakpoints and a `=>` at what comes next."""
    stops = stops_of(view, breakpoints)
    for position, line in enumerate(view.code.lines):
        if line is None:
            continue
        here = "=>" if position == view.position else "  "
        yield f"{'*' if position in stops else ' '}{here} {program_line(view, position)}"


def register_lines(
    view: View, before: View | None = None, *, is_short: bool = False
) -> Iterator[str]:
    """Yield the registers, a `*` at those that are not what they were before.

    Args:
        view: Where the run is.
        before: Where it was.
        is_short: Whether to leave out the decimal number where there is something else to say.
    """
    old: dict[str, int] = {}
    if before is not None and (before.number, before.code) == (view.number, view.code):
        old = {each.name: each.value for each in before.registers}
    width = max(len(each.name) for each in view.registers)
    for each in view.registers:
        mark = "*" if old.get(each.name, each.value) != each.value else " "
        shown = [f"{mark}{each.name:<{width}}", f"0x{each.value:0{view.code.bits // 4}x}"]
        if not (is_short and each.note):
            shown.append(f"{each.value:<10}")
        yield "  ".join((*shown, each.note)).rstrip()


def packet_lines(view: View, start: int = 0, count: int | None = None) -> Iterator[str]:
    """Yield the packet's bytes, what the last instruction did to in brackets.

    Args:
        view: Where the run is.
        start: The first byte that is shown.
        count: How many; None for as many as are usual, the bytes in brackets among them.
    """
    packet, access = view.packet, view.access
    if count is None:
        last = 0 if access is None else access.offset + access.size
        count = max(MOST_DUMPED, -(-(last - start) // ROW) * ROW)
    end = min(len(packet), start + count)
    first = start - start % ROW
    for row in range(first, end, ROW):
        yield dump_row(packet, row, access, start, end)
    if end < len(packet):
        yield f"... {len(packet) - end} more bytes"
    if not packet:
        yield "the packet has no bytes"


def dump_row(
    packet: bytes, row: int, access: Access | None, start: int = 0, end: int | None = None
) -> str:
    """Return a line of up to `ROW` bytes, those between `start` and `end`."""
    last = len(packet) if end is None else end
    shown = range(max(row, start), min(row + ROW, last))
    marked = range(0) if access is None else range(access.offset, access.offset + access.size)
    cells = []
    for place in range(row, row + ROW):
        opens = place in marked and (place - 1 not in marked or place == row)
        closes = place - 1 in marked and place not in marked and place != row
        between = "[" if opens else "]" if closes else " "
        cells.append(between + (f"{packet[place]:02x}" if place in shown else "  "))
    closing = "]" if row + ROW - 1 in marked else " "
    text = "".join(chr(packet[place]) if 0x20 <= packet[place] < 0x7F else "." for place in shown)
    return f"{row:04x} {''.join(cells)}{closing} {' ' * (shown.start - row)}{text}"


def stack_lines(view: View) -> Iterator[str]:
    """Yield the lines of the stack frames that are not all zeros."""
    for region in view.regions:
        rows = [row for row in range(0, len(region.data), ROW) if any(region.data[row : row + ROW])]
        yield f"{region.name}:" if rows else f"{region.name}: all zeros"
        for row in rows:
            yield f"  {region.origin + row:+5d}  {region.data[row : row + ROW].hex(' ')}"
    if not view.regions:
        yield f"{view.code.kind} has no stack"


def map_lines(view: View) -> Iterator[str]:
    """Yield the maps with what is in them."""
    for each in view.maps:
        count = f"{len(each.entries)} {'entry' if len(each.entries) == 1 else 'entries'}"
        yield f"{each.name}: {count}{'' if each.zeros is None else ', all others are zeros'}"
        for key, value in each.entries[:MOST_ENTRIES]:
            yield f"  {shown_bytes(key)}{': ' if key else ''}{shown_bytes(value)}"
        if len(each.entries) > MOST_ENTRIES:
            yield f"  ... {len(each.entries) - MOST_ENTRIES} more"
    if not view.maps:
        yield "the program has no maps"


def breakpoint_lines(view: View, breakpoints: Sequence[Breakpoint]) -> Iterator[str]:
    """Yield the breakpoints."""
    for each in breakpoints:
        where = ""
        if each.where is not None and not each.what.startswith(INSTRUCTION):
            places = sorted(each.where(view.code))
            where = f" at {', '.join(map(str, places))}" if places else " nowhere in this program"
        hits = f", hit {each.hits} time{'' if each.hits == 1 else 's'}" if each.hits else ""
        yield f"{each.number}: {each.what}{where}{hits}"
    if not breakpoints:
        yield "there are no breakpoints"


def value_line(text: str, value: int) -> str:
    """Return the value of an expression."""
    return f"{text} = {number(value)}"
