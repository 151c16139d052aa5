"""The full-screen program: the same commands, and what there is to see beside them.

A command runs in a thread of its own, so that a long run can be looked at and interrupted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from pfcompile.errors import MissingExtraError, PfcompileError

try:
    from textual import on, work
    from textual.app import App
    from textual.binding import Binding
    from textual.containers import Container, VerticalScroll
    from textual.widgets import Footer, Input, OptionList, RichLog, Static
except ImportError as error:
    raise MissingExtraError(
        "textual", "debugger", "the full-screen debugger (there is --plain, too)"
    ) from error

from pfcompile.debugger import panes, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.content import Content

    from pfcompile.debugger.breakpoints import Breakpoint
    from pfcompile.debugger.commands import Shell
    from pfcompile.debugger.stops import View

WIDE: Final = 120
"""Columns from which on the program has its own half."""
MOST_LINES: Final = 10_000
"""Of what was said; the rest is forgotten."""

_STYLE: Final = """
#heading { height: auto; padding: 0 1; background: $panel; }
#state { height: 1; padding: 0 1; }
#heading, #state, #program { text-wrap: nowrap; text-overflow: ellipsis; }
#main { layout: grid; grid-size: 2; height: 1fr; grid-columns: 1fr 40; grid-rows: 1fr 6; }
.-classic #main { grid-columns: 1fr 30; }
#program, #registers, #memory, #log {
    border: none; border-top: solid $primary; padding: 0 1; background: $background;
}
#program:focus, #memory:focus, #registers:focus { border-top: heavy $primary; }
#program, #registers, #memory { height: 100%; max-height: 100%; }
#memory { column-span: 2; }
.pane { width: auto; }
#log { height: 5; overflow-x: hidden; }
#command { height: 1; border: none; padding: 0 1; }
.-wide #main, .-wide.-classic #main { grid-columns: 1fr 74; grid-rows: 13 1fr; }
.-wide #program { row-span: 2; }
.-wide #memory { column-span: 1; }
.-wide #log { height: 12; }
"""


class Command(Input):
    """The command line: it keeps what was typed, and Escape leaves it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", show=False),
        Binding("up", "recall(-1)", "Earlier", show=False),
        Binding("down", "recall(1)", "Later", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(placeholder="a command, such as: break if A == 0x800", id="command")
        self._typed: list[str] = []
        self._place = 0

    def keep(self, line: str) -> None:
        """Keep a line that was typed."""
        if line and self._typed[-1:] != [line]:
            self._typed.append(line)
        self._place = len(self._typed)

    def action_recall(self, by: int) -> None:
        """Bring back what was typed before, or after that."""
        self._place = min(max(self._place + by, 0), len(self._typed))
        self.value = self._typed[self._place] if self._place < len(self._typed) else ""
        self.cursor_position = len(self.value)

    def action_leave(self) -> None:
        """Go back to the program."""
        self.value = ""
        self.screen.query_one("#program").focus()


class Debugger(App[None]):
    """The full-screen program.

    Args:
        shell: The session, and what does commands.
    """

    CSS = _STYLE
    TITLE = "pfcompile debug"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - as textual has it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "do('step')", "Step"),
        Binding("b", "do('back')", "Back"),
        Binding("c", "do('continue')", "Cont"),
        Binding("n", "do('next-packet')", "Next"),
        Binding("p", "do('previous-packet')", "Prev"),
        Binding("m", "do('next-packet match')", "Match"),
        Binding("x", "do('next-packet no-match')", "No match", show=False),
        Binding("space", "breakpoint", "Break"),
        Binding("v", "turn", "View", show=False),
        Binding("colon", "ask", "Command", key_display=":"),
        Binding("t", "theme", "Theme", show=False),
        Binding("question_mark", "do('help')", "Help", show=False),
        Binding("escape", "interrupt", "Stop", show=False),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self.shell = shell
        self._busy = False
        self._views: list[tuple[str, Callable[[View], Content]]] = [
            ("packet", panes.packet),
            ("breakpoints", lambda view: panes.breaks(view, self._breakpoints())),
        ]
        if self._has_memory:
            self._views[1:1] = [("stack", panes.stack), ("maps", panes.maps)]
        self._lines: list[Content] = []

    def compose(self) -> ComposeResult:
        """Yield the panes."""
        yield Static(id="heading")
        yield Static(id="state")
        with Container(id="main"):
            yield OptionList(id="program", markup=False)
            with VerticalScroll(id="registers"):
                yield Static(classes="pane", id="registers-text")
            with VerticalScroll(id="memory"):
                yield Static(classes="pane", id="memory-text")
        yield RichLog(id="log", min_width=0, max_lines=MOST_LINES, wrap=True)
        yield Command()
        yield Footer()

    def on_mount(self) -> None:
        """Show where the session is."""
        self.query_one("#program", OptionList).border_title = self.shell.view.code.kind
        self.query_one("#registers").border_title = "registers"
        log = self.query_one("#log")
        log.can_focus = False
        log.border_title = "commands"
        self.set_class(not self._has_memory, "-classic")
        self._say(list(self.shell.greeting()))
        self._show()
        self.query_one("#program").focus()

    @property
    def _has_memory(self) -> bool:
        """Whether there is more to see than registers, as of extended programs."""
        return bool(self.shell.view.regions)

    def _breakpoints(self) -> list[Breakpoint]:
        return list(self.shell.session.breakpoints.values())

    def _show(self) -> None:
        """Show everything as it is now."""
        view, before = self.shell.view, self.shell.last.before
        self.query_one("#heading", Static).update(panes.heading(view))
        self.query_one("#state", Static).update(panes.state(view))
        self.query_one("#registers-text", Static).update(panes.registers(view, before))
        self._show_program(view)
        self._show_memory(view)

    def _show_program(self, view: View) -> None:
        listed = self.query_one("#program", OptionList)
        lines = panes.program(view, self._breakpoints())
        if len(lines) == len(self._lines):
            for place, (old, new) in enumerate(zip(self._lines, lines, strict=True)):
                if old != new:
                    listed.replace_option_prompt_at_index(place, new)
        else:
            listed.clear_options()
            listed.add_options(lines)
        self._lines = lines
        listed.highlighted = panes.positions(view).index(view.position)

    def _show_memory(self, view: View) -> None:
        name, shown = self._views[0]
        pane = self.query_one("#memory", VerticalScroll)
        others = ", ".join(each for each, _ in self._views[1:])
        pane.border_title = f"{name} (v: {others})"
        self.query_one("#memory-text", Static).update(shown(view))
        if name == "packet" and view.access is not None:
            row = view.access.offset // text.ROW
            if not pane.scroll_y <= row < pane.scroll_y + pane.size.height:
                pane.scroll_to(y=row, animate=False)

    def _say(self, lines: list[str], style: str = "") -> None:
        log = self.query_one("#log", RichLog)
        for line in lines:
            log.write(panes.said(line, style))

    # Commands.

    def action_do(self, line: str) -> None:
        """Do a command, as if it was typed."""
        self._execute(line, repeats=False)

    @on(Input.Submitted, "#command")
    def _typed(self, event: Input.Submitted) -> None:
        event.input.value = ""
        self.query_one(Command).keep(event.value)
        self._execute(event.value, repeats=True)

    def _execute(self, line: str, *, repeats: bool) -> None:
        if self._busy:
            self._say(["still running: Escape interrupts"], "bold")
            return
        self._busy = True
        self.shell.session.forget_interrupt()
        if line.strip():
            self._say([f"> {line.strip()}"], "bold")
        self._run(line, repeats=repeats)

    @work(thread=True)
    def _run(self, line: str, *, repeats: bool) -> None:
        try:
            answer, style = self.shell.execute(line, repeats=repeats), ""
        except PfcompileError as error:
            answer, style = str(error).splitlines(), "bold red"
        self.call_from_thread(self._done, answer, style)

    def _done(self, answer: list[str], style: str) -> None:
        self._busy = False
        if self.shell.is_done:
            self.exit()
            return
        self._say(answer, style)
        self._show()

    def action_interrupt(self) -> None:
        """Stop a long run."""
        if self._busy:
            self.shell.session.interrupt()

    async def action_quit(self) -> None:
        """End, and a run that is still going with it."""
        self.shell.session.interrupt()
        self.exit()

    def action_breakpoint(self) -> None:
        """Set a breakpoint at the instruction under the cursor, or take it away."""
        place = self.query_one("#program", OptionList).highlighted
        if place is None:
            return
        position = panes.positions(self.shell.view)[place]
        code, here = self.shell.view.code, {position}
        there = [
            each
            for each in self._breakpoints()
            if each.where is not None and each.condition is None and each.where(code) == here
        ]
        self.action_do(f"delete {there[0].number}" if there else f"break {position}")

    def action_turn(self) -> None:
        """Show the next of the views of memory."""
        self._views.append(self._views.pop(0))
        self._show_memory(self.shell.view)

    def action_ask(self) -> None:
        """Go to the command line."""
        self.query_one(Command).focus()

    def action_theme(self) -> None:
        """Change between dark and light."""
        self.theme = "textual-light" if self.current_theme.dark else "textual-dark"


def run_screen(shell: Shell) -> None:
    """Run the full-screen program until its user quits."""
    Debugger(shell).run()
