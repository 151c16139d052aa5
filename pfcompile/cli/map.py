"""`pfcompile map`: the sets of addresses that attached filters look into.

Exit status: 0; 1 where there is no such set, or the kernel refused; 2 for a wrong address or usage.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from pfcompile.cli import common
from pfcompile.errors import AddressError, AttachmentError, PfcompileError
from pfcompile.kernel.attach import Prefixes, attachments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.kernel.attach import AddressSet, Found

_of: Final = click.option(
    "--of", "owner", metavar="NAME", help="The set of this attachment, where several have one."
)
_file: Final = click.option("-f", "file", metavar="FILE", help="And those in FILE, one a line.")


@click.group("map")
def command() -> None:
    """Change the sets of addresses of attached filters (`pfcompile attach ... --map`).

    What is added or deleted holds for the next packet.
    """


@command.command("add")
@click.argument("name", metavar="SET")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS|NETWORK]...")
@_file
@_of
def add(name: str, addresses: tuple[str, ...], file: str | None, owner: str | None) -> None:
    """Put addresses and networks into a set."""
    prefixes = _prefixes(addresses, file)
    with _opened(name, owner) as members:
        for each in prefixes:
            members.update(each)


@command.command("del")
@click.argument("name", metavar="SET")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS|NETWORK]...")
@_file
@_of
def delete(name: str, addresses: tuple[str, ...], file: str | None, owner: str | None) -> None:
    """Take addresses and networks out of a set, as they were put in.

    An address stays in the networks that have it.
    """
    prefixes = _prefixes(addresses, file)
    with _opened(name, owner) as members:
        wanted = sum(map(len, prefixes))
        gone = sum(map(members.difference_update, prefixes))
    if gone < wanted:
        raise click.ClickException(f"{wanted - gone} of {wanted} were not in '{name}'")


@command.command("list")
@click.argument("name", required=False, metavar="[SET]")
@_of
def list_(name: str | None, owner: str | None) -> None:
    """List what is in a set, or the sets that there are."""
    common.need_standard_output()
    if name is not None:
        with _opened(name, owner) as members:
            for text in members:
                click.echo(text)
        return
    try:
        rows = [
            f"{rule.name}: {rule.label} of {found.name}, {found.description.place}"
            for found in _attachments(owner)
            for rule in found.description.sets
        ]
    except PfcompileError as error:
        common.fail(error)
    if not rows:
        click.echo("no attached filter has sets", err=True)
    for row in rows:
        click.echo(row)


def _prefixes(addresses: tuple[str, ...], file: str | None) -> list[Prefixes]:
    """Return what was given; raises UsageError."""
    if not addresses and file is None:
        raise click.UsageError("give addresses or networks, or a file of them with -f")
    try:
        given = [Prefixes.of(addresses)]
        if file is not None:
            given.append(Prefixes.read(file))
    except AddressError as error:
        raise click.UsageError(str(error)) from error
    return given


@contextmanager
def _opened(name: str, owner: str | None) -> Iterator[AddressSet]:
    """Lend a set; end the command where there is none, or the kernel refuses."""
    try:
        with _owner(name, owner).open() as session:
            yield session.sets[name]
    except BrokenPipeError:
        common.forget_standard_output()
        sys.exit(0)
    except PfcompileError as error:
        common.fail(error)


def _owner(name: str, owner: str | None) -> Found:
    """Return the attachment whose set is meant; raises AttachmentError, KernelError."""
    everything = _attachments(owner)
    found = [each for each in everything if name in {rule.name for rule in each.description.sets}]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(each.name for each in found)
        raise AttachmentError(f"several attached filters have a set '{name}': give --of {names}")
    sets = ", ".join(rule.name for each in everything for rule in each.description.sets)
    there = f"there are: {sets}" if sets else "there are none"
    raise AttachmentError(f"no attached filter has a set '{name}'; {there}")


def _attachments(owner: str | None) -> tuple[Found, ...]:
    everything = attachments()
    if owner is None:
        return everything
    found = tuple(each for each in everything if owner in {each.name, str(each.id)})
    if not found:
        raise AttachmentError(f"no attached filter is called '{owner}'")
    return found
