"""Capture files filtered by an expression: `read` and `filter_file` of the public interface."""

from __future__ import annotations

import warnings
from enum import Enum
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

from pfcompile.captures import filtering
from pfcompile.captures.blocks.scans import Rows, Wanted
from pfcompile.captures.filtering import Plan
from pfcompile.captures.sources.inputs import name_of, size_of
from pfcompile.compiler import compile as compile_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from os import PathLike

    from pfcompile.captures.blocks.scans import Scans
    from pfcompile.captures.filtering import Matcher, Stats
    from pfcompile.captures.sources.inputs import Source
    from pfcompile.captures.writer import Format
    from pfcompile.jit.scan import Scanners
    from pfcompile.jit.scan.counted import Scanned
    from pfcompile.names.answers import Resolver
    from pfcompile.program import Program

WORTH_COMPILING: Final = 2 << 20
"""Bytes of pcap files from which on native code is worth its start.

Loading LLVM and compiling a filter takes as long as the interpreter takes for about so many bytes
of small packets (docs/scan.md).
"""


class Engine(Enum):
    """What runs a filter over a capture file, by the name that the command line has for it."""

    AUTO = "auto"
    NATIVE = "native"
    INTERP = "interp"


COPIES: Final = Wanted(copies=True)


class Filter(Protocol):
    """What is run over packets: a `Program`, or what counts the ways through a graph."""

    @property
    def instructions(self) -> Scanned:
        """What becomes native code."""

    def match(self, packet: bytes, wire_length: int, /) -> int:
        """Return whether a packet matches, not natively: not 0 where it does."""


class Programs:
    """The programs of some expressions, each made when a link type first needs it.

    An instance is a `captures.filtering.ProgramFor`, and its `scans` a `ScansFor`.
    """

    def __init__(
        self,
        compiled: Sequence[Callable[[int, int], Filter]],
        engine: Engine = Engine.AUTO,
        *,
        wanted: Wanted = COPIES,
        cached: bool = True,
        complain: Callable[[str], None],
    ) -> None:
        """Prepare; nothing is compiled yet.

        Args:
            compiled: For each expression what compiles it for a link type (DLT value) and snaplen.
            engine: What runs the programs.
            wanted: What is wanted of packets beside their number.
            cached: Whether native code may be taken from the user's cache, and is kept there.
            complain: Told, once, why there is no native code where there should be.
        """
        self._compiled = compiled
        self._engine = engine
        self._wanted = wanted
        self._cached = cached
        self._complain = complain
        self._programs: dict[int, list[Filter]] = {}
        self._scanners: Scanners | None = None
        self._bytes_seen = 0
        self._lock = Lock()  # threads that scan ask for programs, too

    def __call__(self, dlt: int, snaplen: int) -> Matcher:
        """Return the interpreter of the programs for a link type; see `filtering.Matcher`."""
        matches = [program.match for program in self._for(dlt, snaplen)]
        if len(matches) == 1:
            return matches[0]

        def bits(packet: bytes, wire_length: int) -> int:
            verdicts = (bool(match(packet, wire_length)) for match in matches)
            return sum(verdict << number for number, verdict in enumerate(verdicts))

        return bits

    def scans(self, source: Source) -> Scans | None:
        """Return what makes native code for a capture, or None where the interpreter serves."""
        if not self._is_worth_it(source):
            return None
        from pfcompile.jit.scan import CaptureScans, Scanners  # noqa: PLC0415 - loads much

        if self._scanners is None:
            self._scanners = Scanners(
                lambda dlt, snaplen: [each.instructions for each in self._for(dlt, snaplen)],
                len(self._compiled),
                self._wanted,
                cached=self._cached,
                give_up=self._give_up,
            )
        return CaptureScans(self._scanners, name_of(source))

    def _for(self, dlt: int, snaplen: int) -> list[Filter]:
        with self._lock:
            if dlt not in self._programs:
                self._programs[dlt] = [each(dlt, snaplen) for each in self._compiled]
            return self._programs[dlt]

    def _is_worth_it(self, source: Source) -> bool:
        if self._engine is not Engine.AUTO:
            return self._engine is Engine.NATIVE
        size = size_of(source)
        self._bytes_seen += WORTH_COMPILING if size is None else size
        return self._bytes_seen >= WORTH_COMPILING

    def _give_up(self, reason: str) -> None:
        self._engine = Engine.INTERP
        self._complain(f"no native code, so the interpreter filters: {reason}")


