"""The command line, entered at `main`."""

from __future__ import annotations

import atexit
import gc
import sys
from typing import Final, NoReturn

_YOUNG: Final = 50_000
"""How many objects are made before cycles among them are looked for; loading makes fewer."""


def main() -> NoReturn:
    """Run the command line; exit status 0, 1 for a failure, 2 for a bad expression or usage."""
    # Most commands are short, and what they make lives to their end: to look through all of it for
    # cycles again and again, and once more before exit, would be a sixth of their time.
    gc.set_threshold(_YOUNG)
    atexit.register(gc.freeze)

    import click  # noqa: PLC0415 - after the lines above, since loading makes most of the objects

    from pfcompile.cli.commands import group  # noqa: PLC0415 - the same

    try:
        group(prog_name="pfcompile", standalone_mode=False)
        if sys.stdout is not None:  # as it is where it was closed before the start
            sys.stdout.flush()  # where it fails, that is said
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is None:  # standard output has no name, as files have
            from pfcompile.cli.common import forget_standard_output  # noqa: PLC0415 - rarely needed

            forget_standard_output()
        if not isinstance(error, BrokenPipeError):
            where = error.filename or "cannot write standard output"
            click.echo(f"pfcompile: {where}: {error.strerror or error}", err=True)
        sys.exit(1)
    sys.exit(0)
