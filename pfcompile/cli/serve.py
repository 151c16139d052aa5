"""`pfcompile serve`: a page on this machine that shows all that becomes of an expression."""

from __future__ import annotations

import webbrowser
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import click

from pfcompile.captures.output import is_same_file
from pfcompile.captures.sources.inputs import STANDARD_INPUT
from pfcompile.cli import common, options, writing
from pfcompile.compiler import netmask_number
from pfcompile.errors import CaptureError, PfcompileError
from pfcompile.facts import link_types

if TYPE_CHECKING:
    from pfcompile.page.asked import Filter
    from pfcompile.page.serving import Address

DEFAULT_LINK_TYPE: Final = "EN10MB"

DEFAULT_PORT: Final = 7233
"""Always the same where nobody says, so that links to the page outlive the server."""


@click.command("serve")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    metavar="PORT",
    help="TCP port; 0 for any that is free.",
)
@click.option("--browser/--no-browser", default=False, help="Open the page in the browser.")
@click.option("--html", "report", metavar="FILE", help="Write a report instead; '-' is stdout.")
@click.option("-r", "capture", metavar="CAPTURE", help="Show its packets; '-' is standard input.")
@click.option("--compare", "other", metavar="EXPR", help="Compare with another expression.")
@click.option("--names", is_flag=True, help="Look names of hosts and networks up.")
@options.link_type
@options.netmask
@options.expression_file
@click.argument("words", nargs=-1, metavar="[EXPR]...")
def command(
    port: int,
    browser: bool,
    report: str | None,
    capture: str | None,
    other: str | None,
    names: bool,
    link_type: str | None,
    netmask: str | None,
    file: str | None,
    words: tuple[str, ...],
) -> None:
    """Show a page in the browser for EXPR and any other expression, until Ctrl-C.

    Mistakes are underlined while you type; tree, graph, classic BPF and eBPF stand side by side.
    The page is for this machine alone: it is bound to 127.0.0.1, and its address has a random
    token. With --html, the same about EXPR is written to one file, which needs no server.
    """
    text = common.expression(words, file)
    if capture is not None and report is not None:
        if capture == STANDARD_INPUT:
            raise click.UsageError("with --html -r takes a file: it is read more than once")
        if is_same_file(report, capture):
            raise click.UsageError(f"--html {report} would overwrite the capture")
    try:
        if link_type is not None:
            link_types.number(link_type)
        netmask_number(netmask)
        from pfcompile.page import asked  # noqa: PLC0415 - much to load for an error

        usual = asked.Filter(text, netmask=netmask, names=names)
        if report is not None:
            _write_report(report, usual, link_type, capture, other)
            return
        common.need_standard_output()
        from pfcompile.page.serving import serve  # noqa: PLC0415 - an extra

        state = {"e": text, "y": link_type, "b": other}
        serve(
            port,
            usual,
            urlencode({name: value for name, value in state.items() if value}),
            capture,
            lambda address: _tell(address, browser=browser),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except PfcompileError as error:
        common.fail(error)


def _tell(address: Address, *, browser: bool) -> None:
    """Say where the page is, and open it where that is wanted."""
    click.echo(address)
    click.echo("Ctrl-C ends the server.", err=True)
    if browser and not webbrowser.open(str(address)):
        click.echo("pfcompile: there is no browser to open", err=True)


def _write_report(
    path: str, usual: Filter, link_type: str | None, capture: str | None, other: str | None
) -> None:
    """Write a report; its link type is the capture's where nobody says."""
    from pfcompile.page.packets import contents  # noqa: PLC0415 - much to load for an error
    from pfcompile.page.report import Subject, report  # noqa: PLC0415 - the same

    if capture is not None:
        found = contents("", capture)
        if found.problem is not None and found.packets == 0:
            raise CaptureError(found.problem, capture)
        if link_type is None and found.link_types:
            link_type = found.link_types[0]
    wanted = replace(usual, link_type=link_type or DEFAULT_LINK_TYPE, savefile=capture is not None)
    second = None if other is None else replace(wanted, text=other)
    writing.write(report(Subject(wanted, capture, second)), path)
