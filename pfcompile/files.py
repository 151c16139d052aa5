"""Capture files filtered by an expression: `read` and `filter_file` of the public interface."""

from __future__ import annotations

import os
import stat
import warnings
from enum import Enum
from typing import TYPE_CHECKING, Final

from pfcompile.captures import filtering
from pfcompile.captures.reader import STANDARD_INPUT
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

    from pfcompile.captures.filtering import Matcher, Stats
    from pfcompile.captures.native import BlockScanner
    from pfcompile.captures.reader import Source
    from pfcompile.captures.records import PcapHeader
    from pfcompile.captures.writer import Format
    from pfcompile.cbpf.isa import Instruction
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


class Programs:
    """The programs of one expression, each made when a link type first needs it.

    An instance is a `captures.filtering.ProgramFor`, and its `scanner` a `ScannerFor`.
    """

    def __init__(
        self,
        compiled: Callable[[int, int], Program],
        engine: Engine = Engine.AUTO,
        *,
        keep: bool = True,
        complain: Callable[[str], None],
    ) -> None:
        """Prepare; nothing is compiled yet.

        Args:
            compiled: Compiles the expression for a link type (DLT value) and snaplen.
            engine: What runs the programs.
            keep: Whether the packets that match are wanted, or only their number.
            complain: Told, once, why there is no native code where there should be.
        """
        self._compiled = compiled
        self._engine = engine
        self._keep = keep
        self._complain = complain
        self._programs: dict[int, Program] = {}
        self._scanners: dict[tuple[int, str, str, int], BlockScanner] = {}
        self._bytes_seen = 0

    def __call__(self, dlt: int, snaplen: int) -> Matcher:
        """Return the interpreter of the program for a link type."""
        return self._program(dlt, snaplen).match

    def scanner(self, source: Source, header: PcapHeader) -> BlockScanner | None:
        """Return native code for a pcap file, or None where the interpreter is to serve."""
        if not self._is_worth_it(source):
            return None
        dlt, dialect = header.interface.dlt, header.dialect
        key = (dlt, dialect.byte_order, dialect.lengths, dialect.extra_header)
        if key not in self._scanners:
            program = self._program(dlt, header.interface.filter_snaplen)
            scanner = self._native(program.instructions, header)
            if scanner is None:
                return None
            self._scanners[key] = scanner
        return self._scanners[key]

    def _program(self, dlt: int, snaplen: int) -> Program:
        if dlt not in self._programs:
            self._programs[dlt] = self._compiled(dlt, snaplen)
        return self._programs[dlt]

    def _is_worth_it(self, source: Source) -> bool:
        if self._engine is Engine.AUTO:
            self._bytes_seen += _size(source)
            return self._bytes_seen >= WORTH_COMPILING
        return self._engine is Engine.NATIVE

    def _native(
        self, instructions: tuple[Instruction, ...], header: PcapHeader
    ) -> BlockScanner | None:
        try:
            from pfcompile.jit.scan import Layout, Scanner  # noqa: PLC0415 - loads LLVM

            return Scanner(instructions, Layout.of(header), keep=self._keep)
        except ProgramError as error:  # it is one for the interpreter only
            reason = str(error)
        # llvmlite: missing, broken, or too old to have what is asked of it.
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            reason = f"LLVM cannot be used: {error}"
        self._engine = Engine.INTERP
        self._complain(f"no native code, so the interpreter filters: {reason}")
        return None


def program_for(
    text: str, *, optimize: bool = True, resolver: Resolver | None = None
) -> Callable[[int, int], Program]:
    """Return what compiles `text` for a link type (DLT value) and snaplen of a capture file."""

    def compiled(dlt: int, snaplen: int) -> Program:
        return compile_text(text, dlt, snaplen, optimize=optimize, savefile=True, resolver=resolver)

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
            native for files of at least `WORTH_COMPILING` bytes. Native code is for pcap files;
            pcapng files are always the interpreter's. The result is the same.

    Raises:
        FilterError: The expression is wrong for a link type in the file.
        CaptureError: A file cannot be read or written, or is damaged; what was whole is written.
        ValueError: There is no such engine.

    Warns:
        RuntimeWarning: There is no native code, and the interpreter has filtered.
    """
    programs = Programs(
        program_for(text, optimize=optimize, resolver=resolver),
        Engine(engine),
        complain=lambda reason: warnings.warn(reason, RuntimeWarning, stacklevel=2),
    )
    return filtering.filter_file(
        source,
        destination,
        programs,
        write_format=write_format,
        limit=limit,
        scanner_for=programs.scanner,
    )


def _size(source: Source) -> int:
    """Return the bytes of a regular file, by its path or on standard input; 0 for all else."""
    if not isinstance(source, (str, os.PathLike)):
        return 0
    try:
        found = os.fstat(0) if str(source) == STANDARD_INPUT else os.stat(source)  # noqa: PTH116
    except (OSError, ValueError):  # opening it will say what is wrong
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0
