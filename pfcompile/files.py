"""Capture files filtered by an expression: `read` and `filter_file` of the public interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.captures import filtering
from pfcompile.compiler import compile as compile_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

    from pfcompile.captures.filtering import Matcher, Stats
    from pfcompile.captures.reader import Source
    from pfcompile.captures.writer import Format
    from pfcompile.names.answers import Resolver


def program_for(
    text: str, *, optimize: bool = True, resolver: Resolver | None = None
) -> Callable[[int, int], Matcher]:
    """Return what compiles `text` for a link type (DLT value) and snaplen of a capture file."""

    def compiled(dlt: int, snaplen: int) -> Matcher:
        program = compile_text(
            text, dlt, snaplen, optimize=optimize, savefile=True, resolver=resolver
        )
        return program.match

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
    return filtering.read(source, program_for(text, optimize=optimize, resolver=resolver))


def filter_file(
    source: Source,
    destination: str | PathLike[str],
    text: str,
    *,
    optimize: bool = True,
    resolver: Resolver | None = None,
    write_format: Format | None = None,
    limit: int | None = None,
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

    Raises:
        FilterError: The expression is wrong for a link type in the file.
        CaptureError: A file cannot be read or written, or is damaged; what was whole is written.
    """
    compiled = program_for(text, optimize=optimize, resolver=resolver)
    return filtering.filter_file(
        source, destination, compiled, write_format=write_format, limit=limit
    )
