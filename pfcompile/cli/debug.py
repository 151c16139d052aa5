"""`pfcompile debug PROGRAM|EXPR -r CAPTURE`: a program step by step, forwards and backwards."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pfcompile.cli import common, options, programs
from pfcompile.cli.debugging.subject import codes, given_program
from pfcompile.cli.runners import PLACES
from pfcompile.debugger.commands import Shell
from pfcompile.debugger.packets import Packets
from pfcompile.debugger.prompt import ScriptError, run_prompt, run_script
from pfcompile.debugger.session import Session
from pfcompile.errors import PfcompileError, ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pfcompile.captures.formats.records import Record
    from pfcompile.debugger.machines import Code

STANDARD_INPUT: Final = "-"


@click.command("debug")
@click.option("-r", "capture", required=True, metavar="FILE", help="Read packets; '-' is stdin.")
@options.expression_file
@click.option("-O", "no_optimize", is_flag=True, help="An expression: do not optimise.")
@options.netmask
@options.no_names
@programs.with_family
@click.option(
    "--target",
    type=click.Choice(list(PLACES)),
    help="eBPF: what it is run as. [what an object file says, else user]",
)
@click.option(
    "--program", "name", metavar="NAME", help="Of an object file: the function or section."
)
@click.option("-e", "lines", multiple=True, metavar="COMMAND", help="Do this, and end; repeatable.")
@click.option("--script", metavar="FILE", help="Do what FILE says, and end; '-' is stdin.")
@click.option("--echo", is_flag=True, help="Of -e and scripts: print the commands as well.")
@click.option("--plain", is_flag=True, help="On a terminal: a prompt, not the full screen.")
@click.argument("words", nargs=-1, metavar="PROGRAM|EXPR...")
def command(
    capture: str,
    file: str | None,
    no_optimize: bool,
    netmask: str | None,
    no_names: bool,
    family: str | None,
    target: str | None,
    name: str | None,
    lines: tuple[str, ...],
    script: str | None,
    echo: bool,
    plain: bool,
    words: tuple[str, ...],
) -> None:
    """Run a filter or a program step by step on the packets of FILE.

    EXPR is compiled for the link types in FILE, as `pfcompile filter` does. @FILE is a program in
    any format that `pfcompile disasm` reads, classic or extended, object files too; its name alone
    will do where that is no expression.

    On a terminal it takes the full screen; `help` lists the commands. They may also come from -e,
    from --script, or from standard input where that is no terminal; then the first one that cannot
    be done ends it, with status 2.
    """
    if lines and script is not None:
        raise click.UsageError("give the commands with -e or with --script, not both")
    ask = not lines and script is None and sys.stdin is not None and sys.stdin.isatty()
    if not lines and script is None and not ask:
        script = STANDARD_INPUT
    _check_usage(capture, words, file, script)
    try:
        common.need_standard_output()
        given = given_program(
            common.expression(words, file) if file is not None else words,
            family=family,
            name=name,
            target=target,
        )
        resolver = common.resolver(no_names=no_names)
        code_for = codes(given, netmask=netmask, optimize=not no_optimize, resolver=resolver)
        commands = lines if script is None else _lines(script)
        with closing(Packets(capture)) as packets:
            shell = Shell(_session(packets, code_for))
            if not ask:
                name_of_script = "-e" if script is None else programs.shown(script)
                run_script(shell, commands, click.echo, name=name_of_script, echo=echo)
            elif plain or not sys.stdout.isatty():
                run_prompt(shell, input, click.echo)
            else:
                from pfcompile.debugger.screen import run_screen  # noqa: PLC0415 - an extra

                run_screen(shell)
    except BrokenPipeError:
        common.forget_standard_output()
        sys.exit(common.STATUS_FAILED)
    except ScriptError as error:
        common.complain(error)
        sys.exit(common.STATUS_USAGE)
    except PfcompileError as error:
        common.fail(error)


def _check_usage(
    capture: str, words: tuple[str, ...], file: str | None, script: str | None
) -> None:
    """Refuse what cannot be meant, before anything is read."""
    given = [capture, file, script, *(words if len(words) == 1 else ())]
    if given.count(STANDARD_INPUT) > 1:
        raise click.UsageError(
            "standard input can be read only once: give the commands with -e or --script FILE"
        )


def _session(packets: Packets, code_for: Callable[[Record], Code]) -> Session:
    """Return a session on a capture.

    Raises:
        UsageError: What an expression is compiled with is wrong, such as the netmask.
    """
    try:
        return Session(packets, code_for)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _lines(script: str) -> Iterable[str]:
    """Return the lines of a script; those of standard input as they come.

    Raises:
        ProgramError: It cannot be read, or is no text.
    """
    if script == STANDARD_INPUT:
        return _lines_of_standard_input()
    try:
        return Path(script).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise _unreadable(script, error) from error


def _lines_of_standard_input() -> Iterator[str]:
    if sys.stdin is None:
        raise ProgramError("standard input is closed")
    try:
        yield from sys.stdin
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(STANDARD_INPUT, error) from error


def _unreadable(script: str, error: OSError | ValueError) -> ProgramError:
    reason = error.strerror if isinstance(error, OSError) else error
    return ProgramError(f"{programs.shown(script)}: cannot be read: {reason}")
