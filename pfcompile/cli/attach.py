"""`pfcompile attach`: filters where packets pass, in the kernel.

Exit status: 0 when it ended as it was asked to, also by a signal; 1 where the kernel refused or the
interface went away; 2 for a bad expression or usage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from pfcompile.cli import common
from pfcompile.cli.attaching import others, words
from pfcompile.cli.attaching.extras import (
    Extras,
    Outlet,
    extra_options,
    output_options,
    taken,
)
from pfcompile.cli.attaching.filters import action_option, expression_of, filter_options
from pfcompile.cli.attaching.running import watch
from pfcompile.errors import AddressError, PfcompileError
from pfcompile.kernel.attach import (
    Action,
    Cgroup,
    Direction,
    ProcessSocket,
    Tc,
    Xdp,
    attach,
)
from pfcompile.kernel.bpf.links import XdpMode

if TYPE_CHECKING:
    from pfcompile.kernel.attach import Place

_MODES: Final = {"auto": XdpMode.BEST, "native": XdpMode.NATIVE, "generic": XdpMode.GENERIC}

_direction: Final = click.option(
    "--direction",
    type=click.Choice([each.value for each in Direction]),
    default=Direction.INGRESS.value,
    show_default=True,
    help="Packets that come in, or that go out.",
)


@click.group("attach")
def command() -> None:
    """Attach a filter where packets pass, in the kernel.

    It is there as long as the command runs, however that ends, or stays with --pin.
    """


_pin: Final = click.option(
    "--pin", "pin", metavar="NAME", help="Have it stay, under NAME, when this command ends."
)


def _attaching(function: Any) -> Any:
    """Give a command the options that all places have."""
    for option in (_pin, output_options, extra_options, action_option, filter_options):
        function = option(function)
    return function


@command.command("xdp")
@click.argument("interface", metavar="IFACE")
@click.option(
    "--mode",
    type=click.Choice(list(_MODES)),
    default="auto",
    show_default=True,
    help="Native is in the driver, generic behind it; auto is native where the driver can.",
)
@_attaching
def xdp(interface: str, mode: str, **given: Any) -> None:
    """Attach EXPR to what comes in on an interface, before the kernel does anything with it."""
    _attach(Xdp(interface, _MODES[mode]), given)


@command.command("tc")
@click.argument("interface", metavar="IFACE")
@_direction
@click.option("--first", is_flag=True, help="Before other programs there, instead of behind them.")
@_attaching
def tc(interface: str, direction: str, *, first: bool, **given: Any) -> None:
    """Attach EXPR to what comes in on an interface or goes out, at tc (Linux 6.6)."""
    _attach(Tc(interface, Direction(direction), first), given)


@command.command("cgroup")
@click.argument("folder", metavar="FOLDER")
@_direction
@_attaching
def cgroup(folder: str, direction: str, **given: Any) -> None:
    """Attach EXPR to what the processes of a cgroup receive or send; packets begin with IP."""
    _attach(Cgroup(folder, Direction(direction)), given)


def _socket(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[int, int]:
    process, _, descriptor = text.partition(":")
    try:
        return int(process), int(descriptor)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no socket: 1234:5 is descriptor 5 of process 1234"
        ) from None


@command.command("socket")
@click.argument("socket", metavar="PID:FD", callback=_socket)
@click.option("--force", is_flag=True, help="Take the place of another filter for good.")
@_attaching
def socket_(socket: tuple[int, int], *, force: bool, **given: Any) -> None:
    """Attach EXPR to what a socket of a process gets; packets begin with IP."""
    _attach(ProcessSocket(*socket, force), given)


def _attach(place: Place, given: dict[str, Any]) -> None:
    """Attach a filter, and watch it until a signal comes; or pin it."""
    expression = expression_of(given)
    outlet, extras = taken(Outlet, given), taken(Extras, given)
    action, pin = Action(given["action"] or Action.COUNT.value), given["pin"]
    outlet.check()
    if pin is not None and outlet.is_wanted:
        raise click.UsageError(
            "who writes packets has to run: pin it with --report, and then `pfcompile attach watch`"
        )
    try:
        report, sets = extras.report(action, outlet), extras.sets()
        program = expression.compile(place)
        with attach(
            place, program, action, report=report, sets=sets, sources=extras.sources or 0
        ) as session:
            asked = words.matching(program.text, (each.rule for each in sets))
            said = f"{place}: {action.value} {asked}"
            if pin is not None:
                session.pin(pin)
                click.echo(f"{said}, pinned as {pin}", err=True)
                return

            def again() -> str:
                new = expression.compile(place)
                common.check_emptied(new.text, str(expression.file))
                session.replace(new)
                return new.text

            watch(session, outlet, said, again if expression.is_read_again else None)
    except KeyboardInterrupt:
        raise click.Abort from None
    except AddressError as error:
        raise click.UsageError(str(error)) from error
    except PfcompileError as error:
        common.fail(error)


for _command in others.COMMANDS:
    command.add_command(_command)
