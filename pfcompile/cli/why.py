"""`pfcompile why -r FILE -p N EXPR`: why one packet matches, or does not.

The answer goes to standard output. Exit status: 0, whatever the answer; 1 where there is no such
packet, or the capture cannot be read; 2 for a bad expression or usage.
"""

from __future__ import annotations

import json
from typing import Final

import click

from pfcompile.cli import common, options
from pfcompile.cli.explaining.failing import fail
from pfcompile.errors import PfcompileError

_LONGEST_SEARCH: Final = 3600


@click.command("why")
@click.option(
    "-r",
    "capture",
    required=True,
    metavar="FILE",
    help="The capture, compressed or not, or a URL; '-' is stdin.",
)
@click.option(
    "-p",
    "number",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="The packet's number, from 1, as Wireshark counts.",
)
@options.expression_file
@options.no_names
@common.protochain_headers_option
@options.report_format
@click.option(
    "--timeout",
    type=click.IntRange(0, _LONGEST_SEARCH),
    default=10,
    metavar="SECONDS",
    show_default=True,
    help="How long the search for the smallest change may take, 0 for none.",
)
@click.argument("words", nargs=-1, metavar="[EXPR]...")
def command(
    capture: str,
    number: int,
    file: str | None,
    no_names: bool,
    protochain_headers: int,
    format_name: str,
    timeout: int,
    words: tuple[str, ...],
) -> None:
    """Say why packet N of a capture matches EXPR, or why it does not.

    Shows what each term found, the bytes that decided, with the names of their fields, and the
    smallest change of bytes that would turn the verdict.

    Exit status: 0, whether it matches or not; 1 where there is no such packet; 2 for a bad
    expression.
    """
    common.need_standard_output()
    common.check_standard_input(capture, file)
    text = common.expression(words, file)
    try:
        from pfcompile.explain.one_packet.walk import why  # noqa: PLC0415 - --help needs none of it

        found = why(
            capture,
            number,
            text,
            resolver=common.resolver(no_names=no_names),
            protochain_headers=protochain_headers,
            change_seconds=timeout,
        )
    except PfcompileError as error:
        fail(error, format_name)
    if format_name == "json":
        click.echo(json.dumps(found.as_json(), indent=2))
        return
    from pfcompile.cli.explaining.way import print_way  # noqa: PLC0415 - loads rich

    print_way(found, capture)
