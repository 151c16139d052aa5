"""`pfcompile asm`: assemble a program, classic or extended."""

from __future__ import annotations

from dataclasses import replace

import click

from pfcompile.cli import common, options, programs, writing
from pfcompile.ebpf.program import LICENSE
from pfcompile.ebpf.translate.targets import TARGETS, find_form
from pfcompile.errors import PfcompileError, ProgramError
from pfcompile.facts import link_types
from pfcompile.program import Program


@click.command("asm")
@programs.with_family
@click.option(
    "--format",
    "format_name",
    type=click.Choice(writing.ALL_FORMATS),
    help="Print in this format. [tcpdump for classic BPF, listing for eBPF]",
)
@writing.output_option
@click.option("--target", type=click.Choice(TARGETS), help="eBPF: where it will run. [user]")
@writing.name_option
@writing.license_option
@options.link_type
@click.argument("file", default=programs.STANDARD_INPUT)
def command(
    family: str | None,
    format_name: str | None,
    output: str | None,
    target: str | None,
    name: str,
    license_: str | None,
    link_type: str | None,
    file: str,
) -> None:
    """Assemble the program in FILE, or on standard input.

    Classic BPF in bpf_asm's language, eBPF in clang's or uBPF's; which it is, the program tells.
    """
    try:
        given = _assembled(file, family)
        if isinstance(given, Program):
            if target is not None:
                raise click.UsageError("--target is for eBPF, and the program is classic BPF")
            dlt = given.dlt if link_type is None else link_types.number(link_type)
            given = replace(given, dlt=dlt)
            chosen = format_name or "tcpdump"
        else:
            if link_type is not None:
                raise click.UsageError("-y is for classic BPF, and the program is eBPF")
            row = find_form(target or "user").target
            program = replace(
                given.program,
                target=row.name,
                program_type=row.program_type,
                name=name,
                license=LICENSE if license_ is None else license_,
            )
            given = replace(given, program=program)
            chosen = format_name or "listing"
        writing.write(writing.dump(given, chosen), output)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except PfcompileError as error:
        common.fail(error)


def _assembled(file: str, family: str | None) -> programs.Given:
    data = programs.read_bytes(file)
    try:
        return programs.assemble(data.decode("utf-8-sig"), family)
    except UnicodeDecodeError:
        raise ProgramError(f"{programs.shown(file)}: it is no text") from None
    except ProgramError as error:
        raise ProgramError(f"{programs.shown(file)}: {error}") from error
