"""The full-screen program, through textual's own pilot."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("textual")

from textual.widgets import OptionList, RichLog, Static

from pfcompile.cli.debugging.subject import codes, given_program
from pfcompile.debugger.commands import Shell
from pfcompile.debugger.packets import Packets
from pfcompile.debugger.screen import Command, Debugger
from pfcompile.debugger.session import Session
from pfcompile.ebpf.asm import assemble as assemble_extended
from pfcompile.ebpf.maps.vocabulary import MapSpec, MapType
from pfcompile.names.resolvers import NoNames
from tests.debugger.sessions import extended, session
from tests.debugger.test_session import COUNTER, ENDLESS, IP

CAPTURE = Path(__file__).parents[2] / "pcaps" / "ethernet.pcap"
TEXT = "tcp port 443 or (udp and net 10.0.0.0/8)"


def filter_shell(text=TEXT):
    given = given_program([text])
    code_for = codes(given, netmask=None, optimize=True, resolver=NoNames())
    return Shell(Session(Packets(str(CAPTURE)), code_for))


def shown(app, selector):
    return str(app.query_one(selector, Static).visual)


def log(app):
    return [strip.text.rstrip() for strip in app.query_one(RichLog).lines]


async def press(pilot, *keys):
    """Press keys, and wait for what they began each time."""
    for key in keys:
        await pilot.press(key)
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()


async def type_in(pilot, line):
    """Put a line where the cursor is, and wait for what it begins."""
    pilot.app.query_one(Command).value = line
    await press(pilot, "enter")


def piloted(script, shell, size=(80, 24)):
    """Run the program with a pilot at its keys."""

    async def run():
        app = Debugger(shell)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await script(app, pilot)

    asyncio.run(run())


@pytest.mark.parametrize(
    "size",
    [
        (80, 24),
        pytest.param((160, 50), marks=pytest.mark.long),
        pytest.param((20, 8), marks=pytest.mark.long),
    ],
)
def test_keys_that_move(size):
    async def script(app, pilot):
        view = lambda: app.shell.view  # noqa: E731 - as it is now
        await press(pilot, "s", "s")
        assert view().steps == 2
        await press(pilot, "b")
        assert view().steps == 1
        assert app.query_one("#program", OptionList).highlighted == 1
        await press(pilot, "c")
        assert view().end.keeps
        assert shown(app, "#state").startswith("match: returns 262144")
        await press(pilot, "n")
        assert (view().number, view().steps) == (2, 0)
        await press(pilot, "m", "m")
        assert view().number == 5
        await press(pilot, "p")
        assert view().number == 4
        await press(pilot, "x")
        assert view().number == 7
        assert shown(app, "#heading").startswith("packet 7: ")

    piloted(script, filter_shell(), size)


def test_what_is_marked():
    async def script(app, pilot):
        await press(pilot, "s")
        heading = app.query_one("#heading", Static).visual
        line = heading.plain.rindex("\n") + 1
        marked = {heading.plain[span.start : span.end] for span in heading.spans}
        assert marked == {"tcp port 443", "udp"}
        assert min(span.start for span in heading.spans) == line
        assert "[08 00]" in shown(app, "#memory-text")
        assert shown(app, "#registers-text").startswith("*A  0x00000800")
        assert (
            app.query_one("#program", OptionList).get_option_at_index(1).prompt.plain[1:4] == "=> "
        )

    piloted(script, filter_shell())


def test_breakpoints_at_the_cursor():
    async def script(app, pilot):
        await press(pilot, "down", "down", "space")
        assert [each.what for each in app.shell.session.breakpoints.values()] == ["instruction 2"]
        program = app.query_one("#program", OptionList)
        assert program.get_option_at_index(2).prompt.plain.startswith("*")
        await press(pilot, "down", "down", "space")
        assert not app.shell.session.breakpoints
        assert program.get_option_at_index(2).prompt.plain.startswith(" ")

    piloted(script, filter_shell())


def test_commands_are_typed():
    async def script(app, pilot):
        await pilot.press("colon", *"print len")
        await press(pilot, "enter")
        assert log(app)[-2:] == ["> print len", "len = 0x36 (54)"]
        # The letters went into the command and not to the keys of the program.
        assert app.shell.view.steps == 0
        await type_in(pilot, "step 2")
        await press(pilot, "enter")
        assert app.shell.view.steps == 4
        await type_in(pilot, "stpe")
        assert "did you mean step?" in log(app)[-1]
        await press(pilot, "up", "up", "up")
        assert app.query_one(Command).value == "print len"
        await press(pilot, "down")
        assert app.query_one(Command).value == "step 2"
        await press(pilot, "escape")
        assert app.focused is app.query_one("#program")
        assert app.query_one(Command).value == ""
        await press(pilot, "colon")
        await type_in(pilot, "print 1 [b]")
        assert "does not fit here" in "\n".join(log(app))

    piloted(script, filter_shell())


def test_the_end_of_the_capture_is_said():
    async def script(app, pilot):
        await press(pilot, "colon")
        await type_in(pilot, "c all")
        await press(pilot, "enter")
        assert log(app)[-1] == "packet 22 is the last one"
        assert app.shell.view.number == 22

    piloted(script, filter_shell())


def test_the_views_of_an_extended_program(tmp_path):
    async def script(app, pilot):
        pane = app.query_one("#memory")
        await press(pilot, "c")
        assert pane.border_title == "packet (v: stack, maps, breakpoints)"
        await press(pilot, "v")
        assert pane.border_title.startswith("stack ")
        await press(pilot, "v")
        assert "seen: 1 entry, all" in shown(app, "#memory-text")
        await press(pilot, "v")
        assert shown(app, "#memory-text") == "there are no breakpoints"
        await press(pilot, "v")
        assert "08 00" in shown(app, "#memory-text")
        assert "stack frame 1 end" in shown(app, "#registers-text")

    maps = [MapSpec(MapType.ARRAY, 4, 8, 1, name="seen")]
    code = extended(assemble_extended(COUNTER), maps)
    piloted(script, Shell(session(tmp_path / "capture", [IP], code)))


def test_a_long_run_is_interrupted(tmp_path):
    code = extended(assemble_extended(ENDLESS), budget=1 << 40)

    async def script(app, pilot):
        # The pilot's own keys wait until nothing runs.
        app.action_do("continue")
        app.action_do("step")
        app.action_interrupt()
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "still running: Escape interrupts" in log(app)
        assert "interrupted" in log(app)
        assert app.shell.view.end is None
        assert app.shell.view.steps > 0

    piloted(script, Shell(session(tmp_path / "capture", [IP], code)))


def test_light_and_dark():
    async def script(app, pilot):
        assert app.current_theme.dark
        await press(pilot, "t")
        assert not app.current_theme.dark
        await press(pilot, "t")
        assert app.current_theme.dark

    piloted(script, filter_shell())


def test_it_ends():
    async def script(app, pilot):
        await press(pilot, "colon")
        await type_in(pilot, "quit")
        assert app._exit

    piloted(script, filter_shell())


def test_an_expression_of_several_lines():
    async def script(app, pilot):
        await press(pilot, "s")
        assert shown(app, "#heading").endswith("tcp  or  udp")

    piloted(script, filter_shell("tcp\n or \nudp"))
