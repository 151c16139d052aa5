"""What a filter does besides: reports, sets of addresses, counts by source."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from pfcompile.captures.output import STANDARD_OUTPUT
from pfcompile.captures.writer import Format, named_format
from pfcompile.cli.attaching.sinks import open_sink
from pfcompile.kernel.attach import Action, Prefixes, Report, SetRule, Side, WantedSet
from pfcompile.kernel.attach.reporting import MOST_BYTES, RING_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.cli.attaching.sinks import Sink
    from pfcompile.kernel.attach import Description

Command = TypeVar("Command", bound="Callable[..., Any]")

_KIBIBYTE: Final = 1024
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_MOST_SETS: Final = 8
_MOST_SOURCES: Final = 1 << 24

_OUTPUT_OPTIONS: Final = (
    click.option("-w", "path", metavar="OUT", help="Write reported packets to OUT, a capture."),
    click.option(
        "--format", "form", type=click.Choice([each.value for each in Format]), help="Of OUT."
    ),
    click.option(
        "-c", "count", type=click.IntRange(min=1), metavar="N", help="End after N reported packets."
    ),
)

_EXTRA_OPTIONS: Final = (
    click.option(
        "--report", "reports", is_flag=True, help="Report packets that match, whatever the action."
    ),
    click.option(
        "--bytes",
        "bytes_",
        type=click.IntRange(1, MOST_BYTES),
        metavar="N",
        help=f"Report N bytes of each. [{MOST_BYTES}]",
    ),
    click.option(
        "-B",
        "buffer_size",
        type=click.IntRange(4, 1 << 20),
        metavar="KIB",
        help=f"Size of the ring for reports: a power of two. [{RING_BYTES // _KIBIBYTE}]",
    ),
    click.option(
        "--map",
        "maps",
        multiple=True,
        metavar="[src:|dst:]NAME=FILE",
        help="Match only what has an address in FILE; `pfcompile map` changes that.",
    ),
    click.option(
        "--except",
        "exceptions",
        multiple=True,
        metavar="[src:|dst:]NAME=FILE",
        help="Match only what has none in FILE.",
    ),
    click.option(
        "--by-source",
        "sources",
        type=click.IntRange(1, _MOST_SOURCES),
        metavar="N",
        help="Count by source as well, N of them; shown at the end.",
    ),
)


def output_options(command: Command) -> Command:
    """Give a command the options of `Outlet`."""
    for option in reversed(_OUTPUT_OPTIONS):
        command = option(command)
    return command


def extra_options(command: Command) -> Command:
    """Give a command the options of `Extras`."""
    for option in reversed(_EXTRA_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where reported packets are to go, as it was given.

    Attributes:
        path: The file of -w.
        form: Its format.
        count: How many packets are enough.
    """

    path: str | None
    form: str | None
    count: int | None

    @property
    def is_wanted(self) -> bool:
        """Whether something was given that only reports have."""
        return self.path is not None or self.form is not None or self.count is not None

    def check(self) -> None:
        """Raise UsageError for what cannot be written."""
        if self.path is None and self.form is not None:
            raise click.UsageError("--format is about the file of -w")
        if self.path == STANDARD_OUTPUT and sys.stdout is not None and sys.stdout.isatty():
            raise click.UsageError("a capture is not written to a terminal")

    def open(self, told: Description) -> Sink:
        """Open it; raises CaptureError."""
        named = None
        if self.path is not None:
            named = Format(self.form) if self.form is not None else named_format(self.path)
        return open_sink(
            self.path, named, told.dlt, told.reported_bytes, told.place, told.expression
        )


@dataclass(frozen=True, slots=True)
class Extras:
    """What a filter does besides, as it was given.

    Attributes:
        reports: Whether packets that match are reported, whatever the action.
        bytes_: How many bytes of them.
        buffer_size: The ring's size in KiB.
        maps: Sets that packets have to be in.
        exceptions: Sets that they have not to be in.
        sources: How many sources they are counted by.
    """

    reports: bool
    bytes_: int | None
    buffer_size: int | None
    maps: tuple[str, ...]
    exceptions: tuple[str, ...]
    sources: int | None

    def report(self, action: Action, outlet: Outlet) -> Report | None:
        """Return what is reported; raises UsageError, ProgramError."""
        wanted = self.reports or action is Action.REPORT or outlet.is_wanted
        if not wanted and (self.bytes_ is not None or self.buffer_size is not None):
            raise click.UsageError("--bytes and -B are about reports: give --report as well")
        if not wanted:
            return None
        ring = RING_BYTES if self.buffer_size is None else self.buffer_size * _KIBIBYTE
        if ring.bit_count() != 1:
            raise click.UsageError(f"-B {self.buffer_size} is not a power of two")
        return Report(self.bytes_ or min(MOST_BYTES, ring // 4), ring)

    def sets(self) -> list[WantedSet]:
        """Return the sets, with what is in their files.

        Raises:
            UsageError: One is not named so.
            AddressError: A file is wrong.
        """
        given = [(text, False) for text in self.maps] + [(text, True) for text in self.exceptions]
        if len(given) > _MOST_SETS:
            raise click.UsageError(f"a filter has at most {_MOST_SETS} sets")
        rules = [_rule(text, is_exception=is_exception) for text, is_exception in given]
        names = [rule.name for rule, _ in rules]
        for name in names:
            if names.count(name) > 1:
                raise click.UsageError(f"two sets are called '{name}'")
        return [WantedSet(rule, Prefixes.read(file)) for rule, file in rules]


def _rule(text: str, *, is_exception: bool) -> tuple[SetRule, str]:
    """Return a set's rule and its file."""
    named, equals, file = text.partition("=")
    side, colon, name = named.rpartition(":")
    sides = {each.value: each for each in Side}
    if (
        not equals
        or not file
        or not _NAME.fullmatch(name)
        or side not in sides
        or (colon and not side)
    ):
        raise click.UsageError(
            f"'{text}' is no set: blocked=blocked.txt is one, src:blocked=blocked.txt as well"
        )
    return SetRule(name, sides[side], is_exception), file


def taken(kind: type[Any], given: dict[str, Any]) -> Any:
    """Take what belongs to a dataclass out of a command's options."""
    return kind(**{name: given.pop(name) for name in kind.__slots__})
