"""Text on standard output, whose failing is told as that of any output."""

from __future__ import annotations

import sys

from pfcompile.captures.output import STANDARD_OUTPUT
from pfcompile.cli import common
from pfcompile.errors import CaptureError


def write(text: str) -> None:
    """Write to standard output; what its encoding cannot say, such as some names, is escaped.

    Raises:
        CaptureError: It cannot be written.
        BrokenPipeError: Nobody reads it any more.
    """
    if sys.stdout is None:
        raise CaptureError("standard output is closed", STANDARD_OUTPUT)
    try:
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:
            encoding = sys.stdout.encoding
            sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _not_written(error) from error


def flush() -> None:
    """Hand on what has been printed; raises as `write`."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _not_written(error) from error


def flush_or_forget() -> None:
    """Hand on what has been printed, in an end that has its error already."""
    try:
        flush()
    except (BrokenPipeError, CaptureError):
        common.forget_standard_output()


def _not_written(error: OSError) -> CaptureError:
    return CaptureError(f"cannot be written: {error.strerror or error}", STANDARD_OUTPUT)
