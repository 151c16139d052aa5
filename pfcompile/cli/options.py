"""Options that more than one command has: all that an expression's meaning hangs on."""

from __future__ import annotations

from typing import Final

import click

from pfcompile.compiler import DEFAULT_SNAPLEN, VERIFY_SECONDS

LONGEST_PROOF: Final = 86_400
"""Seconds in a day."""

timeout: Final = click.option(
    "--timeout",
    type=click.IntRange(1, LONGEST_PROOF),
    default=int(VERIFY_SECONDS),
    metavar="SECONDS",
    show_default=True,
    help="How long the proof may take.",
)
snaplen: Final = click.option(
    "-s",
    "snaplen",
    type=click.IntRange(0, 0xFFFFFFFF),
    default=DEFAULT_SNAPLEN,
    metavar="BYTES",
    show_default=True,
    help="What the program returns for a match.",
)
expression_file: Final = click.option(
    "-F", "file", metavar="FILE", help="Read the expression from FILE."
)
report_format: Final = click.option(
    "--format",
    "format_name",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What to print: text for people, JSON for programs.",
)
link_type: Final = click.option(
    "-y",
    "link_type",
    metavar="TYPE",
    help="Link type: a name or DLT number; pfcompile -L lists them. [EN10MB]",
)
netmask: Final = click.option(
    "-m", "netmask", metavar="MASK", help="IPv4 netmask, for `ip broadcast`."
)
no_names: Final = click.option(
    "-n", "--no-names", "no_names", is_flag=True, help="Look no names up."
)
live: Final = click.option(
    "--live", is_flag=True, help="For a live capture on Linux: use packet metadata."
)
savefile: Final = click.option(
    "--savefile", "savefile_", is_flag=True, help="For the packets of a capture file."
)
