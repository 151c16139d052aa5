"""Captures filtered by many processes, here or on other machines, over dask.

Each capture is a task, or each part of a large pcap file; the outcome is that of `filter_file`.
What workers keep goes to pieces in a folder beside the output, which goes when the run ends; a file
gets the name that was asked for when it is whole.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
import warnings
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from pfcompile.captures.blocks.scans import Wanted
from pfcompile.captures.folders import expand
from pfcompile.captures.writer import Format
from pfcompile.distributed.captures import capture_of, check_expression, chosen_engine
from pfcompile.distributed.cluster import connected
from pfcompile.distributed.keeping import keeper
from pfcompile.distributed.names import Remembering
from pfcompile.distributed.results import FileResult, Progress, Result
from pfcompile.distributed.running import Order, Run, check_workers
from pfcompile.distributed.tasks import Expression
from pfcompile.errors import CaptureError
from pfcompile.files import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from os import PathLike
    from pathlib import Path

    from pfcompile.names.answers import Resolver

__all__ = ["PART_BYTES", "FileResult", "Progress", "Result", "filter"]

PART_BYTES: Final = 1 << 30
"""Bytes of a pcap file from which on it is cut, and of its parts."""

_TRIES: Final = 50
_PAUSE: Final = 0.1
"""Seconds between tries to remove a folder: on a network file system a file that is open stays."""


def filter(  # noqa: A001 - as in `pfcompile filter`
    paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    text: str = "",
    output: str | PathLike[str] | None = None,
    *,
    address: str | None = None,
    client: Any = None,
    part_bytes: int = PART_BYTES,
    optimize: bool = True,
    resolver: Resolver | None = None,
    engine: str = Engine.AUTO.value,
    write_format: Format | str | None = None,
    progress: Callable[[Progress], None] | None = None,
    complain: Callable[[str], None] | None = None,
) -> Result:
    """Count or write the packets of captures that match `text`, with many processes.

    Args:
        paths: Captures, folders of captures, and URLs; files lie under the same names on all
            machines.
        text: The expression.
        output: None: packets are only counted. A folder, one that exists or a name that ends with
            "/": a file for each capture. Else one file for all, in the order of `paths`.
        address: The address of a dask scheduler, such as "tcp://10.0.0.1:8786". Without it and
            without a client, there are processes of this machine, one a processor, for this call;
            a script then needs the usual `if __name__ == "__main__":`.
        client: A `distributed.Client` to use, and to leave open.
        part_bytes: Of how many bytes are the parts, at least 1, of an uncompressed pcap file that
            is larger.
        optimize: Whether to optimise.
        resolver: Where names are looked up, here and nowhere else; the system by default.
        engine: As for `filter_file`; "auto" goes by the size of all captures.
        write_format: The format of what is written, or its name. None takes it from the name of
            the file, or else from the first capture; in a folder, from each capture.
        progress: Told how far it is, whenever a task is over.
        complain: Told what the user should know; a `RuntimeWarning` by default.

    Returns:
        What has become of each capture. Of a damaged one, what is whole has been filtered, and the
        result has its error.

    Raises:
        FilterError: The expression is wrong for a link type. If it is for the first, nothing has
            been written.
        CaptureError: The output cannot be written; an older file stays as it was. Or an input is
            one that other processes cannot read.
        MissingExtraError: distributed is not installed.
        PfcompileError: The scheduler cannot be reached, or has gone.
        ValueError: There is no such engine or format, or there are both an address and a client.
    """
    started = time.monotonic()
    if address is not None and client is not None:
        raise ValueError("give an address or a client, not both")
    if part_bytes < 1:
        raise ValueError("a part has at least one byte")
    listed = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    unreadable: list[str] = []
    sources = expand(listed, lambda error: unreadable.append(str(error)))
    captures = [capture_of(each, part_bytes) for each in sources]
    wanted_format = None if write_format is None else Format(write_format)
    keeping = keeper(None if output is None else os.fspath(output), captures, wanted_format)
    expression = Expression(
        text, optimize, Remembering(resolver), chosen_engine(Engine(engine), captures)
    )
    check_expression(captures, expression.programs(Wanted(), []))
    results: dict[int, FileResult] = {}
    token = uuid.uuid4().hex
    tell = complain or _warn
    tasks = sum(len(each.parts) for each in captures)
    if tasks:
        with connected(address, client, tasks) as opened, _folder(keeping.place, token) as folder:
            check_workers(opened, tell)
            order = Order(expression, folder, keeping.task_format, token, progress or _ignore, tell)
            with closing(Run(opened, order, captures).courses()) as courses:
                for number, course in courses:
                    results[number] = keeping.take(number, course, folder or "")
            keeping.finish(folder or "")
    files = tuple(results[number] for number in range(len(captures)))
    return Result(files, tuple(unreadable), time.monotonic() - started)


@contextmanager
def _folder(place: Path | None, token: str) -> Iterator[str | None]:
    """Make a folder for what tasks keep, and remove it in the end.

    Args:
        place: The folder that it is to be in; None: there is nothing to keep.
        token: Makes its name different from all others.

    Raises:
        CaptureError: It cannot be made.
    """
    if place is None:
        yield None
        return
    folder = place / f".pfcompile-{token}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except OSError as error:
        raise CaptureError(f"cannot be written: {error.strerror or error}", str(place)) from error
    try:
        yield str(folder)
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder, whatever workers that have not heard of the end do in it meanwhile."""
    with suppress(OSError):
        folder = folder.rename(folder.with_suffix(".over"))  # now none of them finds it
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_PAUSE)


def _ignore(progress: Progress) -> None:
    """Do nothing: nobody wants to know."""


def _warn(reason: str) -> None:
    warnings.warn(reason, RuntimeWarning, stacklevel=3)
