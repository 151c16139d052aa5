"""The commands: one module each, loaded when it is asked for.

`pfcompile EXPR` compiles; a first word from `COMMANDS` does something else. No expression begins
with one of those words.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from pfcompile import __version__

COMMANDS: Final = {
    "compile": "Compile an expression and print the program (the default).",
    "filter": "Filter capture files.",
    "split": "Filter capture files with several expressions in one pass.",
    "capture": "Capture packets from an interface.",
    "attach": "Attach a filter at XDP, tc, a cgroup or a socket: drop, pass, count, report.",
    "map": "Change the sets of addresses that attached filters look into.",
    "explain": "Say what an expression means, in words, with warnings.",
    "why": "Say why a packet of a capture matches, or does not.",
    "draw": "Draw an expression's tree, graph or program: SVG, PNG, DOT, text.",
    "prove": "Say how two filters are related, for all packets.",
    "decompile": "Say which expression a classic program means.",
    "ebpf": "Compile an expression to eBPF: for XDP, tc, sockets, object files.",
    "asm": "Assemble a program, classic or extended.",
    "disasm": "Show a program from an object file, bytes, numbers or a listing.",
    "check": "Check that a program is safe, before it is loaded.",
    "run": "Run a program on the packets of captures.",
    "debug": "Run a filter or a program step by step, forwards and backwards.",
    "serve": "Show a page that follows an expression through all its stages.",
    "conformance-plugin": "Run an eBPF program for a conformance suite.",
}
"""Each is the name of a module here (`_` for `-`) that has a click command called `command`."""

DEFAULT: Final = "compile"


class _Commands(click.Group):
    """The commands above; anything else is an expression for the default one."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the commands in the order of the help text."""
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Load a command's module."""
        if name not in COMMANDS:
            return None
        module = name.replace("-", "_")
        command: click.Command = import_module(f"pfcompile.cli.{module}").command
        return command

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Put the default command before an expression or its options."""
        if not args or args[0] not in {*COMMANDS, "-h", "--help", "--version"}:
            args = [DEFAULT, *args]
        return super().parse_args(context, args)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def group() -> None:
    """Compile tcpdump filter expressions: pfcompile [OPTIONS] EXPR...

    For the options of compiling: pfcompile compile --help.
    """
