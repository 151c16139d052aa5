"""Commands for what is attached: list, watch, replace and detach it.

An attachment is called by the name that it was pinned under, or by its number.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pfcompile.cli import common
from pfcompile.cli.attaching import words
from pfcompile.cli.attaching.extras import Outlet, output_options, taken
from pfcompile.cli.attaching.filters import action_option, expression_of, filter_options
from pfcompile.cli.attaching.running import watch
from pfcompile.errors import AttachmentError, PfcompileError
from pfcompile.kernel.attach import Action, attachments, find_attachment
from pfcompile.kernel.attach.find import remove_dead_pin
from pfcompile.kernel.attach.rows import ROW_OF
from pfcompile.kernel.bpf.probes import features

if TYPE_CHECKING:
    from pfcompile.kernel.attach import Found

_HEADINGS: Final = ("NAME", "PLACE", "ACTION", "SEEN", "MATCHED", "HELD BY", "EXPRESSION")
_LONGEST: Final = 60


@click.command("list")
def list_() -> None:
    """List the filters that are attached, in all network namespaces."""
    try:
        rows = [_HEADINGS, *(_row(each) for each in attachments())]
    except PfcompileError as error:
        common.fail(error)
    if len(rows) == 1:
        click.echo("nothing is attached", err=True)
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


@click.command("watch")
@click.argument("name", metavar="NAME")
@output_options
def watch_(name: str, **given: Any) -> None:
    """Show what an attached filter counts and reports, until a signal comes; it stays there.

    Of what is reported, one alone can be told: while another reads, there are the counts.
    """
    outlet = taken(Outlet, given)
    outlet.check()
    try:
        found = find_attachment(name)
        with found.open() as session:
            if outlet.is_wanted and not session.reports_packets:
                raise AttachmentError(f"'{name}' reports no packets")
            told = found.description
            said = f"{told.place}: {told.action} {words.matching(told.expression, told.sets)}"
            watch(session, outlet, said, is_ours=False)
    except KeyboardInterrupt:
        raise click.Abort from None
    except PfcompileError as error:
        common.fail(error)


@click.command("replace")
@click.argument("name", metavar="NAME")
@filter_options
@action_option
def replace(name: str, **given: Any) -> None:
    """Go on with another filter, and no packet passes without one; counts go on."""
    expression = expression_of(given)
    try:
        found = find_attachment(name)
        told = found.description
        row = ROW_OF[told.row]
        program = expression.compile_for(expression.link_type or told.dlt, row.kind)
        action = None if given["action"] is None else Action(given["action"])
        with found.open() as session:
            session.replace(program, action)
            asked = words.matching(program.text, told.sets)
            said = f"{told.place}: {session.action.value} {asked}"
        click.echo(said, err=True)
    except PfcompileError as error:
        common.fail(error)


@click.command("detach")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def detach(names: tuple[str, ...]) -> None:
    """Take filters off, whoever holds them."""
    failed = False
    for name in names:
        try:
            _detach(name)
        except PfcompileError as error:
            common.complain(error)
            failed = True
    if failed:
        sys.exit(common.STATUS_FAILED)


@click.command("features")
def features_() -> None:
    """List what this kernel can do, found by trying, and which version of Linux brought it."""
    group = None
    for state in features():
        if state.group is not group:
            group = state.group
            click.echo(f"{group.value}:")
        has = {True: "yes", False: "no", None: "?"}[state.available]
        reason = "" if state.available else f"  {state.reason}"
        click.echo(f"    {state.name:26} Linux {state.since:6} {has}{reason}")


COMMANDS: Final = (list_, watch_, replace, detach, features_)


def _detach(name: str) -> None:
    try:
        found = find_attachment(name)
    except AttachmentError:
        if name.isdecimal() or not remove_dead_pin(name):
            raise
        click.echo(f"{name}: what was pinned had gone; the pin has, too", err=True)
        return
    last = words.counted(found.counters(), Action(found.description.action))
    found.end()
    click.echo(f"{found.description.place}: detached, {last}", err=True)


def _row(found: Found) -> tuple[str, ...]:
    told = found.description
    try:
        counters = found.counters()
        counted = (str(counters.seen_packets), str(counters.matched_packets))
    except PfcompileError:  # it went meanwhile
        counted = ("?", "?")
    expression = " ".join(told.expression.split())
    if len(expression) > _LONGEST:
        expression = expression[: _LONGEST - 4] + " ..."
    sets = " ".join(f"[{rule.label}]" for rule in told.sets)
    shown = f"{expression} {sets}".strip()
    place = told.place if found.is_attached else f"{told.place} (gone)"
    return (found.name, place, told.action, *counted, _holder(found), shown)


def _holder(found: Found) -> str:
    if found.pin is not None:
        return "pin"
    number = found.description.process
    try:
        name = Path(f"/proc/{number}/comm").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return f"process {number}"
    return f"{name}, process {number}"
