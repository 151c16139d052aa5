"""The command line run in this process, which takes a fiftieth of the time of one of its own."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import NamedTuple
from unittest import mock

from pfcompile.cli import main


class Done(NamedTuple):
    """How a command has ended."""

    returncode: int
    stdout: bytes
    stderr: bytes


def run(*arguments: object, stdin: bytes = b"") -> Done:
    """Run `pfcompile` with `arguments`; an exception that it does not catch comes through."""
    out, err = io.BytesIO(), io.BytesIO()
    streams = {
        "argv": ["pfcompile", *map(str, arguments)],
        "stdin": io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"),
        "stdout": io.TextIOWrapper(out, encoding="utf-8", write_through=True),
        "stderr": io.TextIOWrapper(err, encoding="utf-8", write_through=True),
    }
    status = 0
    with contextlib.ExitStack() as stack:
        for name, value in streams.items():
            stack.enter_context(mock.patch.object(sys, name, value))
        try:
            main()
        except SystemExit as end:
            status = 1 if isinstance(end.code, str) else int(end.code or 0)
        return Done(status, out.getvalue(), err.getvalue())


def output(*arguments: object, stdin: bytes = b"") -> bytes:
    """Run a command that must succeed and say nothing else; return its output."""
    done = run(*arguments, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, b""), done
    return done.stdout


def refused(*arguments: object, status: int = 2, stdin: bytes = b"") -> str:
    """Run a command that must fail with `status` and print nothing; return what it says."""
    done = run(*arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (status, b""), done
    return done.stderr.decode()
