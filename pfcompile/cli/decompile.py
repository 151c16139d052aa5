"""`pfcompile decompile PROGRAM`: the expression that a classic program means.

The expression alone goes to standard output, what is to be known about it to standard error. Exit
status: 0 where the expression is proved equal to the program, 1 where there is none or it is not
proved, 2 for bad usage.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pfcompile.cbpf.reading import parse_program
from pfcompile.cli import common, options
from pfcompile.cli.operand import STANDARD_INPUT, Expression, File, Given, Text, classify, load
from pfcompile.compiler import DEFAULT_SNAPLEN
from pfcompile.errors import PfcompileError, ProgramError
from pfcompile.facts import link_types

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.decompile.result import Decompiled

_DEFAULT_LINK_TYPE = "EN10MB"


@click.command("decompile")
@options.link_type
@options.netmask
@options.timeout
@click.argument("words", nargs=-1, metavar="PROGRAM")
def command(
    link_type: str | None, netmask: str | None, timeout: int, words: tuple[str, ...]
) -> None:
    """Print the filter expression that a classic program means.

    PROGRAM is a file, @FILE, - for standard input (also where there is none), or the program
    itself: what tcpdump -d, -dd and -ddd print, bpf_asm's language, the bytecode of iptables,
    JSON, a savefile or raw bytes. Its packets begin with an Ethernet header unless -y says what
    with; those of xt_bpf with an IP header: -y IPV4, IPV6 or RAW.

    The expression is compiled again and proved equal to the program. What no expression can say,
    and whatever else is to be known, goes to standard error.

    Exit status: 0 proved, 1 not proved or nothing found, 2 bad usage.
    """
    common.need_standard_output()
    try:
        given = _program(" ".join(words) or STANDARD_INPUT)
        from pfcompile.decompile.decompiler import decompile  # noqa: PLC0415 - z3 is an extra

        found = decompile(
            given.instructions, _dlt(given, link_type), netmask=netmask, timeout=timeout
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except PfcompileError as error:
        common.fail(error)
    if found.expression is not None:
        click.echo(found.expression)
    for remark in _remarks(found):
        click.echo(f"pfcompile: {remark}", err=True)
    if not found.is_proved:
        sys.exit(common.STATUS_FAILED)


def _program(word: str) -> Given:
    """Return the program that a word of the command line stands for.

    Raises:
        ProgramError: It is none.
    """
    operand = classify(word)
    match operand:
        case File():
            loaded = load(operand)
            assert isinstance(loaded, Given)
            return loaded
        case Expression(text=text):
            if _is_file(text):
                return _program(f"@{text}")
            raise ProgramError(f"'{text}' is an expression already, and no file has that name")
        case Text(text=text):
            try:
                return Given(parse_program(text))
            except ProgramError:
                if any(map(str.isspace, text)):
                    raise
                raise ProgramError(f"'{text}' is no program, and no file has that name") from None


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def _dlt(given: Given, wanted: str | None) -> int:
    """Return the link type; raises ValueError where there is none of that name."""
    if wanted is not None:
        return link_types.number(wanted)
    return link_types.number(_DEFAULT_LINK_TYPE) if given.dlt is None else given.dlt


def _remarks(found: Decompiled) -> Iterator[str]:
    """Yield what is to be known about an answer."""
    if found.expression is None:
        yield f"no expression: {found.reason}"
    elif found.is_proved:
        yield f"proved equal by {found.proof.value}"
    else:
        yield f"NOT proved equal: {found.reason}"
    yield from map(str, found.obstacles)
    if found.expression is None:
        return
    if found.expression == "":
        yield "every packet matches: that is the empty expression"
    if found.accepts_nothing:
        yield "no packet matches: only compile -O takes such an expression"
    needed = _needed_options(found)
    if needed:
        yield f"compile it with {' '.join(needed)}"


def _needed_options(found: Decompiled) -> list[str]:
    """Return the options without which the expression would mean something else."""
    needed = []
    if found.link_type != _DEFAULT_LINK_TYPE:
        needed.append(f"-y {found.link_type}")
    if found.snaplen != DEFAULT_SNAPLEN:
        needed.append(f"-s {found.snaplen}")
    if found.netmask is not None:
        needed.append(f"-m {found.netmask}")
    if found.live:
        needed.append("--live")
    if found.savefile:
        needed.append("--savefile")
    return needed
