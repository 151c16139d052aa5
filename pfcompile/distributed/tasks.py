"""One task: a capture, or a part of a pcap file, filtered by whichever process gets it.

A task may be done more than once, at the same time even, where a worker dies or only seems to.
What it keeps goes to a file with a name that no other attempt has, in a folder that lives as long
as the run; only what has been finished is told of, so nobody takes half a file for a whole one.
What makes a file of that with the name that was asked for is `joining`.
"""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pfcompile import __version__
from pfcompile.captures.blocks.native import manner_for
from pfcompile.captures.blocks.scans import NO_LIMIT, Wanted
from pfcompile.captures.blocks.walking import walk_source
from pfcompile.captures.filtering import Matchers, Tally, scan, until_damage
from pfcompile.captures.writer import open_writer
from pfcompile.distributed.parts import Walked, walk_part
from pfcompile.errors import CaptureError, FilterError, PfcompileError
from pfcompile.files import Engine, Programs, program_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.captures.blocks.scans import Run
    from pfcompile.captures.filtering import Destination
    from pfcompile.captures.formats.records import Item
    from pfcompile.captures.writer import Format
    from pfcompile.distributed.parts import Part
    from pfcompile.names.answers import Resolver

_LOOKS: Final = 0.5
"""Seconds after which a task looks again whether it is still wanted."""


@dataclass(frozen=True, slots=True)
class Expression:
    """What all tasks filter with.

    Attributes:
        text: The expression.
        optimize: Whether to optimise.
        resolver: Where names are looked up.
        engine: What runs the filter.
    """

    text: str
    optimize: bool
    resolver: Resolver
    engine: Engine

    def programs(self, wanted: Wanted, complaints: list[str]) -> Programs:
        """Return what compiles it, and adds to `complaints` what there is to complain about."""
        compiled = program_for(self.text, optimize=self.optimize, resolver=self.resolver)
        return Programs([compiled], self.engine, wanted=wanted, complain=complaints.append)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be filtered.

    Attributes:
        source: The capture, by a name that is good on every machine.
        name: What the user calls it.
        part: The part of it; None for all.
        folder: Where a file with what is kept goes; None where it is only counted.
        write_format: That file's format; None for the capture's own.
    """

    source: str
    name: str
    part: Part | None
    folder: str | None
    write_format: Format | None


@dataclass(slots=True)
class Outcome:
    """What a task has come to.

    Attributes:
        packets: Packets read.
        matched: Those of them that matched.
        bytes: Captured bytes of the packets read.
        matched_bytes: Captured bytes of those that matched.
        piece: The file with what was kept, a whole capture; None where there is none.
        walked: Where the records of a part are.
        error: What is wrong with the capture; what was whole before that counts.
        unwritten: Why what was kept cannot be written.
        refused: Why the expression is wrong for its link type.
        complaints: What the user should know.
    """

    packets: int = 0
    matched: int = 0
    bytes: int = 0
    matched_bytes: int = 0
    piece: str | None = None
    walked: Walked = field(default_factory=Walked)
    error: str | None = None
    unwritten: str | None = None
    refused: FilterError | None = None
    complaints: tuple[str, ...] = ()


def do_task(expression: Expression, task: Task) -> Outcome:
    """Filter what a task is about.

    No exception comes out: not all can be sent, and whatever is wrong with one capture, the others
    go on.
    """
    complaints: list[str] = []
    outcome = Outcome()
    programs = expression.programs(Wanted(copies=task.folder is not None), complaints)
    tally = Tally()
    damage: list[CaptureError] = []
    piece = None if task.folder is None else str(Path(task.folder, uuid.uuid4().hex))
    try:
        with _destination(piece, task.write_format) as destination:
            items = until_damage(_items(task, programs, outcome), damage.append)
            scan(_while_wanted(items, task), Matchers(programs, task.source), [destination], tally)
        if damage:
            outcome.error = _told(damage[0], task)
    except FilterError as error:
        outcome.refused = error
    except CaptureError as error:
        if error.path == piece:
            outcome.unwritten = error.message
        else:
            outcome.error = _told(error, task)
    except PfcompileError as error:
        outcome.error = f"{task.name}: {error}"
    except Exception as error:  # noqa: BLE001 - see above
        outcome.error = f"{task.name}: cannot be filtered: {error!r}"
    outcome.packets, outcome.bytes = tally.packets, tally.bytes
    outcome.matched, outcome.matched_bytes = tally.matched, tally.count_bytes[0]
    outcome.complaints = tuple(complaints)
    if piece is not None and outcome.unwritten is None and Path(piece).exists():
        outcome.piece = piece
    return outcome


def installed() -> str:
    """Return the version of pfcompile that a worker has."""
    return __version__


def _told(error: CaptureError, task: Task) -> str:
    """Return what is said about a capture, with the name that the user knows."""
    return str(CaptureError(error.message, task.name, error.offset))


@contextmanager
def _destination(piece: str | None, write_format: Format | None) -> Iterator[Destination]:
    """Open what takes the packets that match."""
    if piece is None:
        yield Nothing()
        return
    with open_writer(piece, write_format) as writer:
        yield writer


class Nothing:
    """Takes packets that are only counted."""

    def write(self, item: Item) -> None:
        """Take an item."""

    def write_run(self, run: Run, number: int) -> None:
        """Take what a scan has kept."""

    def flush(self) -> None:
        """Do nothing."""


def _while_wanted(items: Iterator[Any], task: Task) -> Iterator[Any]:
    """Yield items until the folder for what is kept goes, with which the run has ended."""
    due = time.monotonic() + _LOOKS
    for item in items:
        yield item
        if time.monotonic() >= due:
            if task.folder is not None and not Path(task.folder).exists():
                raise CaptureError("is no longer wanted", task.name)
            due = time.monotonic() + _LOOKS


def _items(task: Task, programs: Programs, outcome: Outcome) -> Iterator[Any]:
    """Yield what a task's capture is made of."""
    scans = programs.scans(task.source)
    if task.part is None:
        return walk_source(task.source, scans, manner_for(scans, NO_LIMIT))
    return walk_part(task.source, task.part, scans, outcome.walked)
