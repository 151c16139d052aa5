"""`pfcompile ebpf EXPR`: print the eBPF program for an expression, for a place in the kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import click

from pfcompile.cli import common, options, writing
from pfcompile.compiler import compile as compile_text
from pfcompile.ebpf.program import LICENSE
from pfcompile.ebpf.translate import translate
from pfcompile.ebpf.translate.targets import TARGETS, Access, find_form
from pfcompile.ebpf.translate.verdicts import find_verdicts
from pfcompile.errors import PfcompileError, ProgramError

DEFAULT_TARGET: Final = "xdp"


def _verdict(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> str | int | None:
    """Return a number where the text is one; else it is the name of an action."""
    try:
        return text if text is None else int(text, 0)
    except ValueError:
        return text


@click.command("ebpf")
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default=DEFAULT_TARGET,
    show_default=True,
    help="Where the program will run.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(writing.EXTENDED_FORMATS),
    default="listing",
    show_default=True,
    help="Print in this format.",
)
@writing.output_option
@click.option(
    "--access",
    type=click.Choice([each.value for each in Access]),
    help="How it reads packets; without it, the fastest way of the target.",
)
@click.option(
    "--match",
    callback=_verdict,
    metavar="VERDICT",
    help="What it returns for a match: a number, an action's name, or 'value'.",
)
@click.option(
    "--no-match", callback=_verdict, metavar="VERDICT", help="What it returns for all else."
)
@writing.name_option
@writing.license_option
@click.option("-O", "no_optimize", is_flag=True, help="Do not optimise.")
@options.snaplen
@options.link_type
@options.netmask
@options.expression_file
@options.no_names
@common.protochain_headers_option
@click.argument("words", nargs=-1, metavar="[EXPR]...")
def command(
    target: str,
    format_name: str,
    output: str | None,
    access: str | None,
    match: str | int | None,
    no_match: str | int | None,
    name: str,
    license_: str | None,
    no_optimize: bool,
    snaplen: int,
    link_type: str | None,
    netmask: str | None,
    file: str | None,
    no_names: bool,
    protochain_headers: int,
    words: tuple[str, ...],
) -> None:
    """Print the eBPF program for EXPR.

    At xdp and tc it passes what matches and drops the rest, unless --match and --no-match say
    otherwise. --format elf is an object that `bpftool prog load`, `ip link set DEVICE xdp obj
    FILE sec xdp` and `tc filter add ... bpf da obj FILE sec tc` take.
    """
    try:
        find_verdicts(find_form(target, access).target, match, no_match)
    except ProgramError as error:
        raise click.UsageError(str(error)) from error
    try:
        classic = compile_text(
            common.expression(words, file),
            link_type or "EN10MB",
            snaplen,
            netmask,
            not no_optimize,
            resolver=common.resolver(no_names=no_names),
            protochain_headers=protochain_headers,
        )
        program = translate(
            classic.instructions, target, access=access, match=match, no_match=no_match
        )
        named = replace(program, name=name, license=LICENSE if license_ is None else license_)
        writing.write(writing.dump(named, format_name), output)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except PfcompileError as error:
        common.fail(error)
