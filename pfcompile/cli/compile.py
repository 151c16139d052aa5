"""`pfcompile EXPR`: print the program for an expression."""

from __future__ import annotations

import sys
from typing import Final

import click
from click.core import ParameterSource

from pfcompile.cli import common, options
from pfcompile.cli.stages import DUMPED, Stages
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
@options.snaplen
@options.link_type
@options.netmask
@options.expression_file
@options.no_names
@options.live
@options.savefile
@common.protochain_headers_option
@click.option(
    "--verify",
    is_flag=True,
    help="Prove that optimising changed no verdict (so not with -O); needs z3.",
)
@options.timeout
@click.option(
    "--dump-after",
    type=click.Choice(DUMPED),
    multiple=True,
    metavar="PASS",
    help=f"Print the graph after PASS: {', '.join(DUMPED)}.",
)
@click.option("--stats", is_flag=True, help="Print what each pass made of the program.")
@click.option("--timings", is_flag=True, help="Print what part of the time each stage took.")
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
    verify: bool,
    timeout: int,
    dump_after: tuple[str, ...],
    stats: bool,
    timings: bool,
    list_types: bool,
    words: tuple[str, ...],
) -> None:
    """Print the classic BPF program for EXPR, as tcpdump -d does.

    Many words make one expression. No EXPR matches every packet. What --dump-after, --stats and
    --timings show goes to standard error. --verify is not for -O, which leaves nothing to
    prove, and --timeout only for --verify.
    """
    del dump  # -d and nothing print the same
    if list_types:
        _list_link_types()
        return
    _check_usage(verify=verify, no_optimize=no_optimize)
    chosen = format_name or _BY_COUNT.get(dumps, "decimal")
    if link_type is None:
        link_type = _IPTABLES_LINK if chosen == "iptables" else "EN10MB"
    stages = Stages(dump_after, stats=stats, timings=timings)
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
            verify=verify,
            verify_seconds=timeout,
            observer=stages.observer,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except PfcompileError as error:
        common.fail(error)
    finally:
        stages.report()
    try:
        _write(program.dump(chosen))
    except PfcompileError as error:
        common.fail(error)


def _check_usage(*, verify: bool, no_optimize: bool) -> None:
    """Refuse options that would say nothing without others."""
    if verify and no_optimize:
        raise click.UsageError("--verify proves what the optimiser did: leave -O out")
    given = click.get_current_context().get_parameter_source("timeout")
    if not verify and given is not ParameterSource.DEFAULT:
        raise click.UsageError("--timeout is how long --verify may take: give that too")


def _write(output: str | bytes) -> None:
    common.need_standard_output()
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
