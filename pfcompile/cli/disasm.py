"""`pfcompile disasm`: show a program, classic or extended, from whatever it is in."""

from __future__ import annotations

import click

from pfcompile.cli import common, programs, writing
from pfcompile.ebpf.asm import SYNTAXES, disassemble
from pfcompile.errors import PfcompileError
from pfcompile.program import Program


@click.command("disasm")
@programs.with_family
@click.option(
    "--format",
    "format_name",
    type=click.Choice(writing.ALL_FORMATS),
    default="asm",
    show_default=True,
    help="Print in this format.",
)
@click.option(
    "--syntax",
    type=click.Choice(list(SYNTAXES)),
    default="clang",
    show_default=True,
    help="eBPF: the language of --format asm.",
)
@click.option(
    "--program", "name", metavar="NAME", help="Of an object file: the function or section."
)
@writing.output_option
@click.argument("file", default=programs.STANDARD_INPUT)
def command(
    family: str | None,
    format_name: str,
    syntax: str,
    name: str | None,
    output: str | None,
    file: str,
) -> None:
    """Print the program in FILE, or on standard input, as assembly.

    FILE is an object file, a savefile, bare bytes, assembly, or what --format writes and tcpdump
    and bpftool print.
    """
    try:
        given = programs.read_program(file, family, name=name)
        if isinstance(given, Program) or format_name != "asm":
            text = writing.dump(given, format_name)
        else:
            text = disassemble(given.program.instructions, SYNTAXES[syntax])
        writing.write(text, output)
    except PfcompileError as error:
        common.fail(error)
