"""The filter of an attachment: the options that its meaning hangs on, and its compiling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from pfcompile.cli import common, options
from pfcompile.compiler import compile as compile_text
from pfcompile.facts import link_types
from pfcompile.kernel.attach import Action, Kind, Tc, Xdp
from pfcompile.kernel.interfaces import find_interface, ipv4_netmask

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.kernel.attach import Place
    from pfcompile.program import Program

Command = TypeVar("Command", bound="Callable[..., Any]")

_OPTIONS: Final = (
    click.option(
        "-F", "file", metavar="FILE", help="Read the expression from FILE; SIGHUP: again."
    ),
    click.option("-O", "unoptimized", is_flag=True, help="Do not run the optimiser."),
    options.no_names,
    click.option("-y", "link_type", metavar="TYPE", help="Link type, where it is not known."),
    click.option(
        "-m", "netmask", metavar="MASK", help="IPv4 netmask, if not that of the interface."
    ),
    common.protochain_headers_option,
    click.argument("words", nargs=-1, metavar="[EXPR]..."),
)

action_option: Final = click.option(
    "--action",
    "action",
    type=click.Choice([each.value for each in Action]),
    help="What becomes of packets that match.",
)


def filter_options(command: Command) -> Command:
    """Give a command the options of `Expression`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression as it was given, and how it is to be compiled.

    Attributes:
        words: Of the command line.
        file: Where it is; None for the command line.
        unoptimized: Whether the optimiser does not run.
        no_names: Whether names are not looked up.
        link_type: As it was given.
        netmask: As it was given.
        protochain_headers: How many headers `protochain` follows.
    """

    words: tuple[str, ...]
    file: str | None
    unoptimized: bool
    no_names: bool
    link_type: str | None
    netmask: str | None
    protochain_headers: int

    @property
    def is_read_again(self) -> bool:
        """Whether it is in a file, which can be read again."""
        return self.file not in {None, "-"}

    def compile(self, place: Place) -> Program:
        """Compile it for a place; read the file again.

        Raises:
            FilterError: It is wrong.
            UsageError: The file cannot be read, an option is wrong, or the link type is not known.
            KernelError: There is no such place.
        """
        dlt: int | str | None = self.link_type or place.dlt
        if dlt is None:
            raise click.UsageError(
                f"what packets at {place} begin with is not known: give it as -y"
            )
        netmask: int | str | None = self.netmask
        if netmask is None and isinstance(place, Xdp | Tc):
            netmask = ipv4_netmask(find_interface(place.interface))
        return self.compile_for(dlt, place.row.kind, netmask)

    def compile_for(self, dlt: int | str, kind: Kind, netmask: int | str | None = None) -> Program:
        """Compile it for a link type; raises as `compile`."""
        text = common.expression(self.words, self.file)
        try:
            return compile_text(
                text,
                link_type=dlt,
                netmask=netmask,
                optimize=not self.unoptimized,
                # At XDP nobody has taken anything out of the packet yet.
                live=kind is not Kind.XDP,
                resolver=common.resolver(no_names=self.no_names),
                protochain_headers=self.protochain_headers,
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from error


def expression_of(given: dict[str, Any]) -> Expression:
    """Take what belongs to the expression out of a command's options."""
    names = Expression.__slots__
    return Expression(**{name: given.pop(name) for name in names})


def link_type_name(dlt: int) -> str:
    """Return how people call a link type."""
    row = link_types.by_dlt(dlt)
    return str(dlt) if row is None else row.name
