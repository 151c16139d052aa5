"""Commands from a script or a pipe, and from a plain prompt on a terminal."""

from __future__ import annotations

import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from pfcompile.debugger.mistakes import Mistake
from pfcompile.errors import PfcompileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pfcompile.debugger.commands import Shell

PROMPT: Final = "(pfcompile) "


class ScriptError(Mistake):
    """A command of a script that cannot be done: the script ends there."""


def run_script(
    shell: Shell,
    lines: Iterable[str],
    write: Callable[[str], None],
    *,
    name: str,
    echo: bool = False,
) -> None:
    """Do what the lines say, up to the end, `quit`, or the first that cannot be done.

    Args:
        shell: Does it.
        lines: The commands.
        write: Is given what is to be said, a line at a time.
        name: What errors call the script.
        echo: Whether to write the commands as well, behind a prompt.

    Raises:
        ScriptError: A command cannot be done; names its line.
    """
    for line in shell.greeting():
        write(line)
    for number, line in enumerate(lines, 1):
        if echo and line.strip():
            write(f"{PROMPT}{line.strip()}")
        try:
            answer = shell.execute(line)
        except PfcompileError as error:
            raise ScriptError(f"{name}: line {number}: {error}") from error
        for each in answer:
            write(each)
        if shell.is_done:
            return


def run_prompt(shell: Shell, read: Callable[[str], str], write: Callable[[str], None]) -> None:
    """Ask for commands until the input ends or says `quit`; an interrupt ends a long command.

    Args:
        shell: Does them.
        read: Asks for a line, as `input`.
        write: Is given what is to be said, a line at a time.
    """
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415 - gives `input` a history where there is a terminal
    for line in shell.greeting():
        write(line)
    while not shell.is_done:
        try:
            line = read(PROMPT)
        except EOFError:
            write("")
            return
        except KeyboardInterrupt:
            write("")
            continue
        try:
            with _interruptible(shell):
                answer = shell.execute(line, repeats=True)
        except PfcompileError as error:
            write(str(error))
            continue
        for each in answer:
            write(each)


@contextmanager
def _interruptible(shell: Shell) -> Iterator[None]:
    """Let Ctrl-C stop a run and not the debugger."""
    shell.session.forget_interrupt()
    before = signal.signal(signal.SIGINT, lambda *_: shell.session.interrupt())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
