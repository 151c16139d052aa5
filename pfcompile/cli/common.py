"""What several commands do alike: where the expression comes from, and how errors are said."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

import click

from pfcompile.errors import FilterError, PfcompileError
from pfcompile.lower.context import DEFAULT_PROTOCHAIN_HEADERS, MAX_PROTOCHAIN_HEADERS
from pfcompile.names.resolvers import NoNames, SystemResolver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.names.answers import Resolver

STATUS_FAILED: Final = 1
STATUS_USAGE: Final = 2
STATUS_INTERRUPTED: Final = 130
"""As shells have it for what SIGINT has ended."""

protochain_headers_option: Final = click.option(
    "--protochain-headers",
    type=click.IntRange(1, MAX_PROTOCHAIN_HEADERS),
    default=DEFAULT_PROTOCHAIN_HEADERS,
    metavar="N",
    show_default=True,
    help="How many headers `protochain` follows.",
)


def expression(words: Sequence[str], file: str | None) -> str:
    """Return the expression: the words of the command line in one, or a file's text.

    In a file, `#` begins a comment that ends with the line, as in tcpdump's.
    """
    if file is None:
        return " ".join(words)
    if words:
        raise click.UsageError("give the expression with -F or as arguments, not both")
    if file == "-" and sys.stdin is None:
        raise click.UsageError("cannot read the expression: standard input is closed")
    from pathlib import Path  # noqa: PLC0415 - for files only

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"cannot read the expression from {file}: {error}") from error
    # Blanks in its place keep what an error points at where it stands in the file.
    return re.sub("#[^\n]*", lambda comment: " " * len(comment[0]), text)


def check_standard_input(*names: object) -> None:
    """Raise UsageError where more than one of the files that are read is standard input."""
    if names.count("-") > 1:
        raise click.UsageError("standard input can be read only once")


def check_emptied(text: str, file: str) -> None:
    """Raise UsageError where the text of a file that was read again is of blanks and comments.

    That would match every packet. Who saves a file may have emptied it just now, to write it anew.
    """
    if not text.strip():
        raise click.UsageError(
            f"{file} has no expression any more, which would match every packet; if that is meant,"
            " write `len >= 0`"
        )


def resolver(*, no_names: bool) -> Resolver:
    """Return where names are looked up; a slow look-up is not silent."""
    if no_names:
        return NoNames()
    return SystemResolver(on_slow=lambda name: _say(f"looking up '{name}' ..."))


def complain(error: PfcompileError) -> None:
    """Print an error on standard error."""
    _say(str(error))


def fail(error: PfcompileError) -> NoReturn:
    """Print an error and end: status 2 for a bad expression, else 1."""
    complain(error)
    sys.exit(STATUS_USAGE if isinstance(error, FilterError) else STATUS_FAILED)


def leave(status: int) -> NoReturn:
    """End the process at once: Python would first tidy up what the kernel takes back anyway.

    That is 3 to 5 ms of processor time, as much as capturing 20,000 packets takes.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with suppress(OSError, ValueError):  # whoever read it has had enough
                    stream.flush()
    finally:
        os._exit(status)


def need_standard_output() -> None:
    """Raise ClickException where the command was started without a standard output."""
    if sys.stdout is None:
        raise click.ClickException("standard output is closed")


def forget_standard_output() -> None:
    """Let go of output that nobody takes, which Python would try to write once more at its end."""
    if sys.stdout is None:
        return
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _say(text: str) -> None:
    click.echo(f"pfcompile: {text}", err=True)
