"""A filter on what goes out, at tc, that stays when the command has ended: attach, query, detach.

    sudo python examples/egress.py attach eth0 "udp dst port 53 and not dst host 192.0.2.53"
    sudo python examples/egress.py query eth0
    sudo python examples/egress.py detach eth0

What matches is dropped. A name in the BPF file system (/sys/fs/bpf/pfcompile) keeps the filter.
Attaching again replaces the expression in one step: no packet goes out without a filter.
"""

from __future__ import annotations

import sys

import pfcompile
from pfcompile.errors import AttachmentError
from pfcompile.kernel.attach import Action, Direction, Tc, attach, find_attachment


def pin_name(interface: str) -> str:
    """Return what the filter of an interface is called; pins have no dots."""
    return f"egress-{interface.replace('.', '-')}"


def put(interface: str, expression: str) -> None:
    """Attach a filter, or replace the one that is there."""
    program = pfcompile.compile(expression, live=True)
    try:
        found = find_attachment(pin_name(interface))
    except AttachmentError:
        with attach(Tc(interface, Direction.EGRESS), program, Action.DROP) as session:
            session.pin(pin_name(interface))
        print("attached")
        return
    with found.open() as session:
        session.replace(program)
    print("replaced")


def query(interface: str) -> None:
    """Say what is there, and what it has counted."""
    found = find_attachment(pin_name(interface))
    counted = found.counters()
    print(f"{found.description.place}: {found.description.expression}")
    print(f"{counted.seen_packets} packets seen, {counted.matched_packets} dropped")


def detach(interface: str) -> None:
    """Take it off."""
    find_attachment(pin_name(interface)).end()
    print("detached")


def main(arguments: list[str]) -> None:
    """Do what the arguments say."""
    match arguments:
        case ["attach", interface, *words] if words:
            put(interface, " ".join(words))
        case ["query", interface]:
            query(interface)
        case ["detach", interface]:
            detach(interface)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except pfcompile.PfcompileError as error:
        sys.exit(str(error))