def program_for(
    text: str, *, optimize: bool = True, resolver: Resolver | None = None
) -> Callable[[int, int], Program]:
    """Return what compiles `text` for a link type (DLT value) and snaplen of a capture file."""

    def compiled(dlt: int, snaplen: int) -> Program:
        return compile_text(
            text,
            dlt,
            snaplen,
            optimize=optimize,
            savefile=True,
            resolver=resolver,
            max_instructions=None,  # no kernel is to run it
        )

    return compiled


def read(
    source: Source, text: str = "", *, optimize: bool = True, resolver: Resolver | None = None
) -> Iterator[tuple[int, bytes]]:
    """Yield the time (nanoseconds since 1970, UTC) and bytes of each packet that matches `text`.

    Args:
        source: A path, "-" for standard input, or a binary stream: pcap or pcapng.
        text: The expression, compiled for the link type of each interface.
        optimize: Whether to optimise.
        resolver: Where names are looked up; the system by default.

    Raises:
        FilterError: The expression is wrong for a link type in the file.
        CaptureError: The file cannot be read or is damaged; after all that is whole.
    """
    compiled = program_for(text, optimize=optimize, resolver=resolver)
    return filtering.read(source, lambda dlt, snaplen: compiled(dlt, snaplen).match)


def batches(
    source: Source,
    text: str = "",
    *,
    optimize: bool = True,
    resolver: Resolver | None = None,
    engine: str = Engine.AUTO.value,
) -> Iterator[list[tuple[int, memoryview]]]:
    """Yield the time and bytes of the packets that match, many at once and without copying.

    Args:
        source: A path, "-" for standard input, a URL or a binary stream: pcap or pcapng.
        text: The expression, compiled for the link type of each interface.
        optimize: Whether to optimise.
        resolver: Where names are looked up; the system by default.
        engine: As for `filter_file`.

    Yields:
        Lists of nanoseconds since 1970-01-01 UTC and the captured bytes, as they were read: a view
        keeps half a megabyte of the file in memory for as long as it lives.

    Raises:
        FilterError: The expression is wrong for a link type in the file.
        CaptureError: The file cannot be read or is damaged; after all that is whole.

    Warns:
        RuntimeWarning: There is no native code, and the interpreter has filtered.
    """
    programs = Programs(
        [program_for(text, optimize=optimize, resolver=resolver)],
        Engine(engine),
        wanted=Wanted(rows=Rows.MATCHED),
        complain=_warn,
    )
    return filtering.batches(source, programs, programs.scans(source))


def filter_file(
    source: Source,
    destination: str | PathLike[str],
    text: str,
    *,
    optimize: bool = True,
    resolver: Resolver | None = None,
    write_format: Format | None = None,
    limit: int | None = None,
    engine: str = Engine.AUTO.value,
    jobs: int = 1,
) -> Stats:
    """Write the packets of a capture that match `text` to another one, unchanged.

    Args:
        source: A path, "-" for standard input, or a binary stream: pcap or pcapng.
        destination: A path, or "-" for standard output; not the source itself.
        text: The expression, compiled for the link type of each interface.
        optimize: Whether to optimise.
        resolver: Where names are looked up; the system by default.
        write_format: The format; None takes it from the destination's name, or the source.
        limit: Stop after this many matches, at least 1.
        engine: "native" runs the filter as native code, "interp" in the interpreter; "auto" is
            native for what has at least `WORTH_COMPILING` bytes, or has a size that cannot be
            known. The result is the same.
        jobs: How many threads scan, at least 1, where native code does. The result is the same.

    Raises:
        FilterError: The expression is wrong for a link type in the file.
        CaptureError: A file cannot be read or written, or is damaged; what was whole is written.
        ValueError: There is no such engine, or `limit` or `jobs` is less than 1.

    Warns:
        RuntimeWarning: There is no native code, and the interpreter has filtered.
    """
    if jobs < 1 or (limit is not None and limit < 1):
        msg = "limit and jobs are at least 1"
        raise ValueError(msg)
    programs = Programs(
        [program_for(text, optimize=optimize, resolver=resolver)],
        Engine(engine),
        wanted=Wanted(copies=True, limit=limit is not None),
        complain=_warn,
    )
    plan = Plan(limit=limit, jobs=jobs, scans_for=programs.scans)
    return filtering.filter_file(
        source, destination, programs, write_format=write_format, plan=plan
    )


def _warn(reason: str) -> None:
    warnings.warn(reason, RuntimeWarning, stacklevel=2)
