"""`pfcompile EXPR`: print the program for an expression."""

from __future__ import annotations

import sys
from typing import Final

import click

from pfcompile.cli import common
from pfcompile.compiler import DEFAULT_SNAPLEN
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import PfcompileError
from pfcompile.facts import link_types
from pfcompile.program import FORMATS

_BY_COUNT: Final = {0: "tcpdump", 1: "tcpdump", 2: "c", 3: "decimal"}
"""What -d, -dd and -ddd print, as tcpdump(1) has them."""

_IPTABLES_LINK: Final = "RAW"
"""xt_bpf sees a packet from its IP header on."""


@click.command("compile")
@click.option("-d", "dumps", count=True, help="Print a listing; -dd a C array, -ddd numbers.")
@click.option("--dump", is_flag=True, help="The same as -d, which is the default.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    help="Print in this format.",
)
@click.option("-O", "no_optimize", is_flag=True, help="Do not optimise.")
@click.option(
    "-s",
    "snaplen",
    type=click.IntRange(0, 0xFFFFFFFF),
    default=DEFAULT_SNAPLEN,
    metavar="BYTES",
    show_default=True,
    help="What the program returns for a match.",
)
@click.option(
    "-y", "link_type", metavar="TYPE", help="Link type: a name or DLT number; see -L. [EN10MB]"
)
@click.option("-m", "netmask", metavar="MASK", help="IPv4 netmask, for `ip broadcast`.")
@click.option("-F", "file", metavar="FILE", help="Read the expression from FILE.")
@click.option("-n", "--no-names", "no_names", is_flag=True, help="Look no names up.")
@click.option("--live", is_flag=True, help="For a live capture on Linux: use packet metadata.")
@click.option("--savefile", "savefile_", is_flag=True, help="For the packets of a capture file.")
@common.protochain_headers_option
@click.option("-L", "list_types", is_flag=True, help="List the link types and exit.")
@click.argument("words", nargs=-1, metavar="[EXPR]...")
def command(
    dumps: int,
    dump: bool,
    format_name: str | None,
    no_optimize: bool,
    snaplen: int,
    link_type: str | None,
    netmask: str | None,
    file: str | None,
    no_names: bool,
    live: bool,
    savefile_: bool,
    protochain_headers: int,
    list_types: bool,
    words: tuple[str, ...],
) -> None:
    """Print the classic BPF program for EXPR, as tcpdump -d does.

    Many words make one expression. No EXPR matches every packet.
    """
    del dump  # -d and nothing print the same
    if list_types:
        _list_link_types()
        return
    chosen = format_name or _BY_COUNT.get(dumps, "decimal")
    if link_type is None:
        link_type = _IPTABLES_LINK if chosen == "iptables" else "EN10MB"
    try:
        program = compile_text(
            common.expression(words, file),
            link_type,
            snaplen,
            netmask,
            not no_optimize,
            live=live,
            savefile=savefile_,
            resolver=common.resolver(no_names=no_names),
            protochain_headers=protochain_headers,
        )
        _write(program.dump(chosen))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except PfcompileError as error:
        common.fail(error)


def _write(output: str | bytes) -> None:
    if isinstance(output, bytes):
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()
    else:
        click.echo(output, nl=False)


def _list_link_types() -> None:
    """Print every link type: DLT value, LINKTYPE value in files, name, description."""
    click.echo(f"{'DLT':>4} {'LINKTYPE':>8}  NAME")
    for row in link_types.LINK_TYPES:
        click.echo(f"{row.dlt:>4} {row.linktype:>8}  {row.name} ({row.description})")
