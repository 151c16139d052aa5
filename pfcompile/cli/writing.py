"""What commands do with a program that they print: its formats, and where it goes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pfcompile.ebpf import listing
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.errors import ProgramError
from pfcompile.program import FORMATS as CLASSIC_FORMATS
from pfcompile.program import Program

if TYPE_CHECKING:
    from pfcompile.cli.programs import Given
    from pfcompile.ebpf.elf import EbpfObject

STANDARD_OUTPUT: Final = "-"
EXTENDED_FORMATS: Final = tuple(listing.FORMATS)
ALL_FORMATS: Final = tuple(dict.fromkeys((*CLASSIC_FORMATS, *EXTENDED_FORMATS)))

output_option: Final = click.option(
    "-o", "output", metavar="FILE", help="Write to FILE; '-' is standard output."
)
name_option: Final = click.option(
    "--name",
    default="pfcompile",
    metavar="NAME",
    show_default=True,
    help="The function's name, in an object file and in C.",
)
license_option: Final = click.option(
    "--license",
    "license_",
    metavar="TEXT",
    help="What the program says of itself to the kernel. [Dual MIT/GPL]",
)


def dump(given: Given | EbpfProgram, format_name: str) -> str | bytes:
    """Return a program in a format.

    Raises:
        UsageError: There is no such format for its kind of program.
        ProgramError: The program does not fit the format.
    """
    if isinstance(given, Program):
        _require(format_name, CLASSIC_FORMATS, "classic BPF")
        return given.dump(format_name)
    _require(format_name, EXTENDED_FORMATS, "eBPF")
    if isinstance(given, EbpfProgram):
        return listing.dump(given, format_name)
    if format_name == "elf" and given.source is not None:
        return _with_maps(given.program, given.source)
    return listing.dump(given.program, format_name)


def write(output: str | bytes, file: str | None) -> None:
    """Write what `dump` gives to a file, or to standard output.

    Raises:
        UsageError: Bytes would go to a terminal.
        ProgramError: The file cannot be written.
    """
    if file not in {None, STANDARD_OUTPUT}:
        data = output.encode() if isinstance(output, str) else output
        try:
            Path(str(file)).write_bytes(data)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ProgramError(f"{file}: cannot be written: {reason}") from error
    elif sys.stdout is None:
        raise ProgramError("standard output is closed")
    elif isinstance(output, str):
        click.echo(output, nl=False)
    elif sys.stdout.isatty():
        raise click.UsageError("this format is not for a terminal: give -o FILE, or a pipe")
    else:
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()


def _require(format_name: str, formats: tuple[str, ...], kind: str) -> None:
    if format_name not in formats:
        raise click.UsageError(
            f"the program is {kind}, which has no format '{format_name}', only: "
            f"{', '.join(formats)}"
        )


def _with_maps(program: EbpfProgram, source: EbpfObject) -> bytes:
    """Return an object file that has the maps of the one that a program comes from."""
    from pfcompile.ebpf.elf import write as write_object  # noqa: PLC0415 - loads pyelftools

    contents = {
        number: each.contents
        for number, each in enumerate(source.maps)
        if each.contents is not None
    }
    specs = [each.spec() for each in source.maps]
    return write_object(program, specs, contents, byte_order=source.byte_order)
