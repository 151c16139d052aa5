"""`pfcompile prove A B`: how two filters are related, decided for all packets.

The answer goes to standard output, and its first line begins with the relation. Exit status, as of
diff(1) and cmp(1): 0 where A and B are equal, 1 where they are not, 2 for a bad expression or
program, bad usage and anything else that went wrong; and 3 where the time was too short to tell.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

import click

from pfcompile.captures.formats.records import Interface, InterfaceBlock
from pfcompile.captures.output import STANDARD_OUTPUT, Output, is_same_file
from pfcompile.captures.writer import PcapWriter
from pfcompile.cbpf.isa import counts_from_header
from pfcompile.cli import common, options
from pfcompile.cli.operand import Expression, File, Given, classify, load
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import CaptureError, PfcompileError
from pfcompile.facts import link_types

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.cli.operand import Operand
    from pfcompile.program import Program
    from pfcompile.prove import Witness

STATUS_EQUAL: Final = 0
STATUS_DIFFERENT: Final = 1
STATUS_TROUBLE: Final = 2
STATUS_UNDECIDED: Final = 3

DEFAULT_LINK_TYPE: Final = "EN10MB"


@click.command("prove")
@options.link_type
@options.snaplen
@options.netmask
@options.no_names
@options.live
@options.savefile
@common.protochain_headers_option
@options.timeout
@click.option("-w", "output", metavar="FILE", help="Write the packets as pcap; '-' is stdout.")
@click.argument("words", nargs=2, metavar="A B")
def command(
    link_type: str | None,
    snaplen: int,
    netmask: str | None,
    no_names: bool,
    live: bool,
    savefile_: bool,
    protochain_headers: int,
    timeout: int,
    output: str | None,
    words: tuple[str, str],
) -> None:
    """Say how the filters A and B are related for all packets.

    They are equal, A implies B, B implies A, they are disjoint, or neither; packets show what tells
    them apart. Each of A and B is an expression, a program in any text format that pfcompile
    prints, @FILE for a file that holds a program in any of its formats (its name alone will do
    where that is no expression), or - for standard input.

    They are compared on packets that both read whole, and a shift by 32 or more gives 0, as in
    libpcap: where a packet that is cut short or a kernel may make a difference, the answer says so.

    Exit status: 0 equal, 1 not equal, 2 trouble, 3 undecided.
    """
    operands = [classify(word) for word in words]
    _check_usage(operands, output)
    compiled = partial(
        compile_text,
        snaplen=snaplen,
        netmask=netmask,
        live=live,
        savefile=savefile_,
        resolver=common.resolver(no_names=no_names),
        protochain_headers=protochain_headers,
    )
    try:
        from pfcompile.cli.relation_text import tell  # noqa: PLC0415 - z3 is an extra
        from pfcompile.prove import Relation, Undecided, relate  # noqa: PLC0415 - the same

        dlt, a, b = _programs([load(operand) for operand in operands], link_type, compiled)
        answer = relate(a, b, timeout_ms=timeout * 1000, real_lengths=True)
        if output is not None:
            _write(output, dlt, () if isinstance(answer, Undecided) else answer.witnesses)
        told = tell(answer, dlt, from_headers=any(map(counts_from_header, (*a, *b))))
        click.echo(told, nl=False, err=output == STANDARD_OUTPUT)
    except PfcompileError as error:
        _give_up(error)
    except OSError as error:
        common.forget_standard_output()
        _give_up(CaptureError(f"cannot be written: {error.strerror}", STANDARD_OUTPUT))
    if isinstance(answer, Undecided):
        sys.exit(STATUS_UNDECIDED)
    sys.exit(STATUS_EQUAL if answer.relation is Relation.EQUAL else STATUS_DIFFERENT)


def _check_usage(operands: Sequence[Operand], output: str | None) -> None:
    """Refuse what cannot be meant, before anything is read or written."""
    files = [operand.name for operand in operands if isinstance(operand, File)]
    common.check_standard_input(*files)
    if output is None:
        return
    if output == STANDARD_OUTPUT and sys.stdout is not None and sys.stdout.isatty():
        raise click.UsageError("a capture is not written to a terminal")
    for file in files:
        if is_same_file(output, file):
            raise click.UsageError(f"-w {output} would overwrite the program in {file}")


def _programs(
    operands: Sequence[Expression | Given],
    link_type: str | None,
    compiled: Callable[..., Program],
) -> tuple[int, tuple[Instruction, ...], tuple[Instruction, ...]]:
    """Return the link type as a DLT value, and the two programs to be compared.

    Raises:
        UsageError: A word of the command line is wrong that is no expression.
        FilterError: An expression is wrong.
    """
    try:
        dlt = _link_type(operands, link_type)
        a, b = (_instructions(operand, dlt, compiled) for operand in operands)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return dlt, a, b


def _link_type(operands: Sequence[Expression | Given], wanted: str | None) -> int:
    """Return the DLT value that expressions are compiled for and packets shown as.

    Raises:
        ValueError: There is no such link type, or two savefiles are for different ones.
    """
    if wanted is not None:
        return link_types.number(wanted)
    known = {operand.dlt for operand in operands if operand.dlt is not None}
    if len(known) > 1:
        shown = " and ".join(map(link_types.describe, sorted(known)))
        raise ValueError(f"the programs are for {shown}: say with -y which is meant")
    return known.pop() if known else link_types.number(DEFAULT_LINK_TYPE)


def _instructions(
    operand: Expression | Given, dlt: int, compiled: Callable[..., Program]
) -> tuple[Instruction, ...]:
    """Return the program to be compared; raises FilterError for a wrong expression.

    An expression's meaning is its unoptimised program, of any length, so that nothing said here
    hangs on the optimiser, and what no packet can match is a filter like any other.
    """
    if isinstance(operand, Given):
        return operand.instructions
    return compiled(operand.text, dlt, optimize=False, max_instructions=None).instructions


def _write(path: str, dlt: int, witnesses: Sequence[Witness]) -> None:
    """Write a pcap file of packets, of none where none tells the filters apart.

    Raises:
        CaptureError: It cannot be written.
    """
    interface = Interface(0, link_types.linktype_of_dlt(dlt), snaplen=0)
    writer = PcapWriter(Output(path))
    writer.write(InterfaceBlock(b"", interface))
    for witness in witnesses:
        writer.write_packet(interface, 0, witness.packet, witness.wire_length)
    writer.close()


def _give_up(error: PfcompileError) -> NoReturn:
    common.complain(error)
    sys.exit(STATUS_TROUBLE)
