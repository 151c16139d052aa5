"""`pfcompile check PROGRAM`: whether a program is proved to be safe, before anybody loads it."""

from __future__ import annotations

from dataclasses import replace

import click

from pfcompile.cbpf.check import check as check_classic
from pfcompile.cli import common, programs, writing
from pfcompile.cli.runners import PLACES, find_place
from pfcompile.ebpf.check import CheckRefusal, check
from pfcompile.errors import PfcompileError, ProgramError
from pfcompile.program import Program


@click.command("check")
@programs.with_family
@click.option(
    "--target",
    type=click.Choice(list(PLACES)),
    help="eBPF: where it will run. [what an object file says, else user]",
)
@click.option(
    "--program", "name", metavar="NAME", help="Of an object file: the function or section."
)
@click.argument("file", default=programs.STANDARD_INPUT, metavar="[PROGRAM]")
def command(family: str | None, target: str | None, name: str | None, file: str) -> None:
    """Say whether PROGRAM is safe on every packet and comes to an end, and what is proved of it.

    Where that is not proved, it says at which instruction, what is known there of the registers and
    the stack, and the path to it, with status 1. For xdp, tc and socket the limits are Linux's.
    PROGRAM is any file that `pfcompile disasm` reads; of classic BPF, what the kernel demands is
    checked.
    """
    try:
        given = programs.read_program(file, family, name=name, target=target)
        try:
            said = _of_classic(given) if isinstance(given, Program) else _of_extended(given)
        except CheckRefusal as refusal:
            raise ProgramError(f"{programs.shown(file)}: not proved safe: {refusal}") from refusal
        except ProgramError as error:
            raise ProgramError(f"{programs.shown(file)}: {error}") from error
        writing.write(said, writing.STANDARD_OUTPUT)
    except PfcompileError as error:
        common.fail(error)


def _of_classic(program: Program) -> str:
    check_classic(program.instructions)
    return (
        f"accepted: classic BPF, {len(program.instructions)} instructions\n"
        "  the kernel takes it; it only jumps forward, and so it ends\n"
    )


def _of_extended(given: programs.Extended) -> str:
    maps = () if given.source is None else given.source.maps
    subject = replace(
        find_place(given.program.target).subject,
        maps={number: each.spec() for number, each in enumerate(maps)},
    )
    found = check(given.program.instructions, subject)
    return (
        f"accepted: {subject.name}, {len(given.program.instructions)} instructions\n"
        f"  loads, stores and calls of helpers proved safe: {len(found.proved)}\n"
        "  every run ends\n"
        f"  stack: at most {found.stack} bytes\n"
        f"  instructions followed: {found.steps}\n"
    )
