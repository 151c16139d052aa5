"""What the panes of the full-screen program show, as styled text.

Colours are those of the theme, by name, so that they can be read on dark and on light; what matters
is never said by colour alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rich.text import Text
from textual.content import Content

from pfcompile.debugger import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pfcompile.debugger.breakpoints import Breakpoint
    from pfcompile.debugger.stops import View

HERE: Final = "bold"
"""No colour: on the cursor's bar it would have to suit two backgrounds."""
CHANGED: Final = "bold $text-warning"
GOOD: Final = "bold $text-success"
BAD: Final = "bold $text-error"
MARKED: Final = "reverse"
QUIET: Final = "dim"

_EXTENDED: Final = re.compile(r" *(?P<position>\d+): \([0-9a-f]{2}\) (?P<text>.*)")
"""A line of an extended program, whose code there is no room for."""


def heading(view: View) -> Content:
    """Return the packet's line, and the expression with the parts that are tested now."""
    first = Content(text.packet_line(view))
    return first if not view.code.text else Content.assemble(first, "\n", _expression(view))


def _expression(view: View) -> Content:
    code = view.code
    # Blanks for line ends and tabs keep the spans where they are.
    shown = Content(re.sub(r"\s", " ", code.text))
    for span in code.origins[view.position] if code.origins and view.end is None else ():
        shown = shown.stylize(MARKED, span.start, span.end)
    return shown


def state(view: View) -> Content:
    """Return how the program has ended, or what comes next."""
    line = text.place_line(view)
    if view.end is None:
        return Content.styled(re.sub(" {2,}", "  ", line), HERE)
    return Content.styled(line, GOOD if view.end.keeps else BAD)


def program(view: View, breakpoints: Iterable[Breakpoint]) -> list[Content]:
    """Return the instructions, a line each, in their order."""
    stops = text.stops_of(view, breakpoints)
    return [_instruction(view, position, is_stop=position in stops) for position in positions(view)]


def positions(view: View) -> list[int]:
    """Return where instructions begin, a line of `program` each."""
    return [position for position, line in enumerate(view.code.lines) if line is not None]


def _instruction(view: View, position: int, *, is_stop: bool) -> Content:
    line = _shortened(view, position)
    terms = text.terms_at(view, position)
    is_here = position == view.position
    return Content.assemble(
        ("*", HERE) if is_stop else " ",
        ("=> ", HERE) if is_here else "   ",
        (line, HERE) if is_here else line,
        (f"  ; {', '.join(terms)}" if terms else "", QUIET),
    )


def _shortened(view: View, position: int) -> str:
    """Return an instruction in as few columns as will do."""
    line = view.code.lines[position] or ""
    extended = _EXTENDED.fullmatch(line)
    if extended is None:
        return re.sub(" {2,}", " ", line)
    width = len(str(len(view.code.lines) - 1))
    return f"{extended['position']:>{width}}: {extended['text']}"


def registers(view: View, before: View | None) -> Content:
    """Return the registers, those marked that have changed."""
    return Content("\n").join(
        Content.styled(line, CHANGED) if line.startswith("*") else Content(line)
        for line in text.register_lines(view, before, is_short=True)
    )


def packet(view: View) -> Content:
    """Return all of the packet's bytes, what the last instruction did to in brackets."""
    return Content("\n").join(_marked(text.packet_lines(view, count=len(view.packet))))


def _marked(lines: Iterable[str]) -> Iterator[Content]:
    """Yield lines of a dump, what is in brackets set off."""
    for line in lines:
        # Only among the numbers: the text behind them may have brackets of its own.
        found = re.search(r"[\[](?P<inside>[^\]]*)[\]]", line[: text.DUMP_WIDTH])
        shown = Content(line)
        yield shown if found is None else shown.stylize(MARKED, *found.span("inside"))


def stack(view: View) -> Content:
    """Return the stack frames."""
    return Content("\n".join(text.stack_lines(view)))


def maps(view: View) -> Content:
    """Return the maps."""
    return Content("\n".join(text.map_lines(view)))


def breaks(view: View, breakpoints: Iterable[Breakpoint]) -> Content:
    """Return the breakpoints."""
    return Content("\n".join(text.breakpoint_lines(view, list(breakpoints))))


def said(line: str, style: str) -> Text:
    """Return a line of the log."""
    return Text(line, style=style)
